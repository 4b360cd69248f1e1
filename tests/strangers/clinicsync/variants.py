LEDGER_SQLALCHEMY = '''"""What the reminder job knows and remembers, on SQLAlchemy. Every function is one transaction."""
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from sqlalchemy import ForeignKey, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.pool import NullPool

from clinicsync.config import settings
from clinicsync.db import now

MAX_ATTEMPTS = 5
# Textbee knows a client_ref for 24h; after that we would text somebody twice.
RESEND_FOR = timedelta(hours=23)


class NoSuchAppointment(Exception):
    pass


class GaveUp(Exception):
    """Tried often enough, or for too long."""


class Base(DeclarativeBase):
    pass


class Patient(Base):
    __tablename__ = "patients"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    phone: Mapped[str]


class Appointment(Base):
    __tablename__ = "appointments"
    id: Mapped[int] = mapped_column(primary_key=True)
    patient_id: Mapped[int] = mapped_column(ForeignKey("patients.id"))
    starts_at: Mapped[str]
    status: Mapped[str]
    patient: Mapped[Patient] = relationship(lazy="joined")


class Reminder(Base):
    __tablename__ = "reminders"
    appointment_id: Mapped[int] = mapped_column(primary_key=True)
    day: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str]
    sms_id: Mapped[str | None]
    reason: Mapped[str | None]
    attempts: Mapped[int]
    first_sent_at: Mapped[str | None]
    updated_at: Mapped[str]


class SentSms(Base):
    """The memory of what went out: one row for each client_ref."""

    __tablename__ = "sent_sms"
    client_ref: Mapped[str] = mapped_column(primary_key=True)
    sms_id: Mapped[str]
    at: Mapped[str]


class DeadLetter(Base):
    __tablename__ = "dead_letters"
    job_id: Mapped[str] = mapped_column(primary_key=True)
    job: Mapped[str]
    message: Mapped[str]
    reason: Mapped[str]
    attempts: Mapped[int]
    died_at: Mapped[str]


@lru_cache
def _engine(path: str):
    return create_async_engine(f"sqlite+aiosqlite:///{path}", poolclass=NullPool, connect_args={"timeout": 10})


def _session() -> AsyncSession:
    return AsyncSession(_engine(settings().db_path), expire_on_commit=False)


def client_ref(appointment_id: int, day: str) -> str:
    return f"reminder-{appointment_id}-{day}"


@dataclass(frozen=True)
class Claim:
    to: str
    text: str
    client_ref: str
    attempt: int


async def claim(appointment_id: int, day: str) -> Claim | str:
    """Books one attempt. A string says why there is nothing to send."""
    ref = client_ref(appointment_id, day)
    async with _session() as session, session.begin():
        # The write comes first: from here on we are alone.
        await session.execute(
            insert(Reminder)
            .values(appointment_id=appointment_id, day=day, status="planned", attempts=0, updated_at=now())
            .on_conflict_do_nothing()
        )
        if await session.get(SentSms, ref) is not None:
            return "already sent"
        appointment = await session.get(Appointment, appointment_id)
        if appointment is None:
            raise NoSuchAppointment(f"appointment {appointment_id}")
        reminder = await session.get(Reminder, (appointment_id, day))
        if reminder.status in ("sent", "skipped", "dead"):
            return f"already {reminder.status}"
        reminder.updated_at = now()
        if why := _pointless(appointment, day):
            reminder.status, reminder.reason = "skipped", why
            return why
        if reminder.attempts >= MAX_ATTEMPTS:
            raise GaveUp(f"no answer recorded after {reminder.attempts} attempts")
        first = reminder.first_sent_at
        if first and datetime.now(UTC) - datetime.fromisoformat(first) > RESEND_FOR:
            raise GaveUp(f"first sent at {first}, Textbee may have forgotten it")
        reminder.status = "sending"
        reminder.attempts += 1
        reminder.first_sent_at = first or now()
        return Claim(
            to=appointment.patient.phone,
            text=f"{appointment.patient.name}: see you on {day} at {appointment.starts_at[11:]}. Reply NO to cancel.",
            client_ref=ref,
            attempt=reminder.attempts,
        )


def _pointless(appointment: Appointment, day: str) -> str | None:
    if appointment.status != "booked":
        return "cancelled"
    if appointment.starts_at[:10] != day:
        return "moved to another day"
    local = datetime.now(ZoneInfo(settings().timezone)).strftime("%Y-%m-%dT%H:%M")
    return "too late" if appointment.starts_at <= local else None


async def sent(appointment_id: int, day: str, sms_id: str) -> None:
    """The mark and the reminder in one transaction. The second of two rivals changes nothing."""
    async with _session() as session, session.begin():
        mark = await session.execute(
            insert(SentSms)
            .values(client_ref=client_ref(appointment_id, day), sms_id=sms_id, at=now())
            .on_conflict_do_nothing()
        )
        if mark.rowcount == 0:
            return
        await session.execute(
            update(Reminder)
            .where(Reminder.appointment_id == appointment_id, Reminder.day == day)
            .values(status="sent", sms_id=sms_id, reason=None, updated_at=now())
        )


async def bury(job: str, job_id: str, message: dict, parsed, reason: str, attempts: int) -> None:
    async with _session() as session, session.begin():
        if parsed is not None:
            closed = await session.execute(
                update(Reminder)
                .where(
                    Reminder.appointment_id == parsed.appointment_id,
                    Reminder.day == parsed.day,
                    Reminder.status.in_(("planned", "sending")),
                )
                .values(status="dead", reason=reason, updated_at=now())
            )
            if closed.rowcount == 0 and await session.get(Reminder, (parsed.appointment_id, parsed.day)):
                return
        await session.execute(
            insert(DeadLetter)
            .values(
                job_id=job_id, job=job, message=json.dumps(message, default=str),
                reason=reason, attempts=attempts, died_at=now(),
            )
            .on_conflict_do_nothing()
        )
'''

