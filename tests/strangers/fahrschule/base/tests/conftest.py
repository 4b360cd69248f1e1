import os
import tempfile

os.environ["FAHRSCHULE_DATABASE"] = "sqlite:///%s/school.db" % tempfile.mkdtemp(prefix="fahrschule-")
os.environ["FAHRSCHULE_BROKER"] = "memory://"

import pytest  # noqa: E402

from fahrschule import charging, kartenpay  # noqa: E402
from fahrschule.app import app as flask_app  # noqa: E402
from fahrschule.models import Learner, Purchase, db  # noqa: E402


class FakeCharges:
    """KartenPay, with its memory for keys."""

    def __init__(self):
        self.taken = {}
        self.calls = []
        self.errors = []
        self.lost = []

    def create(self, *, idempotency_key, **params):
        self.calls.append(idempotency_key)
        if self.errors:
            raise self.errors.pop(0)
        self.taken.setdefault(idempotency_key, params["amount"])
        if self.lost:
            raise self.lost.pop(0)
        return {"id": "ch_" + idempotency_key}


@pytest.fixture
def app():
    with flask_app.app_context():
        db.drop_all()
        db.create_all()
        db.session.add(Learner(id=1, name="Jana", card_token="card_jana", lessons_left=2))
        db.session.flush()
        db.session.add(Purchase(id=1, learner_id=1, lessons=10, amount_cents=65000))
        db.session.commit()
        yield flask_app
        db.session.remove()


@pytest.fixture
def card_house(monkeypatch):
    fake = FakeCharges()
    monkeypatch.setattr(kartenpay, "charges", fake)
    return fake


@pytest.fixture
def published(monkeypatch):
    messages = []
    monkeypatch.setattr(charging, "publish", messages.append)
    return messages
