import os

os.environ["DJANGO_SETTINGS_MODULE"] = "buchclub.settings"
os.environ["BUCHCLUB_SQLITE"] = "unset.sqlite3"
os.environ["BUCHCLUB_BROKER"] = "memory://"
os.environ["BUCHCLUB_EMAIL_BACKEND"] = "django.core.mail.backends.locmem.EmailBackend"

import django  # noqa: E402

django.setup()

import pytest  # noqa: E402
from django.core import mail  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402

from buchclub.celery import app  # noqa: E402
from parcels.distributor import Distributor  # noqa: E402


@pytest.fixture(autouse=True)
def database(tmp_path):
    connection.close()
    connection.settings_dict["NAME"] = str(tmp_path / "buchclub.sqlite3")
    call_command("demo")
    mail.outbox = []
    app.conf.task_always_eager = True
    yield
    connection.close()


class Wholesaler:
    def __init__(self):
        self.calls, self.orders, self.before, self.after = [], {}, [], []

    def order(self, *, reference, isbn, name, address):
        self.calls.append(reference)
        if self.before:
            raise self.before.pop(0)
        number = self.orders.setdefault(reference, f"BS-{len(self.orders) + 1}")
        if self.after:
            raise self.after.pop(0)
        return number


@pytest.fixture
def wholesaler(monkeypatch):
    fake = Wholesaler()
    monkeypatch.setattr(Distributor, "order", lambda self, **order: fake.order(**order))
    return fake