WORKER_PLAIN = '''"""arq clinicsync.worker.WorkerSettings"""
import logging
import re
import sqlite3
from types import SimpleNamespace
from zoneinfo import ZoneInfo

from arq import Retry, cron, func
from arq.connections import RedisSettings

from clinicsync import ledger, planner
from clinicsync.config import settings
from clinicsync.sms import SmsClient, SmsError

DAY = re.compile(r"\\d{4}-\\d{2}-\\d{2}")


class JobLog(logging.LoggerAdapter):
    def process(self, msg, kwargs):
        return f"send_reminder {self.extra['message']} [{self.extra['job_id']} #{self.extra['job_try']}] {msg}", kwargs


def read(message: dict):
    """The message with its types checked, or a ValueError."""
    if set(message) != {"appointment_id", "day"}:
        raise ValueError(f"fields are {sorted(message)}")
    number, day = message["appointment_id"], message["day"]
    if type(number) is not int or number < 1:
        raise ValueError(f"appointment_id is {number!r}")
    if not isinstance(day, str) or not DAY.fullmatch(day):
        raise ValueError(f"day is {day!r}")
    return SimpleNamespace(appointment_id=number, day=day)


async def send_reminder(ctx, *args, **message):
    if args:
        message["args"] = args
    log = JobLog(
        logging.getLogger("clinicsync.jobs"),
        {"message": message, "job_id": ctx["job_id"], "job_try": ctx["job_try"]},
    )
    log.info("started")
    reminder = None
    attempt = 0
    try:
        reminder = read(message)
        claim = await ledger.claim(reminder.appointment_id, reminder.day)
        if isinstance(claim, str):
            log.info("nothing to do: %s", claim)
            return claim
        attempt = claim.attempt
        sms_id = await ctx["sms"].put(claim.client_ref, {"to": claim.to, "text": claim.text})
        await ledger.sent(reminder.appointment_id, reminder.day, sms_id)
    except Exception as exc:
        wait = pause(exc, attempt, ctx["job_try"])
        if wait is not None:
            log.warning("tried again in %ds because of %r", wait, exc)
            raise Retry(defer=wait) from exc
        log.error("failed for good because of %r", exc)
        await ledger.bury("send_reminder", ctx["job_id"], message, reminder, repr(exc)[:500], ctx["job_try"])
        raise
    log.info("succeeded, sent as %s", sms_id)
    return f"sent as {sms_id}"


def pause(exc: Exception, attempt: int, job_try: int) -> int | None:
    """Seconds until the next try; None: there is none."""
    match exc:
        case SmsError(retryable=True) if attempt < ledger.MAX_ATTEMPTS:
            return 30 * attempt
        case sqlite3.OperationalError() if job_try < 10:
            return 30
    return None


async def publish_reminders(ctx):
    return await planner.publish_planned()


async def sweep_tomorrow(ctx):
    return await planner.plan_tomorrow()


async def rescue_reminders(ctx):
    return await planner.rescue_stuck()


async def startup(ctx):
    logging.basicConfig(level=settings().log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    ctx["sms"] = SmsClient()


async def shutdown(ctx):
    await ctx["sms"].http.aclose()


class WorkerSettings:
    redis_settings = RedisSettings.from_dsn(settings().redis_dsn)
    on_startup = startup
    on_shutdown = shutdown
    timezone = ZoneInfo(settings().timezone)
    job_timeout = 60
    # We count attempts in the reminder's row. arq's own limit must not come first:
    # it drops a job without asking us.
    functions = [func(send_reminder, max_tries=50, keep_result=0)]
    cron_jobs = [
        cron(publish_reminders, second=0),
        cron(sweep_tomorrow, hour={17, 19}, minute=0),
        cron(rescue_reminders, minute=set(range(0, 60, 10))),
    ]
    keep_result = 0
'''

