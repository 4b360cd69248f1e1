"""A text to a patient: the key is a key in Redis that lives for a week, RQ's FailedJobRegistry keeps the dead."""

from run import Mutant, Variant

DRIVER = "rq"
JOBS, CALENDAR, SPEC = "clinic/reminders.py", "clinic/calendar.py", ".skillrun/jobs/remind.yaml"
REFERENCE = 'f"reminder-{appointment}"'
SEND = f'    sms.send(phone, f"Your appointment {{appointment}} is tomorrow", reference={REFERENCE})\n'
MARK = '    redis.set(key, "1", ex=WEEK)\n'
DONE = '    log.info("reminder succeeded appointment=%s", appointment)\n'
KEY = '    key = f"reminded:{appointment}"\n'
CHECK = """    if redis.exists(key):
        log.info("already reminded appointment=%s", appointment)
        return
"""
ALREADY = '        log.info("already reminded appointment=%s", appointment)\n        return\n'
RETRY = "        retry=Retry(max=2, interval=[20, 40]),\n"
CALLBACK = "        on_failure=Callback(reminders.failed),\n"
WARN = '        log.warning("reminder will be retried appointment=%s reason=%r", appointment, error)\n'
PERMANENT = "    if isinstance(error, (sms.UnknownNumber, BadAppointment)):\n"
VALID = """    if not isinstance(appointment, int) or appointment < 1 or not phone:
        raise BadAppointment(f"{payload!r} is no appointment")
"""
LOGGING = "import logging\n"


def _key(id_: str, what: str, key: str, *more: tuple[str, str, str], **options: object) -> Mutant:
    return Mutant(id_, what, ((JOBS, f"reference={REFERENCE}", f"reference={key}"), *more), **options)  # type: ignore[arg-type]


def _retry(id_: str, what: str, retry: str, **options: object) -> Mutant:
    return Mutant(id_, what, ((CALENDAR, RETRY, retry),), **options)  # type: ignore[arg-type]


