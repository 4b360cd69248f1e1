"""What is kept about charges."""

import hashlib
import json
import re
import time
from dataclasses import dataclass

from tutorly import conf
from tutorly.db import one, transaction

LESSON_ID = re.compile(r"les-[0-9]{6}")


class BadMessage(Exception):
    pass


class UnknownLesson(Exception):
    pass


class NotHeld(Exception):
    pass


class TooManyStarts(Exception):
    """Started again and again, without an end. It kills its workers, or something close to it."""


@dataclass(frozen=True)
class Lesson:
    id: str
    student_id: str
    price_cents: int
    status: str
    starts: int


def lesson_id_of(payload: dict) -> str | None:
    lesson_id = payload.get("lesson_id")
    if set(payload) == {"lesson_id"} and isinstance(lesson_id, str) and LESSON_ID.fullmatch(lesson_id):
        return lesson_id
    return None


async def begin(lesson_id: str) -> Lesson:
    """Counts the start before anything is done; a lesson that is settled is left as it is."""
    async with transaction() as con:
        row = await one(con, "select id, student_id, price_cents, status, starts from lessons where id = ?", lesson_id)
        if row is None:
            raise UnknownLesson(lesson_id)
        lesson = Lesson(**dict(row))
        if lesson.status == "planned":
            raise NotHeld(lesson_id)
        if lesson.status != "held":
            return lesson
        if lesson.starts >= conf.MAX_STARTS:
            raise TooManyStarts(f"{lesson.starts} starts and no end")
        await con.execute(
            "update lessons set starts = starts + 1, touched_at = ? where id = ?", (time.time(), lesson_id)
        )
        return Lesson(**{**dict(row), "starts": lesson.starts + 1})


async def settle(lesson: Lesson, charge_id: str) -> bool:
    """The receipt and the lesson, together. False if another delivery was faster."""
    async with transaction() as con:
        cursor = await con.execute(
            "insert into receipts (lesson_id, charge_id, amount_cents) values (?, ?, ?) on conflict do nothing",
            (lesson.id, charge_id, lesson.price_cents),
        )
        # Another delivery may have given up while this one had the answer on its way.
        await con.execute(
            "update lessons set status = 'charged', touched_at = ? where id = ? and status in ('held', 'failed')",
            (time.time(), lesson.id),
        )
        await con.execute("delete from dead_letters where ref = ?", (lesson.id,))
        return cursor.rowcount == 1


async def bury(task: str, payload: dict, reason: str) -> bool:
    """False if there is nothing to mourn: the lesson was charged all the same."""
    lesson_id = lesson_id_of(payload)
    text = json.dumps(payload, sort_keys=True, default=repr)
    ref = lesson_id or "msg-" + hashlib.sha256(text.encode()).hexdigest()[:20]
    async with transaction() as con:
        if lesson_id is not None:
            row = await one(con, "select status from lessons where id = ?", lesson_id)
            if row is not None and row["status"] == "charged":
                return False
            await con.execute(
                "update lessons set status = 'failed', touched_at = ? where id = ? and status = 'held'",
                (time.time(), lesson_id),
            )
        await con.execute(
            "insert into dead_letters (ref, task, payload, reason, died_at) values (?, ?, ?, ?, ?)"
            " on conflict (ref) do nothing",
            (ref, task, text, reason, time.time()),
        )
    return True
