import sqlite3

from avis import aufgaben, konfig, modelle, rampe, relais
from avis.warteschlange import huey


def test_verlorene_nachricht_kommt_zurueck(werk):
    rampe.spedition_hat_uebernommen(1)
    huey.dequeue()  # geholt, und der Arbeiter ist tot
    assert relais.nachreichen() == 0
    werk.altern(300)
    assert relais.nachreichen() == 1
    werk.arbeiten()
    assert werk.stand("status") == [("erledigt",)]
    werk.altern(300)
    assert relais.nachreichen() == 0


def test_nicht_eingereihtes_kommt_sofort(werk, monkeypatch):
    with monkeypatch.context() as stoerung:
        stoerung.setattr(rampe, "avis_versenden", lambda _: (_ for _ in ()).throw(sqlite3.OperationalError("locked")))
        assert rampe.spedition_hat_uebernommen(1) is False
    assert relais.nachreichen() == 1


def test_fuenf_tote_arbeiter_sind_genug(werk):
    rampe.spedition_hat_uebernommen(1)
    for _ in range(konfig.MAX_VERSUCHE):
        modelle.versuch_beginnen(1)
    werk.altern(300)
    assert relais.nachreichen() == 0
    assert werk.unzustellbar() == [(1, "nach 5 Versuchen ohne Ergebnis")]


def test_ruhende_bleiben_liegen(werk):
    assert relais.nachreichen() == 0
    assert aufgaben.versand.name == "avis-versenden"
