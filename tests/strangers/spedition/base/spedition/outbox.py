"""The outbox of declarations. Each function is a transaction of its own.

next_attempt_at says when a row may be taken: after a claim it is the end of the lease, after a failure the end of the
wait. An attempt counts from its claim on, so one whose worker died counts, too.
"""

import time
import uuid
from dataclasses import dataclass

from sqlalchemy import select, update

from spedition.db import Order, OutboxRow, transaction

MAX_ATTEMPTS = 6
LEASE_SECONDS = 120
FIRST_WAIT, FACTOR, LONGEST_WAIT = 30, 4, 3600


def now() -> int:
    return int(time.time())


def wait_after(attempt: int) -> int:
    return min(FIRST_WAIT * FACTOR ** (attempt - 1), LONGEST_WAIT)


@dataclass(frozen=True)
class Claim:
    row_id: int
    token: str
    attempt: int
    declaration_id: str
    document: dict

    @property
    def last(self) -> bool:
        return self.attempt >= MAX_ATTEMPTS


def due(limit: int) -> list[int]:
    with transaction() as session:
        return list(
            session.scalars(
                select(OutboxRow.id)
                .where(OutboxRow.status == "waiting", OutboxRow.next_attempt_at <= now())
                .order_by(OutboxRow.next_attempt_at, OutboxRow.id)
                .limit(limit)
            )
        )


def claim(row_id: int) -> Claim | None:
    token = uuid.uuid4().hex
    with transaction() as session:
        taken = session.execute(
            update(OutboxRow)
            .where(OutboxRow.id == row_id, *_free(), OutboxRow.attempts < MAX_ATTEMPTS)
            .values(
                attempts=OutboxRow.attempts + 1,
                claimed_by=token,
                next_attempt_at=now() + LEASE_SECONDS,
            )
            .returning(OutboxRow.attempts, OutboxRow.declaration_id, OutboxRow.document)
            .execution_options(synchronize_session=False)
        ).first()
    if taken is None:
        return None
    return Claim(row_id, token, taken.attempts, taken.declaration_id, taken.document)


def settle(claim: Claim, mrn: str) -> bool:
    """Customs have the declaration. That is so whoever holds the row by now, and even if it was given up."""
    with transaction() as session:
        changed = _write(
            session,
            [OutboxRow.id == claim.row_id, OutboxRow.status != "declared"],
            status="declared",
            claimed_by=None,
            last_error=None,
        )
        if changed:
            order_id = select(OutboxRow.order_id).where(OutboxRow.id == claim.row_id).scalar_subquery()
            session.execute(
                update(Order)
                .where(Order.id == order_id)
                .values(mrn=mrn)
                .execution_options(synchronize_session=False)
            )
        return changed


def postpone(claim: Claim, error: str) -> bool:
    with transaction() as session:
        return _write(
            session,
            _held(claim),
            claimed_by=None,
            next_attempt_at=now() + wait_after(claim.attempt),
            last_error=error,
        )


def bury(claim: Claim, error: str) -> bool:
    with transaction() as session:
        return _write(session, _held(claim), status="dead", claimed_by=None, last_error=error)


def bury_exhausted(row_id: int) -> str | None:
    """A row that died with the worker of its last attempt: nobody is left to bury it. Returns its declaration id."""
    with transaction() as session:
        if not _write(
            session,
            [OutboxRow.id == row_id, *_free(), OutboxRow.attempts >= MAX_ATTEMPTS],
            status="dead",
            claimed_by=None,
            last_error="last attempt did not come back",
        ):
            return None
        return session.scalar(select(OutboxRow.declaration_id).where(OutboxRow.id == row_id))


def revive(row_id: int) -> bool:
    with transaction() as session:
        return _write(
            session,
            [OutboxRow.id == row_id, OutboxRow.status == "dead"],
            status="waiting",
            attempts=0,
            next_attempt_at=0,
            last_error=None,
        )


def _free():
    return OutboxRow.status == "waiting", OutboxRow.next_attempt_at <= now()


def _held(claim):
    return OutboxRow.id == claim.row_id, OutboxRow.status == "waiting", OutboxRow.claimed_by == claim.token


def _write(session, where, **values) -> bool:
    done = session.execute(
        update(OutboxRow).where(*where).values(**values).execution_options(synchronize_session=False)
    )
    return done.rowcount == 1
