"""A booking's confirmation: a row in SQLite remembers that it was sent, and arq's tries leave room for deaths."""

from run import Mutant, Variant

DRIVER = "arq"
T, W, DESK, SPEC = "booking/tasks.py", "booking/worker.py", "booking/desk.py", ".skillrun/jobs/confirm.yaml"
REFERENCE = 'f"confirmation-{booking_id}"'
LOGGING = "import logging\n"
SEND = f"        await mailer.send(email, booking_id, reference={REFERENCE})\n"
CHECK = """    if was_sent(booking_id):
        log.info("confirmation was sent before booking=%s", booking_id)
        return
"""
MARK = """    with closing(db.connect()) as connection, connection:
        connection.execute("insert or ignore into confirmations values (?, ?)", (booking_id, email))
"""
GUARD = """        if ctx["job_try"] >= ATTEMPTS:
            give_up(booking_id, repr(error))
            return
"""
WARN = '        log.warning("confirmation will be retried booking=%s reason=%r", booking_id, error)\n'
DEFER = 'defer=5 * 3 ** (ctx["job_try"] - 1)'
RETRY = f"        raise Retry({DEFER}) from error\n"
CLAUSE = f"""    except (mailer.Unavailable, TimeoutError) as error:
{GUARD}{WARN}{RETRY}"""
REJECTED = """    except mailer.Rejected as error:
        give_up(booking_id, repr(error))
        return
"""
VALID = """    if not isinstance(booking_id, int) or "@" not in email:
        give_up(booking_id, "no booking with an address")
        return
"""
DONE = '    log.info("confirmation sent booking=%s", booking_id)\n'
TRIES = "max_tries=ATTEMPTS + 5"
ENQUEUE = '    await redis.enqueue_job("confirm", booking_id, email)\n'
BURY = """    with closing(db.connect()) as connection, connection:
        connection.execute("insert or ignore into dead_confirmations values (?, ?)", (str(booking_id), reason))
"""
TRY = f"    try:\n{SEND}{CLAUSE}{REJECTED}"


def _key(id_: str, what: str, key: str, *more: tuple[str, str, str], **options: object) -> Mutant:
    return Mutant(id_, what, ((T, f"reference={REFERENCE}", f"reference={key}"), *more), **options)  # type: ignore[arg-type]


