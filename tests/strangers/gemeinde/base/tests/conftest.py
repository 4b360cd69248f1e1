import os
import tempfile

os.environ["DJANGO_SETTINGS_MODULE"] = "rathaus.settings"
os.environ["GEMEINDE_DB"] = os.path.join(tempfile.mkdtemp(), "test.sqlite3")

import django

django.setup()

from datetime import timedelta

import pytest
from django.core import mail
from django.core.management import call_command
from django.test.utils import setup_test_environment
from django.utils import timezone
from django_q.models import OrmQ

from gebuehren import epost
from gebuehren.models import Bescheid, Unzustellbar
from gebuehren.sachbearbeitung import festsetzen

AZ = "GB-2026-000007"


@pytest.fixture(scope="session", autouse=True)
def schema():
    setup_test_environment(debug=False)
    call_command("migrate", verbosity=0)


@pytest.fixture(autouse=True)
def leer(schema):
    mail.outbox = []
    yield
    for modell in (OrmQ, Bescheid, Unzustellbar):
        modell.objects.all().delete()


@pytest.fixture
def uhr(monkeypatch):
    class Uhr:
        jetzt = timezone.now()

        def vor(self, **dauer):
            Uhr.jetzt += timedelta(**dauer)

    monkeypatch.setattr(timezone, "now", lambda: Uhr.jetzt)
    return Uhr()


@pytest.fixture
def gateway(monkeypatch):
    """Kennt Aktenzeichen. Was in `fehler` steht, kommt zuerst."""

    class Gateway:
        fehler, eingeliefert, rufe = [], {}, 0

        def einliefern(self, aktenzeichen, **sendung):
            self.rufe += 1
            if self.fehler:
                raise self.fehler.pop(0)
            return self.eingeliefert.setdefault(aktenzeichen, f"EP-{len(self.eingeliefert) + 1}")

    gateway = Gateway()
    gateway.fehler, gateway.eingeliefert = [], {}
    monkeypatch.setattr(epost, "einliefern", gateway.einliefern)
    return gateway


@pytest.fixture
def bescheid(leer):
    return festsetzen(AZ, "Erika Beispiel", "beispiel.erika", 4200, "Sondernutzung", "amt@gemeinde.example")
