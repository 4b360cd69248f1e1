OK1_PUSH = '''"""The job that pages somebody: plain sqlite3 and requests, in one of SAQ's threads.

alarms.receipt says whether somebody has been paged. The pager joins events of one dedup_key,
so a second delivery before that is written does no harm. SAQ counts the attempts, those
that killed their worker included.
"""

import json
import logging
import re
import sqlite3
import zlib
from contextlib import closing, contextmanager
from typing import Any

from sensorhub.joblog import JobLog
from sensorhub.pager import PagerRejected

JOB = "push_alarm"
MAX_ATTEMPTS = 5


class UnknownAlarm(Exception):
    pass


@contextmanager
def transaction(path: str):
    with closing(sqlite3.connect(path, timeout=20, isolation_level=None)) as db:
        db.row_factory = sqlite3.Row
        db.execute("begin immediate")
        try:
            yield db
        except BaseException:
            db.rollback()
            raise
        db.commit()


class AlarmBook:
    """What this job knows and writes about one alarm."""

    def __init__(self, path: str, message: dict[str, Any]) -> None:
        self.path = path
        self.message = message
        self.alarm_id = message.get("alarm_id")
        self.sound = (
            message.keys() == {"alarm_id"}
            and isinstance(self.alarm_id, str)
            and re.fullmatch("al-[0-9]{4}", self.alarm_id) is not None
        )

    def look_up(self) -> sqlite3.Row:
        with transaction(self.path) as db:
            row = db.execute("select * from alarms where id = ?", (self.alarm_id,)).fetchone()
        if row is None:
            raise UnknownAlarm(self.alarm_id)
        return row

    def write_receipt(self, receipt: str) -> None:
        with transaction(self.path) as db:
            db.execute(
                "update alarms set receipt = ?, state = 'delivered' where id = ? and receipt is null",
                (receipt, self.alarm_id),
            )
            db.execute("delete from undelivered where job = ? and ref = ?", (JOB, self.alarm_id))

    def write_off(self, reason: str) -> bool:
        body = json.dumps(self.message, sort_keys=True, default=repr)
        ref = self.alarm_id if self.sound else f"crc:{zlib.crc32(body.encode()):08x}"
        with transaction(self.path) as db:
            if db.execute("select 1 from alarms where id = ? and receipt is not null", (ref,)).fetchone():
                return False
            db.execute("update alarms set state = 'undelivered' where id = ?", (ref,))
            db.execute(
                "insert into undelivered (job, ref, message, reason) values (?, ?, ?, ?) on conflict do nothing",
                (JOB, ref, body, reason),
            )
        return True


def push_alarm(ctx: dict[str, Any], **message: Any) -> str:
    job = ctx["job"]
    log = JobLog(logging.getLogger(__name__), {"job": JOB, "key": job.key, "attempt": job.attempts})
    book = AlarmBook(ctx["db"], message)

    def write_off(reason: str) -> str:
        if book.write_off(reason):
            log.error("written off: %s", reason)
        else:
            log.info("somebody has been paged by another delivery; this one: %s", reason)
        return "written off"

    if not book.sound:
        return write_off(f"malformed message {message!r}")
    try:
        alarm = book.look_up()
        if alarm["receipt"] is not None or alarm["state"] == "undelivered":
            log.info("settled before (%s), nothing to do", alarm["state"])
            return "settled"
        if job.attempts > MAX_ATTEMPTS:
            return write_off(f"{MAX_ATTEMPTS} deliveries did not come back")
        log.info("paging for %s, %s", alarm["sensor"], alarm["severity"])
        receipt = ctx["pager"].trigger(
            dedup_key=alarm["id"], severity=alarm["severity"], source=alarm["sensor"], summary=alarm["summary"]
        )
        book.write_receipt(receipt)
    except (PagerRejected, UnknownAlarm) as exc:
        return write_off(repr(exc))
    except Exception as exc:
        if job.attempts >= MAX_ATTEMPTS:
            return write_off(f"after {job.attempts} attempts: {exc!r}")
        log.warning("did not work, SAQ will bring it back: %r", exc)
        raise
    log.info("paged, receipt %s", receipt)
    return receipt
'''

