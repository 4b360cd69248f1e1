"""Payments and dead letters in PostgreSQL. Each public method is one transaction."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

from kassa.domain import JOB, LEASE, Payment, State, Step, next_step, sources_of

STORE_ERRORS = (psycopg.Error,)

_COLUMNS = (
    "order_id, authorization_id, amount_cents, currency, state, attempts, first_attempt_at, next_attempt_at, lease_until"
)


class UnknownOrder(LookupError):
    """There is no payment for this order."""


@dataclass(frozen=True)
class Claim:
    step: Step
    payment: Payment | None


class PaymentStore:
    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    # -- what the shop does ------------------------------------------------------------------------------------------

    def request_capture(self, order_id: int, now: datetime) -> None:
        """Notes that the order is on its way and its money may be taken."""
        with self._transaction() as cursor:
            cursor.execute(
                "UPDATE payments SET capture_requested_at = coalesce(capture_requested_at, %s) WHERE order_id = %s",
                (now, order_id),
            )
            if cursor.rowcount == 0:
                raise UnknownOrder(order_id)

    # -- what the job does -------------------------------------------------------------------------------------------

    def claim(self, order_id: int, token: str, now: datetime) -> Claim:
        """Decides under the row's lock what this delivery does, and leases the payment to it if it may start."""
        with self._transaction() as cursor:
            cursor.execute(f"SELECT {_COLUMNS} FROM payments WHERE order_id = %s FOR UPDATE", (order_id,))
            row = cursor.fetchone()
            if row is None:
                self._insert_dead_letter(cursor, order_id, 0, "there is no payment for this order")
                return Claim(Step.UNKNOWN, None)
            payment = Payment(**{**row, "state": State(row["state"])})
            step = next_step(payment, now)
            if step is Step.START:
                payment = self._lease(cursor, payment, token, now)
            elif step is Step.EXHAUSTED:
                self._bury(cursor, payment, "no attempt is left; the worker of the last one died, its outcome is unknown")
            elif step is Step.KEY_EXPIRED:
                self._bury(cursor, payment, "the idempotency key is too old to be sent again; the outcome is unknown")
            return Claim(step, payment)

    def complete(self, order_id: int, capture_id: str | None) -> None:
        """The money was taken. That is true whoever holds the lease by now, and even if the payment was given up."""
        with self._transaction() as cursor:
            cursor.execute(
                "UPDATE payments SET state = 'captured', capture_id = %s, lease_token = NULL, lease_until = NULL,"
                " next_attempt_at = NULL WHERE order_id = %s AND state = ANY(%s)",
                (capture_id, order_id, sources_of(State.CAPTURED)),
            )
            cursor.execute("DELETE FROM dead_letters WHERE job = %s AND order_id = %s", (JOB, order_id))

    def decline(self, order_id: int, reason: str) -> None:
        with self._transaction() as cursor:
            cursor.execute(
                "UPDATE payments SET state = 'declined', last_error = %s, lease_token = NULL, lease_until = NULL,"
                " next_attempt_at = NULL WHERE order_id = %s AND state = ANY(%s)",
                (reason, order_id, sources_of(State.DECLINED)),
            )

    def reschedule(self, order_id: int, token: str, at: datetime, reason: str) -> bool:
        """Plans another attempt, unless somebody else has taken the payment over."""
        with self._transaction() as cursor:
            cursor.execute(
                "UPDATE payments SET state = 'retrying', next_attempt_at = %s, last_error = %s, lease_token = NULL,"
                " lease_until = NULL WHERE order_id = %s AND state = 'capturing' AND lease_token = %s",
                (at, reason, order_id, token),
            )
            return cursor.rowcount == 1

    def give_up(self, payment: Payment, token: str, reason: str) -> bool:
        """State and dead letter go together, unless somebody else has taken the payment over."""
        with self._transaction() as cursor:
            cursor.execute(
                "SELECT 1 FROM payments WHERE order_id = %s AND state = 'capturing' AND lease_token = %s FOR UPDATE",
                (payment.order_id, token),
            )
            if cursor.fetchone() is None:
                return False
            self._bury(cursor, payment, reason)
            return True

    def bury_message(self, message: Any, reason: str) -> None:
        """A message that names no order is kept as it came."""
        with self._transaction() as cursor:
            self._insert_dead_letter(cursor, None, 0, reason, json.dumps(message, sort_keys=True, default=repr))

    # -- what the sweep does -----------------------------------------------------------------------------------------

    def stuck(self, now: datetime, grace: timedelta, limit: int) -> list[int]:
        """Orders whose message should have been handled by now, whatever became of it."""
        overdue = now - grace
        with self._transaction() as cursor:
            cursor.execute(
                "SELECT order_id FROM payments"
                " WHERE (state = 'authorised' AND capture_requested_at <= %(overdue)s)"
                " OR (state = 'retrying' AND next_attempt_at <= %(overdue)s)"
                " OR (state = 'capturing' AND lease_until <= %(overdue)s)"
                " ORDER BY capture_requested_at NULLS LAST LIMIT %(limit)s",
                {"overdue": overdue, "limit": limit},
            )
            return [row["order_id"] for row in cursor.fetchall()]

    # -- helpers -----------------------------------------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Cursor[dict[str, Any]]]:
        with psycopg.connect(self._dsn, row_factory=dict_row, connect_timeout=5) as connection:
            with connection.cursor() as cursor:
                yield cursor

    def _lease(self, cursor: psycopg.Cursor[Any], payment: Payment, token: str, now: datetime) -> Payment:
        leased = replace(
            payment,
            state=State.CAPTURING,
            attempts=payment.attempts + 1,
            first_attempt_at=payment.first_attempt_at or now,
            lease_until=now + LEASE,
        )
        cursor.execute(
            "UPDATE payments SET state = 'capturing', attempts = %s, first_attempt_at = %s, lease_token = %s,"
            " lease_until = %s WHERE order_id = %s",
            (leased.attempts, leased.first_attempt_at, token, leased.lease_until, leased.order_id),
        )
        return leased

    def _bury(self, cursor: psycopg.Cursor[Any], payment: Payment, reason: str) -> None:
        cursor.execute(
            "UPDATE payments SET state = 'dead', last_error = %s, lease_token = NULL, lease_until = NULL,"
            " next_attempt_at = NULL WHERE order_id = %s AND state = ANY(%s)",
            (reason, payment.order_id, sources_of(State.DEAD)),
        )
        self._insert_dead_letter(cursor, payment.order_id, payment.attempts, reason)

    def _insert_dead_letter(
        self,
        cursor: psycopg.Cursor[Any],
        order_id: int | None,
        attempt: int,
        reason: str,
        payload: str | None = None,
    ) -> None:
        cursor.execute(
            "INSERT INTO dead_letters (job, order_id, payload, attempt, reason) VALUES (%s, %s, %s, %s, %s)"
            " ON CONFLICT (job, payload) DO NOTHING",
            (JOB, order_id, payload or json.dumps({"order_id": order_id}), attempt, reason),
        )
