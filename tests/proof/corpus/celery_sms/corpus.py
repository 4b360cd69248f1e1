"""A text message: lock and marker are keys in Redis with a time to live; own retries, records with extra fields."""

from run import Mutant, Variant

DRIVER = "celery"
TASKS, SPEC = "alerts/tasks.py", ".skillrun/jobs/send-alert.yaml"
REFERENCE = 'f"{alert}/{to}"'
DONE = '            redis.set(done, "1", ex=2 * DAY_S)\n'
SEND = f"            gateway.send_sms(to, text, {REFERENCE})\n"
CHECK = """        if redis.exists(done):
            log.info("sms was sent before", extra=extra)
            return
"""
LOCK = """        if not redis.set(lock, self.request.id, nx=True, ex=300):
            raise Busy(f"{alert} {to}")
"""
LOCKED = f"{LOCK}        try:\n{SEND}{DONE}        finally:\n            release(lock, self.request.id)\n"
RETRY = "        raise self.retry(exc=error, countdown=min(600, 10 * 4**self.request.retries))\n"
CAUGHT = "    except (gateway.GatewayDown, TimeoutError, Busy) as error:\n"
INVALID = """    if not alert or not to.startswith("+"):
        raise ValueError(f"{to!r} is no phone number")
"""


def _reference(id_: str, what: str, text: str, *more: tuple[str, str, str]) -> Mutant:
    return Mutant(id_, what, ((TASKS, REFERENCE, text), *more))


MUTANTS = [
    Mutant("A01", "Redis gives a waiting retry to a second worker", ((TASKS, '"visibility_timeout": 7200', '"visibility_timeout": 60'),),
           quick=True, source="https://github.com/celery/celery/issues/3270"),
    _reference("B01", "the reference is the task's id", "self.request.id"),
    _reference("B02", "the reference is random", "str(uuid4())", (TASKS, "import os\n", "import os\nfrom uuid import uuid4\n")),
    _reference("B03", "the reference is the alert, for all its recipients", "alert"),
    _reference("B04", "the reference has the hour in it", 'f"{alert}/{to}/{datetime.now():%Y%m%d%H}"',
               (TASKS, "import os\n", "import os\nfrom datetime import datetime\n")),
    _reference("B05", "the reference counts the attempts", 'f"{alert}/{to}/{self.request.retries}"'),
    Mutant("C01", "marked before it is sent", ((TASKS, SEND + DONE, DONE + SEND),)),
    Mutant("C02", "never looks at the marker", ((TASKS, CHECK, ""),)),
    Mutant("C03", "the marker is gone before the day is over", ((TASKS, "ex=2 * DAY_S", "ex=DAY_S // 2"),)),
    Mutant("C04", "the marker is milliseconds taken for seconds", ((TASKS, "ex=2 * DAY_S", "px=2 * DAY_S"),)),
    Mutant("C05", "a lock that a crash leaves for ever", ((TASKS, "nx=True, ex=300", "nx=True"),), quick=True,
           source="https://github.com/coleifer/huey/issues/308"),
    Mutant("C06", "a lock that outlives all retries", ((TASKS, "nx=True, ex=300", "nx=True, ex=3600"),)),
    Mutant("C07", "the lock is given back after success alone", (
        (TASKS, f"        try:\n{SEND}{DONE}        finally:\n            release(lock, self.request.id)\n",
         (SEND + DONE).replace("            ", "        ") + "        release(lock, self.request.id)\n"),)),
    Mutant("C08", "the marker forgets the recipient", ((TASKS, 'f"sms:done:{alert}:{to}"', 'f"sms:done:{alert}"'),)),
    Mutant("C09", "gives back whatever lock is there", ((TASKS, "            release(lock, self.request.id)", "            redis.delete(lock)"),),
           keeps="two at once are sent with one reference, and the gateway drops the second: the lock only spares work",
           source="https://github.com/celery/celery/issues/2926"),
    Mutant("C10", "get, then set", (
        (TASKS, LOCK, """        if redis.get(lock):
            raise Busy(f"{alert} {to}")
        redis.set(lock, self.request.id, ex=300)
"""),), keeps="as C09: the gateway drops the second of two", source="https://github.com/celery/celery/issues/87"),
    Mutant("C11", "one key as lock and marker, kept when sending fails", (
        (TASKS, f"{CHECK}{LOCKED}", f"""        if not redis.set(done, "1", nx=True, ex=2 * DAY_S):
            log.info("sms was sent before", extra=extra)
            return
{SEND.replace("            ", "        ")}"""),)),
    Mutant("C12", "all alerts share one lock", ((TASKS, 'f"sms:lock:{alert}:{to}"', '"sms:lock"'),),
           keeps="a second message waits for the lock as it would wait for a busy worker, and is sent by a retry"),
    Mutant("D01", "a flat wait", ((TASKS, "min(600, 10 * 4**self.request.retries)", "10"),)),
    Mutant("D02", "no wait is given: three minutes each time", ((TASKS, ", countdown=min(600, 10 * 4**self.request.retries)", ""),)),
    Mutant("D03", "no limit", ((TASKS, "max_retries=4, ", "max_retries=None, "),)),
    Mutant("D04", "no limit is given: three retries", ((TASKS, "max_retries=4, ", ""),)),
    Mutant("D05", "every error is retried", ((TASKS, CAUGHT, "    except Exception as error:\n"),)),
    Mutant("D06", "whoever finds the lock gives up", ((TASKS, "TimeoutError, Busy)", "TimeoutError)"),)),
    Mutant("D07", "the wait grows from the first retry on", ((TASKS, "4**self.request.retries", "4 ** (self.request.retries + 1)"),)),
    Mutant("E01", "acknowledged before it runs", ((TASKS, "    task_acks_late=True,\n", ""),)),
    Mutant("E02", "a killed child's message is acknowledged", ((TASKS, "    task_reject_on_worker_lost=True,\n", ""),), quick=True,
           source="https://github.com/celery/celery/issues/1628"),
    Mutant("E03", "retries expire before they are due", ((TASKS, "base=AlertTask, ", "base=AlertTask, expires=30, "),)),
    Mutant("E04", "whoever finds the lock takes it for done", (
        (TASKS, """            raise Busy(f"{alert} {to}")
""", """            log.info("sms was sent before", extra=extra)
            return
"""),)),
    Mutant("F01", "an error becomes a result", ((TASKS, RETRY, '        log.error("sms failed", extra={**extra, "reason": repr(error)})\n        return {"status": "error"}\n'),)),
    Mutant("F02", "retries without the failed attempt's record", ((TASKS, RETRY, RETRY.replace("raise self.retry(", "return self.retry(throw=False, ")),)),
    Mutant("F03", "the reason is not recorded", (
        (TASKS, 'log.warning("sms retry", extra={**fields(*args, **kwargs), "reason": repr(exc)})',
         'log.warning("sms retry", extra=fields(*args, **kwargs))'),)),
    Mutant("F04", "success is recorded in any case", (
        (TASKS, "            release(lock, self.request.id)\n",
         '            release(lock, self.request.id)\n            log.info("sms sent", extra=extra)\n'),
        (TASKS, '    log.info("sms sent", extra=extra)\n\n', "\n"))),
    Mutant("G01", "any text is a phone number", ((TASKS, INVALID, ""),)),
]  # fmt: skip