MUTANTS = [
    Mutant("A01", "the desk remembers that it enqueued before it has",
           ((DESK, ENQUEUE, f'    if not await redis.set(f"announced:{{booking_id}}", "1", nx=True):\n        return\n{ENQUEUE}'),)),
    Mutant("A02", "enqueued under the booking's id, whose result lives for an hour, and the row is gone: once more after that",
           ((DESK, 'booking_id, email)\n    await redis.aclose', 'booking_id, email, _job_id=f"confirm-{booking_id}")\n    await redis.aclose'),
            (T, CHECK, "")), source="https://github.com/python-arq/arq/issues/432"),
    _key("B01", "the reference is random", "str(uuid.uuid4())", (T, LOGGING, LOGGING + "import uuid\n")),
    _key("B02", "the reference has the try in it", 'f"confirmation-{booking_id}-{ctx[\'job_try\']}"', quick=True),
    _key("B03", "the reference is arq's job id", 'ctx["job_id"]'),
    _key("B04", "the reference is the guest", "email"),
    _key("B05", "the reference has the time in it", 'f"{booking_id}-{ctx[\'enqueue_time\']:%H%M%S}-{int(time.time())}"',
         (T, LOGGING, LOGGING + "import time\n")),
    _key("B06", "no reference", "None"),
    Mutant("C01", "marked before it is sent", ((T, TRY + MARK, MARK + TRY),), quick=True),
    Mutant("C02", "nothing remembers that it was sent, and the mark fails the second time",
           ((T, CHECK, ""), (T, "insert or ignore into confirmations", "insert into confirmations"))),
    Mutant("C03", "claimed by the row, and a claim is never given back",
           ((T, CHECK, """    with closing(db.connect()) as connection, connection:
        if not connection.execute("insert or ignore into confirmations values (?, ?)", (booking_id, email)).rowcount:
            log.info("confirmation was sent before booking=%s", booking_id)
            return
"""), (T, MARK, ""))),
    Mutant("C04", "remembered in a module's set",
           ((T, "ATTEMPTS = 4\n", "ATTEMPTS = 4\nSEEN: set[int] = set()\n"), (T, "    if was_sent(booking_id):", "    if booking_id in SEEN:"),
            (T, MARK, "    SEEN.add(booking_id)\n" + MARK.replace("or ignore ", "")))),
    Mutant("C05", "a key in Redis that forgets after an hour",
           ((T, "    if was_sent(booking_id):", '    if await ctx["redis"].exists(f"confirmed:{booking_id}"):'),
            (T, MARK, MARK + '    await ctx["redis"].set(f"confirmed:{booking_id}", "1", ex=3600)\n')), quick=True),
    Mutant("C06", "claims in Redis, and an attempt that fails keeps the claim",
           ((T, CHECK, '    if not await ctx["redis"].set(f"claim:{booking_id}", "1", nx=True, ex=2592000):\n        return\n'),)),
    Mutant("C07", "who finds the lock taken takes the job for done",
           ((T, CHECK, CHECK + '    if not await ctx["redis"].set(f"lock:{booking_id}", "1", nx=True, ex=600):\n        return\n'),),
           source="https://github.com/mitodl/micromasters/issues/2139"),
    Mutant("D01", "one attempt too few", ((T, "ATTEMPTS = 4", "ATTEMPTS = 3"),)),
    Mutant("D02", "one attempt too many", ((T, '"job_try"] >= ATTEMPTS', '"job_try"] > ATTEMPTS'),)),
    Mutant("D03", "Retry at the last try too: arq gives up, and calls nobody", ((T, GUARD, ""),), quick=True),
    Mutant("D04", "no wait before a retry", ((T, f"Retry({DEFER})", "Retry()"),)),
    Mutant("D05", "the same wait each time", ((T, DEFER, "defer=5"),)),
    Mutant("D06", "what is rejected is tried again", ((T, "(mailer.Unavailable, TimeoutError)", "(mailer.Unavailable, mailer.Rejected, TimeoutError)"),)),
    Mutant("D07", "the error itself is raised: arq runs nothing but Retry again", ((T, RETRY, "        raise\n"),), quick=True,
           source="Retrying jobs and cancellation, arq's documentation"),
    Mutant("D08", "a timeout is let out", ((T, "(mailer.Unavailable, TimeoutError)", "mailer.Unavailable"),)),
    Mutant("D09", "no try is left for a death in the last attempt", ((W, TRIES, "max_tries=ATTEMPTS"),)),
    Mutant("D10", "retry_jobs is off", ((W, "    job_timeout = 60\n", "    job_timeout = 60\n    retry_jobs = False\n"),)),
    Mutant("D11", "arq stops at three tries", ((W, TRIES, "max_tries=3"),)),
    Mutant("D12", "the settings inherit max_tries, which arq does not see",
           ((W, f"func(confirm, {TRIES})", "confirm"), (W, "class WorkerSettings:", "class Base:\n    max_tries = ATTEMPTS + 5\n\n\nclass WorkerSettings(Base):"),
            (T, "ATTEMPTS = 4", "ATTEMPTS = 6"), (SPEC, "max_attempts: 4", "max_attempts: 6"), (SPEC, "acceptable_delay: 15m", "acceptable_delay: 60m"))),
    Mutant("D13", "a broad clause takes the Retry, which is a RuntimeError",
           ((T, "    try:\n        await mailer", "    try:\n      try:\n        await mailer"),
            (T, CLAUSE + REJECTED, CLAUSE.replace("    except", "      except", 1) + REJECTED.replace("    except", "      except", 1)
             + '    except RuntimeError:\n        log.exception("confirmation failed booking=%s", booking_id)\n        return\n'))),
    Mutant("D14", "enqueues itself again, for ever",
           ((T, GUARD + WARN + RETRY, WARN + '        await ctx["redis"].enqueue_job("confirm", booking_id, email, _defer_by=5)\n        return\n'),)),
    Mutant("E01", "the mark is not committed", ((T, MARK, MARK.replace(", connection:", ":")),)),
    Mutant("E02", "the dead letter is not committed", ((T, BURY, BURY.replace(", connection:", ":")),)),
    Mutant("E03", "the mail is sent by a task that nobody waits for",
           ((T, f"        await mailer.send(email, booking_id, reference={REFERENCE})", f"        asyncio.create_task(mailer.send(email, booking_id, reference={REFERENCE}))"),
            (T, LOGGING, "import asyncio\n" + LOGGING))),
    Mutant("E04", "given up without a dead letter", ((T, GUARD, '        if ctx["job_try"] >= ATTEMPTS:\n            log.error("confirmation given up booking=%s", booking_id)\n            return\n'),)),
    Mutant("E05", "the dead letter is written by after_job_end, when arq has let go of the job",
           ((T, GUARD, '        if ctx["job_try"] >= ATTEMPTS:\n            raise\n'),
            (W, "\n\nclass WorkerSettings:\n", '''


async def ended(ctx):
    info = await Job(ctx["job_id"], ctx["redis"]).result_info()
    if info is not None and not info.success:
        give_up(info.args[0], repr(info.result))


class WorkerSettings:
    after_job_end = ended
'''), (W, "import ATTEMPTS, confirm\n", "import ATTEMPTS, confirm, give_up\n"), (W, "from arq.worker import func\n", "from arq.jobs import Job\nfrom arq.worker import func\n"))),
    Mutant("E06", "the job's definition expires before its retries", ((DESK, "booking_id, email)\n    await redis.aclose", "booking_id, email, _expires=30)\n    await redis.aclose"),)),
    Mutant("F01", "an error becomes a result", ((T, CLAUSE + REJECTED, '    except Exception as error:\n        log.error("confirmation failed booking=%s reason=%r", booking_id, error)\n        return {"ok": False}\n'),),
           source="stock-screener#49"),
    Mutant("F02", "nobody says that it is tried again, or why", ((T, WARN, ""), (T, RETRY, f"        raise Retry({DEFER}) from None\n"))),
    Mutant("F03", "the records do not say which booking",
           ((T, '"confirmation started booking=%s", booking_id', '"confirmation started"'), (T, '"confirmation sent booking=%s", booking_id', '"confirmation sent"'),
            (T, '"confirmation was sent before booking=%s", booking_id', '"sent before"'))),
    Mutant("F04", "a failure that is given up says success",
           ((T, '    log.error("confirmation given up booking=%s reason=%s", booking_id, reason)\n', DONE),)),
    Mutant("G01", "any payload is a booking", ((T, VALID, ""),)),
]  # fmt: skip

