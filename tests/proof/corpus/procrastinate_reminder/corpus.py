"""A reminder of an appointment: a row in SQLite remembers that it was sent, and a periodic task gives back stalled jobs."""

from run import Mutant, Variant

DRIVER = "procrastinate"
T, DESK, QUEUE, STALLED = "clinic/tasks.py", "clinic/desk.py", "clinic/queue.py", "clinic/stalled.py"
SPEC = ".skillrun/jobs/remind.yaml"
REFERENCE = 'f"reminder-{appointment_id}"'
LOGGING = "import logging\n"
SEND = f"        sms.send(phone, appointment_id, reference={REFERENCE})\n"
CHECK = """    if was_sent(appointment_id):
        log.info("reminder was sent before appointment=%s", appointment_id)
        return
"""
MARK = """    with closing(db.connect()) as connection, connection:
        connection.execute("insert or ignore into reminders values (?, ?)", (appointment_id, phone))
"""
GUARD = """        if context.job.attempts >= RETRIES:
            give_up(appointment_id, repr(error))
            raise
"""
WARN = '        log.warning("reminder will be retried appointment=%s reason=%r", appointment_id, error)\n'
CLAUSE = f"    except PASSING as error:\n{GUARD}{WARN}        raise\n"
REFUSED = """    except sms.Refused as error:
        give_up(appointment_id, repr(error))
        return
"""
VALID = """    if not isinstance(appointment_id, int) or not phone.startswith("+"):
        give_up(appointment_id, "no appointment with a phone")
        return
"""
DONE = '    log.info("reminder sent appointment=%s", appointment_id)\n'
STRATEGY = "RetryStrategy(max_attempts=RETRIES, exponential_wait=5, retry_exceptions=PASSING)"
RETRY = f"retry={STRATEGY}"
DEFER = "        remind.defer(appointment_id=appointment_id, phone=phone)\n"
BURY = """    with closing(db.connect()) as connection, connection:
        connection.execute("insert or ignore into dead_reminders values (?, ?)", (str(appointment_id), reason))
"""
TRY = f"    try:\n{SEND}{CLAUSE}{REFUSED}"
GIVE_BACK = "            await app.job_manager.retry_job(job)\n"


def _key(id_: str, what: str, key: str, *more: tuple[str, str, str], **options: object) -> Mutant:
    return Mutant(id_, what, ((T, f"reference={REFERENCE}", f"reference={key}"), *more), **options)  # type: ignore[arg-type]


def _strategy(id_: str, what: str, option: str, **options: object) -> Mutant:
    return Mutant(id_, what, ((T, RETRY, option),), **options)  # type: ignore[arg-type]


