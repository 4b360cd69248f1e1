import dramatiq
import pytest

from bookings.actors import issue_refund
from bookings.gateway import PaymentGateway
from bookings.models import Booking
from ferryboard.broker import broker


class FakeGateway:
    """Plays the provider: `answers` are numbers to return or errors to raise."""

    def __init__(self):
        self.answers = []
        self.keys = []

    def refund(self, payment_ref, amount_cents, *, idempotency_key):
        self.keys.append(idempotency_key)
        answer = self.answers.pop(0) if self.answers else "re_1"
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def gateway(monkeypatch):
    fake = FakeGateway()
    monkeypatch.setattr(PaymentGateway, "refund", lambda self, *args, **kwargs: fake.refund(*args, **kwargs))
    return fake


@pytest.fixture
def work(monkeypatch, transactional_db):
    """Call it to have the queue worked off."""
    monkeypatch.setitem(issue_refund.options, "min_backoff", 1)
    monkeypatch.setitem(issue_refund.options, "max_backoff", 5)
    broker.flush_all()
    worker = dramatiq.Worker(broker, worker_threads=1, worker_timeout=20)
    worker.start()

    def work():
        broker.join("refunds", fail_fast=False, timeout=15_000)
        worker.join()

    yield work
    worker.stop()


@pytest.fixture
def booking(transactional_db):
    return Booking.objects.create(
        reference="FB-2001", email="a@example.org", fare_cents=4900, payment_ref="pay_9"
    )
