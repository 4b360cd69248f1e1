"""The states of a payment, and what a message may do in each of them. No I/O in here."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

JOB = "capture-payment"

MAX_ATTEMPTS = 6
# One attempt owns the payment for that long. Celery kills an attempt after 45 seconds (see celery_app), so the owner
# of an expired lease is not running any more.
LEASE = timedelta(seconds=60)
# PayGate forgets an Idempotency-Key after 7 days. We stop a day earlier: a capture that is in doubt is then for a person.
KEY_LIFETIME = timedelta(days=6)

BACKOFF_BASE = timedelta(seconds=10)
BACKOFF_FACTOR = 3
BACKOFF_CAP = timedelta(minutes=4)
DUE_TOLERANCE = timedelta(seconds=1)


class State(StrEnum):
    AUTHORISED = "authorised"  # the checkout has reserved the amount
    CAPTURING = "capturing"  # an attempt is under way, under a lease
    RETRYING = "retrying"  # the last attempt failed, another one is planned
    CAPTURED = "captured"
    DECLINED = "declined"  # the bank said no: nothing of ours can change that
    DEAD = "dead"  # given up, see dead_letters


TRANSITIONS: dict[State, frozenset[State]] = {
    State.AUTHORISED: frozenset({State.CAPTURING, State.DEAD}),
    State.CAPTURING: frozenset({State.CAPTURING, State.RETRYING, State.CAPTURED, State.DECLINED, State.DEAD}),
    # An attempt that outlived its lease reports what the gateway answered: that is a fact in whatever state it finds.
    State.RETRYING: frozenset({State.CAPTURING, State.CAPTURED, State.DECLINED, State.DEAD}),
    State.DEAD: frozenset({State.CAPTURED}),
    State.CAPTURED: frozenset(),
    State.DECLINED: frozenset(),
}


class Step(StrEnum):
    """What a message that has just arrived is to do."""

    START = "start"
    FINISHED = "finished"
    BUSY = "busy"
    NOT_DUE = "not_due"
    EXHAUSTED = "exhausted"
    KEY_EXPIRED = "key_expired"
    UNKNOWN = "unknown"


class InvalidMessage(ValueError):
    """The message names no order."""


@dataclass(frozen=True)
class Payment:
    order_id: int
    authorization_id: str
    amount_cents: int
    currency: str
    state: State
    attempts: int = 0
    first_attempt_at: datetime | None = None
    next_attempt_at: datetime | None = None
    lease_until: datetime | None = None

    @property
    def idempotency_key(self) -> str:
        return f"capture-{self.order_id}"


def utcnow() -> datetime:
    return datetime.now(UTC)


def sources_of(target: State) -> list[str]:
    """The states from which `target` may be reached."""
    return [source.value for source, targets in TRANSITIONS.items() if target in targets]


def next_step(payment: Payment, now: datetime) -> Step:
    if payment.state in (State.CAPTURED, State.DECLINED, State.DEAD):
        return Step.FINISHED
    if payment.state is State.CAPTURING and payment.lease_until is not None and payment.lease_until > now:
        return Step.BUSY
    if (
        payment.state is State.RETRYING
        and payment.next_attempt_at is not None
        and payment.next_attempt_at > now + DUE_TOLERANCE
    ):
        return Step.NOT_DUE
    if payment.attempts >= MAX_ATTEMPTS:
        return Step.EXHAUSTED
    if payment.first_attempt_at is not None and now - payment.first_attempt_at > KEY_LIFETIME:
        return Step.KEY_EXPIRED
    return Step.START


def delay_after(attempt: int) -> timedelta:
    """How long to wait after this attempt: 10 s, 30 s, 90 s, then 4 minutes, each shortened by up to a half."""
    delay = min(BACKOFF_BASE * BACKOFF_FACTOR ** (attempt - 1), BACKOFF_CAP)
    return delay * random.uniform(0.5, 1.0)


def parse_message(message: Any) -> int:
    """The order that a message is about."""
    if not isinstance(message, dict):
        raise InvalidMessage(f"not an object: {message!r}")
    order_id = message.get("order_id")
    if not isinstance(order_id, int) or isinstance(order_id, bool) or not 0 < order_id < 2**63:
        raise InvalidMessage(f"order_id is {order_id!r}")
    return order_id
