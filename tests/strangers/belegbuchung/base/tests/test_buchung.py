import logging

import pytest
import requests
from rq import Callback, Retry

from fibu import belege, buchung, finanz, warteschlange

STAND = "SELECT status, versuche, buchungs_id FROM belege"
KLAERFAELLE = "SELECT beleg_id, grund FROM klaerfaelle"


def test_ein_beleg_wird_gebucht(haus):
    belege.zur_buchung_geben(haus.beleg)
    haus.arbeiten()
    assert haus.buchungen == {"ER-2025-000001": "FB-1"}
    assert haus.zeilen(STAND) == [("gebucht", 1, "FB-1")]


def test_zweite_zustellung_bucht_nicht_noch_einmal(haus):
    belege.zur_buchung_geben(haus.beleg)
    haus.arbeiten()
    buchung.beleg_buchen(beleg_id=haus.beleg)
    assert haus.aufrufe == ["ER-2025-000001"]


def test_stoerung_wird_mit_derselben_nummer_wiederholt(haus, caplog):
    haus.fehler = [requests.ConnectionError("weg"), requests.Timeout("langsam")]
    belege.zur_buchung_geben(haus.beleg)
    with caplog.at_level(logging.INFO):
        haus.arbeiten(runden=3)
    assert haus.aufrufe == ["ER-2025-000001"] * 3
    assert haus.zeilen(STAND) == [("gebucht", 3, "FB-1")]
    assert "event_id=1 belegnummer=- attempt=1 result=retry reason=ConnectionError('weg')" in caplog.text
    assert "attempt=3 result=success" in caplog.text


def test_nach_fuenf_versuchen_klaerfall(haus):
    haus.fehler = [requests.ConnectionError("weg")] * 9
    belege.zur_buchung_geben(haus.beleg)
    haus.arbeiten(runden=8)
    assert len(haus.aufrufe) == 5
    assert haus.zeilen(STAND) == [("klaerung", 5, None)]
    assert haus.zeilen(KLAERFAELLE) == [(1, "ConnectionError('weg')")]


def test_ablehnung_wird_nicht_wiederholt_und_laesst_sich_klaeren(haus):
    haus.fehler = [finanz.BuchungAbgelehnt("422 Konto gesperrt")]
    belege.zur_buchung_geben(haus.beleg)
    haus.arbeiten(runden=3)
    assert len(haus.aufrufe) == 1
    assert len(haus.zeilen(KLAERFAELLE)) == 1
    belege.zur_buchung_geben(haus.beleg)
    haus.arbeiten()
    assert haus.zeilen(STAND) == [("gebucht", 1, "FB-1")]
    assert haus.zeilen(KLAERFAELLE) == []


@pytest.mark.parametrize("nutzlast", [{}, {"beleg_id": -1}, {"beleg_id": "eins"}, {"beleg_id": 999}])
def test_verdorbene_nachricht_wird_klaerfall(haus, nutzlast):
    warteschlange.queue().enqueue(
        buchung.beleg_buchen, kwargs=nutzlast, retry=Retry(max=5, interval=15), on_failure=Callback(buchung.fehlschlag)
    )
    haus.arbeiten(runden=2)
    assert haus.aufrufe == []
    assert len(haus.zeilen(KLAERFAELLE)) == 1
