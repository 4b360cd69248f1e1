"""What an attempt at an order reads and writes."""

from dataclasses import dataclass

from sqlalchemy import func, select, update

from .db import ChargeAttempt, FailedJob, Order, Player, Session

MAX_DEATHS = 4


class UnknownOrder(Exception):
    pass


class WorkerKeepsDying(Exception):
    pass


class CapturedInVain(Exception):
    """Money was taken for an order that is no longer waiting for it: a case for support."""


@dataclass(frozen=True)
class Charge:
    attempt_id: int
    order_id: str
    player_id: int
    customer: str
    gems: int
    cents: int


def begin(order_id: str) -> Charge | None:
    """Open an attempt; None where the order does not wait for one."""
    with Session.begin() as session:
        order = session.get(Order, order_id, with_for_update=True)
        if order is None:
            raise UnknownOrder(order_id)
        if order.status != "confirmed":
            return None
        unfinished = session.scalar(
            select(func.count()).where(
                ChargeAttempt.order_id == order_id, ChargeAttempt.outcome.is_(None)
            )
        )
        if unfinished >= MAX_DEATHS:
            raise WorkerKeepsDying(f"{unfinished} attempts never came to an end")
        player = session.get(Player, order.player_id)
        attempt = ChargeAttempt(order_id=order_id)
        session.add(attempt)
        session.flush()
        return Charge(attempt.id, order.id, player.id, player.customer, order.gems, order.cents)


def close(charge: Charge, outcome: str) -> None:
    with Session.begin() as session:
        session.execute(
            update(ChargeAttempt).where(ChargeAttempt.id == charge.attempt_id)
            .values(outcome=outcome)
        )


def credit(charge: Charge, capture_id: str) -> bool:
    """Mark the order paid and hand out the gems, both or neither, and only once."""
    with Session.begin() as session:
        session.execute(
            update(ChargeAttempt).where(ChargeAttempt.id == charge.attempt_id)
            .values(outcome=f"captured {capture_id}")
        )
        paid = session.execute(
            update(Order).where(Order.id == charge.order_id, Order.status == "confirmed")
            .values(status="paid", capture_id=capture_id)
        ).rowcount
        if paid:
            session.execute(
                update(Player).where(Player.id == charge.player_id)
                .values(gems=Player.gems + charge.gems)
            )
            return True
        status = session.scalar(select(Order.status).where(Order.id == charge.order_id))
    if status != "paid":
        raise CapturedInVain(f"{capture_id} captured, but the order is {status}")
    return False


def give_up(message_id: str, actor: str, message: dict, order_id: str | None,
            exc: BaseException) -> bool:
    """Record a job that failed for good; False where another delivery has settled the order."""
    with Session.begin() as session:
        if order_id is not None and session.get(Order, order_id) is not None:
            failed = session.execute(
                update(Order).where(Order.id == order_id, Order.status == "confirmed")
                .values(status="failed")
            ).rowcount
            if not failed and not isinstance(exc, CapturedInVain):
                return False
        session.merge(
            FailedJob(message_id=message_id, actor=actor, order_id=order_id, message=message,
                      reason=f"{type(exc).__name__}: {exc}")
        )
    return True
