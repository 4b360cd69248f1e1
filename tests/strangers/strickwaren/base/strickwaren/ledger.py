"""The state of returns. Each function is one transaction, and writes before it reads."""
import time
from dataclasses import dataclass

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.sqlite import insert

from strickwaren.db import transaction
from strickwaren.models import INSPECTED, REFUND_FAILED, REFUNDED, CreditNote, DeadJob, Return
from strickwaren.settings import get_settings


class NotRefundable(Exception):
    """There is no such return."""


class GivenUp(Exception):
    """Nobody shall try this refund any more."""


@dataclass(frozen=True)
class Refund:
    return_number: str
    payment_id: str
    amount_cents: int

    @property
    def key(self) -> str:
        return f"refund-{self.return_number}"


def begin(return_number: str) -> Refund | None:
    """Count a start; None if the return is settled one way or the other."""
    settings, now = get_settings(), time.time()
    with transaction() as session:
        counted = session.execute(
            update(Return)
            .where(Return.number == return_number, Return.state == INSPECTED)
            .values(
                starts=Return.starts + 1,
                first_try_at=func.coalesce(Return.first_try_at, now),
                check_at=now + settings.lost_after_seconds,
            )
        ).rowcount
        row = session.scalar(select(Return).where(Return.number == return_number))
        if row is None:
            raise NotRefundable(f"no return {return_number}")
    if not counted:
        return None
    if row.starts > settings.max_starts:
        raise GivenUp(f"{row.starts - 1} starts without an end")
    if now - row.first_try_at > settings.key_trusted_hours * 3600:
        raise GivenUp("first tried too long ago")
    return Refund(row.number, row.payment_id, row.amount_cents)


def settle(refund: Refund, refund_id: str) -> bool:
    """The money is on its way: the return and its credit note say so, even if it was given up meanwhile."""
    with transaction() as session:
        settled = session.execute(
            update(Return)
            .where(Return.number == refund.return_number, Return.state.in_([INSPECTED, REFUND_FAILED]))
            .values(state=REFUNDED, refund_id=refund_id, check_at=None)
        ).rowcount
        if settled:
            session.add(
                CreditNote(
                    number=f"GS-{refund.return_number[2:]}",
                    return_number=refund.return_number,
                    amount_cents=refund.amount_cents,
                    refund_id=refund_id,
                )
            )
            session.execute(delete(DeadJob).where(DeadJob.key == refund.key))
    return bool(settled)


def bury(key: str, return_number: str | None, *, message_id: str, actor: str, reason: str) -> bool:
    """Record a job that has failed for good; False if its return is settled, or was given up before."""
    with transaction() as session:
        if return_number is not None:
            known = session.execute(
                update(Return)
                .where(Return.number == return_number, Return.state == INSPECTED)
                .values(state=REFUND_FAILED, check_at=None)
            ).rowcount
            if not known and session.get(Return, return_number) is not None:
                return False
        row = {"key": key, "message_id": message_id, "actor": actor, "reason": reason[:200], "at": time.time()}
        added = session.execute(insert(DeadJob).values(row).on_conflict_do_nothing()).rowcount
    return bool(added)
