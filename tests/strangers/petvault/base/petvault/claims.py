"""The claim on an invoice: a row in deliveries, held for three minutes at most.

A worker that dies leaves its claim behind; once the lease is over the next one takes it. The hard
time limit of the task is shorter than the lease, so no worker outlives its claim.
"""
import time
import uuid
from dataclasses import dataclass

from sqlalchemy import select

from petvault.tables import dead_invoices, deliveries, engine, insert, invoices

LEASE = 180


class NoSuchInvoice(Exception):
    pass


class Held(Exception):
    """Somebody else has it, for so many seconds."""

    def __init__(self, wait: int):
        super().__init__(f"claimed for another {wait} s")
        self.wait = wait


class ClaimLost(Exception):
    """Somebody else has it by now, and answers for it."""


@dataclass(frozen=True)
class Claim:
    invoice_id: int
    holder: str
    attempts: int
    object_key: str | None


def take(invoice_id: int) -> Claim | None:
    """Counts the attempt, for good: also if the worker dies in it. None: nothing left to do."""
    now, holder = int(time.time()), uuid.uuid4().hex
    with engine().begin() as tx:
        tx.execute(
            insert(deliveries)
            .from_select(["invoice_id"], select(invoices.c.id).where(invoices.c.id == invoice_id))
            .on_conflict_do_nothing()
        )
        row = tx.execute(
            deliveries.update()
            .where(
                deliveries.c.invoice_id == invoice_id,
                deliveries.c.status == "open",
                deliveries.c.leased_until <= now,
            )
            .values(holder=holder, leased_until=now + LEASE, attempts=deliveries.c.attempts + 1)
            .returning(deliveries.c.attempts, deliveries.c.object_key)
        ).first()
        if row:
            return Claim(invoice_id, holder, row.attempts, row.object_key)
        row = tx.execute(
            select(deliveries.c.status, deliveries.c.leased_until).where(
                deliveries.c.invoice_id == invoice_id
            )
        ).first()
    if row is None:
        raise NoSuchInvoice(f"no invoice {invoice_id}")
    if row.status != "open":
        return None
    raise Held(row.leased_until - now)


def note_stored(claim: Claim, object_key: str) -> None:
    with engine().begin() as tx:
        _ours(tx, claim, object_key=object_key)


def finish(claim: Claim) -> None:
    with engine().begin() as tx:
        _ours(tx, claim, status="mailed", holder=None, leased_until=0)


def release(claim: Claim, wait: int) -> None:
    """Free for the retry that runs in so many seconds."""
    with engine().begin() as tx:
        _ours(tx, claim, holder=None, leased_until=0, queued_for=int(time.time()) + wait)


def fail(claim: Claim, reason: str) -> None:
    with engine().begin() as tx:
        _ours(tx, claim, status="failed", holder=None, leased_until=0)
        _bury(tx, f"invoice:{claim.invoice_id}", reason, claim.attempts)


def bury(subject: str, reason: str) -> None:
    """For messages that name no invoice of ours."""
    with engine().begin() as tx:
        _bury(tx, subject, reason, 1)


def _ours(tx, claim: Claim, **values) -> None:
    mine = (deliveries.c.invoice_id == claim.invoice_id) & (deliveries.c.holder == claim.holder)
    if tx.execute(deliveries.update().where(mine).values(**values)).rowcount == 0:
        raise ClaimLost(f"claim on invoice {claim.invoice_id} lost")


def _bury(tx, subject: str, reason: str, attempts: int) -> None:
    tx.execute(
        insert(dead_invoices)
        .values(subject=subject, reason=reason, attempts=attempts, failed_at=int(time.time()))
        .on_conflict_do_nothing()
    )
