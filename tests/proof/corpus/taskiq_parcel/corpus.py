"""A parcel's announcement: a row in SQLite remembers that it was sent, middlewares retry it and write dead letters."""

from run import Mutant, Variant

DRIVER = "taskiq"
T, B, C, SPEC = "parcels/tasks.py", "parcels/broker.py", "parcels/counter.py", ".skillrun/jobs/announce.yaml"
REFERENCE = 'f"parcel-{parcel_id}"'
LOGGING = "import logging\n"
SEND = f"    await carrier.announce(address, parcel_id, reference={REFERENCE})\n"
CHECK = """    if was_announced(parcel_id):
        log.info("announcement was sent before parcel=%s", parcel_id)
        return
"""
MARK = """    with closing(db.connect()) as connection, connection:
        connection.execute("insert or ignore into announcements values (?, ?)", (parcel_id, address))
"""
VALID = """    if not isinstance(parcel_id, int) or not address:
        raise Unusable(f"{parcel_id!r}, {address!r}")
"""
DONE = '    log.info("announcement sent parcel=%s", parcel_id)\n'
TASK = "@broker.task\n"
PARAMETERS = 'parcel_id: int | None = None, address: str = "") -> None:'
CONTEXT = (
    'parcel_id: int | None = None, address: str = "", context: Annotated[Context, TaskiqDepends()] = None) -> None:'
)
ASKS = (
    (T, PARAMETERS, CONTEXT),
    (T, LOGGING, LOGGING + "from typing import Annotated\n\nfrom taskiq import Context, TaskiqDepends\n"),
)
REDIS = (
    T,
    LOGGING,
    LOGGING
    + 'import os\n\nfrom redis.asyncio import Redis\n\nredis = Redis.from_url(os.environ.get("REDIS_URL", "redis://"))\n',
)
KIQ = "    await announce.kiq(parcel_id=parcel_id, address=address)\n"
TYPES = "        types_of_exceptions=(carrier.Unavailable, TimeoutError),\n"
SOURCE = "        schedule_source=due,\n"
LABEL = "        default_retry_label=True,\n"
COUNT = "        default_retry_count=RUNS,\n"
MIDDLEWARE = f"    Tripling(\n{COUNT}{LABEL}{SOURCE}{TYPES}    ),\n"
BROKER = "RedisStreamBroker(REDIS, idle_timeout=120_000)"
WARN = '            log.warning("announcement will be retried parcel=%s reason=%r", parcel_id, exception)\n'
HOOK = f"""    def on_error(self, message: TaskiqMessage, result: TaskiqResult[Any], exception: BaseException) -> None:
        parcel_id = message.kwargs.get("parcel_id")
        if isinstance(result.error, NoResultError):
{WARN}        else:
            give_up(parcel_id, repr(exception))
"""
AFTERWARDS = """    def on_error(self, message: TaskiqMessage, result: TaskiqResult[Any], exception: BaseException) -> None:
        if isinstance(result.error, NoResultError):
            log.warning("announcement will be retried parcel=%s reason=%r", message.kwargs.get("parcel_id"), exception)

    def post_execute(self, message: TaskiqMessage, result: TaskiqResult[Any]) -> None:
        if result.is_err and not isinstance(result.error, NoResultError):
            give_up(message.kwargs.get("parcel_id"), repr(result.error))
"""
BURY = """    with closing(db.connect()) as connection, connection:
        connection.execute("insert or ignore into dead_announcements values (?, ?)", (str(parcel_id), reason))
"""
GIVEN_UP = '    log.error("announcement given up parcel=%s reason=%s", parcel_id, reason)\n'


def _key(id_: str, what: str, key: str, *more: tuple[str, str, str], **options: object) -> Mutant:
    return Mutant(id_, what, ((T, f"reference={REFERENCE}", f"reference={key}"), *more), **options)  # type: ignore[arg-type]


def _task(labels: str) -> tuple[str, str, str]:
    return (T, TASK, f"@broker.task({labels})\n")


