"""Versions of base: edits are (path, old text, new text); an empty old text writes the file new."""

SPEC = ".skillrun/jobs/publish-day.yaml"

PUBLISH = '''"""The job: publish the file of one station's day.

Which steps of a file are done is in the table steps. A step's row is written after the step, and a step
that was done without its row is done again: the store takes the same object, the hub drops the same event.
"""
import asyncio
import csv
import hashlib
import io
import json
import logging
import re
import sqlite3
from contextlib import asynccontextmanager
from datetime import date

from arq import Retry

from . import archive, hub, jsonlog
from .days import Days

ATTEMPTS = 5
# One delivery more than attempts: it buries what the fifth did not live to bury.
MAX_TRIES = ATTEMPTS + 1
MESSAGE = re.compile(r"[0-9]{5}/[0-9]{4}-[0-9]{2}-[0-9]{2}")


class MalformedMessage(Exception):
    pass


class UnknownDay(Exception):
    pass


class TooManyStarts(Exception):
    pass


class Facts(logging.LoggerAdapter):
    def process(self, msg, kwargs):
        return msg, {"extra": {"facts": {**self.extra, "outcome": msg, **kwargs.pop("more", {})}}}


class Delivery:
    """One delivery of one message."""

    def __init__(self, ctx, message):
        self.days, self.file = Days(), None
        self.message, self.key = message, key_of(message)
        self.job_try, self.attempt, self.job_id = ctx["job_try"], ctx["job_try"], ctx["job_id"]

    @property
    def log(self):
        facts = {"job": "publish_day", "job_id": self.job_id, "key": self.key, "attempt": self.attempt}
        return Facts(jsonlog.get("wetterdienst.publish"), facts)

    @asynccontextmanager
    async def judged(self):
        try:
            yield
        except (archive.ArchiveUnavailable, hub.HubUnavailable, sqlite3.OperationalError) as error:
            if self.attempt < ATTEMPTS:
                raise self.again(error) from error
            await self.bury(error)
        except Exception as error:
            await self.bury(error)

    def again(self, error):
        seconds = min(30 * 4 ** (self.attempt - 1), 600)
        self.log.warning("retry", more={"reason": reason(error), "wait": seconds})
        return Retry(defer=seconds)

    async def bury(self, error):
        try:
            buried = await asyncio.to_thread(self._bury, error)
        except sqlite3.OperationalError as locked:
            if self.job_try < MAX_TRIES:
                raise self.again(locked) from error
            self.log.error("not buried", more={"reason": reason(locked)})
            raise
        if buried:
            self.log.error("dead letter", more={"reason": reason(error)})
        else:
            self.log.info("settled elsewhere", more={"reason": reason(error)})

    def _bury(self, error):
        if isinstance(error, sqlite3.OperationalError) and self.file is None:
            self.file = self.days.begin(*self.key.split("/"))
        if self.file is None:
            return self.days.lay_aside(self.key, self.job_id, reason(error), self.attempt)
        return self.days.bury(self.file, self.job_id, reason(error), self.attempt)

    async def run(self):
        if "/" not in self.key:
            raise MalformedMessage("fields")
        self.file = await asyncio.to_thread(self.days.begin, *self.key.split("/"))
        if self.file is None:
            raise UnknownDay("the day was never closed")
        if self.file.status != "due":
            return self.log.info(f"already {self.file.status}")
        self.attempt = max(self.job_try, self.file.starts)
        if self.attempt > ATTEMPTS:
            raise TooManyStarts(f"{self.file.starts} starts")
        self.log.info("started")
        path = f"daily/{self.file.key}.csv"
        if "stored" not in self.file.steps:
            await asyncio.to_thread(self.store, path)
        event = {"type": "daily-file", "station": self.file.station, "day": self.file.day, "object": path}
        await hub.announce(event, event_id=f"daily-{self.file.station}-{self.file.day}")
        first = await asyncio.to_thread(self.days.published, self.file)
        self.log.info("published" if first else "published by another delivery")

    def store(self, path):
        out = io.StringIO()
        lines = csv.writer(out, lineterminator="\\n")
        lines.writerow(("hour", "temperature", "rain"))
        lines.writerows(map(tuple, self.days.readings(self.file.station, self.file.day)))
        archive.put(path, out.getvalue().encode())
        self.days.stored(self.file)


async def publish_day(ctx, **message):
    delivery = Delivery(ctx, message)
    async with delivery.judged():
        await delivery.run()


def key_of(message):
    """station/day, or something without a stroke."""
    if set(message) == {"station", "day"} and all(isinstance(part, str) for part in message.values()):
        key = f"{message['station']}/{message['day']}"
        if MESSAGE.fullmatch(key) and is_day(message["day"]):
            return key
    text = json.dumps(message, sort_keys=True, default=str)
    return "malformed-" + hashlib.sha256(text.encode()).hexdigest()[:24]


def is_day(text):
    try:
        return bool(date.fromisoformat(text))
    except ValueError:
        return False


def reason(error):
    return f"{type(error).__name__}: {error}"
'''