MUTANTS = [
    Mutant("A01", "the desk takes an appointment that it kept for one that it deferred",
           ((DESK, '        connection.execute("insert or ignore into appointments values (?, ?)", (appointment_id, phone))\n',
             '        kept = connection.execute("insert or ignore into appointments values (?, ?)", (appointment_id, phone))\n    if not kept.rowcount:\n        return\n'),)),
    Mutant("A02", "a queueing lock keeps a second job out only while the first one waits, and the row is gone",
           ((DESK, "remind.defer(", 'remind.configure(queueing_lock=f"reminder-{appointment_id}").defer('), (T, CHECK, "")),
           source="procrastinate/sql/schema.sql, procrastinate_jobs_queueing_lock_idx_v1"),
    Mutant("A03", "a lock keeps a second run out until a slow worker's job is given back: no reference, no row first",
           ((DESK, "remind.defer(", 'remind.configure(lock=f"reminder-{appointment_id}").defer('), (T, f"reference={REFERENCE}", "reference=None"))),
    _key("B01", "the reference is random", "str(uuid.uuid4())", (T, LOGGING, LOGGING + "import uuid\n")),
    _key("B02", "the reference has the attempt in it", 'f"reminder-{appointment_id}-{context.job.attempts}"', quick=True),
    _key("B03", "the reference is the job's id", "str(context.job.id)"),
    _key("B04", "the reference is the phone", "phone"),
    _key("B05", "the reference has the time in it", 'f"{appointment_id}-{int(time.time())}"', (T, LOGGING, LOGGING + "import time\n")),
    _key("B06", "no reference", "None"),
    Mutant("C01", "marked before it is sent", ((T, TRY + MARK, MARK + TRY),), quick=True),
    Mutant("C02", "nothing remembers that it was sent, and the mark fails the second time",
           ((T, CHECK, ""), (T, "insert or ignore into reminders", "insert into reminders"))),
    Mutant("C03", "claimed by the row, and a claim is never given back",
           ((T, CHECK, """    with closing(db.connect()) as connection, connection:
        if not connection.execute("insert or ignore into reminders values (?, ?)", (appointment_id, phone)).rowcount:
            log.info("reminder was sent before appointment=%s", appointment_id)
            return
"""), (T, MARK, ""))),
    Mutant("C04", "remembered in a module's set",
           ((T, "RETRIES = 3\n", "RETRIES = 3\nSEEN: set[int] = set()\n"), (T, "    if was_sent(appointment_id):", "    if appointment_id in SEEN:"),
            (T, MARK, "    SEEN.add(appointment_id)\n" + MARK.replace("or ignore ", "")))),
    Mutant("C05", "whoever runs it a second time takes it for done",
           ((T, CHECK, CHECK + '    if context.job.attempts:\n        log.info("reminder was sent before appointment=%s", appointment_id)\n        return\n'),)),
    Mutant("D01", "one attempt too few", ((T, "RETRIES = 3", "RETRIES = 2"),)),
    Mutant("D02", "max_attempts taken for the number of runs", ((T, "RETRIES = 3", "RETRIES = 4"),), quick=True,
           source="RetryStrategy in procrastinate/retry.py"),
    _strategy("D03", "retried for ever", "retry=True", quick=True),
    _strategy("D04", "a number of retries, and no wait", "retry=RETRIES"),
    _strategy("D05", "the same wait each time", f"retry={STRATEGY.replace('exponential_wait', 'wait')}"),
    _strategy("D06", "a linear wait, which begins with none", f"retry={STRATEGY.replace('exponential_wait', 'linear_wait')}"),
    _strategy("D07", "one to the power of anything", f"retry={STRATEGY.replace('exponential_wait=5', 'exponential_wait=1')}"),
    _strategy("D08", "max_attempts is 0: without a bound", f"retry={STRATEGY.replace('=RETRIES', '=0')}"),
    _strategy("D09", "no retry at all", "retry=False"),
    Mutant("D10", "what is refused is tried again", ((T, "PASSING = (sms.Busy, ", "PASSING = (sms.Busy, sms.Refused, "),)),
    Mutant("D11", "a timeout is let out", ((T, "PASSING = (sms.Busy, TimeoutError)", "PASSING = (sms.Busy,)"),)),
    Mutant("D12", "the strategy knows one of the two exceptions", ((T, "retry_exceptions=PASSING", "retry_exceptions=[sms.Busy]"),)),
    Mutant("D13", "defers itself again, for ever",
           ((T, f"{GUARD}{WARN}        raise\n", f'{WARN}        remind.configure(schedule_in={{"seconds": 5}}).defer(appointment_id=appointment_id, phone=phone)\n        return\n'),)),
    Mutant("D14", "nobody gives back the job of a worker that died", ((QUEUE, '    import_paths=["clinic.tasks", "clinic.stalled"],\n', '    import_paths=["clinic.tasks"],\n'),),
           quick=True, source="procrastinate#307, procrastinate#1518"),
    Mutant("D15", "stalled jobs are counted, and left", ((STALLED, GIVE_BACK, '            print("stalled", job.id)\n'),)),
    Mutant("D16", "stalled jobs of another queue are given back", ((STALLED, "get_stalled_jobs()", 'get_stalled_jobs(queue="letters")'),)),
    Mutant("D17", "a stalled job is taken for a failed one at its first death", ((STALLED, "job.attempts < MOST", "job.attempts > MOST"),)),
    Mutant("E01", "the mark is not committed", ((T, MARK, MARK.replace(", connection:", ":")),)),
    Mutant("E02", "the dead letter is not committed", ((T, BURY, BURY.replace(", connection:", ":")),)),
    Mutant("E03", "given up without a dead letter", ((T, "            give_up(appointment_id, repr(error))\n            raise\n", "            raise\n"),)),
    Mutant("E04", "the dead letter waits for an attempt that never comes", ((T, "attempts >= RETRIES", "attempts > RETRIES"),)),
    Mutant("E05", "a dead letter at each attempt", ((T, "        if context.job.attempts >= RETRIES:\n", "        if True:\n"),)),
    Mutant("F01", "an error becomes a result", ((T, CLAUSE + REFUSED, '    except Exception as error:\n        log.error("reminder failed appointment=%s reason=%r", appointment_id, error)\n        return {"ok": False}\n'),),
           source="stock-screener#49"),
    Mutant("F02", "nobody but the library says that it is tried again, or why", ((T, WARN, ""),),
           keeps="the worker's own record has the arguments, `Error, to retry`, and the exception with its traceback"),
    Mutant("F03", "the records do not say which appointment",
           ((T, '"reminder started appointment=%s", appointment_id', '"reminder started"'), (T, '"reminder sent appointment=%s", appointment_id', '"reminder sent"'),
            (T, '"reminder was sent before appointment=%s", appointment_id', '"sent before"'))),
    Mutant("F04", "a failure that is given up says success", ((T, '    log.error("reminder given up appointment=%s reason=%s", appointment_id, reason)\n', DONE),)),
    Mutant("G01", "any payload is an appointment", ((T, VALID, ""),)),
    Mutant("G02", "the dead letter is the status `failed`, and failed jobs are deleted",
           ((SPEC, "dead_letter: {kind: table, where: dead_reminders}", "dead_letter: {kind: framework}"), (SPEC, "  dead_letters: select count(*) from dead_reminders\n", ""),
            (QUEUE, "    import_paths", '    worker_defaults={"delete_jobs": "always"},\n    import_paths'))),
]  # fmt: skip

