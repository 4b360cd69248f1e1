import os

os.environ["STRICK_BROKER_URL"] = "stub://"
os.environ["STRICK_DATABASE_URL"] = "sqlite:///unset.db"

import dramatiq  # noqa: E402
import pytest  # noqa: E402
from sqlalchemy import text  # noqa: E402

from strickwaren import db  # noqa: E402
from strickwaren.actors import refund_return  # noqa: E402
from strickwaren.broker import broker  # noqa: E402
from strickwaren.settings import get_settings  # noqa: E402
from strickwaren.zahlwerk import Zahlwerk  # noqa: E402


class Shop:
    def __init__(self, worker):
        self.worker = worker
        self.keys, self.made, self.errors, self.lost_answers = [], {}, [], []

    def refund(self, *, payment_id, amount_cents, reference, idempotency_key):
        self.keys.append(idempotency_key)
        if self.errors:
            raise self.errors.pop(0)
        refund_id = self.made.setdefault(idempotency_key, f"zr_{len(self.made) + 1}")
        if self.lost_answers:
            raise self.lost_answers.pop(0)
        return refund_id

    def deliver(self, **kwargs):
        broker.enqueue(refund_return.message_with_options(kwargs=kwargs, min_backoff=1, max_backoff=2))
        self.drain()

    def drain(self):
        broker.join("refunds", fail_fast=False, timeout=20_000)
        self.worker.join()

    @staticmethod
    def rows(query):
        with db.transaction() as session:
            return [tuple(row) for row in session.execute(text(query))]


@pytest.fixture(scope="session")
def worker():
    made = dramatiq.Worker(broker, worker_timeout=10, worker_threads=1)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def shop(tmp_path, monkeypatch, worker):
    monkeypatch.setenv("STRICK_DATABASE_URL", f"sqlite:///{tmp_path}/shop.db")
    get_settings.cache_clear()
    db.create_tables(samples=True)
    broker.flush_all()
    here = Shop(worker)
    monkeypatch.setattr(Zahlwerk, "refund", lambda self, **fields: here.refund(**fields))
    yield here
    broker.flush_all()
    get_settings.cache_clear()
