"""What the app does with lessons."""

import time

from loguru import logger

from tutorly import books, conf
from tutorly.db import one, transaction
from tutorly.jobs import TASK, charge_lesson


async def mark_held(lesson_id: str) -> bool:
    """The tutor says that the lesson has taken place. False if it had been said before."""
    async with transaction() as con:
        if await one(con, "select 1 from lessons where id = ?", lesson_id) is None:
            raise books.UnknownLesson(lesson_id)
        cursor = await con.execute(
            "update lessons set status = 'held', touched_at = ? where id = ? and status = 'planned'",
            (time.time(), lesson_id),
        )
        if cursor.rowcount == 0:
            return False
    await publish(lesson_id)
    return True


async def publish(lesson_id: str) -> bool:
    try:
        await charge_lesson.kiq(lesson_id=lesson_id)
    except Exception as exc:
        logger.bind(job=TASK, lesson_id=lesson_id).warning("not published, left to the sweep: {!r}", exc)
        return False
    now = time.time()
    async with transaction() as con:
        await con.execute(
            "update lessons set queued_at = ?, touched_at = ? where id = ? and status = 'held'", (now, now, lesson_id)
        )
    return True


async def requeue_open() -> int:
    """Publish what was never published, or what nobody has touched for too long; bury what only ever starts."""
    async with transaction() as con:
        rows = await con.execute_fetchall(
            "select id, starts from lessons where status = 'held' and (queued_at is null or touched_at < ?)"
            " order by touched_at limit 200",
            (time.time() - conf.STALE_AFTER,),
        )
    count = 0
    for row in rows:
        log = logger.bind(job=TASK, lesson_id=row["id"], starts=row["starts"])
        if row["starts"] >= conf.MAX_STARTS:
            if await books.bury(TASK, {"lesson_id": row["id"]}, f"stood still after {row['starts']} starts"):
                log.error("lesson stood still, outcome=dead")
            continue
        log.warning("lesson stood still, outcome=requeued")
        count += await publish(row["id"])
    return count
