"""One delivery of a capture message, from the claim to the record of its outcome."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from kassa.domain import JOB, MAX_ATTEMPTS, InvalidMessage, Payment, Step, delay_after, parse_message, utcnow
from kassa.gateway import AlreadyCaptured, CaptureRejected, CardDeclined, PaymentGateway
from kassa.store import Claim, PaymentStore

log = logging.getLogger("kassa.capture")


@dataclass(frozen=True)
class Outcome:
    result: str
    retry_in: timedelta | None = None


class CaptureService:
    def __init__(self, store: PaymentStore, gateway: PaymentGateway, now: Callable[[], datetime] = utcnow) -> None:
        self._store = store
        self._gateway = gateway
        self._now = now

    def handle(self, message: Any) -> Outcome:
        try:
            order_id = parse_message(message)
        except InvalidMessage as error:
            self._store.bury_message(message, str(error))
            log.error("job=%s message=%r attempt=0 result=dead reason=%s", JOB, message, error)
            return Outcome("dead")
        token = uuid4().hex
        claim = self._store.claim(order_id, token, self._now())
        if claim.step is Step.START and claim.payment is not None:
            return self._attempt(claim.payment, token)
        return self._not_started(order_id, claim)

    def _attempt(self, payment: Payment, token: str) -> Outcome:
        self._report(logging.INFO, payment, "started", "-")
        try:
            capture_id: str | None = self._gateway.capture(
                payment.authorization_id,
                payment.amount_cents,
                payment.currency,
                idempotency_key=payment.idempotency_key,
            )
        except AlreadyCaptured:
            capture_id = None
        except CardDeclined as error:
            self._store.decline(payment.order_id, str(error))
            return self._report(logging.WARNING, payment, "declined", repr(error))
        except CaptureRejected as error:
            return self._give_up(payment, token, repr(error))
        except Exception as error:  # down, or something nobody has thought of: the key makes a repetition harmless
            return self._retry(payment, token, repr(error))
        self._store.complete(payment.order_id, capture_id)
        return self._report(logging.INFO, payment, "captured", "-")

    def _retry(self, payment: Payment, token: str, reason: str) -> Outcome:
        if payment.attempts >= MAX_ATTEMPTS:
            return self._give_up(payment, token, reason)
        delay = delay_after(payment.attempts)
        if not self._store.reschedule(payment.order_id, token, self._now() + delay, reason):
            return self._report(logging.WARNING, payment, "overtaken", reason)
        return self._report(logging.WARNING, payment, "retry", reason, retry_in=delay)

    def _give_up(self, payment: Payment, token: str, reason: str) -> Outcome:
        if not self._store.give_up(payment, token, reason):
            return self._report(logging.WARNING, payment, "overtaken", reason)
        return self._report(logging.ERROR, payment, "dead", reason)

    def _not_started(self, order_id: int, claim: Claim) -> Outcome:
        payment = claim.payment
        if payment is None:
            log.error(
                "job=%s order_id=%s idempotency_key=- attempt=0 result=dead reason=unknown order", JOB, order_id
            )
            return Outcome("dead")
        if claim.step is Step.BUSY and payment.lease_until is not None:
            # Its worker may be dead: look again when its lease is over.
            wait = max(payment.lease_until - self._now(), timedelta()) + timedelta(seconds=1)
            return self._report(logging.INFO, payment, "busy", "another delivery holds the lease", retry_in=wait)
        if claim.step in (Step.EXHAUSTED, Step.KEY_EXPIRED):
            return self._report(logging.ERROR, payment, "dead", claim.step.value)
        # Finished, or planned for later: that message is on its way, and if it was lost the sweep sends another.
        return self._report(logging.INFO, payment, "skipped", f"{claim.step.value}, state {payment.state.value}")

    def _report(
        self, level: int, payment: Payment, result: str, reason: str, retry_in: timedelta | None = None
    ) -> Outcome:
        log.log(
            level,
            "job=%s order_id=%s idempotency_key=%s attempt=%s result=%s reason=%s retry_in=%s",
            JOB, payment.order_id, payment.idempotency_key, payment.attempts, result, reason, retry_in,
        )  # fmt: skip
        return Outcome(result, retry_in)
