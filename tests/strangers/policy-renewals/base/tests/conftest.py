import pytest
from sqlalchemy import text

from renewals import job, tables


class Carrier:
    """The stand-in of the carrier: honours keys, and fails as told."""

    def __init__(self):
        self.keys = []
        self.booked = {}
        self.before = []
        self.after = []

    def renew(self, policy_no, period_start, premium_cents, *, idempotency_key):
        self.keys.append(idempotency_key)
        if self.before:
            raise self.before.pop(0)
        self.booked.setdefault(idempotency_key, policy_no)
        if self.after:
            raise self.after.pop(0)
        return "C-1"


class World:
    def __init__(self):
        self.time = 1_711_000_000
        self.carrier = Carrier()

    def rows(self, query):
        with tables.engine().connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]

    def status(self, renewal_id):
        return self.rows(f"select status from renewals where id = {renewal_id}")[0][0]


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.setenv("RENEWALS_DB", str(tmp_path / "renewals.db"))
    tables.engine.cache_clear()
    tables.setup()
    world = World()
    monkeypatch.setattr(job, "insurer", world.carrier)
    monkeypatch.setattr(job, "now", lambda: world.time)
    yield world
    tables.engine().dispose()
    tables.engine.cache_clear()
