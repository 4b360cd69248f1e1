"""One other way to be right, and three mistakes."""

BOXES, JOBS, MODELS = "plantbox/boxes.py", "plantbox/jobs.py", "plantbox/models.py"
J = {"job": "order-parcel"}

BEGIN = '''    async with transaction() as session:
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
'''

SETTLE = '''    async with transaction() as session:
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
'''

BURY = '''        if box_id is not None:
            failed = await session.execute(
                update(Box)
                .where(Box.id == box_id, Box.status == "released")
                .values(status="failed", seen_at=time.time())
            )
            if failed.rowcount == 0:
                status = await session.scalar(select(Box.status).where(Box.id == box_id))
                if status in ("ordered", "failed"):
                    return False
'''

VARIANTS = [
    {
        "id": "ok-version-column",
        "kind": "correct",
        **J,
        "what": "Optimistic locking instead of conditional updates: boxes have a version_id_col, the functions load the"
        " box, look at its status and change the object; who was overtaken gets a StaleDataError, its transaction (the"
        " stock and the letter with it) is rolled back, and it looks again. After twenty rounds SAQ's retry has it.",
        "edits": [
            (
                MODELS,
                '''    __table_args__ = (Index("boxes_by_status", "status", "seen_at"),)
''',
                '''    __table_args__ = (Index("boxes_by_status", "status", "seen_at"),)
    version: Mapped[int] = mapped_column(default=1)
    __mapper_args__ = {"version_id_col": version}
''',
            ),
            (
                BOXES,
                '''import hashlib
import json
import time

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.sqlite import insert
''',
                '''import asyncio
import functools
import hashlib
import json
import time

from sqlalchemy import delete, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm.exc import StaleDataError
''',
            ),
            (
                BOXES,
                '''async def begin(box_id: int) -> Box:
''',
                '''def looks_again(function):
    """From the start, in a transaction of its own, where somebody else has changed the box in between."""

    @functools.wraps(function)
    async def wrapper(*args):
        for pause in range(20):
            try:
                return await function(*args)
            except StaleDataError:
                await asyncio.sleep(pause * 0.01)
        return await function(*args)

    return wrapper


@looks_again
async def begin(box_id: int) -> Box:
''',
            ),
            (
                BOXES,
                BEGIN,
                '''    async with transaction() as session:
        box = await session.get(Box, box_id)
        if box is None:
            raise UnknownBox(str(box_id))
        if box.status == "planned":
            raise NotReleased(str(box_id))
        if box.status == "released":
            if box.attempts >= config.max_attempts:
                raise AttemptsUsedUp(f"{box.attempts} attempts, and the last one has not come back")
            box.attempts += 1
            box.seen_at = time.time()
    return box
''',
            ),
            (
                BOXES,
                '''async def settle(box: Box, reference: str) -> bool:
''',
                '''@looks_again
async def settle(box: Box, reference: str) -> bool:
''',
            ),
            (
                BOXES,
                SETTLE,
                '''    async with transaction() as session:
        current = await session.get(Box, box.id)
        if current.status == "ordered":
            return False
        current.status = "ordered"
        current.parcel_ref = reference
        current.seen_at = time.time()
        await session.flush()
        await session.execute(update(Sort).where(Sort.sku == current.sku).values(stock=Sort.stock - 1))
        await session.execute(delete(DeadLetter).where(DeadLetter.ref == letter_ref({"box_id": current.id})))
    return True
''',
            ),
            (
                BOXES,
                '''async def bury(message: dict, reason: str) -> bool:
''',
                '''@looks_again
async def bury(message: dict, reason: str) -> bool:
''',
            ),
            (
                BOXES,
                BURY,
                '''        box = await session.get(Box, box_id) if box_id is not None else None
        if box is not None:
            if box.status in ("ordered", "failed"):
                return False
            if box.status == "released":
                box.status = "failed"
                box.seen_at = time.time()
                await session.flush()
''',
            ),
            (
                BOXES,
                '''async def published(box_id: int) -> None:
    now = time.time()
    async with transaction() as session:
        await session.execute(
            update(Box).where(Box.id == box_id, Box.status == "released").values(published_at=now, seen_at=now)
        )
''',
                '''@looks_again
async def published(box_id: int) -> None:
    async with transaction() as session:
        box = await session.get(Box, box_id)
        if box.status == "released":
            box.published_at = box.seen_at = time.time()
''',
            ),
            (
                "plantbox/shipping.py",
                '''                status="released",
''',
                '''                status="released",
                version=Box.version + 1,
''',
            ),
        ],
    },
    {
        "id": "m-stock-read-first",
        "kind": "mistake",
        **J,
        "what": "Breaks proof.state (sorts): the stock goes down by one for each box that was ordered. It is read before the"
        " transaction has written anything, so before it has the write lock, and is written back as a number. Boxes 1"
        " and 2 are of the same sort and settle at the same time: both read 40, box 1 commits 39, box 2 waits for the"
        " lock with its update of boxes and then commits 39 as well: two parcels, one plant less.",
        "edits": [
            (
                BOXES,
                '''    async with transaction() as session:
        # failed, too: another delivery may have given up while Greenpack's answer was under way
''',
                '''    async with transaction() as session:
        sort = await session.get_one(Sort, box.sku)
        # failed, too: another delivery may have given up while Greenpack's answer was under way
''',
            ),
            (
                BOXES,
                '''        await session.execute(update(Sort).where(Sort.sku == box.sku).values(stock=Sort.stock - 1))
''',
                '''        sort.stock -= 1
''',
            ),
        ],
    },
    {
        "id": "m-never-seen",
        "kind": "mistake",
        **J,
        "what": "Breaks recovers (sweeps.requeue_released brings a box back whose message was lost). Publishing notes"
        " published_at alone, and leaves seen_at to the worker, 'who is the one that sees'. A box is released and"
        " published, redis loses the message before any worker has begun it: published_at is set and seen_at is NULL,"
        " `seen_at < ...` is not true, and the sweep passes the box by for ever: no parcel, no dead letter.",
        "edits": [
            (
                BOXES,
                '''    now = time.time()
    async with transaction() as session:
        await session.execute(
            update(Box).where(Box.id == box_id, Box.status == "released").values(published_at=now, seen_at=now)
        )
''',
                '''    async with transaction() as session:
        await session.execute(
            update(Box).where(Box.id == box_id, Box.status == "released").values(published_at=time.time())
        )
''',
            ),
        ],
    },
    {
        "id": "m-letter-for-an-ordered-box",
        "kind": "mistake",
        **J,
        "what": "Breaks dead_letter and idempotency: a box that was ordered has no dead letter. bury() fails the box only"
        " where it is still released, but writes the letter in any case. The box is delivered twice at once, A and B"
        " have both begun; A's PUT is answered and A settles; B's PUT ends in Greenpack's refusal or in the last"
        " attempt's 503: the row stays 'ordered', and a dead letter says that the box was given up. A was the one that"
        " withdraws letters, and it is through; the office orders a second parcel by hand.",
        "edits": [
            (
                BOXES,
                BURY,
                '''        if box_id is not None:
            await session.execute(
                update(Box)
                .where(Box.id == box_id, Box.status == "released")
                .values(status="failed", seen_at=time.time())
            )
''',
            ),
            (
                BOXES,
                '''from sqlalchemy import delete, select, update
''',
                '''from sqlalchemy import delete, update
''',
            ),
            (
                BOXES,
                '''async def bury(message: dict, reason: str) -> bool:
    """Write the dead letter; False if the box has come to an end without us."""
''',
                '''async def bury(message: dict, reason: str) -> None:
    """Fail the box, if it is still to be had, and write the dead letter; one for a box."""
''',
            ),
            (
                BOXES,
                '''            .on_conflict_do_nothing()
        )
    return True
''',
                '''            .on_conflict_do_nothing()
        )
''',
            ),
            (
                JOBS,
                '''        if await boxes.bury(message, reason):
            note(logging.ERROR, "given up", "dead", reason=reason)
        else:
            note(logging.INFO, "settled by another delivery", "skipped", reason=reason)
        return "dead"
''',
                '''        await boxes.bury(message, reason)
        note(logging.ERROR, "given up", "dead", reason=reason)
        return "dead"
''',
            ),
            (
                "plantbox/sweeps.py",
                '''            if await boxes.bury({"box_id": box_id}, f"left lying after {attempts} attempts"):
                logger.error("given up", extra={**extra, "outcome": "dead"})
''',
                '''            await boxes.bury({"box_id": box_id}, f"left lying after {attempts} attempts")
            logger.error("given up", extra={**extra, "outcome": "dead"})
''',
            ),
        ],
    },
]
