from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from kassa.domain import InvalidMessage, Payment, State, Step, delay_after, next_step, parse_message

NOW = datetime(2025, 3, 1, 12, 0, tzinfo=UTC)


def payment(state: State, **values: object) -> Payment:
    return Payment(1001, "auth_1", 4990, "EUR", state, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "step"),
    [
        (payment(State.AUTHORISED), Step.START),
        (payment(State.CAPTURED), Step.FINISHED),
        (payment(State.DECLINED), Step.FINISHED),
        (payment(State.DEAD), Step.FINISHED),
        (payment(State.CAPTURING, attempts=1, lease_until=NOW + timedelta(seconds=5)), Step.BUSY),
        (payment(State.CAPTURING, attempts=1, lease_until=NOW - timedelta(seconds=5)), Step.START),
        (payment(State.CAPTURING, attempts=6, lease_until=NOW - timedelta(seconds=5)), Step.EXHAUSTED),
        (payment(State.RETRYING, attempts=1, next_attempt_at=NOW + timedelta(seconds=9)), Step.NOT_DUE),
        (payment(State.RETRYING, attempts=1, next_attempt_at=NOW), Step.START),
        (payment(State.RETRYING, attempts=1, first_attempt_at=NOW - timedelta(days=6, hours=1)), Step.KEY_EXPIRED),
    ],
)
def test_what_a_message_does(given: Payment, step: Step) -> None:
    assert next_step(given, NOW) is step


def test_waits_grow_up_to_the_cap() -> None:
    for attempt, longest in enumerate([10, 30, 90, 240, 240], start=1):
        assert longest / 2 <= delay_after(attempt).total_seconds() <= longest


@pytest.mark.parametrize("message", [None, [], {}, {"order_id": "7"}, {"order_id": True}, {"order_id": 0}])
def test_messages_without_an_order(message: object) -> None:
    with pytest.raises(InvalidMessage):
        parse_message(message)
