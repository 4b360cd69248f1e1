import os

import psycopg
import pytest

DSN = os.environ.get("TOLLGATE_TEST_DSN")
if DSN:
    os.environ["TOLLGATE_DSN"] = DSN


@pytest.fixture
def db():
    if not DSN:
        pytest.skip("TOLLGATE_TEST_DSN is not set")
    from tollgate import schema

    with psycopg.connect(DSN, autocommit=True) as conn:
        conn.execute("drop schema public cascade; create schema public")
        schema.apply(DSN, demo=True)
        yield conn


class FakeBank:
    def __init__(self):
        self.calls, self.errors = [], []

    def charge(self, mandate, amount_cents, reference, idempotency_key):
        self.calls.append((mandate, amount_cents, idempotency_key))
        if self.errors:
            raise self.errors.pop(0)
        return {"id": f"bk-{len({c[2] for c in self.calls})}"}


@pytest.fixture
def bank(monkeypatch):
    fake = FakeBank()
    monkeypatch.setattr("tollgate.bank.gateway", lambda: fake)
    return fake