_ASYNC = '''"""The background job: remind somebody of an appointment, with SQLAlchemy's asyncio."""

import logging
import os

from procrastinate import BaseRetryStrategy, RetryDecision
from sqlalchemy import String, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import NullPool

from clinic import sms
from clinic.queue import app

logger = logging.getLogger("clinic")


class Base(DeclarativeBase): ...


class Reminder(Base):
    __tablename__ = "reminders"
    appointment_id: Mapped[int] = mapped_column(primary_key=True)
    phone: Mapped[str]


class DeadReminder(Base):
    __tablename__ = "dead_reminders"
    appointment_id: Mapped[str] = mapped_column(String, primary_key=True)
    reason: Mapped[str]


engine = create_async_engine(f"sqlite+aiosqlite:///{os.environ['CLINIC_DB']}", poolclass=NullPool, connect_args={"timeout": 10})
sessions = async_sessionmaker(engine, expire_on_commit=False)


class Failure(Exception):
    """Given up."""


class Patient(BaseRetryStrategy):
    def get_retry_decision(self, *, exception, job):
        if job.attempts >= 3 or not isinstance(exception, (sms.Busy, TimeoutError)):
            return None
        return RetryDecision(retry_in={"seconds": 5 ** (job.attempts + 1)})


@app.task(name="remind", pass_context=True, retry=Patient())
async def remind(context, *, appointment_id=None, phone=""):
    logger.info("begin", extra={"appointment_id": appointment_id, "attempt": context.job.attempts})
    try:
        await _remind(context, appointment_id, phone)
    except Failure as failure:
        async with sessions.begin() as session:
            await session.execute(insert(DeadReminder).values(appointment_id=str(appointment_id), reason=str(failure)).on_conflict_do_nothing())
        logger.error("failed for good: %s", failure, extra={"appointment_id": appointment_id})
        return
    logger.info("end", extra={"appointment_id": appointment_id})


async def _remind(context, appointment_id, phone):
    if type(appointment_id) is not int or not phone:
        raise Failure("payload")
    async with sessions() as session:
        if await session.scalar(select(Reminder.appointment_id).where(Reminder.appointment_id == appointment_id)):
            return
    try:
        sms.send(phone, appointment_id, reference=str(appointment_id))
    except sms.Refused as error:
        raise Failure(repr(error)) from error
    except (sms.Busy, TimeoutError) as error:
        if context.job.attempts >= 3:
            raise Failure(repr(error)) from error
        logger.warning("again: %r", error, extra={"appointment_id": appointment_id})
        raise
    async with sessions.begin() as session:
        await session.execute(insert(Reminder).values(appointment_id=appointment_id, phone=phone).on_conflict_do_nothing())
'''

