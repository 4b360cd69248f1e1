import os
from datetime import timedelta

os.environ["DJANGO_SETTINGS_MODULE"] = "leihrad.settings"

import django  # noqa: E402
import pytest  # noqa: E402

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.utils import timezone  # noqa: E402

from payments.client import PaymentClient  # noqa: E402


@pytest.fixture(autouse=True)
def database(tmp_path):
    connection.close()
    connection.settings_dict["NAME"] = str(tmp_path / "leihrad.sqlite3")
    call_command("seed_demo")
    yield
    connection.close()


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        offset = timedelta()

        def forward(self, **by):
            self.offset += timedelta(**by)

    moved, real = Clock(), timezone.now
    monkeypatch.setattr(timezone, "now", lambda: real() + moved.offset)
    return moved


class House:
    """The payment house, in short."""

    def __init__(self):
        self.asked, self.payments, self.plan = [], {}, []

    def charge(self, *, idempotency_key, card_token, amount_cents, purpose):
        self.asked.append((idempotency_key, amount_cents))
        step = self.plan.pop(0) if self.plan else None
        if step is not None and not getattr(step, "lost", False):
            raise step
        payment = self.payments.setdefault(idempotency_key, f"pay-{len(self.payments) + 1}")
        if step is not None:
            raise step
        return payment


@pytest.fixture
def house(monkeypatch):
    house = House()
    monkeypatch.setattr(PaymentClient, "charge", lambda self, **charge: house.charge(**charge))
    return house
