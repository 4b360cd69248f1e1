import os

os.environ["GEMSHOP_DATABASE_URL"] = "sqlite://"
os.environ["GEMSHOP_BROKER"] = "stub"

import pytest
from sqlalchemy.pool import StaticPool

from gemshop import actors, db


class FakeCaptures:
    def __init__(self):
        self.calls, self.trouble = [], []

    def create(self, **kwargs):
        self.calls.append(kwargs)
        if self.trouble:
            raise self.trouble.pop(0)
        return {"id": f"cap_{kwargs['idempotency_key']}", "status": "succeeded"}


@pytest.fixture(autouse=True)
def database():
    engine = db.create_engine("sqlite://", poolclass=StaticPool)
    db.Session.configure(bind=engine)
    db.Base.metadata.create_all(engine)
    with db.Session.begin() as session:
        session.add(db.Player(id=1, customer="cus_1", gems=40))
        session.flush()
        session.add(db.Order(id="K-1001", player_id=1, sku="gems-500", gems=500, cents=499))
    yield
    engine.dispose()


@pytest.fixture(autouse=True)
def captures(monkeypatch):
    captures = FakeCaptures()
    monkeypatch.setattr(actors.paygate(), "captures", captures)
    return captures