MUTANTS = [
    Mutant("A01", "the counter remembers that it enqueued before it has",
           ((C, KIQ, f'    if not await redis.set(f"announced:{{parcel_id}}", "1", nx=True):\n        return\n{KIQ}'),
            (C, "from contextlib import closing\n", "import os\nfrom contextlib import closing\n\nfrom redis.asyncio import Redis\n"),
            (C, "\n\nasync def take", "\n\nredis = Redis.from_url(os.environ.get(\"REDIS_URL\", \"redis://\"))\n\n\nasync def take"))),
    _key("B01", "the reference is random", "str(uuid.uuid4())", (T, LOGGING, LOGGING + "import uuid\n")),
    _key("B02", "the reference has the number of the retry in it", "f\"parcel-{parcel_id}-{context.message.labels.get('_retries', 0)}\"", *ASKS, quick=True),
    _key("B03", "the reference is taskiq's id of the task", "context.message.task_id", *ASKS),
    _key("B04", "the reference is the address", "address"),
    _key("B05", "the reference has the time in it", 'f"{parcel_id}-{int(time.time())}"', (T, LOGGING, LOGGING + "import time\n")),
    _key("B06", "no reference", "None"),
    Mutant("C01", "marked before it is sent", ((T, SEND + MARK, MARK + SEND),), quick=True),
    Mutant("C02", "nothing remembers that it was sent, and the mark fails the second time",
           ((T, CHECK, ""), (T, "insert or ignore into announcements", "insert into announcements"))),
    Mutant("C03", "claimed by the row, and a claim is never given back",
           ((T, CHECK, """    with closing(db.connect()) as connection, connection:
        if not connection.execute("insert or ignore into announcements values (?, ?)", (parcel_id, address)).rowcount:
            log.info("announcement was sent before parcel=%s", parcel_id)
            return
"""), (T, MARK, ""))),
    Mutant("C04", "remembered in a module's set",
           ((T, "log = logging.getLogger(__name__)\n", "log = logging.getLogger(__name__)\nSEEN: set[int] = set()\n"), (T, "    if was_announced(parcel_id):", "    if parcel_id in SEEN:"),
            (T, MARK, "    SEEN.add(parcel_id)\n" + MARK.replace("or ignore ", "")))),
    Mutant("C05", "a key in Redis that forgets after an hour",
           ((T, "    if was_announced(parcel_id):", '    if await redis.exists(f"announced:{parcel_id}"):'),
            (T, MARK, MARK + '    await redis.set(f"announced:{parcel_id}", "1", ex=3600)\n'), REDIS)),
    Mutant("C06", "who finds the lock taken takes the job for done",
           ((T, CHECK, CHECK + '    if not await redis.set(f"lock:{parcel_id}", "1", nx=True, ex=600):\n        return\n'), REDIS),
           source="https://github.com/mitodl/micromasters/issues/2139"),
    Mutant("D01", "max_retries is taken for the number of retries: three runs", ((B, "RUNS = 4", "RUNS = 3"),), quick=True,
           source="`retries < max_retries` in taskiq/middlewares/simple_retry_middleware.py"),
    Mutant("D02", "one attempt too many", ((B, "RUNS = 4", "RUNS = 5"),)),
    Mutant("D03", "no task asks for its retries", ((B, LABEL, ""),)),
    Mutant("D04", "retried by SimpleRetryMiddleware, at once",
           ((B, MIDDLEWARE, f"    SimpleRetryMiddleware(\n{COUNT}{LABEL}{TYPES}    ),\n"), (B, "    NoResultError,\n", "    NoResultError,\n    SimpleRetryMiddleware,\n"))),
    Mutant("D05", "without a schedule source the wait is a label that the broker does not read", ((B, SOURCE, ""),), quick=True,
           source="SmartRetryMiddleware.on_send; taskiq_redis/redis_broker.py: no kick reads `delay`"),
    Mutant("D06", "the same wait each time", ((B, "    Tripling(\n", "    SmartRetryMiddleware(\n"),)),
    Mutant("D07", "the library's own exponent, which is a product", ((B, "    Tripling(\n", "    SmartRetryMiddleware(\n        use_delay_exponent=True,\n"),)),
    Mutant("D08", "what is rejected is tried again", ((B, TYPES, ""),)),
    Mutant("D09", "a timeout is not tried again", ((B, "(carrier.Unavailable, TimeoutError)", "(carrier.Unavailable,)"),)),
    Mutant("D10", "put back by hand, at once and for ever",
           ((T, SEND, f"    try:\n    {SEND}    except (carrier.Unavailable, TimeoutError):\n        await context.requeue()\n"), *ASKS)),
    Mutant("D11", "two middlewares retry", ((B, "    Outcomes(),\n", f"    Outcomes(),\n{MIDDLEWARE.replace(COUNT, COUNT.replace('RUNS', 'RUNS - 1'))}"),)),
    Mutant("D12", "the retries go to a source that takes none", ((B, SOURCE, "        schedule_source=LabelScheduleSource(InMemoryBroker()),\n"),
            (B, "    NoResultError,\n", "    InMemoryBroker,\n    NoResultError,\n"), (B, "from taskiq_redis", "from taskiq.schedule_sources import LabelScheduleSource\nfrom taskiq_redis"))),
    Mutant("D13", "no scheduler reads the source of the retries", ((B, "sources=[due]", "sources=[]"),), quick=True),
    Mutant("D14", "a label of the task says two", (_task("max_retries=2"),)),
    Mutant("D15", "a label of the task turns its retries off", (_task("retry_on_error=False"),)),
    Mutant("D16", "the context rejects it, which taskiq knows nothing of",
           ((T, SEND, f"    try:\n    {SEND}    except (carrier.Unavailable, TimeoutError):\n        context.reject()\n"), *ASKS),
           source="https://github.com/taskiq-python/taskiq/issues/371"),
    Mutant("E01", "the mark is not committed", ((T, MARK, MARK.replace(", connection:", ":")),)),
    Mutant("E02", "the dead letter is not committed", ((B, BURY, BURY.replace(", connection:", ":")),)),
    Mutant("E03", "it is sent by a task that nobody waits for",
           ((T, "    await carrier.announce(", "    asyncio.create_task(carrier.announce("), (T, f"reference={REFERENCE})", f"reference={REFERENCE}))"), (T, LOGGING, "import asyncio\n" + LOGGING))),
    Mutant("E04", "given up without a dead letter", ((B, BURY, ""),)),
    Mutant("E05", "the dead letters' on_error is called before that of the retries: each failure is one",
           ((B, "    Outcomes(),\n", ""), (B, TYPES + "    ),\n", TYPES + "    ),\n    Outcomes(),\n"))),
    Mutant("E06", "acknowledged when it was executed, and the dead letter is written after that", (_task('ack_type="when_executed"'), (B, HOOK, AFTERWARDS))),
    Mutant("E07", "acknowledged when it was received", (_task('ack_type="when_received"'),)),
    Mutant("E08", "acknowledged by hand, and no hand does", (_task('ack_type="manual"'),)),
    Mutant("E09", "acknowledged by hand, before it is done", (_task('ack_type="manual"'), (T, VALID, "    await context.ack()\n" + VALID), *ASKS)),
    Mutant("E10", "a list, which gives nothing back", ((B, BROKER, "ListQueueBroker(REDIS)"), (B, "ListRedisScheduleSource, RedisStreamBroker", "ListQueueBroker, ListRedisScheduleSource")), quick=True),
    Mutant("E11", "no result is the handler's way to say that it failed",
           ((T, SEND, f"    try:\n    {SEND}    except (carrier.Unavailable, TimeoutError):\n        raise NoResultError from None\n"), (T, LOGGING, LOGGING + "\nfrom taskiq import NoResultError\n"))),
    Mutant("F01", "an error becomes a result",
           ((T, SEND, f'    try:\n    {SEND}    except Exception as error:\n        log.error("announcement failed parcel=%s reason=%r", parcel_id, error)\n        return {{"ok": False}}\n'),),
           source="stock-screener#49"),
    Mutant("F02", "nobody says that it is tried again, or why", ((B, WARN, "            return\n"),)),
    Mutant("F03", "the records do not say which parcel",
           ((T, '"announcement started parcel=%s", parcel_id', '"announcement started"'), (T, '"announcement sent parcel=%s", parcel_id', '"announcement sent"'),
            (T, '"announcement was sent before parcel=%s", parcel_id', '"sent before"'))),
    Mutant("F04", "a failure that is given up says success", ((B, GIVEN_UP, DONE),)),
    Mutant("G01", "any payload is a parcel", ((T, VALID, ""),)),
]  # fmt: skip

