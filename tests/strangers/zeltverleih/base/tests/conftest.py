import types

import pytest

from zeltverleih import admin, payments, refunds, tables
from zeltverleih.settings import settings


@pytest.fixture(autouse=True)
def shop(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "database_url", f"sqlite:///{tmp_path}/shop.db")
    tables.engine.cache_clear()
    admin.main("demo")
    yield
    tables.engine().dispose()
    tables.engine.cache_clear()


@pytest.fixture
def rows():
    def rows(sql):
        with tables.engine().connect() as conn:
            return [tuple(row) for row in conn.exec_driver_sql(sql)]

    return rows


@pytest.fixture
def clock(monkeypatch):
    clock = types.SimpleNamespace(now=1_770_000_000.0)
    clock.time = lambda: clock.now
    monkeypatch.setattr("time.time", clock.time)
    return clock


class Provider:
    def __init__(self):
        self.made, self.keys, self.trouble, self.lost = {}, [], [], 0

    def refund(self, charge_id, cents, *, idempotency_key):
        self.keys.append(idempotency_key)
        if self.trouble:
            raise self.trouble.pop(0)
        refund_id = self.made.setdefault(idempotency_key, f"re_{charge_id}_{cents}")
        if self.lost:
            self.lost -= 1
            raise payments.PaymentsAway("ReadTimeoutError")
        return refund_id


@pytest.fixture
def provider(monkeypatch):
    fake = Provider()
    monkeypatch.setattr(refunds.provider, "refund", fake.refund)
    return fake