OK1_PAGER = '''"""The pager's events API.

An event with a dedup_key that the pager has seen joins the incident that is there; nobody
is woken twice, and the receipt is the same. It forgets a key 30 days after the incident.
"""

import requests


class PagerDown(Exception):
    """Unreachable, overloaded or silent."""


class PagerRejected(Exception):
    """The pager has understood, and will not page anybody for this."""


class PagerClient:
    def __init__(self, url: str, key: str) -> None:
        self._url = url.rstrip("/") + "/v2/events"
        self._key = key

    def trigger(self, *, dedup_key: str, severity: str, source: str, summary: str) -> str:
        try:
            response = requests.post(
                self._url,
                json={"dedup_key": dedup_key, "severity": severity, "source": source, "summary": summary},
                headers={"X-Routing-Key": self._key},
                timeout=(5, 15),
            )
            if 400 <= response.status_code < 500 and response.status_code not in (408, 425, 429):
                raise PagerRejected(f"HTTP {response.status_code}: {response.text[:200]}")
            response.raise_for_status()
            return response.json()["receipt"]
        except requests.RequestException as exc:
            raise PagerDown(repr(exc)) from exc
'''

OK2_PUSH = '''"""The job that pages somebody.

What has been done is remembered in `inbox`, by job and key, whatever the job. The incident
is PUT under the alarm's id, which may be repeated. begin() counts in the inbox, too.
"""

import hashlib
import json
import logging
from contextvars import ContextVar
from typing import Any

import httpx

from sensorhub.pager import put_incident
from sensorhub.storage import UnitOfWork

JOB = "push_alarm"
MAX_ATTEMPTS = 5

log = logging.getLogger(__name__)
current_job: ContextVar[dict] = ContextVar("current_job", default={})


class Refused(Exception):
    """Not a job that can be done."""


class PushAlarm:
    def __init__(self, db: str, http: httpx.AsyncClient) -> None:
        self.db = db
        self.http = http

    @staticmethod
    def key(message: dict[str, Any]) -> str:
        """What the inbox and the dead letters know the message by."""
        match message:
            case {"alarm_id": str(alarm_id), **rest} if not rest and PushAlarm.is_id(alarm_id):
                return alarm_id
        return hashlib.sha256(json.dumps(message, sort_keys=True, default=repr).encode()).hexdigest()

    @staticmethod
    def is_id(text: str) -> bool:
        return text.startswith("al-") and len(text) == 7 and text[3:].isascii() and text[3:].isdigit()

    async def __call__(self, message: dict[str, Any]) -> str:
        key = self.key(message)
        attempt = 0
        try:
            async with UnitOfWork(self.db) as uow:
                entry = await uow.inbox.open(JOB, key)
                attempt = entry.attempts
                alarm = await uow.alarms.get(key)
                await uow.commit()
            if entry.outcome:
                log.info("repetition, was: %s", entry.outcome)
                return entry.outcome
            if not self.is_id(key):
                raise Refused(f"malformed: {message!r}")
            if alarm is None:
                raise Refused(f"no alarm {key}")
            if attempt > MAX_ATTEMPTS:
                raise Refused(f"begun {MAX_ATTEMPTS} times and never ended")
            log.info("begin, attempt %d", attempt)
            receipt = await put_incident(
                self.http, key, {"severity": alarm.severity, "source": alarm.sensor, "summary": alarm.summary}
            )
            async with UnitOfWork(self.db) as uow:
                await uow.inbox.close(JOB, key, receipt)
                await uow.alarms.set_state(key, "delivered")
                await uow.undelivered.withdraw(JOB, key)
                await uow.commit()
            log.info("delivered as %s", receipt)
            return receipt
        except Exception as exc:
            if self.is_final(exc) or attempt >= MAX_ATTEMPTS:
                return await self.bury(key, message, exc)
            log.warning("attempt %d failed, there will be another: %r", attempt, exc)
            raise

    @staticmethod
    def is_final(exc: Exception) -> bool:
        if isinstance(exc, httpx.HTTPStatusError):
            status = exc.response.status_code
            return 400 <= status < 500 and status not in (408, 425, 429)
        return isinstance(exc, Refused)

    async def bury(self, key: str, message: dict[str, Any], exc: Exception) -> str:
        async with UnitOfWork(self.db) as uow:
            entry = await uow.inbox.open(JOB, key)
            if entry.outcome and entry.outcome != "undelivered":
                log.info("delivered elsewhere as %s, so never mind: %r", entry.outcome, exc)
                return entry.outcome
            await uow.inbox.close(JOB, key, "undelivered")
            await uow.alarms.set_state(key, "undelivered")
            await uow.undelivered.note(JOB, key, message, repr(exc))
            await uow.commit()
        log.error("given up, see undelivered %s: %r", key, exc)
        return "undelivered"


async def push_alarm(ctx: dict[str, Any], **message: Any) -> str:
    current_job.set({"job": JOB, "key": ctx["job"].key, "delivery": ctx["job"].attempts, "message": message})
    return await PushAlarm(ctx["db"], ctx["http"])(message)
'''