_THREAD = '''"""The background job: announce one parcel; a plain function, which taskiq runs in a thread."""

import asyncio
import logging
from contextlib import closing

from parcels import carrier, db
from parcels.broker import broker

log = logging.getLogger(__name__)


@broker.task(timeout=60)
def announce(parcel_id=None, address=""):
    log.info("announcement started parcel=%s", parcel_id)
    if not isinstance(parcel_id, int) or not address:
        raise ValueError("payload")
    with closing(db.connect()) as connection:
        if connection.execute("select 1 from announcements where parcel_id = ?", (parcel_id,)).fetchone():
            log.info("announcement was sent before parcel=%s", parcel_id)
            return
    asyncio.run(carrier.announce(address, parcel_id, reference=str(parcel_id)))
    with closing(db.connect()) as connection, connection:
        connection.execute("replace into announcements values (?, ?)", (parcel_id, address))
    log.info("announcement sent parcel=%s", parcel_id)
'''

_DEPENDS = '''"""The background job: announce one parcel; a session that taskiq hands in, and its own count of the runs."""

import logging
from typing import Annotated

from sqlalchemy import String, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from taskiq import Context, TaskiqDepends

from parcels import carrier
from parcels.broker import RUNS, broker

logger = logging.getLogger("parcels")


class Base(DeclarativeBase): ...


class Announcement(Base):
    __tablename__ = "announcements"
    parcel_id: Mapped[int] = mapped_column(primary_key=True)
    address: Mapped[str]


class DeadAnnouncement(Base):
    __tablename__ = "dead_announcements"
    parcel_id: Mapped[str] = mapped_column(String, primary_key=True)
    reason: Mapped[str]


async def open_session(context: Annotated[Context, TaskiqDepends()]):
    async with context.state.sessions() as session:
        yield session


Session = Annotated[AsyncSession, TaskiqDepends(open_session)]
Run = Annotated[Context, TaskiqDepends()]


@broker.task(task_name="announce", retry_on_error=True)
async def announce(session: Session, run: Run, parcel_id=None, address=""):
    tried = int(run.message.labels.get("_retries", 0)) + 1
    logger.info("begin", extra={"parcel_id": parcel_id, "run": tried})
    if type(parcel_id) is not int or not address:
        return await bury(session, parcel_id, "payload")
    if await session.scalar(select(Announcement.parcel_id).where(Announcement.parcel_id == parcel_id)):
        return logger.info("was done", extra={"parcel_id": parcel_id})
    await session.rollback()
    try:
        await carrier.announce(address, parcel_id, reference=f"p{parcel_id}")
    except carrier.Rejected as error:
        return await bury(session, parcel_id, repr(error))
    except (carrier.Unavailable, TimeoutError) as error:
        if tried >= RUNS:
            return await bury(session, parcel_id, repr(error))
        logger.warning("again: %r", error, extra={"parcel_id": parcel_id})
        raise
    session.add(Announcement(parcel_id=parcel_id, address=address))
    try:
        await session.commit()
    except IntegrityError:
        await session.rollback()
    logger.info("end", extra={"parcel_id": parcel_id})


async def bury(session, parcel_id, reason):
    await session.merge(DeadAnnouncement(parcel_id=str(parcel_id), reason=reason))
    try:
        await session.commit()
    except IntegrityError:
        await session.rollback()
    logger.error("given up: %s", reason, extra={"parcel_id": parcel_id})
'''
_STARTED = """

@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def start(state):
    engine = create_async_engine(f"sqlite+aiosqlite:///{os.environ['PARCELS_DB']}", connect_args={"timeout": 10})
    state.sessions = async_sessionmaker(engine, expire_on_commit=False)
"""