VARIANTS = [
    Variant("marker-only", "no lock: the receiver drops the second of two", edits=(
        (TASKS, LOCKED, (SEND + DONE).replace("            ", "        ")),), quick=True),
    Variant("redis-lock", "redis-py's own lock, which waits for its turn", edits=(
        (TASKS, LOCKED, f"""        with redis.lock(lock, timeout=300, blocking_timeout=1):
            if redis.exists(done):
                log.info("sms was sent before", extra=extra)
                return
{SEND}{DONE}"""),
        (TASKS, "TimeoutError, Busy)", "TimeoutError, LockError)"),
        (TASKS, "from redis import Redis\n", "from redis import Redis\nfrom redis.exceptions import LockError\n"),
        (SPEC, "TimeoutError, alerts.tasks:Busy", "TimeoutError, redis.exceptions:LockError"),
    )),
    Variant("one-key", "one key: sending with a short life, then done", edits=(
        (TASKS, f"{CHECK}{LOCKED}", f"""        state = redis.set(done, "sending", nx=True, ex=300, get=True)
        if state == b"done":
            log.info("sms was sent before", extra=extra)
            return
        if state is not None:
            raise Busy(f"{{alert}} {{to}}")
        try:
{SEND}        except BaseException:
            redis.delete(done)
            raise
        redis.set(done, "done", ex=2 * DAY_S)
"""),)),
    Variant("pipeline", "marker and lock in one MULTI", edits=(
        (TASKS, f"{SEND}{DONE}        finally:\n            release(lock, self.request.id)\n", f"""{SEND}        except BaseException:
            release(lock, self.request.id)
            raise
        with redis.pipeline() as pipe:
            pipe.set(done, "1", ex=2 * DAY_S).delete(lock).execute()
"""),)),
    Variant("ignore", "a duplicate is ignored in Celery's own words", edits=(
        (TASKS, """            log.info("sms was sent before", extra=extra)
            return
""", """            log.info("sms was sent before", extra=extra)
            raise Ignore
"""), (TASKS, "from celery import Celery, Task\n", "from celery import Celery, Task\nfrom celery.exceptions import Ignore\n"))),
    Variant("decorator", "the marker is a decorator's business", edits=(
        (TASKS, "@app.task(bind=True, base", '''def once(function: Any) -> Any:
    """Skips what was done; two at once take turns."""

    @functools.wraps(function)
    def wrapper(self: Task, alert: str = "", to: str = "", text: str = "") -> None:
        done = f"sms:done:{alert}:{to}"
        if redis.exists(done):
            log.info("sms was sent before", extra=fields(alert, to))
            return
        try:
            function(self, alert, to, text)
            redis.set(done, "1", ex=2 * DAY_S)
        except (gateway.GatewayDown, TimeoutError) as error:
            raise self.retry(exc=error, countdown=min(600, 10 * 4**self.request.retries))
        log.info("sms sent", extra=fields(alert, to))

    return wrapper


@app.task(bind=True, base'''),
        (TASKS, "import json\n", "import functools\nimport json\n"),
        (TASKS, "def send_alert(", "@once\ndef send_alert("),
        (TASKS, f"""    done, lock = f"sms:done:{{alert}}:{{to}}", f"sms:lock:{{alert}}:{{to}}"
    try:
{CHECK}{LOCKED}{CAUGHT}{RETRY}    log.info("sms sent", extra=extra)
""", f"    gateway.send_sms(to, text, {REFERENCE})\n"),
        (SPEC, "TimeoutError, alerts.tasks:Busy", "TimeoutError"))),
]  # fmt: skip