_BLUEPRINT = '''"""The background job: remind somebody of an appointment; the bound is the handler's own, in a decorator."""

import functools
import logging
from contextlib import closing

from procrastinate import Blueprint, RetryStrategy

from clinic import db, sms

log = logging.getLogger(__name__)
jobs = Blueprint()


class Permanent(Exception):
    """No further attempt."""


def buried(function):
    @functools.wraps(function)
    def run(context, **given):
        try:
            return function(**given)
        except (Permanent, sms.Refused) as error:
            return bury(error, **given)
        except (sms.Busy, TimeoutError) as error:
            if context.job.attempts + 1 >= 4:
                return bury(error, **given)
            log.warning("%s %s will be retried: %r", function.__name__, given, error)
            raise

    return run


def bury(error, appointment_id=None, phone=""):
    with closing(db.connect()) as connection, connection:
        connection.execute("insert or ignore into dead_reminders values (?, ?)", (str(appointment_id), repr(error)))
    log.error("remind %s given up: %r", appointment_id, error)


@jobs.task(retry=RetryStrategy(exponential_wait=5), pass_context=True, queue="texts")
@buried
def remind(appointment_id=None, phone=""):
    log.info("remind %s begins", appointment_id)
    if not isinstance(appointment_id, int) or not phone:
        raise Permanent("payload")
    with closing(db.connect()) as connection:
        if connection.execute("select 1 from reminders where appointment_id = ?", (appointment_id,)).fetchone():
            log.info("remind %s was done", appointment_id)
            return
    sms.send(phone, appointment_id, reference=f"{appointment_id}")
    with closing(db.connect()) as connection, connection:
        connection.execute("replace into reminders values (?, ?)", (appointment_id, phone))
    log.info("remind %s done", appointment_id)
'''

_DJANGO = '''"""The background job: remind somebody of an appointment, in Django."""

import logging

from django.db import transaction
from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from clinic import sms
from clinic.models import DeadReminder, Reminder

log = logging.getLogger("clinic")
AGAIN = RetryStrategy(max_attempts=3, exponential_wait=5, retry_exceptions={sms.Busy, TimeoutError})


@app.task(pass_context=True, retry=AGAIN)
def remind(context, appointment_id=None, phone=""):
    log.info("reminder %s begins", appointment_id)
    try:
        send(appointment_id, phone)
    except (sms.Busy, TimeoutError) as error:
        if context.job.attempts < AGAIN.max_attempts:
            log.warning("reminder %s will be tried again: %r", appointment_id, error)
            raise
        return bury(appointment_id, error)
    except (sms.Refused, ValueError) as error:
        return bury(appointment_id, error)
    log.info("reminder %s is sent", appointment_id)


def send(appointment_id, phone):
    if not isinstance(appointment_id, int) or not phone:
        raise ValueError("no appointment with a phone")
    if Reminder.objects.filter(appointment_id=appointment_id).exists():
        return
    sms.send(phone, appointment_id, reference=f"reminder-{appointment_id}")
    with transaction.atomic():
        Reminder.objects.get_or_create(appointment_id=appointment_id, defaults={"phone": phone})


def bury(appointment_id, error):
    DeadReminder.objects.get_or_create(appointment_id=str(appointment_id), defaults={"reason": repr(error)})
    log.error("reminder %s is given up: %r", appointment_id, error)


@app.periodic(cron="*/10 * * * *")
@app.task(queueing_lock="retry_stalled", pass_context=True)
async def retry_stalled(context, timestamp):
    for job in await context.app.job_manager.get_stalled_jobs():
        await context.app.job_manager.retry_job(job)
'''
_MODELS = '''"""Tables."""

from django.db import models


class Appointment(models.Model):
    phone = models.TextField()

    class Meta:
        db_table = "appointments"


class Reminder(models.Model):
    appointment_id = models.IntegerField(primary_key=True)
    phone = models.TextField()

    class Meta:
        db_table = "reminders"


class DeadReminder(models.Model):
    appointment_id = models.TextField(primary_key=True)
    reason = models.TextField()

    class Meta:
        db_table = "dead_reminders"
'''
_DJANGO_DESK = '''"""The front desk; the job is a row of the same transaction."""

from django.db import transaction

from clinic.models import Appointment
from clinic.tasks import remind


@transaction.atomic
def book(appointment_id, phone):
    Appointment.objects.get_or_create(pk=appointment_id, defaults={"phone": phone})
    remind.defer(appointment_id=appointment_id, phone=phone)
'''
_DJANGO_DB = '''"""`python -m clinic.db` creates its tables."""

import django
from django.db import connection

if __name__ == "__main__":
    django.setup()
    from clinic import models

    with connection.schema_editor() as editor:
        for model in (models.Appointment, models.Reminder, models.DeadReminder):
            editor.create_model(model)
'''
_SETTINGS = '''"""Django's settings."""

import os

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ["PG_NAME"],
        "USER": os.environ["PG_USER"],
        "HOST": os.environ["PG_HOST"],
    }
}
INSTALLED_APPS = ["clinic", "procrastinate.contrib.django"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = True
'''

