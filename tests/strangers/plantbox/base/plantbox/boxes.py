"""The rows behind the job. Each function is one transaction, and each begins with a write."""

import hashlib
import json
import time

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.sqlite import insert

from plantbox.config import config
from plantbox.models import Box, DeadLetter, Sort, transaction

JOB = "order_parcel"


class Hopeless(Exception):
    """Not worth another attempt."""


class BadMessage(Hopeless):
    pass


class UnknownBox(Hopeless):
    pass


class NotReleased(Hopeless):
    pass


class AttemptsUsedUp(Hopeless):
    pass


def box_id_of(message: dict) -> int | None:
    box_id = message.get("box_id")
    good = set(message) == {"box_id"} and type(box_id) is int and 0 < box_id < 2**53
    return box_id if good else None


def letter_ref(message: dict) -> str:
    box_id = box_id_of(message)
    if box_id is not None:
        return f"box-{box_id}"
    return "message-" + hashlib.sha1(json.dumps(message, sort_keys=True, default=repr).encode()).hexdigest()


async def begin(box_id: int) -> Box:
    """Count an attempt of a released box. Counted is what begins, so that dying counts as well."""
    async with transaction() as session:
        begun = await session.execute(
            update(Box)
            .where(Box.id == box_id, Box.status == "released", Box.attempts < config.max_attempts)
            .values(attempts=Box.attempts + 1, seen_at=time.time())
            .execution_options(synchronize_session=False)
        )
        box = await session.get(Box, box_id)
    if box is None:
        raise UnknownBox(str(box_id))
    if box.status == "planned":
        raise NotReleased(str(box_id))
    if box.status == "released" and begun.rowcount == 0:
        raise AttemptsUsedUp(f"{box.attempts} attempts, and the last one has not come back")
    return box


async def settle(box: Box, reference: str) -> bool:
    """Mark the box and lower the stock. False if another delivery has done it."""
    async with transaction() as session:
        # failed, too: another delivery may have given up while Greenpack's answer was under way
        marked = await session.execute(
            update(Box)
            .where(Box.id == box.id, Box.status.in_(("released", "failed")))
            .values(status="ordered", parcel_ref=reference, seen_at=time.time())
        )
        if marked.rowcount == 0:
            return False
        await session.execute(update(Sort).where(Sort.sku == box.sku).values(stock=Sort.stock - 1))
        await session.execute(delete(DeadLetter).where(DeadLetter.ref == letter_ref({"box_id": box.id})))
    return True


async def bury(message: dict, reason: str) -> bool:
    """Write the dead letter; False if the box has come to an end without us."""
    async with transaction() as session:
        box_id = box_id_of(message)
        if box_id is not None:
            failed = await session.execute(
                update(Box)
                .where(Box.id == box_id, Box.status == "released")
                .values(status="failed", seen_at=time.time())
            )
            if failed.rowcount == 0:
                status = await session.scalar(select(Box.status).where(Box.id == box_id))
                if status in ("ordered", "failed"):
                    return False
        await session.execute(
            insert(DeadLetter)
            .values(ref=letter_ref(message), job=JOB, message=message, reason=reason, died_at=time.time())
            .on_conflict_do_nothing()
        )
    return True


async def published(box_id: int) -> None:
    now = time.time()
    async with transaction() as session:
        await session.execute(
            update(Box).where(Box.id == box_id, Box.status == "released").values(published_at=now, seen_at=now)
        )