_SQLALCHEMY = '''"""The background job: confirm one booking, with SQLAlchemy's asyncio."""

import logging
import os

from arq import Retry
from sqlalchemy import String, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from booking import mailer

logger = logging.getLogger("booking")
ATTEMPTS = 4


class Base(DeclarativeBase): ...


class Confirmation(Base):
    __tablename__ = "confirmations"
    booking_id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]


class DeadConfirmation(Base):
    __tablename__ = "dead_confirmations"
    booking_id: Mapped[str] = mapped_column(String, primary_key=True)
    reason: Mapped[str]


async def startup(ctx):
    engine = create_async_engine(f"sqlite+aiosqlite:///{os.environ['BOOKING_DB']}", connect_args={"timeout": 10})
    ctx["sessions"] = async_sessionmaker(engine, expire_on_commit=False)


class Failure(Exception):
    """Given up."""


async def confirm(ctx, booking_id=None, email=""):
    logger.info("begin", extra={"booking_id": booking_id, "attempt": ctx["job_try"]})
    try:
        await _confirm(ctx, booking_id, email)
    except Failure as failure:
        async with ctx["sessions"]() as session:
            await session.merge(DeadConfirmation(booking_id=str(booking_id), reason=str(failure)))
            try:
                await session.commit()
            except IntegrityError:
                logger.info("somebody else recorded it", extra={"booking_id": booking_id})
        logger.error("failed for good: %s", failure, extra={"booking_id": booking_id})
    else:
        logger.info("end", extra={"booking_id": booking_id})


async def _confirm(ctx, booking_id, email):
    if type(booking_id) is not int or not email:
        raise Failure("payload")
    async with ctx["sessions"]() as session:
        if await session.scalar(select(Confirmation.booking_id).where(Confirmation.booking_id == booking_id)):
            return
    try:
        await mailer.send(email, booking_id, reference=str(booking_id))
    except mailer.Rejected as error:
        raise Failure(repr(error)) from error
    except (mailer.Unavailable, TimeoutError) as error:
        attempt = ctx["job_try"]
        if attempt < ATTEMPTS:
            logger.warning("again: %r", error, extra={"booking_id": booking_id})
            raise Retry(5 * 3 ** (attempt - 1)) from error
        raise Failure(repr(error)) from error
    async with ctx["sessions"].begin() as session:
        try:
            await session.execute(insert(Confirmation).values(booking_id=booking_id, email=email))
        except IntegrityError:
            await session.rollback()
'''

