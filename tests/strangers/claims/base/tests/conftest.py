import os
import tempfile

_folder = tempfile.mkdtemp(prefix="claims-tests-")
os.environ["CLAIMS_DB_URL"] = f"sqlite:///{_folder}/claims.db"
os.environ["CLAIMS_BROKER_URL"] = "stub://"

import pytest  # noqa: E402
from dramatiq import Worker  # noqa: E402

from backoffice.adapters import bank, orm  # noqa: E402
from backoffice.entrypoints import actors  # noqa: E402
from backoffice.service import release, unit_of_work  # noqa: E402


class FakeBank:
    """Behaves as the real one: one payment per key."""

    def __init__(self):
        self.payments = {}
        self.calls = 0
        self.errors = []

    def transfer(self, *, idempotency_key, **order):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        self.payments.setdefault(idempotency_key, order)
        return {"payment_id": f"pmt-{list(self.payments).index(idempotency_key) + 1}"}


@pytest.fixture
def store():
    engine = unit_of_work.default_sessions().kw["bind"]
    orm.mapper.metadata.drop_all(engine)
    orm.mapper.metadata.create_all(engine)
    release.seed_demo()


@pytest.fixture
def fake_bank(monkeypatch):
    fake = FakeBank()
    monkeypatch.setattr(bank.BankApi, "from_settings", classmethod(lambda cls: fake))
    return fake


@pytest.fixture
def work(store, monkeypatch):
    monkeypatch.setattr("dramatiq.middleware.retries.compute_backoff", lambda attempts, **_: (attempts + 1, 1))
    actors.broker.flush_all()

    def run():
        worker = Worker(actors.broker, worker_timeout=20, worker_threads=1)
        worker.start()
        actors.broker.join("payouts", timeout=10_000, fail_fast=False)
        worker.join()
        worker.stop()

    return run