OK2_PAGER = '''"""The pager's incidents API: PUT under a key of ours; the same PUT again changes nothing."""

import httpx


def make_http(url: str, key: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, headers={"X-Routing-Key": key}, timeout=httpx.Timeout(15, connect=5))


async def put_incident(http: httpx.AsyncClient, key: str, incident: dict) -> str:
    response = await http.put(f"/v2/incidents/{key}", json=incident)
    response.raise_for_status()
    return response.json()["receipt"]
'''

OK2_JOBLOG = '''import json
import logging
import logging.config


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        from sensorhub.push import current_job

        line = {
            "at": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "msg": record.getMessage(),
            **current_job.get(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=repr)


def setup(level: str) -> None:
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"json": {"()": JsonLines}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
            "root": {"level": level, "handlers": ["stderr"]},
            "loggers": {"httpx": {"level": "WARNING"}},
        }
    )
'''

SPEC = ".skillrun/jobs/push-alarm.yaml"

RECEIPTS_DDL = """-- what the pager said; one per alarm
create table if not exists receipts (
    alarm_id  text primary key references alarms (id),
    receipt   text not null
);

-- how often a push was begun, dead workers included
create table if not exists push_attempts (
    alarm_id  text primary key,
    count     integer not null
);
"""

RECEIPTS_CLASS = '''class Receipts:
    def __init__(self, db: aiosqlite.Connection) -> None:
        self._db = db

    async def keep(self, alarm_id: str, receipt: str) -> None:
        await self._db.execute("insert or ignore into receipts (alarm_id, receipt) values (?, ?)", (alarm_id, receipt))


class Attempts:
    def __init__(self, db: aiosqlite.Connection) -> None:
        self._db = db

    async def count(self, alarm_id: str) -> int:
        cursor = await self._db.execute(
            "insert into push_attempts (alarm_id, count) values (?, 1)"
            " on conflict (alarm_id) do update set count = count + 1 returning count",
            (alarm_id,),
        )
        return (await cursor.fetchone())[0]
'''

STATE = """    receipts: select alarm_id, receipt from receipts order by alarm_id
  not_state: [push_attempts]
"""