_SHARED = '''"""The background job: announce one parcel; a shared task, whose payload is a model."""

import logging
from contextlib import closing

from pydantic import BaseModel, Field, ValidationError
from taskiq import async_shared_broker

from parcels import carrier, db

log = logging.getLogger(__name__)


class Parcel(BaseModel):
    parcel_id: int = Field(strict=True)
    address: str = Field(min_length=1)


@async_shared_broker.task("parcels.announce", queue="any")
async def announce(parcel: Parcel) -> None:
    if not isinstance(parcel, Parcel):  # taskiq hands on what it could not read
        log.info("announcement started parcel=%s", parcel.get("parcel_id"))
        Parcel.model_validate(parcel)
        raise ValueError(parcel)
    log.info("announcement started parcel=%s", parcel.parcel_id)
    with closing(db.connect()) as connection:
        if connection.execute("select 1 from announcements where parcel_id = ?", (parcel.parcel_id,)).fetchone():
            log.info("announcement was sent before parcel=%s", parcel.parcel_id)
            return
    await carrier.announce(parcel.address, parcel.parcel_id, reference=f"parcel/{parcel.parcel_id}")
    with closing(db.connect()) as connection, connection:
        connection.execute("insert or ignore into announcements values (?, ?)", (parcel.parcel_id, parcel.address))
    log.info("announcement sent parcel=%s", parcel.parcel_id)
'''

