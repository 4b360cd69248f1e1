import os
import tempfile

os.environ["DJANGO_SETTINGS_MODULE"] = "haus.settings"
os.environ["MELDUNG_DB"] = f"{tempfile.mkdtemp(prefix='meldung-test-')}/meldung.sqlite3"

import django  # noqa: E402

django.setup()

import httpx  # noqa: E402
import pytest  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.utils import timezone  # noqa: E402
from django_tasks_db.management.commands.db_worker import Worker  # noqa: E402
from django_tasks_db.models import DBTaskResult  # noqa: E402

from meldungen import register  # noqa: E402
from meldungen.models import Meldung, Vorlage  # noqa: E402


def status_fehler(code):
    anfrage = httpx.Request("POST", "https://register.example/api/meldungen")
    return httpx.HTTPStatusError(str(code), request=anfrage, response=httpx.Response(code, request=anfrage))


class Amt:
    """Das Register, wie es sich verhält: bekannte Nummern weist es mit 409 ab."""

    def __init__(self):
        self.vorher, self.nachher, self.anfragen, self.akten = [], [], [], {}

    def einreichen(self, meldenummer, xml):
        self.anfragen.append(meldenummer)
        if self.vorher:
            raise self.vorher.pop(0)
        if meldenummer in self.akten:
            raise status_fehler(409)
        self.akten[meldenummer] = xml
        if self.nachher:
            raise self.nachher.pop(0)
        return "Q-1"

    def arbeiten(self):
        """Ein echter db_worker; Termine sind sofort fällig."""
        while DBTaskResult.objects.filter(status="READY").exists():
            DBTaskResult.objects.filter(status="READY").update(run_after=timezone.now())
            Worker(
                queue_names=["default"], interval=0, batch=True, backend_name="default", startup_delay=False,
                max_tasks=None, worker_id="test", excluded_queue_names=[],
            ).run()  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def schema():
    call_command("migrate", verbosity=0)


@pytest.fixture
def amt(schema, monkeypatch):
    for tabelle in (Vorlage, Meldung, DBTaskResult):
        tabelle.objects.all().delete()
    amt = Amt()
    monkeypatch.setattr(register, "einreichen", amt.einreichen)
    return amt


@pytest.fixture
def meldung(amt):
    return Meldung.objects.create(meldenummer="VR-1", monat="2025-08", material="PPK", menge_kg=5)