STEPS = [
    ("wetterdienst/publish.py", "", PUBLISH),
    ("wetterdienst/days.py", "    stored integer not null default 0,\n", ""),
    ("wetterdienst/days.py", "    touched_at real not null,\n    published_at real,\n", "    touched_at real not null,\n"),
    ("wetterdienst/days.py", "create table if not exists dead_letters (",
     "create table if not exists steps (\n    station text not null,\n    day text not null,\n"
     "    step text not null check (step in ('stored', 'announced')),\n    done_at real not null,\n"
     "    primary key (station, day, step),\n    foreign key (station, day) references daily_files (station, day)\n"
     ");\ncreate table if not exists dead_letters ("),
    ("wetterdienst/days.py", "    stored: bool\n", "    steps: frozenset\n"),
    ("wetterdienst/days.py", '''            con.execute(
                "update daily_files set stored = 1, touched_at = ? where station = ? and day = ?",
                (time.time(), file.station, file.day),
            )
''', '''            self._done(con, file, "stored")
'''),
    ("wetterdienst/days.py", '''            first = con.execute(
                "update daily_files set status = 'published', published_at = ?"
                " where station = ? and day = ? and status <> 'published'",
                (time.time(), file.station, file.day),
            ).rowcount == 1
            con.execute("delete from dead_letters where key = ?", (file.key,))
            return first
''', '''            first = self._done(con, file, "announced")
            con.execute(
                "update daily_files set status = 'published' where station = ? and day = ?",
                (file.station, file.day),
            )
            con.execute("delete from dead_letters where key = ?", (file.key,))
            return first
'''),
    ("wetterdienst/days.py", '''                "select station, day, status, starts, stored from daily_files"
                " where status = 'due' and touched_at < ? order by station, day",
                (time.time() - seconds,),
            ).fetchall()
        return [self._file(row) for row in rows]
''', '''                "select station, day from daily_files where status = 'due' and touched_at < ? order by station, day",
                (time.time() - seconds,),
            ).fetchall()
            return [self._get(con, *row) for row in rows]
'''),
    ("wetterdienst/days.py", '''            "select station, day, status, starts, stored from daily_files where station = ? and day = ?",
            (station, day),
        ).fetchone()
        return row and self._file(row)

    def _file(self, row):
        return DailyFile(row["station"], row["day"], row["status"], row["starts"], bool(row["stored"]))
''', '''            "select station, day, status, starts from daily_files where station = ? and day = ?", (station, day)
        ).fetchone()
        if row is None:
            return None
        steps = con.execute("select step from steps where station = ? and day = ?", (station, day))
        return DailyFile(*row, frozenset(step for (step,) in steps))

    def _done(self, con, file, step):
        return con.execute(
            "insert into steps values (?, ?, ?, ?) on conflict do nothing",
            (file.station, file.day, step, time.time()),
        ).rowcount == 1
'''),
    (SPEC, "dedupe: {store: table daily_files}", "dedupe: {store: table steps}"),
    (SPEC, "    files: select station, day, status, stored, published_at is not null from daily_files order by 1, 2\n",
     "    files: select station, day, status from daily_files order by 1, 2\n"
     "    steps: select station, day, step from steps order by 1, 2, 3\n"),
]

