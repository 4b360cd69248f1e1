"""What is known of a return, and who works on it. Each method is one transaction."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import delete, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session

from returns_portal.db import transaction
from returns_portal.models import DeadLetter, OutboxEntry, Return, utcnow

JOB = "send-return-label"
MAX_ATTEMPTS = 5
CLAIM = timedelta(minutes=3)  # the actor's time limit is 150 seconds

Verdict = Literal["start", "finished", "wait", "exhausted", "unknown"]


class ClaimLost(Exception):
    """Another delivery works on the return by now."""


@dataclass(frozen=True)
class Claim:
    verdict: Verdict
    item: Return | None = None
    token: str = ""
    wait: timedelta = timedelta()


class UnknownReturn(LookupError):
    """There is no such return."""


class ReturnsDesk:
    def request_label(self, return_id: int) -> None:
        """The customer wants a label: the message is stored together with whatever made it necessary."""
        with transaction() as session:
            if session.get(Return, return_id) is None:
                raise UnknownReturn(return_id)
            session.add(OutboxEntry(return_id=return_id))

    def claim(self, return_id: int, token: str) -> Claim:
        """Decides what a delivery does; one that may start counts as an attempt whatever becomes of it."""
        now = utcnow()
        with transaction() as session:
            item = session.get(Return, return_id)
            if item is None:
                self._bury(session, {"return_id": return_id}, 0, "there is no such return")
                return Claim("unknown")
            if item.status != "open":
                return Claim("finished", item)
            busy_until = max(item.claimed_until or now, item.not_before or now)
            if busy_until - now > timedelta(seconds=1):
                return Claim("wait", item, wait=busy_until - now)
            if item.attempts >= MAX_ATTEMPTS:
                self._fail(session, item, "no attempt is left; the worker of the last one died")
                return Claim("exhausted", item)
            item.attempts += 1
            item.claim_token = token
            item.claimed_until = now + CLAIM
            item.not_before = None
            return Claim("start", item, token)

    def save_label(self, claim: Claim, tracking_no: str, label_url: str) -> None:
        with transaction() as session:
            item = self._mine(session, claim)
            item.tracking_no = tracking_no
            item.label_url = label_url

    def start_mail(self, claim: Claim) -> bool:
        """Commits that a mail is about to go out. False if that was said before: then it may have, and none is sent."""
        with transaction() as session:
            item = self._mine(session, claim)
            if item.mail_started_at is not None:
                return False
            item.mail_started_at = utcnow()
            return True

    def finish(self, claim: Claim, mail_result: Literal["sent", "uncertain"]) -> None:
        with transaction() as session:
            item = session.get_one(Return, self._id(claim))
            if item.mail_result != "sent":
                item.mail_result = mail_result
            if item.status == "open":
                item.status = "done"
            self._release(item)

    def retry(self, claim: Claim, delay: timedelta) -> None:
        """Plans the next attempt. Only for who knows for certain that no mail has left: it may be sent then."""
        with transaction() as session:
            item = self._mine(session, claim)
            item.not_before = utcnow() + delay
            item.mail_started_at = None
            self._release(item)

    def fail(self, claim: Claim, reason: str) -> None:
        """Gives the return up after an error that says that no mail has left: once reopened, it may have one."""
        with transaction() as session:
            item = self._mine(session, claim)
            item.mail_started_at = None
            self._fail(session, item, reason)

    def bury(self, payload: Any, reason: str) -> None:
        """A message that names no return is kept as it came."""
        with transaction() as session:
            self._bury(session, payload, 0, reason)

    def reopen(self, return_id: int) -> None:
        """For the service desk, after the cause is mended: another five attempts."""
        with transaction() as session:
            item = session.scalars(select(Return).where(Return.id == return_id, Return.status == "failed")).one()
            item.status, item.attempts = "open", 0
            session.execute(delete(DeadLetter).where(DeadLetter.payload == _canonical({"return_id": return_id})))
            session.add(OutboxEntry(return_id=return_id))

    # -- helpers -----------------------------------------------------------------------------------------------------

    def _mine(self, session: Session, claim: Claim) -> Return:
        item = session.get_one(Return, self._id(claim))
        if item.status != "open" or item.claim_token != claim.token:
            raise ClaimLost(item.reference)
        return item

    @staticmethod
    def _id(claim: Claim) -> int:
        assert claim.item is not None
        return claim.item.id

    @staticmethod
    def _release(item: Return) -> None:
        item.claim_token = None
        item.claimed_until = None

    def _fail(self, session: Session, item: Return, reason: str) -> None:
        item.status = "failed"
        self._release(item)
        self._bury(session, {"return_id": item.id}, item.attempts, reason)

    @staticmethod
    def _bury(session: Session, payload: Any, attempt: int, reason: str) -> None:
        values = {"job": JOB, "payload": _canonical(payload), "attempt": attempt, "reason": reason, "created_at": utcnow()}
        session.execute(insert(DeadLetter).values(values).on_conflict_do_nothing())


def next_delay(attempt: int) -> timedelta:
    """20 s, 40 s, 80 s, 160 s."""
    return min(timedelta(seconds=20) * 2 ** (attempt - 1), timedelta(minutes=3))


def _canonical(payload: Any) -> str:
    return json.dumps(payload, sort_keys=True, default=repr)
