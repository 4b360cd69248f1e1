import httpx
import pytest
from conftest import status_fehler

from meldungen import ablauf, register
from meldungen.models import Meldung, Vorlage
from meldungen.tasks import meldung_einreichen


def stand():
    return list(Meldung.objects.values_list("status", "versuche"))


def test_freigegebenes_wird_eingereicht(amt, meldung):
    assert ablauf.freigeben(meldung.pk)
    amt.arbeiten()
    assert list(amt.akten) == ["VR-1"]
    assert stand() == [("eingereicht", 1)]


def test_zweite_zustellung(amt, meldung):
    ablauf.freigeben(meldung.pk)
    ablauf.freigeben(meldung.pk)
    amt.arbeiten()
    assert amt.anfragen == ["VR-1"]
    assert ablauf.freigeben(meldung.pk) is False


def test_verlorene_antwort_endet_mit_409_gut(amt, meldung):
    amt.nachher = [httpx.ReadTimeout("zu spät")]
    ablauf.freigeben(meldung.pk)
    amt.arbeiten()
    assert amt.anfragen == ["VR-1", "VR-1"]
    assert stand() == [("eingereicht", 2)]
    assert not Vorlage.objects.exists()


def test_fuenf_versuche_dann_vorlage(amt, meldung):
    amt.vorher = [status_fehler(503)] * 9
    ablauf.freigeben(meldung.pk)
    amt.arbeiten()
    assert len(amt.anfragen) == 5
    assert stand() == [("aufgegeben", 5)]
    assert Vorlage.objects.get().meldung == meldung


def test_abgewiesen_und_nach_korrektur_von_vorn(amt, meldung):
    amt.vorher = [status_fehler(422)]
    ablauf.freigeben(meldung.pk)
    amt.arbeiten()
    assert len(amt.anfragen) == 1
    assert Vorlage.objects.count() == 1
    ablauf.freigeben(meldung.pk)
    amt.arbeiten()
    assert stand() == [("eingereicht", 1)]
    assert not Vorlage.objects.exists()


@pytest.mark.parametrize("nachricht", [{}, {"meldung_id": 0}, {"meldung_id": "VR-1"}, {"meldung_id": 4711}, {"nummer": 1}])
def test_verdorbene_nachricht(amt, meldung, nachricht):
    meldung_einreichen.enqueue(**nachricht)
    meldung_einreichen.enqueue(**nachricht)
    amt.arbeiten()
    assert amt.anfragen == []
    assert Vorlage.objects.count() == 1
    assert stand() == [("entwurf", 0)]


def test_spaeter_fehlschlag_nimmt_nichts_zurueck(amt, meldung):
    ablauf.eingereicht(meldung.pk, "Q-1")
    assert ablauf.aufgeben({"meldung_id": meldung.pk}, "422") is False
    assert stand() == [("eingereicht", 0)]


def test_log(amt, meldung, caplog):
    amt.vorher = [status_fehler(429)]
    ablauf.freigeben(meldung.pk)
    amt.arbeiten()
    assert f"job=meldung-einreichen event_id={meldung.pk} attempt=1 result=retry reason=HTTPStatusError('429')" in caplog.text


def test_xml(meldung):
    assert register.als_xml(meldung) == (
        '<mengenmeldung version="2.1" nummer="VR-1"><zeitraum>2025-08</zeitraum>'
        '<position material="PPK"><menge einheit="kg">5</menge></position></mengenmeldung>'
    )