SMS_PUT = '''"""Textbee, the SMS provider."""
import httpx

from clinicsync.config import settings


class SmsError(Exception):
    """code: what Textbee answered, 0 for no answer at all."""

    def __init__(self, code: int, detail: str = ""):
        super().__init__(code, detail)
        self.code = code

    @property
    def retryable(self) -> bool:
        return self.code == 0 or self.code == 429 or self.code >= 500


class SmsClient:
    def __init__(self, http: httpx.AsyncClient | None = None):
        self.http = http or httpx.AsyncClient(
            base_url=settings().sms_url, headers={"X-Api-Key": settings().sms_token}, timeout=8
        )

    async def put(self, client_ref: str, message: dict) -> str:
        """Creates the message called client_ref, or finds it there."""
        try:
            r = await self.http.put(f"/messages/{client_ref}", json=message)
        except httpx.TransportError as exc:
            raise SmsError(0, repr(exc)) from exc
        if r.is_error:
            raise SmsError(r.status_code, r.text[:200])
        return r.json()["message_id"]
'''

VARIANTS = [
    {
        "id": "ok-1",
        "kind": "correct",
        "job": "send-reminder",
        "what": "The ledger on SQLAlchemy's async ORM, with a table sent_sms as the memory of what went out",
        "edits": [
            ("clinicsync/ledger.py", "", LEDGER_SQLALCHEMY),
            (
                "clinicsync/db.py",
                "CREATE TABLE IF NOT EXISTS dead_letters (\n",
                "CREATE TABLE IF NOT EXISTS sent_sms (client_ref TEXT PRIMARY KEY, sms_id TEXT NOT NULL, at TEXT NOT NULL);\n"
                "CREATE TABLE IF NOT EXISTS dead_letters (\n",
            ),
            ("clinicsync/worker.py", "import sqlite3\n", ""),
            (
                "clinicsync/worker.py",
                "from pydantic import BaseModel, ConfigDict, Field, StringConstraints\n",
                "from pydantic import BaseModel, ConfigDict, Field, StringConstraints\nfrom sqlalchemy.exc import OperationalError\n",
            ),
            ("clinicsync/worker.py", "except sqlite3.OperationalError as exc", "except OperationalError as exc"),
            ("requirements.txt", "loguru\n", "loguru\nsqlalchemy[asyncio]>=2\n"),
            (".skillrun/jobs/send-reminder.yaml", "dedupe: {store: table reminders}", "dedupe: {store: table sent_sms}"),
            (
                ".skillrun/jobs/send-reminder.yaml",
                "    reminders: select appointment_id, day, status, sms_id from reminders order by 1, 2\n",
                "    reminders: select appointment_id, day, status, sms_id from reminders order by 1, 2\n"
                "    sent: select client_ref, sms_id from sent_sms order by 1\n",
            ),
        ],
    },
    {
        "id": "ok-2",
        "kind": "correct",
        "job": "send-reminder",
        "what": "No decorator and no pydantic: one function with a table of pauses; the message is PUT under its own name; "
        "one error class with a code; the standard library's logging with a LoggerAdapter",
        "edits": [
            ("clinicsync/worker.py", "", WORKER_PLAIN),
            ("clinicsync/sms.py", "", SMS_PUT),
            (
                "tests/test_reminders.py",
                "from clinicsync.sms import SmsClient, SmsRejected, SmsUnavailable\n",
                "from clinicsync.sms import SmsClient, SmsError\n",
            ),
            (
                "tests/test_reminders.py",
                'FIRST = {"appointment_id": 1, "day": "2031-03-03"}\n',
                'FIRST = {"appointment_id": 1, "day": "2031-03-03"}\n\n\n'
                "def SmsUnavailable(text):\n    return SmsError(503, text)\n\n\n"
                "def SmsRejected(text):\n    return SmsError(422, text)\n",
            ),
            ("tests/test_reminders.py", "    async def send(self, *, to, text, client_ref):\n", "    async def put(self, client_ref, message):\n"),
            ("tests/test_reminders.py", "self.sent.append((to, client_ref))", 'self.sent.append((message["to"], client_ref))'),
            ("tests/test_reminders.py", "    with pytest.raises(SmsUnavailable):\n        await run(sms)\n", "    with pytest.raises(SmsError):\n        await run(sms)\n"),
            ("tests/test_reminders.py", "    with pytest.raises(SmsRejected):\n        await run(sms)\n", "    with pytest.raises(SmsError):\n        await run(sms)\n"),
            (
                "tests/test_reminders.py",
                '"status,error", [(503, SmsUnavailable), (429, SmsUnavailable), (422, SmsRejected)]',
                '"status,again", [(503, True), (429, True), (422, False)]',
            ),
            ("tests/test_reminders.py", "async def test_client(status, error):\n", "async def test_client(status, again):\n"),
            (
                "tests/test_reminders.py",
                '    with pytest.raises(error):\n        await client.send(to="+1", text="hi", client_ref="r")\n    await client.aclose()\n',
                '    with pytest.raises(SmsError) as caught:\n        await client.put("r", {"to": "+1", "text": "hi"})\n'
                "    assert caught.value.retryable is again\n",
            ),
            (".skillrun/jobs/send-reminder.yaml", "    call: clinicsync.sms:SmsClient.send\n", "    call: clinicsync.sms:SmsClient.put\n"),
            (
                ".skillrun/jobs/send-reminder.yaml",
                "    - {type: clinicsync.sms:SmsUnavailable, args: [HTTP 503]}\n",
                "    - {type: clinicsync.sms:SmsError, args: [503]}\n"
                "    - {type: clinicsync.sms:SmsError, args: [0, ReadTimeout]}\n",
            ),
            (
                ".skillrun/jobs/send-reminder.yaml",
                '{type: clinicsync.sms:SmsRejected, args: ["HTTP 422: bad number"], unsent: true}',
                "{type: clinicsync.sms:SmsError, args: [422, bad number], unsent: true}",
            ),
        ],
    },
    {
        "id": "m-background-task",
        "kind": "mistake",
        "job": "send-reminder",
        "what": "'Slow Textbee answers must not hold a worker slot': the SMS goes out in a task of its own and the job is done at "
        "once; arq never sees a failure, so nothing is retried in time and a rejected number is not buried",
        "edits": [
            (
                "clinicsync/worker.py",
                '        try:\n            sms_id = await ctx["sms"].send(to=claim.to, text=claim.text, client_ref=claim.client_ref)\n'
                "        except SmsUnavailable as exc:\n"
                "            if claim.attempt >= ledger.MAX_ATTEMPTS:\n"
                "                raise\n"
                "            raise Retry(defer=30 * claim.attempt) from exc\n"
                "        await ledger.sent(message.appointment_id, message.day, sms_id)\n"
                '        return f"sent as {sms_id}"\n',
                "        # Textbee takes up to 8s at peak time, do not hold the slot for that\n"
                '        task = asyncio.create_task(_deliver(ctx["sms"], claim, message))\n'
                "        _running.add(task)\n"
                "        task.add_done_callback(_running.discard)\n"
                '        return "handed over"\n',
            ),
            (
                "clinicsync/worker.py",
                "@job(ReminderMessage)\n",
                "_running: set[asyncio.Task] = set()\n\n\n"
                "async def _deliver(sms, claim, message: ReminderMessage) -> None:\n"
                "    try:\n"
                "        sms_id = await sms.send(to=claim.to, text=claim.text, client_ref=claim.client_ref)\n"
                "        await ledger.sent(message.appointment_id, message.day, sms_id)\n"
                "    except SmsUnavailable as exc:\n"
                "        if claim.attempt >= ledger.MAX_ATTEMPTS:\n"
                "            raise\n"
                "        raise Retry(defer=30 * claim.attempt) from exc\n\n\n"
                "@job(ReminderMessage)\n",
            ),
            ("clinicsync/worker.py", "import functools\n", "import asyncio\nimport functools\n"),
        ],
    },
    {
        "id": "m-rescue-revives-dead",
        "kind": "mistake",
        "job": "send-reminder",
        "what": "The rescue resets what it brings back, and takes the dead along ('Textbee was down for an hour, give them another chance'): "
        "what was given up for good is tried again every ten minutes, five attempts at a time",
        "edits": [
            (
                "clinicsync/planner.py",
                '            "SELECT appointment_id, day, status FROM reminders"\n'
                "            \" WHERE status IN ('planned', 'sending') AND updated_at <= ?\",\n"
                "            before,\n"
                "        )\n",
                '            "SELECT appointment_id, day, status FROM reminders"\n'
                "            \" WHERE status NOT IN ('sent', 'skipped') AND updated_at <= ?\",\n"
                "            before,\n"
                "        )\n"
                "        await conn.execute(\n"
                "            \"UPDATE reminders SET status = 'planned', attempts = 0, updated_at = ?\"\n"
                "            \" WHERE status NOT IN ('sent', 'skipped') AND updated_at <= ?\",\n"
                "            (now(), before),\n"
                "        )\n",
            ),
        ],
    },
    {
        "id": "m-silent-death",
        "kind": "mistake",
        "job": "send-reminder",
        "what": "'Buried is handled, it need not raise and fill the log': the failure is swallowed in the decorator, arq and the "
        "log report a success, the reason is nowhere but in the table",
        "edits": [
            (
                "clinicsync/worker.py",
                '                    logger.error("{} {} failed for good: {!r}", fn.__name__, message, exc)\n'
                '                    await ledger.bury(fn.__name__, ctx["job_id"], message, parsed, repr(exc)[:500], ctx["job_try"])\n'
                "                    raise\n",
                '                    await ledger.bury(fn.__name__, ctx["job_id"], message, parsed, repr(exc)[:500], ctx["job_try"])\n'
                '                    outcome = "handled"\n',
            ),
            (
                "tests/test_reminders.py",
                "    with pytest.raises(SmsUnavailable):\n        await run(sms)\n",
                "    await run(sms)\n",
            ),
            (
                "tests/test_reminders.py",
                "    with pytest.raises(SmsRejected):\n        await run(sms)\n    await run(sms)\n",
                "    await run(sms)\n    await run(sms)\n",
            ),
            (
                "tests/test_reminders.py",
                "    with pytest.raises(Exception):\n        await run(sms, message)\n",
                "    await run(sms, message)\n",
            ),
        ],
    },
    {
        "id": "m-tenacity-inside",
        "kind": "mistake",
        "job": "send-reminder",
        "what": "tenacity around the call 'for short hiccups': each of the five attempts is three, and it retries a rejected "
        "number as well",
        "edits": [
            (
                "clinicsync/worker.py",
                '            sms_id = await ctx["sms"].send(to=claim.to, text=claim.text, client_ref=claim.client_ref)\n',
                '            sms_id = await _send(ctx["sms"], claim)\n',
            ),
            (
                "clinicsync/worker.py",
                "@job(ReminderMessage)\n",
                "@tenacity.retry(stop=tenacity.stop_after_attempt(3), wait=tenacity.wait_random(0, 0.3), reraise=True)\n"
                "async def _send(sms, claim) -> str:\n"
                "    return await sms.send(to=claim.to, text=claim.text, client_ref=claim.client_ref)\n\n\n"
                "@job(ReminderMessage)\n",
            ),
            ("clinicsync/worker.py", "from arq import Retry, cron, func\n", "import tenacity\nfrom arq import Retry, cron, func\n"),
            ("requirements.txt", "loguru\n", "loguru\ntenacity\n"),
        ],
    },
]