_FENCED = '''"""The background job: confirm one booking; a key in Redis says that it was sent, a lock with a token keeps others out."""

import json
import logging
from contextlib import closing
from uuid import uuid4

from arq import Retry

from booking import db, mailer

log = logging.getLogger(__name__)
ATTEMPTS = 4
MONTH = 30 * 24 * 3600
RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"
DONE = """
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('set', KEYS[2], '1', 'EX', ARGV[2])
return redis.call('del', KEYS[1])
"""


async def confirm(ctx, booking_id=None, email=""):
    def say(event, **more):
        log.info(json.dumps({"event": event, "booking_id": booking_id, **more}))

    say("started")
    if not isinstance(booking_id, int) or "@" not in email:
        return bury(booking_id, "payload")
    redis, lock, token = ctx["redis"], f"confirm:lock:{booking_id}", uuid4().hex
    if await redis.exists(f"confirm:done:{booking_id}"):
        return say("sent before")
    if not await redis.set(lock, token, nx=True, ex=90):
        say("will be tried again", reason="another worker is at it, or died at it", try_=ctx["job_try"])
        raise Retry(defer=95)
    try:
        await mailer.send(email, booking_id, reference=f"c-{booking_id}")
    except (mailer.Unavailable, TimeoutError) as error:
        await redis.eval(RELEASE, 1, lock, token)
        if ctx["job_try"] >= ATTEMPTS:
            return bury(booking_id, repr(error))
        say("will be tried again", reason=repr(error))
        raise Retry(defer=5 * 3 ** (ctx["job_try"] - 1)) from error
    except mailer.Rejected as error:
        await redis.eval(RELEASE, 1, lock, token)
        return bury(booking_id, repr(error))
    await redis.eval(DONE, 2, lock, f"confirm:done:{booking_id}", token, MONTH)
    await redis.set(f"confirm:done:{booking_id}", "1", ex=MONTH)
    say("sent")


def bury(booking_id, reason):
    with closing(db.connect()) as connection, connection:
        connection.execute("insert or ignore into dead_confirmations values (?, ?)", (str(booking_id), reason))
    log.error(json.dumps({"event": "given up", "booking_id": booking_id, "reason": reason}))
'''

