"""Label, then mail: one delivery of the job.

The label is ordered under a reference, so ordering it again is harmless. The mail is sent at most once: customers who got two
of them have printed two labels and sent two parcels, whereas one who gets none finds the label in the portal.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

from returns_portal.carrier import CarrierClient, ShipmentRefused
from returns_portal.desk import JOB, MAX_ATTEMPTS, Claim, ClaimLost, ReturnsDesk, next_delay
from returns_portal.mailer import Mailer, MailNotSent, MailRejected
from returns_portal.models import Return

log = logging.getLogger("returns_portal.workflow")


class InvalidPayload(ValueError):
    """The message names no return."""


@dataclass(frozen=True)
class Later:
    """The delivery is to come again after `delay`."""

    delay: timedelta


class LabelWorkflow:
    def __init__(self, desk: ReturnsDesk, carrier: CarrierClient, mailer: Mailer) -> None:
        self._desk = desk
        self._carrier = carrier
        self._mailer = mailer

    def run(self, payload: Any) -> Later | None:
        try:
            return_id = self._parse(payload)
        except InvalidPayload as error:
            self._desk.bury(payload, str(error))
            log.error("job=%s payload=%r attempt=0 result=dead reason=%s", JOB, payload, error)
            return None
        claim = self._desk.claim(return_id, uuid4().hex)
        if claim.verdict != "start" or claim.item is None:
            return self._turned_away(return_id, claim)
        try:
            return self._work(claim, claim.item)
        except ClaimLost:
            self._say(logging.WARNING, claim.item, "overtaken", "another delivery has taken over")
            return None

    def _work(self, claim: Claim, item: Return) -> Later | None:
        self._say(logging.INFO, item, "started", "-")
        if item.tracking_no is None or item.label_url is None:
            try:
                label = self._carrier.create_label(
                    reference=item.reference, sender=item.customer_name, weight_grams=item.weight_grams
                )
            except ShipmentRefused as error:
                return self._fail(claim, item, error)
            except Exception as error:  # the reference makes another try harmless, whatever this was
                return self._retry(claim, item, error)
            item.tracking_no, item.label_url = label["tracking_no"], label["label_url"]
            self._desk.save_label(claim, item.tracking_no, item.label_url)
            self._say(logging.INFO, item, "labelled", "-")
        return self._mail(claim, item, item.tracking_no, item.label_url)

    def _mail(self, claim: Claim, item: Return, tracking_no: str, label_url: str) -> Later | None:
        if not self._desk.start_mail(claim):
            return self._finish(claim, item, "uncertain", "an earlier attempt died while it sent the mail")
        try:
            self._mailer.send_label(
                to=item.customer_email, order_no=item.order_no, tracking_no=tracking_no, label_url=label_url
            )
        except MailNotSent as error:
            return self._retry(claim, item, error)
        except MailRejected as error:
            return self._fail(claim, item, error)
        except Exception as error:  # MailUncertain, or anything else that does not say that nothing has left
            return self._finish(claim, item, "uncertain", repr(error))
        return self._finish(claim, item, "sent", "-")

    def _finish(self, claim: Claim, item: Return, mail_result: Any, reason: str) -> None:
        self._desk.finish(claim, mail_result)
        level = logging.INFO if mail_result == "sent" else logging.WARNING
        self._say(level, item, f"done mail={mail_result}", reason)

    def _retry(self, claim: Claim, item: Return, error: Exception) -> Later | None:
        if item.attempts >= MAX_ATTEMPTS:
            return self._fail(claim, item, error)
        delay = next_delay(item.attempts)
        self._desk.retry(claim, delay)
        self._say(logging.WARNING, item, f"retry in={delay.total_seconds():.0f}s", repr(error))
        return Later(delay)

    def _fail(self, claim: Claim, item: Return, error: Exception) -> None:
        self._desk.fail(claim, repr(error))
        self._say(logging.ERROR, item, "dead", repr(error))

    def _turned_away(self, return_id: int, claim: Claim) -> Later | None:
        item = claim.item
        if item is None:
            log.error("job=%s return_id=%s attempt=0 result=dead reason=unknown return", JOB, return_id)
            return None
        if claim.verdict == "wait":
            self._say(logging.INFO, item, "wait", "another delivery is at it, or its next attempt is not due")
            return Later(claim.wait)
        if claim.verdict == "exhausted":
            self._say(logging.ERROR, item, "dead", "no attempt is left")
        else:
            self._say(logging.INFO, item, "skipped", f"status is {item.status}")
        return None

    @staticmethod
    def _parse(payload: Any) -> int:
        return_id = payload.get("return_id") if isinstance(payload, dict) else None
        if not isinstance(return_id, int) or isinstance(return_id, bool) or not 0 < return_id < 2**63:
            raise InvalidPayload(f"return_id is {return_id!r}")
        return return_id

    @staticmethod
    def _say(level: int, item: Return, result: str, reason: str) -> None:
        log.log(
            level,
            "job=%s return_id=%s reference=%s attempt=%s result=%s reason=%s",
            JOB, item.id, item.reference, item.attempts, result, reason,
        )  # fmt: skip
