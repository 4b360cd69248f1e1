"""What becomes of a work order. Each function is one transaction."""

import functools
import time

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from zahnlabor import clock, config
from zahnlabor.errors import NoSuchOrder, NotReleased, TooManyStarts, TooOld
from zahnlabor.tables import dead_letters, engine, work_orders

orders = work_orders.c


def insistent(write):
    """For what must not be forgotten because the database hiccuped once."""

    @functools.wraps(write)
    def insist(*args, **kwargs):
        for pause in (0.1, 0.5):
            try:
                return write(*args, **kwargs)
            except DBAPIError:
                time.sleep(pause)
        return write(*args, **kwargs)

    return insist


def key_of(order_id: int) -> str:
    return f"order-{order_id}"


def mark_released(order_id: int) -> bool:
    """Due at once: the message has yet to go out."""
    now = clock.now()
    with engine().begin() as conn:
        moved = conn.execute(
            update(work_orders)
            .where(orders.id == order_id, orders.status == "draft")
            .values(status="released", released_at=now, due_at=now)
        )
        if moved.rowcount == 0 and conn.scalar(select(orders.id).where(orders.id == order_id)) is None:
            raise NoSuchOrder(f"order {order_id}")
    return moved.rowcount == 1


def mark_sent(order_id: int) -> None:
    with engine().begin() as conn:
        conn.execute(
            update(work_orders)
            .where(orders.id == order_id, orders.status == "released")
            .values(due_at=clock.now() + config.GRACE)
        )


def overdue() -> list[int]:
    with engine().begin() as conn:
        late = select(orders.id).where(orders.status == "released", orders.due_at <= clock.now())
        return list(conn.scalars(late.order_by(orders.due_at, orders.id)))


def begin(order_id: int) -> Row | None:
    """The order, one start richer. None: nothing is left to do."""
    now = clock.now()
    with engine().begin() as conn:
        conn.execute(
            update(work_orders)
            .where(orders.id == order_id, orders.status == "released")
            .values(starts=orders.starts + 1, due_at=now + config.GRACE)
        )
        order = conn.execute(select(work_orders).where(orders.id == order_id)).one_or_none()
    if order is None:
        raise NoSuchOrder(f"order {order_id}")
    if order.status == "draft":
        raise NotReleased(f"order {order_id} is a draft")
    if order.status != "released":
        return None
    if order.starts > config.MAX_STARTS:
        raise TooManyStarts(f"{order.starts - 1} starts without an end")
    if order.released_at < now - config.DEADLINE:
        raise TooOld(f"released {(now - order.released_at) // config.DAY} days ago")
    return order


@insistent
def settle(order_id: int, mill_job: str) -> bool:
    """The mill has it. That stands, even where another delivery has given up meanwhile."""
    with engine().begin() as conn:
        moved = conn.execute(
            update(work_orders)
            .where(orders.id == order_id, orders.status.in_(["released", "failed"]))
            .values(status="milling", mill_job=mill_job, due_at=None)
        )
        if moved.rowcount:
            conn.execute(delete(dead_letters).where(dead_letters.c.key == key_of(order_id)))
    return moved.rowcount == 1


@insistent
def bury(key: str, actor: str, message: dict, job_id: str, reason: str, order_id: int | None) -> bool:
    """Write down a message that ends here. False: it was at its end before."""
    letter = dict(key=key, actor=actor, message=message, job_id=job_id, reason=reason[:200], buried_at=clock.now())
    try:
        with engine().begin() as conn:
            if order_id is not None:
                failed = conn.execute(
                    update(work_orders)
                    .where(orders.id == order_id, orders.status == "released")
                    .values(status="failed", due_at=None)
                )
                status = conn.scalar(select(orders.status).where(orders.id == order_id))
                if failed.rowcount == 0 and status in ("milling", "failed"):
                    return False
            conn.execute(insert(dead_letters).values(letter))
    except IntegrityError:
        return False
    return True