VARIANTS = [
    {"id": "ok-steps", "kind": "correct", "job": "publish-day",
     "what": "Which steps are done is remembered in a table of steps, each row inserted once; a class per delivery "
             "whose context manager judges the errors, a LoggerAdapter in front of the house's formatter",
     "edits": STEPS},
    {"id": "m-gather", "kind": "mistake", "job": "publish-day",
     "what": "Object and its mark are written side by side with asyncio.gather, to save the wait. Breaks the effect "
             "`store`: the mark is committed while the put is still under way; the put fails with ArchiveUnavailable "
             "(or the worker is killed in it); the next attempt finds the mark, leaves the put out and announces an "
             "object that does not exist, and the file ends as published",
     "edits": [
         ("wetterdienst/publish.py",
          "        await asyncio.to_thread(archive.put, key, as_csv(rows))\n"
          "        await asyncio.to_thread(days.stored, file)\n",
          "        await asyncio.gather(\n"
          "            asyncio.to_thread(archive.put, key, as_csv(rows)),\n"
          "            asyncio.to_thread(days.stored, file),\n"
          "        )\n"),
     ]},
    {"id": "m-event-date", "kind": "mistake", "job": "publish-day",
     "what": "The Event-Id got the date of publishing, so that a file published anew on another day is news. Breaks "
             "the key of `announce` (the same event id for the same station and day): attempt 1 before midnight "
             "(UTC) is received, but its answer is lost or the worker dies before the row says published; the "
             "retry, or the redelivery hours later, is after midnight and carries another Event-Id, "
             "and the subscribers are told twice",
     "edits": [
         ("wetterdienst/publish.py", 'event_id=f"daily-{file.station}-{file.day}")',
          'event_id=f"daily-{file.station}-{file.day}-{today():%Y%m%d}")'),
         ("wetterdienst/publish.py", "from datetime import date\n", "from datetime import date, datetime, timezone\n"),
         ("wetterdienst/publish.py", "def reason(error):\n",
          "def today():\n    return datetime.now(timezone.utc).date()\n\n\ndef reason(error):\n"),
         ("tests/test_publish_day.py", "from wetterdienst.publish import publish_day\n",
          "from wetterdienst.publish import publish_day, today\n"),
         ("tests/test_publish_day.py", '    assert events.sent == ["daily-10488-2026-01-31"]\n',
          '    assert events.sent == [f"daily-10488-2026-01-31-{today():%Y%m%d}"]\n'),
         ("tests/test_publish_day.py", '    assert events.sent == ["daily-10488-2026-01-31"] * 2\n',
          '    assert events.sent == [f"daily-10488-2026-01-31-{today():%Y%m%d}"] * 2\n'),
         ("README.md", "in the last 30 days; ours is made of station and day, so asking twice is harmless.",
          "in the last 30 days; ours is made of station, day and the date of publishing."),
     ]},
    {"id": "m-deploys-count-not", "kind": "mistake", "job": "publish-day",
     "what": "Deploys cancel running jobs and used attempts up, so now only an attempt that fails is counted, and "
             "arq's own limit is out of the way. Breaks worker.deliveries and the dead letter: a file whose "
             "delivery kills its worker is never counted; it is delivered a hundred times, arq then "
             "drops it without calling the job, and the sweep, which sees no attempt, begins anew",
     "edits": [
         ("wetterdienst/publish.py",
          "# One delivery more than attempts: it buries what the fifth did not live to bury.\nMAX_TRIES = ATTEMPTS + 1\n",
          "# arq counts the deploys, too; attempts are counted in the row.\nMAX_TRIES = 100\n"),
         ("wetterdienst/publish.py", "        attempt = max(attempt, file.starts)\n",
          "        attempt = file.failed + 1\n"),
         ("wetterdienst/publish.py", 'raise TooManyStarts(f"{file.starts} starts")',
          'raise TooManyStarts(f"{file.failed} failures")'),
         ("wetterdienst/publish.py", "            say(logging.WARNING, \"retry\", error)\n",
          "            if file is not None:\n"
          "                await asyncio.to_thread(days.failed_once, file)\n"
          "            say(logging.WARNING, \"retry\", error)\n"),
         ("wetterdienst/days.py", "    starts integer not null default 0,\n", "    failed integer not null default 0,\n"),
         ("wetterdienst/days.py", "    starts: int\n", "    failed: int\n"),
         ("wetterdienst/days.py", '        """Count a start. The file, or None where the day was never closed."""\n',
          '        """The file, or None where the day was never closed."""\n'),
         ("wetterdienst/days.py", '"update daily_files set starts = starts + 1, touched_at = ?"\n                " where',
          '"update daily_files set touched_at = ?"\n                " where'),
         ("wetterdienst/days.py", "    def stored(self, file):\n",
          '    def failed_once(self, file):\n        with self._transaction() as con:\n            con.execute(\n'
          '                "update daily_files set failed = failed + 1 where station = ? and day = ? and status = \'due\'",\n'
          '                (file.station, file.day),\n            )\n\n'
          "    def stored(self, file):\n"),
         ("wetterdienst/days.py",
          '"select station, day, status, starts, stored from daily_files"\n',
          '"select station, day, status, failed, stored from daily_files"\n'),
         ("wetterdienst/days.py",
          '"select station, day, status, starts, stored from daily_files where station = ? and day = ?"',
          '"select station, day, status, failed, stored from daily_files where station = ? and day = ?"'),
         ("wetterdienst/days.py", 'row["starts"]', 'row["failed"]'),
         ("wetterdienst/intake.py", '                 "attempt": file.starts}\n', '                 "attempt": file.failed}\n'),
         ("wetterdienst/intake.py", "        if file.starts >= ATTEMPTS:\n", "        if file.failed >= ATTEMPTS:\n"),
         ("wetterdienst/intake.py", '"TooManyStarts: swept", file.starts)', '"TooManyStarts: swept", file.failed)'),
         ("tests/test_publish_day.py", '''def test_killed_five_times(database, objects):
    close()
    for _ in range(5):
        Days().begin("10488", "2026-01-31")
    deliver(6)
    assert rows(database, STATUS) == [("dead",)] and objects == []
''', '''def test_five_deploys(database, objects):
    close()
    for _ in range(5):
        Days().begin("10488", "2026-01-31")
    deliver(6)
    assert rows(database, STATUS) == [("published",)] and len(objects) == 1
'''),
         ("README.md", "A file is tried five times, then it is in `dead_letters`. Starts are counted in the row, since a worker\n"
                       "that is killed leaves nothing else behind. `sweep`",
          "A file is tried five times, then it is in `dead_letters`. Failures are counted in the row; a deploy that\n"
          "cancels a running job is none. `sweep`"),
     ]},
]
