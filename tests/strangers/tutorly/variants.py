"""One other way to be right, and three mistakes."""

BOOKS, JOBS, MIDDLE, DB = "tutorly/books.py", "tutorly/jobs.py", "tutorly/middleware.py", "tutorly/db.py"
J = {"job": "charge-lesson"}

BEGIN = '''        row = await one(con, "select id, student_id, price_cents, status, starts from lessons where id = ?", lesson_id)
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
'''

SETTLE = '''    """The receipt and the lesson, together. False if another delivery was faster."""
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
'''

CHARGE = '''    async with PayClient(conf.PAYKIT_URL, conf.PAYKIT_TOKEN) as pay:
        charge = await pay.charge(
            idempotency_key=lesson.id, student_id=lesson.student_id, amount_cents=lesson.price_cents
        )
    first = await books.settle(lesson, charge["id"])
    log.success("charged, outcome={} charge={}", "charged" if first else "known", charge["id"])
    return "charged"
'''

VARIANTS = [
    {
        "id": "ok-answer-first",
        "kind": "correct",
        **J,
        "what": "Two steps, each committed for itself: paykit's answer is kept on the lesson (the first answer stays),"
        " then the receipt is written from what is kept there, together with the status. A delivery that finds the"
        " answer does not call paykit any more. A receipt's primary key refuses a second one, and that is how a"
        " delivery learns that it was late. Starting is one conditional UPDATE ... RETURNING.",
        "edits": [
            (
                DB,
                '''    starts       integer not null default 0,
''',
                '''    starts       integer not null default 0,
    charge_id    text,
''',
            ),
            (
                BOOKS,
                '''    status: str
    starts: int
''',
                '''    status: str
    starts: int
    charge_id: str | None


COLUMNS = "id, student_id, price_cents, status, starts, charge_id"
''',
            ),
            (
                BOOKS,
                '''import re
import time
''',
                '''import re
import sqlite3
import time
''',
            ),
            (
                BOOKS,
                BEGIN,
                '''        row = await one(
            con,
            "update lessons set starts = starts + 1, touched_at = ? where id = ? and status = 'held' and starts < ?"
            f" returning {COLUMNS}",
            time.time(),
            lesson_id,
            conf.MAX_STARTS,
        )
        if row is not None:
            return Lesson(**dict(row))
        row = await one(con, f"select {COLUMNS} from lessons where id = ?", lesson_id)
    if row is None:
        raise UnknownLesson(lesson_id)
    if row["status"] == "planned":
        raise NotHeld(lesson_id)
    if row["status"] == "held":
        raise TooManyStarts(f"{row['starts']} starts and no end")
    return Lesson(**dict(row))


async def keep_answer(lesson_id: str, charge_id: str) -> str:
    """The first answer stays; the charge that counts."""
    async with transaction() as con:
        row = await one(
            con,
            "update lessons set charge_id = coalesce(charge_id, ?), touched_at = ? where id = ? returning charge_id",
            charge_id,
            time.time(),
            lesson_id,
        )
    return row["charge_id"]
''',
            ),
            (
                BOOKS,
                SETTLE,
                '''    """The receipt, and with it the lesson's end. False if another delivery was faster."""
    try:
        async with transaction() as con:
            await con.execute(
                "insert into receipts (lesson_id, charge_id, amount_cents) values (?, ?, ?)",
                (lesson.id, charge_id, lesson.price_cents),
            )
            await con.execute(
                "update lessons set status = 'charged', touched_at = ? where id = ?", (time.time(), lesson.id)
            )
            await con.execute("delete from dead_letters where ref = ?", (lesson.id,))
    except sqlite3.IntegrityError:
        return False
    return True
''',
            ),
            (
                JOBS,
                CHARGE,
                '''    charge_id = lesson.charge_id or await books.keep_answer(lesson.id, await ask(lesson))
    first = await books.settle(lesson, charge_id)
    log.success("charged, outcome={} charge={}", "charged" if first else "known", charge_id)
    return "charged"


async def ask(lesson: books.Lesson) -> str:
    async with PayClient(conf.PAYKIT_URL, conf.PAYKIT_TOKEN) as pay:
        charge = await pay.charge(
            idempotency_key=lesson.id, student_id=lesson.student_id, amount_cents=lesson.price_cents
        )
    return charge["id"]
''',
            ),
        ],
    },
    {
        "id": "m-receipt-afterwards",
        "kind": "mistake",
        **J,
        "what": "Breaks proof.state (receipts): one charge, one receipt, wherever a worker dies. The status is committed"
        " first and the receipt in a transaction of its own. Paykit charges, the lesson is committed as charged, the"
        " worker is killed (or the second BEGIN fails with 'database is locked'); the redelivery, or the retry, finds"
        " 'charged' and has nothing to do: the student has paid and the receipt is never written.",
        "edits": [
            (
                BOOKS,
                SETTLE,
                '''    """The lesson is charged. False if another delivery was faster."""
    async with transaction() as con:
        # Another delivery may have given up while this one had the answer on its way.
        cursor = await con.execute(
            "update lessons set status = 'charged', touched_at = ? where id = ? and status in ('held', 'failed')",
            (time.time(), lesson.id),
        )
        await con.execute("delete from dead_letters where ref = ?", (lesson.id,))
    if cursor.rowcount == 0:
        return False
    await write_receipt(lesson, charge_id)
    return True


async def write_receipt(lesson: Lesson, charge_id: str) -> None:
    async with transaction() as con:
        await con.execute(
            "insert into receipts (lesson_id, charge_id, amount_cents) values (?, ?, ?) on conflict do nothing",
            (lesson.id, charge_id, lesson.price_cents),
        )
''',
            ),
        ],
    },
    {
        "id": "m-store-trouble-is-final",
        "kind": "mistake",
        **J,
        "what": "Breaks failures.transient (sqlite3:OperationalError) and retry: the retries know of paykit and of redis"
        " alone. Paykit charges, the transaction of settle meets 'database is locked' (a backup, a long report); the"
        " error is none of the middleware's types, DeadLetters buries the job on its first attempt: lesson failed,"
        " dead letter, no receipt, and the student was charged. The same with a locked database before the charge.",
        "edits": [
            (
                JOBS,
                '''        types_of_exceptions=(PayUnavailable, sqlite3.OperationalError, RedisError, TimeoutError),
''',
                '''        types_of_exceptions=(PayUnavailable, RedisError, TimeoutError),
''',
            ),
            (
                JOBS,
                '''import sqlite3

from loguru import logger
''',
                '''from loguru import logger
''',
            ),
        ],
    },
    {
        "id": "m-starts-counted-when-they-fail",
        "kind": "mistake",
        **J,
        "what": "Breaks worker.deliveries (13): a lesson that kills its workers must end with a record. The count was moved"
        " from the beginning of an attempt to where an attempt has failed, in the middleware. A worker that is killed"
        " (out of memory, say) during the charge counts nothing: the stream hands the message to the next worker after"
        " two minutes, which is killed as well, and so on, without a bound and without a dead letter.",
        "edits": [
            (
                BOOKS,
                '''    """Counts the start before anything is done; a lesson that is settled is left as it is."""
''',
                '''    """What is to be charged; a lesson that is settled is left as it is."""
''',
            ),
            (
                BOOKS,
                '''        await con.execute(
            "update lessons set starts = starts + 1, touched_at = ? where id = ?", (time.time(), lesson_id)
        )
        return Lesson(**{**dict(row), "starts": lesson.starts + 1})
''',
                '''        await con.execute("update lessons set touched_at = ? where id = ?", (time.time(), lesson_id))
        return lesson


async def count_start(lesson_id: str) -> None:
    async with transaction() as con:
        await con.execute(
            "update lessons set starts = starts + 1, touched_at = ? where id = ? and status = 'held'",
            (time.time(), lesson_id),
        )
''',
            ),
            (
                MIDDLE,
                '''        if isinstance(result.error, NoResultError):
            log.warning("charge failed, outcome=retry reason={!r}", reason)
''',
                '''        if isinstance(result.error, NoResultError):
            log.warning("charge failed, outcome=retry reason={!r}", reason)
            await books.count_start(message.kwargs.get("lesson_id"))
''',
            ),
        ],
    },
]
