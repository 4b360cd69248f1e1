import logging
import smtplib

import pytest
import requests
from django.core import mail
from django.core.mail import EmailMessage
from django.core.management import call_command
from django.db import OperationalError, transaction
from django_q.models import OrmQ, Schedule

from gebuehren import akte, epost, zustellung
from gebuehren.aufraeumen import liegengebliebene
from gebuehren.epost import Abgelehnt, Gestoert
from gebuehren.fehler import Erneut, InArbeit
from gebuehren.models import Unzustellbar
from gebuehren.sachbearbeitung import festsetzen
from gebuehren.zustellung import zustellen

from .conftest import AZ

NACHRICHT = {"aktenzeichen": AZ}


def test_festsetzen_beauftragt_einmal(bescheid):
    festsetzen(AZ, "Erika Beispiel", "beispiel.erika", 4200, "Sondernutzung", "amt@gemeinde.example")
    assert [zeile.task["args"] for zeile in OrmQ.objects.all()] == [(NACHRICHT,)]


def test_beides_oder_nichts():
    with pytest.raises(RuntimeError), transaction.atomic():
        festsetzen(AZ, "E", "e", 1, "z", "amt@gemeinde.example")
        raise RuntimeError
    assert not OrmQ.objects.exists()


def test_zustellung(bescheid, gateway):
    zustellen(NACHRICHT)
    bescheid.refresh_from_db()
    assert (bescheid.status, bescheid.sendungsnummer) == ("erledigt", "EP-1")
    assert bescheid.zugestellt_am and bescheid.kopie_am
    assert mail.outbox[0].to == ["amt@gemeinde.example"] and "EP-1" in mail.outbox[0].body


def test_zweite_lieferung(bescheid, gateway):
    zustellen(NACHRICHT)
    zustellen(NACHRICHT)
    assert gateway.rufe == 1 and len(mail.outbox) == 1


def test_stoerung_und_neuer_versuch(bescheid, gateway):
    gateway.fehler = [Gestoert("HTTP 503")]
    with pytest.raises(Erneut):
        zustellen(NACHRICHT)
    zustellen(NACHRICHT)
    bescheid.refresh_from_db()
    assert bescheid.versuche == 2 and bescheid.status == "erledigt"


def test_kopie_scheitert_bescheid_geht_nicht_noch_einmal(bescheid, gateway, monkeypatch):
    def send(self, fail_silently=False):
        raise smtplib.SMTPServerDisconnected("weg")

    with monkeypatch.context() as m:
        m.setattr(EmailMessage, "send", send)
        with pytest.raises(Erneut):
            zustellen(NACHRICHT)
    zustellen(NACHRICHT)
    assert gateway.rufe == 1 and len(mail.outbox) == 1


def test_nach_fuenf_versuchen_unzustellbar(bescheid, gateway):
    gateway.fehler = [Gestoert("HTTP 503")] * 9
    for _ in range(4):
        with pytest.raises(Erneut):
            zustellen(NACHRICHT)
    zustellen(NACHRICHT)
    zustellen(NACHRICHT)
    assert gateway.rufe == 5
    assert Unzustellbar.objects.get().grund == "Gestoert: HTTP 503"


def test_abgelehnt(bescheid, gateway):
    gateway.fehler = [Abgelehnt("HTTP 422")]
    zustellen(NACHRICHT)
    zustellen(NACHRICHT)
    assert gateway.rufe == 1 and Unzustellbar.objects.get().schluessel == AZ


def test_sperre(bescheid, gateway, uhr):
    uhr.vor(seconds=1)
    akte.nehmen(AZ)
    with pytest.raises(InArbeit):
        zustellen(NACHRICHT)
    assert gateway.rufe == 0
    uhr.vor(seconds=90)
    zustellen(NACHRICHT)
    assert gateway.rufe == 1


def test_worker_sterben(bescheid, gateway, uhr):
    for _ in range(5):
        uhr.vor(seconds=120)
        assert akte.nehmen(AZ)
    uhr.vor(seconds=120)
    zustellen(NACHRICHT)
    assert gateway.rufe == 0 and Unzustellbar.objects.count() == 1


def test_ueberholter_schickt_keine_kopie(bescheid, gateway, uhr, monkeypatch):
    def spaet(**sendung):
        uhr.vor(seconds=91)
        akte.nehmen(AZ)
        return "EP-9"

    monkeypatch.setattr(epost, "einliefern", spaet)
    uhr.vor(seconds=1)
    with pytest.raises(InArbeit):
        zustellen(NACHRICHT)
    bescheid.refresh_from_db()
    assert mail.outbox == [] and bescheid.sendungsnummer == "EP-9"


def test_datenbank_stolpert(bescheid, gateway, monkeypatch):
    echt, fehler = akte.zugestellt, [OperationalError("locked")]

    def stolpern(*werte):
        if fehler:
            raise fehler.pop()
        return echt(*werte)

    monkeypatch.setattr(zustellung.akte, "zugestellt", stolpern)
    zustellen(NACHRICHT)
    bescheid.refresh_from_db()
    assert gateway.rufe == 1 and bescheid.status == "erledigt"


@pytest.mark.parametrize("nachricht", [{}, None, {"aktenzeichen": 7}, {"aktenzeichen": "7"}, {**NACHRICHT, "eilt": 1}])
def test_unlesbar(nachricht, gateway):
    zustellen(nachricht)
    zustellen(nachricht)
    assert gateway.rufe == 0 and Unzustellbar.objects.count() == 1


def test_liegengeblieben(bescheid, gateway, uhr):
    OrmQ.objects.all().delete()
    liegengebliebene()
    assert not OrmQ.objects.exists()
    uhr.vor(minutes=16)
    liegengebliebene()
    liegengebliebene()
    assert OrmQ.objects.count() == 1
    zustellen(NACHRICHT)
    uhr.vor(minutes=16)
    liegengebliebene()
    assert OrmQ.objects.count() == 1


def test_zeitplan():
    call_command("zeitplan")
    call_command("zeitplan")
    assert Schedule.objects.get().func == "gebuehren.aufraeumen.liegengebliebene"


@pytest.mark.parametrize(
    "status, inhalt, erwartet",
    [
        (201, b"<Quittung><Sendungsnummer>EP-5</Sendungsnummer></Quittung>", "EP-5"),
        (409, b"<Quittung><Sendungsnummer>EP-5</Sendungsnummer></Quittung>", "EP-5"),
        (201, b"<html>", Gestoert),
        (503, b"", Gestoert),
        (422, b"", Abgelehnt),
    ],
)
def test_gateway(monkeypatch, status, inhalt, erwartet):
    def post(url, data, headers, timeout):
        assert f"<Aktenzeichen>{AZ}</Aktenzeichen>".encode() in data
        antwort = requests.Response()
        antwort.status_code, antwort._content = status, inhalt
        return antwort

    monkeypatch.setattr(requests, "post", post)
    if isinstance(erwartet, str):
        assert epost.einliefern(AZ, "p", "E", 1, "z") == erwartet
    else:
        with pytest.raises(erwartet):
            epost.einliefern(AZ, "p", "E", 1, "z")


def test_log(bescheid, gateway, caplog):
    with caplog.at_level(logging.INFO, "gebuehren"):
        zustellen(NACHRICHT)
    assert f"key={AZ} attempt=1 outcome=zugestellt" in caplog.text
    assert "Erika" not in caplog.text and "amt@" not in caplog.text