MUTANTS = [
    Mutant("A01", "an earlier reminder of the same job is enqueued beside it, a minute later",
           ((CALENDAR, "def announce(", "def again(appointment_id: int, phone: str) -> None:\n"
             '    """A second reminder, should the first get lost."""\n'
             '    payload = {"appointment_id": appointment_id, "phone": phone}\n'
             "    texts.enqueue_in(timedelta(minutes=1), reminders.remind, payload)\n\n\ndef announce("),
            (CALENDAR, CALLBACK + "    )\n", CALLBACK + "    )\n    again(appointment_id, phone)\n"),
            (CALENDAR, "from rq import", "from datetime import timedelta\n\nfrom rq import"))
           , keeps="the second job finds the key of the first: that is what the key is for"),
    _key("B01", "the reference is random", "str(uuid.uuid4())", (JOBS, LOGGING, LOGGING + "import uuid\n")),
    _key("B02", "the reference has the second in it", 'f"{appointment}-{int(time.time())}"', (JOBS, LOGGING, LOGGING + "import time\n"),
         quick=True),
    _key("B03", "the reference is the patient", "phone"),
    _key("B04", "no reference", "None"),
    _key("B05", "the reference is RQ's job id", "get_current_job().id",
         (JOBS, "from rq.job import Job\n", "from rq import get_current_job\nfrom rq.job import Job\n")),
    _key("B06", "the reference counts a counter in Redis", 'f"{appointment}-{redis.incr(\'texts\')}"'),
    Mutant("C01", "marked before it is sent", ((JOBS, SEND + MARK, MARK + SEND),), quick=True),
    Mutant("C02", "nothing remembers that it was sent", ((JOBS, CHECK, ""),)),
    Mutant("C03", "forgets after an hour", ((JOBS, "ex=WEEK", "ex=3600"),), source="https://github.com/python-arq/arq/issues/432"),
    Mutant("C04", "never forgets", ((JOBS, ', ex=WEEK', ""),),
           keeps="it remembers longer than the window of the spec asks for: a leak, but no text too many or too few"),
    Mutant("C05", "remembers the patient", ((JOBS, 'f"reminded:{appointment}"', 'f"reminded:{phone}"'),)),
    Mutant("C06", "claims with SET NX and never gives the claim back",
           ((JOBS, CHECK + SEND + MARK, f'    if not redis.set(key, "1", nx=True, ex=WEEK):\n{ALREADY}{SEND}'),)),
    Mutant("C07", "counts with INCR, and the first one sends",
           ((JOBS, CHECK + SEND + MARK, f"    if redis.incr(key) > 1:\n{ALREADY}    redis.expire(key, WEEK)\n{SEND}"),)),
    Mutant("C08", "who finds the lock taken takes the job for done",
           ((JOBS, SEND + MARK, f"""    if not redis.set(f"lock:{{appointment}}", "1", nx=True, ex=600):
        return
    try:
    {SEND}    {MARK}    finally:
        redis.delete(f"lock:{{appointment}}")
"""),), source="https://github.com/mitodl/micromasters/issues/2139"),
    Mutant("C09", "a lock that a crash leaves for ever",
           ((JOBS, SEND + MARK, f"""    if not redis.set(f"lock:{{appointment}}", "1", nx=True):
        raise ConnectionError("another worker is at it")
    try:
    {SEND}    {MARK}    finally:
        redis.delete(f"lock:{{appointment}}")
"""),), quick=True, source="https://github.com/coleifer/huey/issues/308"),
    Mutant("C10", "looks under one key and marks another", ((JOBS, 'redis.set(key, "1"', 'redis.set(f"reminder:{appointment}", "1"'),)),
    Mutant("C11", "the key is taken away in the end", ((JOBS, MARK, f"{MARK}    redis.delete(key)\n"),)),
    Mutant("C12", "a set of all appointments, which expires an hour after the first one",
           ((JOBS, "redis.exists(key)", "redis.sismember(\"reminded\", str(appointment))"),
            (JOBS, MARK, '    redis.sadd("reminded", str(appointment))\n    redis.expire("reminded", 3600, nx=True)\n'), (JOBS, KEY, ""))),
    Mutant("C13", "marked in a transaction that is never sent",
           ((JOBS, MARK, '    with redis.pipeline() as pipeline:\n        pipeline.set(key, "1", ex=WEEK)\n'),)),
    _retry("D01", "two attempts", "        retry=Retry(max=1, interval=[20]),\n"),
    _retry("D02", "a flat interval", "        retry=Retry(max=2, interval=20),\n"),
    _retry("D03", "no wait", "        retry=Retry(max=2),\n"),
    _retry("D04", "no retry", ""),
    Mutant("D05", "an unknown number is retried", ((JOBS, "(sms.UnknownNumber, BadAppointment)", "BadAppointment"),),
           source="https://github.com/codingjoe/django-pictures/issues/181"),
    Mutant("D06", "a bad payload is retried", ((JOBS, "(sms.UnknownNumber, BadAppointment)", "sms.UnknownNumber"),)),
    Mutant("D07", "returns Retry beside RQ's own retries, without a common count",
           ((JOBS, SEND, f"""    try:
    {SEND}    except sms.Throttled as error:
        log.warning("reminder will be retried appointment=%s reason=%r", appointment, error)
        return Retry(max=5, interval=[20, 40])
"""), (JOBS, "from rq.job import Job\n", "from rq import Retry\nfrom rq.job import Job\n"))),
    Mutant("D08", "enqueues itself again, for ever",
           ((JOBS, SEND, f"""    try:
    {SEND}    except sms.Throttled as error:
        log.warning("reminder will be retried appointment=%s reason=%r", appointment, error)
        texts.enqueue_in(timedelta(seconds=20), remind, payload)
        return
"""), (JOBS, LOGGING, f"{LOGGING}from datetime import timedelta\n"),
            (JOBS, "from clinic.store import redis\n", "from clinic.store import redis, texts\n")), quick=True),
    Mutant("E01", "a failed job is kept for no time", ((CALENDAR, RETRY, f"{RETRY}        failure_ttl=0,\n"),)),
    Mutant("E02", "the application remembers that it published before it has",
           ((CALENDAR, '    texts.enqueue(\n', '    if not redis.set(f"announced:{appointment_id}", "1", nx=True):\n        return\n    texts.enqueue(\n'),
            (CALENDAR, "from clinic.store import texts\n", "from clinic.store import redis, texts\n"))),
    Mutant("E03", "on_failure fails itself", ((JOBS, "job.args[0].get(", "job.kwargs[0].get("),)),
    Mutant("E04", "an unknown number is swallowed", ((JOBS, SEND, f"    try:\n    {SEND}    except sms.UnknownNumber:\n        return\n"),)),
    Mutant("E05", "a dead worker's job is given up", ((JOBS, PERMANENT, "    if not isinstance(error, (sms.Throttled, ConnectionError)):\n"),)),
    Mutant("E06", "the job lives for ten seconds", ((CALENDAR, RETRY, f"{RETRY}        ttl=10,\n"),)),
    Mutant("F01", "an error becomes a result",
           ((JOBS, SEND, f"""    try:
    {SEND}    except Exception as error:
        log.error("reminder failed appointment=%s reason=%r", appointment, error)
        return {{"ok": False}}
"""),), source="stock-screener#49"),
    Mutant("F02", "the retry is not logged", ((JOBS, WARN, "        pass\n"),)),
    Mutant("F03", "the log does not say which appointment is retried",
           ((JOBS, '"reminder will be retried appointment=%s reason=%r", appointment, error', '"reminder will be retried: %r", error'),)),
    Mutant("F04", "success is logged by nobody here", ((JOBS, DONE, ""),),
           keeps="RQ's worker logs that the job was completed, with its arguments; the answer is the framework's then"),
    Mutant("G01", "any payload is an appointment", ((JOBS, VALID, ""),)),
]  # fmt: skip

