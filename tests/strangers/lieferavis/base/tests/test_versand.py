import logging
import smtplib

import pytest

from avis import archiv, konfig, modelle, post
from avis.aufgaben import avis_versenden
from avis.rampe import spedition_hat_uebernommen

ID = "<avis-LS-1@kessler-armaturen.de>"


def test_mail_und_archiv(werk):
    assert spedition_hat_uebernommen(1)
    werk.arbeiten()
    assert werk.postfach == {ID: "a@kunde.example"}
    assert [d.name for d in (werk.archiv / "avis").iterdir()] == ["LS-1.eml"]
    assert werk.stand("status", "versuche") == [("erledigt", 1)]


def test_zweite_zustellung_tut_nichts(werk):
    spedition_hat_uebernommen(1)
    avis_versenden({"avis_id": 1})
    werk.arbeiten()
    assert werk.uebergaben == [ID]
    assert spedition_hat_uebernommen(1) is False


def test_verlorene_antwort_wiederholt_unter_derselben_id(werk, caplog):
    werk.fehler_danach = [smtplib.SMTPServerDisconnected("weg")]
    logging.getLogger("avis").propagate = True
    with caplog.at_level(logging.INFO, logger="avis"):
        spedition_hat_uebernommen(1)
        werk.arbeiten()
    assert werk.uebergaben == [ID, ID]
    assert "job=avis-versenden event_id=1 attempt=1 result=retry reason=SMTPServerDisconnected('weg')" in caplog.text
    assert "job=avis-versenden event_id=1 attempt=2 result=success" in caplog.text


def test_volles_archiv_sendet_nicht_noch_einmal(werk, monkeypatch):
    with monkeypatch.context() as voll:
        voll.setattr(archiv, "ablegen", lambda **_: (_ for _ in ()).throw(OSError(28, "voll")))
        with pytest.raises(OSError):
            avis_versenden.call_local({"avis_id": 1})
    avis_versenden.call_local({"avis_id": 1})
    assert werk.uebergaben == [ID]
    assert werk.stand("status") == [("erledigt",)]


def test_nach_fuenf_versuchen_unzustellbar(werk):
    werk.fehler = [TimeoutError("still")] * 9
    spedition_hat_uebernommen(1)
    werk.arbeiten()
    assert len(werk.uebergaben) == 5
    assert werk.unzustellbar() == [(1, "TimeoutError('still')")]
    assert werk.stand("status") == [("aufgegeben",)]


def test_ablehnung_ist_endgueltig_und_laesst_sich_wiederholen(werk):
    werk.fehler = [post.Abgelehnt("550")]
    spedition_hat_uebernommen(1)
    werk.arbeiten()
    assert len(werk.uebergaben) == 1
    assert len(werk.unzustellbar()) == 1
    spedition_hat_uebernommen(1)
    werk.arbeiten()
    assert werk.stand("status") == [("erledigt",)]
    assert werk.unzustellbar() == []


@pytest.mark.parametrize("nutzlast", [{}, {"avis_id": 0}, {"avis_id": "LS-1"}, {"avis_id": 4711}, None])
def test_verdorbenes_wird_einmal_vermerkt(werk, nutzlast):
    avis_versenden(nutzlast)
    avis_versenden(nutzlast)
    werk.arbeiten()
    assert werk.uebergaben == []
    assert len(werk.unzustellbar()) == 1


def test_was_das_relay_vergessen_hat_wird_nicht_wiederholt(werk):
    werk.fehler_danach = [TimeoutError("Antwort verloren")]
    with pytest.raises(TimeoutError):
        avis_versenden.call_local({"avis_id": 1})
    with modelle.db.connection_context():
        modelle.Avis.update(erster_versuch_am=modelle.Avis.erster_versuch_am - konfig.RELAY_GEDAECHTNIS - 1).execute()
    avis_versenden.call_local({"avis_id": 1})
    assert len(werk.uebergaben) == 1
    assert len(werk.unzustellbar()) == 1
