import pytest

from parcelbank import bank, schema, uow
from parcelbank.app import app


class FakeBank:
    def __init__(self):
        self.orders, self.failures = {}, []

    def create_transfer(self, *, idempotency_key, **order):
        if self.failures:
            raise self.failures.pop(0)
        self.orders.setdefault(idempotency_key, []).append(order)
        return f"tr-{list(self.orders).index(idempotency_key) + 1}"


@pytest.fixture
def fake_bank(monkeypatch):
    fake = FakeBank()
    monkeypatch.setattr(bank, "client", lambda: fake)
    return fake


@pytest.fixture
def published(monkeypatch):
    sent = []
    monkeypatch.setattr(app, "send_task", lambda name, kwargs: sent.append((name, kwargs)))
    return sent


@pytest.fixture(autouse=True)
def database(tmp_path, monkeypatch):
    monkeypatch.setenv("PARCELBANK_DATABASE_URL", f"sqlite:///{tmp_path}/bank.db")
    uow.engine.cache_clear()
    schema.create(demo=True)
    yield
    uow.engine().dispose()
    uow.engine.cache_clear()