LOCK = f"""    lock = redis.lock(f"lock:{{appointment}}", timeout=60, blocking=False)
    if not lock.acquire():
        raise Busy(f"another worker texts {{appointment}}")
    try:
    {SEND}    {MARK}    finally:
        with contextlib.suppress(LockNotOwnedError):
            lock.release()
"""
BUSY = '''class Busy(Exception):
    """Another worker is at it, or died at it."""


def remind('''
HELPERS = (JOBS, LOGGING, f"import contextlib\n{LOGGING}")
TRANSIENT = (SPEC, "transient: [clinic.sms:Throttled, ConnectionError]",
             "transient: [clinic.sms:Throttled, ConnectionError, clinic.reminders:Busy]")  # fmt: skip

VARIANTS = [
    Variant("lock", "redis-py's lock with a timeout around it; who finds it taken comes again", quick=True, edits=(
        HELPERS, (JOBS, "from redis import Redis\n", "from redis import Redis\nfrom redis.exceptions import LockNotOwnedError\n"),
        (JOBS, "def remind(", BUSY), (JOBS, SEND + MARK, LOCK), TRANSIENT,
    )),
    Variant("waiting-lock", "the lock is waited for, and the key is looked at again", edits=(
        HELPERS, (JOBS, "from redis import Redis\n", "from redis import Redis\nfrom redis.exceptions import LockNotOwnedError\n"),
        (JOBS, "def remind(", BUSY), TRANSIENT,
        (JOBS, CHECK + SEND + MARK, f'''    lock = redis.lock(f"lock:{{appointment}}", timeout=60, blocking_timeout=5)
    if not lock.acquire():
        raise Busy(f"another worker texts {{appointment}}")
    try:
        if redis.exists(key):
            log.info("already reminded appointment=%s", appointment)
            return
    {SEND}    {MARK}    finally:
        with contextlib.suppress(LockNotOwnedError):
            lock.release()
'''),
    )),
    Variant("hash", "a status in a hash, and its expiry in the same transaction", edits=(
        (JOBS, "redis.exists(key)", 'redis.hget(key, "status") == b"sent"'),
        (JOBS, MARK, '''    with redis.pipeline(transaction=True) as pipeline:
        pipeline.hset(key, mapping={"status": "sent", "phone": phone})
        pipeline.expire(key, WEEK)
        pipeline.execute()
'''),
    )),
    Variant("asyncio", "a coroutine with redis.asyncio", edits=(
        (JOBS, "from redis import Redis\n", "from redis import Redis\nfrom redis.asyncio import Redis as AsyncRedis\n"),
        (JOBS, LOGGING, f"{LOGGING}import os\n"), (JOBS, "from clinic.store import redis\n", ""),
        (JOBS, "def remind(", "async def remind("),
        (JOBS, KEY, f'{KEY}    redis = AsyncRedis.from_url(os.environ["REDIS_URL"])\n'),
        (JOBS, "if redis.exists(key)", "if await redis.exists(key)"), (JOBS, MARK, MARK.replace("redis.set", "await redis.set")),
        (JOBS, DONE, f"    await redis.aclose()\n{DONE}"),
    )),
    Variant("at-least-once", "a provider without references", edits=(
        ("clinic/sms.py", ", *, reference: str", ""), ("clinic/sms.py", ', "reference": reference', ""),
        (JOBS, f", reference={REFERENCE}", ""),
        (SPEC, "key_arg: reference, window: 24h, guarantee: keyed",
         "guarantee: at_least_once, reason: a second text is a nuisance and a missing one a missed appointment"),
    )),
    Variant("at-most-once", "claimed before it is sent, and never sent twice", edits=(
        ("clinic/sms.py", ", *, reference: str", ""), ("clinic/sms.py", ', "reference": reference', ""),
        (JOBS, CHECK + SEND + MARK, f'''    if not redis.set(key, "1", nx=True, ex=WEEK):
{ALREADY}    sms.send(phone, f"Your appointment {{appointment}} is tomorrow")
'''),
        (SPEC, "key_arg: reference, window: 24h, guarantee: keyed",
         "guarantee: at_most_once, reason: patients complained about second texts"),
        (CALENDAR, RETRY, ""), (CALENDAR, "from rq import Callback, Retry\n", "from rq import Callback\n"),
        (SPEC, """  max_attempts: 3
  backoff: {kind: exponential, base: 20s, factor: 2}
""", "  kind: none\n  reason: nobody knows whether a text that failed was sent\n"),
    )),
    Variant("extra", "the fields of the records are in extra", edits=(
        (JOBS, 'log.info("reminder started appointment=%s", appointment)', 'log.info("reminder started", extra={"appointment": appointment})'),
        (JOBS, DONE.strip(), 'log.info("reminder succeeded", extra={"appointment": appointment})'),
        (JOBS, WARN.strip(), 'log.warning("reminder will be retried", extra={"appointment": appointment, "reason": repr(error)})'),
    )),
    Variant("unique-job", "unique=True: a second job for the same appointment is refused while the first is kept", edits=(
        (CALENDAR, RETRY, f'        job_id=f"reminder-{{appointment_id}}",\n        unique=True,\n{RETRY}'),
        (CALENDAR, "    texts.enqueue(\n", "    with contextlib.suppress(DuplicateJobError):\n      texts.enqueue(\n"),
        (CALENDAR, "from rq import Callback, Retry\n", "import contextlib\n\nfrom rq import Callback, Retry\nfrom rq.exceptions import DuplicateJobError\n"),
    )),
    Variant("json-queue", "a queue whose jobs are JSON", edits=(
        ("clinic/store.py", 'Queue("texts", connection=redis)', 'Queue("texts", connection=redis, serializer=JSONSerializer)'),
        ("clinic/store.py", "from rq import Queue\n", "from rq import Queue\nfrom rq.serializers import JSONSerializer\n"),
    )),
]  # fmt: skip
