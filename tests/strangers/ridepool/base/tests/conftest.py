import sqlite3

import pytest

from ridepool import schema, settings
from ridepool.app import app
from ridepool.paywire import Paywire
from ridepool.tasks import pay_driver


@pytest.fixture(autouse=True)
def query(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "DB", str(tmp_path / "ridepool.db"))
    schema.create(demo=True)

    def query(sql, *values):
        with sqlite3.connect(settings.DB) as con:
            return con.execute(sql, values).fetchall()

    return query


@pytest.fixture
def sent(monkeypatch):
    """What was published; nothing runs by itself."""
    sent = []

    class Sent:
        id = "t-1"

    def delay(**kwargs):
        sent.append(kwargs)
        return Sent

    monkeypatch.setattr(pay_driver, "delay", delay)
    return sent


class Provider:
    def __init__(self):
        self.keys, self.errors, self.meanwhile = [], [], None

    def pay(self, *, account, cents, idempotency_key):
        self.keys.append(idempotency_key)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile:
            meanwhile()
        if self.errors:
            raise self.errors.pop(0)
        return f"PW-{account}-{cents}"


@pytest.fixture
def provider(monkeypatch):
    provider = Provider()
    monkeypatch.setattr(Paywire, "pay", lambda self, **kwargs: provider.pay(**kwargs))
    return provider


@pytest.fixture
def deliver():
    """One delivery by the worker's own path, retries at once."""

    def deliver(**message):
        return pay_driver.apply(kwargs=message)

    app.conf.task_eager_propagates = False
    return deliver