_DECORATED = '''"""The background job: confirm one booking; a decorator knows what arq wants."""

import functools
import logging
from contextlib import closing

from arq import Retry

from booking import db, mailer

log = logging.getLogger(__name__)
ATTEMPTS = 4


class Permanent(Exception):
    """No further attempt."""


def job(function):
    @functools.wraps(function)
    async def run(ctx, *args, **kwargs):
        try:
            return await function(ctx, *args, **kwargs)
        except (Permanent, mailer.Rejected) as error:
            return give_up(error, *args, **kwargs)
        except (mailer.Unavailable, TimeoutError) as error:
            tried = ctx.get("job_try", 1)
            if tried >= ATTEMPTS:
                return give_up(error, *args, **kwargs)
            log.warning("%s%s %s will be retried: %r", function.__name__, args, kwargs, error)
            raise Retry(defer=(5, 15, 45)[tried - 1]) from error

    return run


def give_up(error, booking_id=None, email=""):
    with closing(db.connect()) as connection, connection:
        connection.execute("insert or ignore into dead_confirmations values (?, ?)", (str(booking_id), repr(error)))
    log.error("confirm %s given up: %r", booking_id, error)


@job
async def confirm(ctx, booking_id=None, email=""):
    log.info("confirm %s begins", booking_id)
    if not isinstance(booking_id, int) or not email:
        raise Permanent("payload")
    with closing(db.connect()) as connection:
        if connection.execute("select 1 from confirmations where booking_id = ?", (booking_id,)).fetchone():
            log.info("confirm %s was done", booking_id)
            return
    await mailer.send(email, booking_id, reference=f"{booking_id}")
    with closing(db.connect()) as connection, connection:
        connection.execute("replace into confirmations values (?, ?)", (booking_id, email))
    log.info("confirm %s done", booking_id)
'''

VARIANTS = [
    Variant("sqlalchemy", "SQLAlchemy's asyncio, an engine of on_startup, fields in extra", {T: _SQLALCHEMY}, quick=True, edits=(
        (W, "import ATTEMPTS, confirm\n", "import ATTEMPTS, confirm, startup\n"), (W, "    job_timeout = 60\n", "    job_timeout = 60\n    on_startup = startup\n"))),
    Variant("fenced", "a lock with a token and a key that says done, in ctx['redis']; JSON in the records", {T: _FENCED}, quick=True),
    Variant("decorated", "a decorator of the repository's own raises Retry", {T: _DECORATED}),
    Variant("receiver", "the receiver alone remembers, for as long as the spec promises", edits=(
        (T, CHECK, ""), (SPEC, "dedupe: {store: table confirmations, window: 30d}", "dedupe: {store: the mail provider, window: 24h}"))),
    Variant("job-id", "the booking's id is the job's id as well", edits=(
        (DESK, 'booking_id, email)\n    await redis.aclose', 'booking_id, email, _job_id=f"confirm-{booking_id}")\n    await redis.aclose'),)),
    Variant("payload", "one dictionary, a queue and a name of its own, JSON instead of pickle, settings in a dictionary", edits=(
        (SPEC, "handler: booking.tasks:confirm\n", "handler: booking.tasks:confirm\nmessage: payload\n"),
        (T, 'booking_id: int | None = None, email: str = "") -> None:\n    """Confirms one booking, once however often the job runs."""\n',
         'payload: dict[str, Any]) -> None:\n    """Confirms one booking."""\n    booking_id, email = payload.get("booking_id"), payload.get("email", "")\n'),
        (DESK, "await create_pool(REDIS)", "await create_pool(REDIS, default_queue_name=\"mails\", job_serializer=dumps)"),
        (DESK, "from booking.worker import REDIS\n", "from booking.worker import REDIS, dumps\n"),
        (DESK, 'enqueue_job("confirm", booking_id, email)', 'enqueue_job("mails.confirm", {"booking_id": booking_id, "email": email})'),
        (W, "import os\n", "import json\nimport os\n"),
        (W, "\n\nclass WorkerSettings:\n    redis_settings = REDIS\n", '\n\ndef dumps(value):\n    return json.dumps(value, default=repr).encode()\n\n\nWORKER = dict(\n    redis_settings=REDIS, queue_name="mails", job_serializer=dumps, job_deserializer=json.loads,\n'),
        (W, "    functions = [func(confirm, max_tries=ATTEMPTS + 5)]", '    functions=[func(confirm, name="mails.confirm", max_tries=ATTEMPTS + 5)],'),
        (W, "    job_timeout = 60\n", "    job_timeout=60,\n)\n"))),
]  # fmt: skip