VARIANTS = [
    {
        "id": "ok-1",
        "kind": "correct",
        "job": "push-alarm",
        "what": "a plain function that SAQ runs in a thread, sqlite3 and requests; alarms.receipt is the "
        "dedupe store; SAQ's own count bounds it",
        "edits": [
            ("sensorhub/push.py", "", OK1_PUSH),
            ("sensorhub/pager.py", "", OK1_PAGER),
            ("sensorhub/schema.py", RECEIPTS_DDL + "\n", ""),
            (
                "sensorhub/schema.py",
                "    summary   text not null,\n",
                "    summary   text not null,\n    receipt   text,  -- what the pager said\n",
            ),
            ("sensorhub/storage.py", RECEIPTS_CLASS + "\n\n", ""),
            ("sensorhub/storage.py", "    receipts: Receipts\n    attempts: Attempts\n", ""),
            (
                "sensorhub/storage.py",
                "        self.receipts = Receipts(self._db)\n        self.attempts = Attempts(self._db)\n",
                "",
            ),
            ("sensorhub/worker.py", 'async def shutdown(ctx: dict[str, Any]) -> None:\n    await ctx["pager"].close()\n\n\n', ""),
            ("sensorhub/worker.py", '    "shutdown": shutdown,\n', ""),
            ("pyproject.toml", '"aiohttp>=3.9"', '"requests>=2.31"'),
            ("tests/test_push.py", "    async def trigger(", "    def trigger("),
            ("tests/test_push.py", 'asyncio.run(push_alarm({"job": job, "db": db, "pager": pager}, **message))', 'push_alarm({"job": job, "db": db, "pager": pager}, **message)'),
            (
                "tests/test_push.py",
                """    assert push(alarm_id="al-0001") == "delivered"
    assert push(alarm_id="al-0001") == "delivered"
    assert pager.calls == 1
    assert rows(db, "select * from receipts") == [("al-0001", "r-1")]""",
                """    assert push(alarm_id="al-0001") == "r-1"
    assert push(alarm_id="al-0001") == "settled"
    assert pager.calls == 1
    assert rows(db, "select id, receipt from alarms where receipt is not null") == [("al-0001", "r-1")]""",
            ),
            ("tests/test_push.py", '    assert push(3, alarm_id="al-0001") == "delivered"', '    assert push(3, alarm_id="al-0001") == "r-1"'),
            (
                "tests/test_push.py",
                '''    assert push(MAX_ATTEMPTS, alarm_id="al-0001") == "undelivered"
    assert push(1, alarm_id="al-0001") == "undelivered"
    assert pager.calls == MAX_ATTEMPTS
    assert rows(db, "select ref, reason from undelivered") == [("al-0001", "PagerDown: 503")]
    assert "failed for good" in caplog.text''',
                '''    assert push(MAX_ATTEMPTS, alarm_id="al-0001") == "written off"
    assert push(1, alarm_id="al-0001") == "settled"
    assert pager.calls == MAX_ATTEMPTS
    assert rows(db, "select ref from undelivered") == [("al-0001",)]
    assert "written off" in caplog.text''',
            ),
            (
                "tests/test_push.py",
                '''    assert push(alarm_id="al-0001") == "undelivered"
    assert pager.calls == 1''',
                '''    assert push(alarm_id="al-0001") == "written off"
    assert pager.calls == 1''',
            ),
            (
                "tests/test_push.py",
                'assert push(MAX_ATTEMPTS + 1, alarm_id="al-0001") == "undelivered"',
                'assert push(MAX_ATTEMPTS + 1, alarm_id="al-0001") == "written off"',
            ),
            (SPEC, "dedupe: {store: table receipts}", "dedupe: {store: table alarms}"),
            (SPEC, "    alarms: select id, state from alarms order by id\n" + STATE, "    alarms: select id, state, receipt from alarms order by id\n"),
        ],
    },
    {
        "id": "ok-2",
        "kind": "correct",
        "job": "push-alarm",
        "what": "an inbox table for all jobs is the dedupe store and counts; a PUT under the alarm's id with "
        "httpx's own errors; JSON lines with the job from a context variable; a fixed wait",
        "edits": [
            ("sensorhub/push.py", "", OK2_PUSH),
            ("sensorhub/pager.py", "", OK2_PAGER),
            ("sensorhub/joblog.py", "", OK2_JOBLOG),
            (
                "sensorhub/schema.py",
                RECEIPTS_DDL,
                """-- which job has been begun how often, and how it ended
create table if not exists inbox (
    job       text not null,
    key       text not null,
    attempts  integer not null default 1,
    outcome   text,
    primary key (job, key)
);
""",
            ),
            (
                "sensorhub/storage.py",
                RECEIPTS_CLASS,
                '''@dataclass(frozen=True)
class Entry:
    attempts: int
    outcome: str | None


class Inbox:
    def __init__(self, db: aiosqlite.Connection) -> None:
        self._db = db

    async def open(self, job: str, key: str) -> Entry:
        cursor = await self._db.execute(
            "insert into inbox (job, key) values (?, ?)"
            " on conflict (job, key) do update set attempts = attempts + (outcome is null)"
            " returning attempts, outcome",
            (job, key),
        )
        return Entry(*await cursor.fetchone())

    async def close(self, job: str, key: str, outcome: str) -> None:
        await self._db.execute("update inbox set outcome = ? where job = ? and key = ?", (outcome, job, key))
''',
            ),
            ("sensorhub/storage.py", "    receipts: Receipts\n    attempts: Attempts\n", "    inbox: Inbox\n"),
            (
                "sensorhub/storage.py",
                "        self.receipts = Receipts(self._db)\n        self.attempts = Attempts(self._db)\n",
                "        self.inbox = Inbox(self._db)\n",
            ),
            (
                "sensorhub/queueing.py",
                "        retry_delay=5.0,\n        retry_backoff=120.0,\n",
                "        retry_delay=20.0,\n",
            ),
            ("sensorhub/worker.py", "from sensorhub.pager import PagerClient\n", "from sensorhub.pager import make_http\n"),
            ("sensorhub/worker.py", 'ctx["pager"] = PagerClient(', 'ctx["http"] = make_http('),
            ("sensorhub/worker.py", 'await ctx["pager"].close()', 'await ctx["http"].aclose()'),
            ("pyproject.toml", '"aiohttp>=3.9"', '"httpx>=0.27"'),
            (
                "tests/test_push.py",
                "from sensorhub.pager import PagerDown, PagerRejected\n",
                '',
            ),
            ("tests/test_push.py", "import pytest\n", "import httpx\nimport pytest\n"),
            (
                "tests/test_push.py",
                '''    async def trigger(self, *, dedup_key, severity, source, summary):
        self.calls += 1
        if self.trouble:
            raise self.trouble.pop(0)
        return self.incidents.setdefault(dedup_key, f"r-{len(self.incidents) + 1}")
''',
                '''    async def __call__(self, request):
        self.calls += 1
        if self.trouble:
            trouble = self.trouble.pop(0)
            if isinstance(trouble, BaseException):
                raise trouble
            return httpx.Response(trouble)
        receipt = self.incidents.setdefault(request.url.path, f"r-{len(self.incidents) + 1}")
        return httpx.Response(200, json={"receipt": receipt})


def PagerDown(status):
    return int(status)


def PagerRejected(reason):
    return 422
''',
            ),
            (
                "tests/test_push.py",
                '        return asyncio.run(push_alarm({"job": job, "db": db, "pager": pager}, **message))',
                '''        async def run():
            async with httpx.AsyncClient(base_url="http://pager.test", transport=httpx.MockTransport(pager)) as http:
                return await push_alarm({"job": job, "db": db, "http": http}, **message)

        return asyncio.run(run())''',
            ),
            (
                "tests/test_push.py",
                '''    assert push(alarm_id="al-0001") == "delivered"
    assert push(alarm_id="al-0001") == "delivered"
    assert pager.calls == 1
    assert rows(db, "select * from receipts") == [("al-0001", "r-1")]''',
                '''    assert push(alarm_id="al-0001") == "r-1"
    assert push(alarm_id="al-0001") == "r-1"
    assert pager.calls == 1
    assert rows(db, "select key, attempts, outcome from inbox") == [("al-0001", 1, "r-1")]''',
            ),
            (
                "tests/test_push.py",
                '''    for attempt in (1, 2):
        with pytest.raises(PagerDown):
            push(attempt, alarm_id="al-0001")
    assert push(3, alarm_id="al-0001") == "delivered"''',
                '''    for attempt in (1, 2):
        with pytest.raises(httpx.HTTPStatusError):
            push(attempt, alarm_id="al-0001")
    assert push(3, alarm_id="al-0001") == "r-1"''',
            ),
            (
                "tests/test_push.py",
                '''    for attempt in range(1, MAX_ATTEMPTS):
        with pytest.raises(PagerDown):''',
                '''    for attempt in range(1, MAX_ATTEMPTS):
        with pytest.raises(httpx.HTTPStatusError):''',
            ),
            (
                "tests/test_push.py",
                '''    assert rows(db, "select ref, reason from undelivered") == [("al-0001", "PagerDown: 503")]
    assert "failed for good" in caplog.text''',
                '''    assert rows(db, "select ref from undelivered") == [("al-0001",)]
    assert "given up" in caplog.text''',
            ),
            (SPEC, "dedupe: {store: table receipts}", "dedupe: {store: table inbox}"),
            (
                SPEC,
                """    call: sensorhub.pager:PagerClient.trigger
    key_arg: dedup_key
    window: 30d
    guarantee: keyed
""",
                """    call: sensorhub.pager:put_incident
    guarantee: convergent
""",
            ),
            (
                SPEC,
                """  transient: [sensorhub.pager:PagerDown]
  permanent:
    - sensorhub.pager:PagerRejected
    - {type: "sensorhub.push:UnknownAlarm", effects: []}
""",
                """  transient:
    - {type: "httpx:HTTPStatusError", args: [503], effects: [page]}
    - {type: "httpx:ReadTimeout", args: [timed out], effects: [page]}
  permanent:
    - {type: "httpx:HTTPStatusError", args: [422], effects: [page]}
    - {type: "sensorhub.push:Refused", effects: []}
""",
            ),
            (
                SPEC,
                "backoff: {kind: exponential, base: 5s, factor: 2, cap: 2m, jitter: true}",
                "backoff: {kind: fixed, base: 20s}",
            ),
            (SPEC, STATE, "    inbox: select job, key, outcome from inbox order by job, key\n"),
        ],
    },
    {
        "id": "m-receipt-first",
        "kind": "mistake",
        "job": "push-alarm",
        "what": "an empty receipt is committed before the pager is called, 'so that nobody is woken twice'; "
        "after a crash nobody is woken at all",
        "edits": [
            (
                "sensorhub/storage.py",
                '''    async def keep(self, alarm_id: str, receipt: str) -> None:
        await self._db.execute("insert or ignore into receipts (alarm_id, receipt) values (?, ?)", (alarm_id, receipt))
''',
                '''    async def claim(self, alarm_id: str) -> bool:
        cursor = await self._db.execute(
            "insert or ignore into receipts (alarm_id, receipt) values (?, '')", (alarm_id,)
        )
        return cursor.rowcount == 1

    async def release(self, alarm_id: str) -> None:
        await self._db.execute("delete from receipts where alarm_id = ? and receipt = ''", (alarm_id,))

    async def keep(self, alarm_id: str, receipt: str) -> None:
        await self._db.execute("update receipts set receipt = ? where alarm_id = ?", (receipt, alarm_id))
''',
            ),
            (
                "sensorhub/push.py",
                '''        attempt, alarm = await begin(ctx["db"], alarm_id)
        log.extra["attempt"] = attempt
''',
                '''        attempt, alarm = await begin(ctx["db"], alarm_id)
        log.extra["attempt"] = attempt
        if attempt is None:
            log.info("nothing to do, alarm %s is being pushed by another delivery", alarm.id)
            return alarm.state
''',
            ),
            (
                "sensorhub/push.py",
                '''        attempt = 0 if alarm.settled else await uow.attempts.count(alarm_id)
        await uow.commit()
''',
                '''        attempt = 0
        if not alarm.settled:
            attempt = await uow.attempts.count(alarm_id) if await uow.receipts.claim(alarm_id) else None
        await uow.commit()
''',
            ),
            (
                "sensorhub/push.py",
                '''        log.warning("attempt %d of %d failed, will be tried again: %r", attempt, MAX_ATTEMPTS, exc)
''',
                '''        async with UnitOfWork(ctx["db"]) as uow:
            await uow.receipts.release(alarm_id)
            await uow.commit()
        log.warning("attempt %d of %d failed, will be tried again: %r", attempt, MAX_ATTEMPTS, exc)
''',
            ),
            (
                "sensorhub/push.py",
                '''            await uow.alarms.set_state(ref, "undelivered")
''',
                '''            await uow.alarms.set_state(ref, "undelivered")
            await uow.receipts.release(ref)
''',
            ),
        ],
    },
    {
        "id": "m-resend-by-hand",
        "kind": "mistake",
        "job": "push-alarm",
        "what": "the cron job pages by itself instead of publishing again, under a key of its own: "
        "who was paged before a crash is paged again",
        "edits": [
            (
                "sensorhub/resend.py",
                '''async def _resend(db: str, queue: Queue) -> int:
    async with UnitOfWork(db) as uow:
        alarm_ids = await uow.alarms.dispatched()
    sent = 0
    for alarm_id in alarm_ids:
        # a job that is queued, waiting or running has the key still: nothing happens then
        if await publish_push(queue, alarm_id):
            log.warning("alarm %s had no job any more, published again", alarm_id)
            sent += 1
    return sent


async def resend_stuck(ctx: dict[str, Any]) -> int:
    return await _resend(ctx["db"], ctx["worker"].queue)


async def resend_stuck_alarms() -> int:
    """The same for the command line and for incidents."""
    async with open_queue() as queue:
        return await _resend(Config.from_env().db, queue)
''',
                '''async def _resend(db: str, pager: PagerClient) -> int:
    """The queue has had its chance: page from here."""
    async with UnitOfWork(db) as uow:
        alarm_ids = await uow.alarms.dispatched()
        stuck = [await uow.alarms.get(alarm_id) for alarm_id in alarm_ids]
    for alarm in stuck:
        log.warning("alarm %s is stuck, paging from the cron job", alarm.id)
        receipt = await pager.trigger(
            dedup_key=f"sensorhub/resend/{alarm.id}",
            severity=alarm.severity,
            source=alarm.sensor,
            summary=alarm.summary,
        )
        await deliver(db, alarm, receipt)
    return len(stuck)


async def resend_stuck(ctx: dict[str, Any]) -> int:
    return await _resend(ctx["db"], ctx["pager"])


async def resend_stuck_alarms() -> int:
    """The same for the command line and for incidents."""
    config = Config.from_env()
    pager = PagerClient(config.pager_url, config.pager_key)
    try:
        return await _resend(config.db, pager)
    finally:
        await pager.close()
''',
            ),
            (
                "sensorhub/resend.py",
                '''from saq import Queue

from sensorhub.config import Config
from sensorhub.queueing import open_queue, publish_push
''',
                '''from sensorhub.config import Config
from sensorhub.pager import PagerClient
from sensorhub.push import deliver
''',
            ),
        ],
    },
    {
        "id": "m-silent-end",
        "kind": "mistake",
        "job": "push-alarm",
        "what": "giving up is no error any more ('it is in the table'): no line says that, or why, an alarm "
        "was not delivered",
        "edits": [
            (
                "sensorhub/push.py",
                '''    log.error("failed for good, noted in undelivered as %s: %r", ref, exc)
    return "undelivered"
''',
                '''    log.debug("noted in undelivered as %s", ref)
    return "undelivered"
''',
            ),
        ],
    },
    {
        "id": "m-trusts-the-message",
        "kind": "mistake",
        "job": "push-alarm",
        "what": "the message is read without a check and outside the try: nonsense is retried nine times by SAQ "
        "and then dropped, without a dead letter; unknown fields pass",
        "edits": [
            (
                "sensorhub/push.py",
                '''    attempt = job.attempts
    try:
        alarm_id = read(message)
        attempt, alarm''',
                '''    attempt = job.attempts
    alarm_id = message["alarm_id"]
    try:
        attempt, alarm''',
            ),
            (
                "sensorhub/push.py",
                '''def read(message: dict[str, Any]) -> str:
    alarm_id = message.get("alarm_id")
    if set(message) != {"alarm_id"} or not isinstance(alarm_id, str) or not re.fullmatch(r"al-[0-9]{4}", alarm_id):
        raise BadMessage(f"not a message for {JOB}: {message!r}")
    return alarm_id


''',
                "",
            ),
            (
                "sensorhub/push.py",
                '''    try:
        ref = read(message)
    except BadMessage:
        text = json.dumps(message, sort_keys=True, default=repr)
        ref = "sha1:" + hashlib.sha1(text.encode()).hexdigest()
    async''',
                '''    ref = message["alarm_id"]
    async''',
            ),
            ("sensorhub/push.py", "import hashlib\nimport json\nimport logging\nimport re\n", "import logging\n"),
            ("sensorhub/push.py", '''class BadMessage(Exception):
    pass


''', ""),
            ("sensorhub/push.py", "HOPELESS = (BadMessage, UnknownAlarm,", "HOPELESS = (UnknownAlarm,"),
        ],
    },
]