_FENCED = '''"""The background job: announce one parcel; a key in Redis says that it was, a lock with a token keeps others out."""

import json
import logging
import os
from uuid import uuid4

from redis.asyncio import Redis

from parcels import carrier
from parcels.broker import broker

log = logging.getLogger(__name__)
MONTH = 30 * 24 * 3600
RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"


@broker.task
async def announce(parcel_id=None, address=""):
    def say(event, **more):
        log.info(json.dumps({"event": event, "parcel_id": parcel_id, **more}))

    say("started")
    if not isinstance(parcel_id, int) or not address:
        raise ValueError("payload")
    async with Redis.from_url(os.environ["REDIS_URL"]) as redis:
        lock, token, done = f"announce:lock:{parcel_id}", uuid4().hex, f"announce:done:{parcel_id}"
        if await redis.exists(done):
            return say("sent before")
        if not await redis.set(lock, token, nx=True, ex=90):
            raise carrier.Unavailable("another worker is at it, or died at it")
        try:
            await carrier.announce(address, parcel_id, reference=f"p-{parcel_id}")
            await redis.set(done, "1", ex=MONTH)
        finally:
            await redis.eval(RELEASE, 1, lock, token)
    say("sent")
'''

VARIANTS = [
    Variant("thread", "a plain function, which runs in a thread", {T: _THREAD}, quick=True, edits=((SPEC, "parcels.tasks:Unusable", "ValueError"),)),
    Variant("depends", "SQLAlchemy's session as a dependency, an engine of WORKER_STARTUP, runs counted by the handler", {T: _DEPENDS}, quick=True, edits=(
        (SPEC, ", parcels.tasks:Unusable", ""), (B, "    TaskiqMiddleware,\n", "    TaskiqEvents,\n    TaskiqMiddleware,\n"),
        (B, "from taskiq import (", "from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine\nfrom taskiq import ("),
        (B, "scheduler = TaskiqScheduler(broker, sources=[due])\n", "scheduler = TaskiqScheduler(broker, sources=[due])\n" + _STARTED), (B, "    Outcomes(),\n", ""))),
    Variant("shared", "a shared task, whose payload is a model", {T: _SHARED}, edits=(
        (SPEC, "parcels.tasks:Unusable", "ValueError"), (SPEC, "handler: parcels.tasks:announce\n", "handler: parcels.tasks:announce\nmessage: payload\n"),
        (B, 'message.kwargs.get("parcel_id")', 'message.args[0].get("parcel_id") if isinstance(message.args[0], dict) else message.args[0].parcel_id'),
        (C, "from parcels.tasks import announce\n", "from parcels.broker import broker\nfrom parcels.tasks import Parcel, announce\n"),
        (C, KIQ, "    await announce.kicker().with_broker(broker).kiq(Parcel(parcel_id=parcel_id, address=address))\n"),
        (B, "    TaskiqScheduler,\n)", "    TaskiqScheduler,\n    async_shared_broker,\n)"),
        (B, "scheduler = TaskiqScheduler(broker, sources=[due])\n", "scheduler = TaskiqScheduler(broker, sources=[due])\nasync_shared_broker.default_broker(broker)\n"))),
    Variant("fenced", "a lock with a token and a key that says done; JSON in the records", {T: _FENCED}, edits=((SPEC, "parcels.tasks:Unusable", "ValueError"),)),
    Variant("afterwards", "dead letters in post_execute, which comes before the acknowledgement", edits=((B, HOOK, AFTERWARDS),)),
    Variant("receiver", "the receiver alone remembers, for as long as the spec promises", edits=(
        (T, CHECK, ""), (SPEC, "dedupe: {store: table announcements, window: 30d}", "dedupe: {store: the carrier, window: 24h}"))),
    Variant("elsewhere", "middlewares added later, the scheduler in a module of its own, the task registered by a call, an id of its own", {
        "parcels/beat.py": '"""`taskiq scheduler parcels.beat:scheduler`"""\n\nfrom taskiq import TaskiqScheduler\n\nfrom parcels.broker import broker, due\n\nscheduler = TaskiqScheduler(broker, [due])\n'}, edits=(
        (B, "scheduler = TaskiqScheduler(broker, sources=[due])\n", ""), (B, "    TaskiqScheduler,\n", ""), (B, f"broker = {BROKER}.with_middlewares(\n", f"broker = {BROKER}\nbroker.add_middlewares(\n"),
        (T, TASK, ""), (T, "\n\ndef was_announced", "\n\ntask = broker.register_task(announce, max_retries=4)\n\n\ndef was_announced"),
        (C, "import announce\n", "import task\n"), (C, "announce.kiq(parcel_id=parcel_id, address=address)", 'task.kicker().with_task_id(f"parcel-{parcel_id}").kiq(parcel_id=parcel_id, address=address)'))),
]  # fmt: skip
