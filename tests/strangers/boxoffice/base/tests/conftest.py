import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker
from sqlalchemy import text

from boxoffice import actors, config, db, mailer
from boxoffice import broker as house
from boxoffice.paynest import Paynest


class World:
    def __init__(self):
        self.refunds, self.mails, self.refund_errors, self.mail_errors = [], [], [], []

    def refund(self, charge_id, *, amount, currency, idempotency_key):
        self.refunds.append((charge_id, amount, idempotency_key))
        if self.refund_errors:
            raise self.refund_errors.pop(0)
        return {"id": "rf-1"}

    def send(self, to, subject, text, message_id):
        self.mails.append((to, message_id))
        if self.mail_errors:
            raise self.mail_errors.pop(0)

    def deliver(self, **kwargs):
        """Through a worker, with short waits."""
        self.broker.enqueue(actors.refund_order.message_with_options(
            kwargs=kwargs, min_backoff=1, max_backoff=2))
        self.broker.join("refunds", fail_fast=False)
        self.worker.join()

    def rows(self, sql):
        with db.begin() as tx:
            return [tuple(row) for row in tx.execute(text(sql))]


@pytest.fixture
def world(monkeypatch, tmp_path):
    monkeypatch.setattr(config, "DATABASE", f"sqlite:///{tmp_path}/boxoffice.db")
    db.engine.cache_clear()
    db.create(example=True)
    made = World()
    monkeypatch.setattr(Paynest, "refund", lambda self, *args, **kwargs: made.refund(*args, **kwargs))
    monkeypatch.setattr(mailer, "send", made.send)
    made.broker = house.furnish(StubBroker())
    made.broker.declare_actor(actors.refund_order)
    made.sent = []
    monkeypatch.setattr(house.broker, "enqueue", lambda message, delay=None: made.sent.append(message) or message)
    made.worker = dramatiq.Worker(made.broker, worker_timeout=20, worker_threads=1)
    made.worker.start()
    yield made
    made.worker.stop()
    db.engine().dispose()
