import os
import tempfile

os.environ["TICKETBAY_DATABASE_URL"] = f"sqlite:///{tempfile.mkdtemp()}/test.db"
os.environ["TICKETBAY_BROKER_URL"] = "memory://"

import pytest

from ticketbay import db, logs, tasks
from ticketbay.models import Base


class FakeGateway:
    def __init__(self):
        self.calls, self.answers = [], {}
        self.raises = []

    def charge(self, card_token, amount_cents, currency, *, idempotency_key):
        return self._do("ch", idempotency_key)

    def refund(self, charge_id, amount_cents, *, idempotency_key):
        return self._do("rf", idempotency_key)

    def _do(self, kind, key):
        self.calls.append(key)
        if self.raises:
            raise self.raises.pop(0)
        return self.answers.setdefault(key, f"{kind}_{len(self.answers) + 1}")


@pytest.fixture(autouse=True)
def database():
    logs.configure()
    Base.metadata.drop_all(db.engine)
    db.create_schema()
    db.demo()


@pytest.fixture
def gateway(monkeypatch):
    fake = FakeGateway()
    monkeypatch.setattr(tasks, "gateway", fake)
    return fake
