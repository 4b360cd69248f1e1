"""The service on a real PostgreSQL, with a gateway of our own."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

import psycopg
import pytest

from kassa.domain import utcnow
from kassa.gateway import AlreadyCaptured, CaptureRejected, CardDeclined, GatewayUnavailable
from kassa.service import CaptureService
from kassa.store import PaymentStore

MESSAGE = {"order_id": 1001}


class Gateway:
    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.keys: list[str] = []

    def capture(self, authorization_id: str, amount_cents: int, currency: str, *, idempotency_key: str) -> str:
        self.keys.append(idempotency_key)
        if self.errors:
            raise self.errors.pop(0)
        return "cap_1"


class Clock:
    def __init__(self) -> None:
        self.time = utcnow()

    def __call__(self) -> datetime:
        return self.time

    def forward(self, **duration: float) -> None:
        self.time += timedelta(**duration)


def rows(dsn: str, query: str) -> list[tuple]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(query).fetchall()


def state(dsn: str) -> tuple:
    return rows(dsn, "SELECT state, attempts FROM payments WHERE order_id = 1001")[0]


def test_captures_once_and_skips_the_redelivery(store: PaymentStore, dsn: str) -> None:
    gateway = Gateway()
    service = CaptureService(store, gateway)
    assert service.handle(MESSAGE).result == "captured"
    assert service.handle(MESSAGE).result == "skipped"
    assert gateway.keys == ["capture-1001"]
    assert state(dsn) == ("captured", 1)


def test_an_outage_is_waited_for_six_times(store: PaymentStore, dsn: str, caplog: pytest.LogCaptureFixture) -> None:
    clock, gateway = Clock(), Gateway(*[GatewayUnavailable("503")] * 6)
    service = CaptureService(store, gateway, clock)
    with caplog.at_level(logging.INFO, "kassa.capture"):
        for _ in range(5):
            assert service.handle(MESSAGE).result == "retry"
            clock.forward(minutes=4)
        assert service.handle(MESSAGE).result == "dead"
    assert gateway.keys == ["capture-1001"] * 6
    assert state(dsn) == ("dead", 6)
    assert rows(dsn, "SELECT order_id, attempt FROM dead_letters") == [(1001, 6)]
    assert "order_id=1001 idempotency_key=capture-1001 attempt=6 result=dead reason=GatewayUnavailable" in caplog.text


def test_a_dead_worker_is_waited_for_and_then_replaced(store: PaymentStore, dsn: str) -> None:
    clock, gateway = Clock(), Gateway(KeyboardInterrupt())
    service = CaptureService(store, gateway, clock)
    with pytest.raises(KeyboardInterrupt):
        service.handle(MESSAGE)
    busy = service.handle(MESSAGE)
    assert busy.result == "busy" and busy.retry_in is not None
    assert store.stuck(clock(), timedelta(seconds=30), 10) == []
    clock.forward(seconds=91)
    assert store.stuck(clock(), timedelta(seconds=30), 10) == [1001]
    assert service.handle(MESSAGE).result == "captured"
    assert state(dsn) == ("captured", 2)


def test_workers_that_always_die_use_up_the_attempts(store: PaymentStore, dsn: str) -> None:
    clock = Clock()
    service = CaptureService(store, Gateway(*[KeyboardInterrupt()] * 6), clock)
    for _ in range(6):
        with pytest.raises(KeyboardInterrupt):
            service.handle(MESSAGE)
        clock.forward(seconds=61)
    assert service.handle(MESSAGE).result == "dead"
    assert len(rows(dsn, "SELECT 1 FROM dead_letters")) == 1


@pytest.mark.parametrize(
    ("error", "result", "dead"),
    [(CardDeclined("no"), "declined", 0), (AlreadyCaptured(), "captured", 0), (CaptureRejected("404"), "dead", 1)],
)
def test_final_answers(store: PaymentStore, dsn: str, error: Exception, result: str, dead: int) -> None:
    assert CaptureService(store, Gateway(error)).handle(MESSAGE).result == result
    assert state(dsn) == (result, 1)
    assert len(rows(dsn, "SELECT 1 FROM dead_letters")) == dead


def test_a_payment_in_doubt_is_not_sent_under_a_forgotten_key(store: PaymentStore, dsn: str) -> None:
    clock, gateway = Clock(), Gateway(GatewayUnavailable("timeout"))
    service = CaptureService(store, gateway, clock)
    service.handle(MESSAGE)
    clock.forward(days=7)
    assert service.handle(MESSAGE).result == "dead"
    assert gateway.keys == ["capture-1001"]


def test_the_sweep_finds_a_message_that_was_never_sent(store: PaymentStore) -> None:
    now = utcnow()
    assert store.stuck(now, timedelta(seconds=30), 10) == []
    store.request_capture(1002, now - timedelta(minutes=1))
    assert store.stuck(now, timedelta(seconds=30), 10) == [1002]


@pytest.mark.parametrize("message", [{}, {"order_id": -1}, {"order_id": 99}, "?"])
def test_poison_is_kept_once(store: PaymentStore, dsn: str, message: object) -> None:
    service = CaptureService(store, Gateway())
    assert service.handle(message).result == "dead"
    assert service.handle(message).result == "dead"
    assert len(rows(dsn, "SELECT 1 FROM dead_letters")) == 1
