import os

os.environ["DJANGO_SETTINGS_MODULE"] = "notariat.settings"
os.environ["NOTARIAT_DATABASE"] = "nowhere.sqlite3"
os.environ["NOTARIAT_REDIS"] = "memory://"
os.environ["NOTARIAT_MAIL"] = "django.core.mail.backends.locmem.EmailBackend"

import django  # noqa: E402

django.setup()

import pytest  # noqa: E402
from django.core import mail  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402

from deeds.register import RegisterClient  # noqa: E402
from notariat.queue import app  # noqa: E402


@pytest.fixture(autouse=True)
def office(tmp_path):
    connection.close()
    connection.settings_dict["NAME"] = str(tmp_path / "notariat.sqlite3")
    call_command("muster")
    mail.outbox = []
    app.conf.task_always_eager = True
    yield
    connection.close()


class Register:
    """Stands in for the canton: one receipt per submission id."""

    def __init__(self):
        self.asked, self.receipts, self.busy, self.lost = [], {}, [], []

    def submit(self, *, submission_id, number, title, signed_on):
        self.asked.append(submission_id)
        if self.busy:
            raise self.busy.pop(0)
        receipt = self.receipts.setdefault(submission_id, f"GR-{len(self.receipts) + 1}")
        if self.lost:
            raise self.lost.pop(0)
        return receipt


@pytest.fixture
def register(monkeypatch):
    stand_in = Register()
    monkeypatch.setattr(RegisterClient, "submit", lambda self, **fields: stand_in.submit(**fields))
    return stand_in
