import os
import tempfile

os.environ["DJANGO_SETTINGS_MODULE"] = "hafenamt.settings"
os.environ["HAFEN_DB"] = os.path.join(tempfile.mkdtemp(), "test.sqlite3")

import django
import pytest

django.setup()

from datetime import date, datetime, timedelta
from datetime import timezone as tz

from django.core import mail
from django.core.management import call_command
from django.test.utils import override_settings, setup_test_environment
from django.utils import timezone

from berths.harbour import depart
from berths.models import ParkedBill, Stay


@pytest.fixture(scope="session", autouse=True)
def schema():
    setup_test_environment(debug=False)
    call_command("migrate", verbosity=0)


@pytest.fixture(autouse=True)
def empty(schema):
    yield
    ParkedBill.objects.all().delete()
    Stay.objects.all().delete()


@pytest.fixture(autouse=True)
def folder(tmp_path):
    with override_settings(ACCOUNTING_DIR=tmp_path):
        yield tmp_path


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    class Clock:
        time = datetime(2026, 5, 8, 6, 0, tzinfo=tz.utc)

        def forward(self, **delta):
            Clock.time += timedelta(**delta)

    monkeypatch.setattr(timezone, "now", lambda: Clock.time)
    return Clock()


@pytest.fixture
def outbox():
    mail.outbox = []
    return mail.outbox


@pytest.fixture
def stay(clock):
    row = Stay.objects.create(
        ship="Nordlicht",
        imo="9301234",
        gross_tonnage=4200,
        agent_email="agent@reederei.example",
        arrived_on=date(2026, 5, 2),
    )
    depart(row.pk, date(2026, 5, 5))
    return row