VARIANTS = [
    Variant("async", "a coroutine, a strategy of its own, a task with a name, fields in extra", {T: _ASYNC}, quick=True, edits=(
        (DESK, "def book", "async def book"), (DESK, "    with app.open():\n        remind.defer(", "    async with app.open_async():\n        await remind.defer_async("))),
    Variant("blueprint", "a blueprint with a namespace, a decorator that knows the last attempt, a queue of its own", {T: _BLUEPRINT}, edits=(
        (QUEUE, '"clinic.tasks", ', ""), (QUEUE, "from procrastinate import App, PsycopgConnector\n", "from procrastinate import App, PsycopgConnector\n\nfrom clinic.tasks import jobs\n"),
        (QUEUE, '    import_paths=["clinic.stalled"],\n)\n', '    import_paths=["clinic.stalled"],\n)\napp.add_tasks_from(jobs, namespace="clinic")\n'))),
    Variant("django", "Django on PostgreSQL: the job is deferred in the transaction that keeps the appointment", {
        T: _DJANGO, DESK: _DJANGO_DESK, "clinic/db.py": _DJANGO_DB, "clinic/models.py": _MODELS, "clinic/settings.py": _SETTINGS, QUEUE: "", STALLED: ""}, edits=(
        (SPEC, 'env: {CLINIC_DB: "{scratch}/clinic.db"}', 'env: {DJANGO_SETTINGS_MODULE: clinic.settings, PG_NAME: "{postgresql.name}", PG_USER: "{postgresql.user}", PG_HOST: "{postgresql.host}"}\n  services: [postgresql]'),
        (SPEC, 'database: "{scratch}/clinic.db"', 'database: "{postgresql}"'))),
    Variant("framework", "the dead letter is the status `failed`", edits=(
        (SPEC, "dead_letter: {kind: table, where: dead_reminders}", "dead_letter: {kind: framework}"), (SPEC, "  dead_letters: select count(*) from dead_reminders\n", ""),
        (T, BURY, ""),
        (T, REFUSED, "    except sms.Refused as error:\n        give_up(appointment_id, repr(error))\n        raise\n"),
        (T, '        give_up(appointment_id, "no appointment with a phone")\n        return\n', '        give_up(appointment_id, "no appointment with a phone")\n        raise ValueError(appointment_id)\n'))),
    Variant("locks", "a lock and a queueing lock; who finds one waiting leaves it at that", edits=(
        (DESK, DEFER, '        job = remind.configure(lock=f"clinic-{appointment_id % 2}", queueing_lock=f"reminder-{appointment_id}")\n        with suppress(AlreadyEnqueued):\n            job.defer(appointment_id=appointment_id, phone=phone)\n'),
        (DESK, "from contextlib import closing\n", "from contextlib import closing, suppress\n\nfrom procrastinate.exceptions import AlreadyEnqueued\n"))),
    Variant("receiver", "the receiver alone remembers, for as long as the spec promises", edits=(
        (T, CHECK, ""), (SPEC, "dedupe: {store: table reminders, window: 30d}", "dedupe: {store: the gateway, window: 24h}"))),
    Variant("script", "a script that cron starts gives jobs back", edits=(
        (STALLED, '@app.periodic(cron="*/10 * * * *")\n@app.task(queueing_lock="retry_stalled")\nasync def retry_stalled(timestamp: int) -> None:\n', "async def retry_stalled() -> None:\n"),
        (QUEUE, ', "clinic.stalled"', ""))),
]  # fmt: skip
