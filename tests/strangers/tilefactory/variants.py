"""Versions of base/: two more that are right, four that are not."""

_BATCHES_LEDGER = '''"""The rows of batches: what was tried (runs) and what came of it (artifacts, dead letters)."""
import json
import time
from dataclasses import dataclass

from tilefactory import db
from tilefactory.settings import MAX_ATTEMPTS


class NoSuchBatch(Exception):
    """A message names a batch that is not there."""


@dataclass(frozen=True)
class Attempt:
    batch_id: int
    layer: str
    number: int
    ended: str | None

    @property
    def last(self) -> bool:
        return self.number >= MAX_ATTEMPTS

    @property
    def too_many(self) -> bool:
        return self.number > MAX_ATTEMPTS


def begin(batch_id: int) -> Attempt:
    """Write down one more run, unless the batch has ended."""
    with db.transaction() as tx:
        row = tx.execute(
            "select b.layer, a.batch_id as stored, b.dead_at,"
            " (select count(*) from runs where batch_id = b.id) as runs"
            " from batches b left join artifacts a on a.batch_id = b.id where b.id = ?",
            (batch_id,)).fetchone()
        if row is None:
            raise NoSuchBatch(f"there is no batch {batch_id}")
        ended = "done" if row["stored"] else "dead" if row["dead_at"] else None
        attempt = Attempt(batch_id, row["layer"], row["runs"] + 1, ended)
        if ended is None and not attempt.too_many:
            tx.execute("insert into runs (batch_id, number, started_at) values (?, ?, ?)",
                       (batch_id, attempt.number, time.time()))
            tx.execute("update batches set touched_at = ? where id = ?", (time.time(), batch_id))
        return attempt


def note(attempt: Attempt, outcome: str) -> None:
    with db.transaction() as tx:
        tx.execute("update runs set outcome = ? where batch_id = ? and number = ?",
                   (outcome, attempt.batch_id, attempt.number))


def features(batch_id: int) -> list[dict]:
    """The features of a batch. They do not change once they are in a batch."""
    connection = db.connect()
    try:
        rows = connection.execute(
            "select id, name, geometry from features where batch_id = ? order by id", (batch_id,))
        return [{"type": "Feature", "id": row["id"], "properties": {"name": row["name"]},
                 "geometry": json.loads(row["geometry"])} for row in rows]
    finally:
        connection.close()


def finish(batch_id: int, layer: str, key: str, sha256: str, count: int) -> bool:
    """The first who inserts the artifact counts the features; everybody else leaves it at that."""
    with db.transaction() as tx:
        inserted = tx.execute(
            "insert into artifacts (batch_id, key, sha256, features) values (?, ?, ?, ?)"
            " on conflict (batch_id) do nothing", (batch_id, key, sha256, count))
        if inserted.rowcount == 0:
            return False
        tx.execute("update batches set dead_at = null where id = ?", (batch_id,))
        tx.execute("delete from dead_letters where batch_id = ?", (batch_id,))
        tx.execute("update features set published = 1 where batch_id = ?", (batch_id,))
        tx.execute("update layers set published = published + ? where name = ?", (count, layer))
        return True


def bury(batch_id: int, reason: str) -> bool:
    with db.transaction() as tx:
        changed = tx.execute(
            "update batches set dead_at = ? where id = ? and dead_at is null"
            " and not exists (select 1 from artifacts where batch_id = batches.id)",
            (time.time(), batch_id))
        if changed.rowcount == 0:
            return False
        runs = tx.execute("select count(*) from runs where batch_id = ?", (batch_id,)).fetchone()[0]
        _dead_letter(tx, {"batch_id": batch_id}, batch_id, reason, runs)
        return True


def bury_message(message, reason: str) -> None:
    with db.transaction() as tx:
        _dead_letter(tx, message, None, reason, 0)


def _dead_letter(tx, message, batch_id, reason: str, attempts: int) -> None:
    tx.execute(
        "insert or replace into dead_letters (message, batch_id, reason, attempts, buried_at)"
        " values (?, ?, ?, ?, ?)",
        (json.dumps(message, sort_keys=True, default=repr), batch_id, reason, attempts, time.time()))
'''

_JOBS_LEDGER = '''"""What the workers run."""
import functools
import gzip
import hashlib
import json
import logging

from rq import get_current_job

from tilefactory import batches, settings, store

logger = logging.getLogger(__name__)

GIVE_UP_AT_ONCE = (store.AccessDenied, store.InvalidObject)


def event(level: int, name: str, batch_id=None, exc=None, **fields) -> None:
    """One event in the log; the formatter makes JSON of it."""
    said = " ".join(f"{key}={value}" for key, value in fields.items())
    logger.log(level, "build-batch %s batch=%s %s", name, batch_id, said, exc_info=exc,
               extra={"fields": {"job": "build-batch", "event": name, "batch_id": batch_id, **fields}})


def tracked(body):
    """Everything around an attempt: message, count, errors, log. The body gets the attempt."""
    @functools.wraps(body)
    def job(message):
        problem = malformed(message)
        if problem:
            batches.bury_message(message, problem)
            return event(logging.ERROR, "gave-up", reason=f"malformed message: {problem}", message_=repr(message))
        batch_id = message["batch_id"]
        try:
            attempt = batches.begin(batch_id)
        except batches.NoSuchBatch as exc:
            batches.bury_message(message, f"NoSuchBatch: {exc}")
            return event(logging.ERROR, "gave-up", batch_id, reason=f"NoSuchBatch: {exc}")
        if attempt.ended:
            return event(logging.INFO, "skipped", batch_id, because=attempt.ended)
        if attempt.too_many:
            return give_up(batch_id, f"the worker died in the last of {settings.MAX_ATTEMPTS} attempts")
        current = get_current_job()
        event(logging.INFO, "started", batch_id, attempt=attempt.number, rq=current.id if current else None)
        try:
            key = body(attempt)
        except Exception as exc:
            reason = f"{type(exc).__name__}: {exc}"
            batches.note(attempt, reason)
            if isinstance(exc, GIVE_UP_AT_ONCE) or attempt.last:
                return give_up(batch_id, reason, exc)
            event(logging.WARNING, "retry", batch_id, attempt=attempt.number, reason=reason)
            raise
        batches.note(attempt, "ok")
        event(logging.INFO, "done", batch_id, attempt=attempt.number, key=key)
        return key
    return job


@tracked
def build_batch(attempt: batches.Attempt) -> str:
    rows = batches.features(attempt.batch_id)
    body = gzip.compress("".join(json.dumps(row, sort_keys=True) + "\\n" for row in rows).encode(), mtime=0)
    sha256 = hashlib.sha256(body).hexdigest()
    key = f"{attempt.layer}/{attempt.batch_id:06d}-{sha256[:16]}.ndjson.gz"
    store.client().put_object(Bucket=settings.load().bucket, Key=key, Body=body,
                              ContentType="application/gzip", Metadata={"sha256": sha256})
    batches.finish(attempt.batch_id, attempt.layer, key, sha256, len(rows))
    return key


def malformed(message) -> str | None:
    match message:
        case {"batch_id": int(batch_id)} if len(message) == 1 and type(batch_id) is int and batch_id > 0:
            return None
    return "it should be {batch_id: a positive number}"


def give_up(batch_id: int, reason: str, exc: BaseException | None = None) -> None:
    if batches.bury(batch_id, reason):
        event(logging.ERROR, "gave-up", batch_id, exc, reason=reason)


def on_failure(job, connection, exc_type, exc, traceback) -> None:
    """RQ calls this after an error and for a job whose worker has vanished."""
    worker_lost(job, f"{exc_type.__name__}: {exc}")


def horse_killed(job, retpid, ret_val, rusage) -> None:
    worker_lost(job, f"the work horse was killed (status {ret_val})")


def worker_lost(job, reason: str) -> None:
    message = job.args[0] if job.args else None
    if malformed(message):
        return
    if job.retries_left:
        event(logging.WARNING, "rq-retry", message["batch_id"], rq=job.id, reason=reason)
    else:
        give_up(message["batch_id"], reason)
'''

_LOGS_JSON = '''"""Logging: one JSON object a line."""
import json
import logging
import logging.config

from tilefactory import settings


class Json(logging.Formatter):
    def format(self, record):
        line = {"at": self.formatTime(record), "level": record.levelname, "logger": record.name,
                "message": record.getMessage(), **getattr(record, "fields", {})}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure() -> None:
    logging.config.dictConfig({
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": Json}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"level": settings.load().log_level, "handlers": ["stderr"]},
    })
'''

_SPEC = ".skillrun/jobs/build-batch.yaml"

VARIANTS = [
    {
        "id": "ok-1", "kind": "correct", "job": "build-batch",
        "what": "No look before: the store itself refuses a second object under the key (If-None-Match: *),"
                " and its 412 counts as success.",
        "edits": [
            ("tilefactory/store.py", '''class InvalidObject(StoreError):''',
             '''class PreconditionFailed(StoreError):
    """There is an object under this key."""


class InvalidObject(StoreError):'''),
            ("tilefactory/store.py",
             '''    def put_object(self, *, Bucket: str, Key: str, Body: bytes, ContentType: str, Metadata: dict) -> dict:
        headers = {"Content-Type": ContentType}
''',
             '''    def put_object(self, *, Bucket: str, Key: str, Body: bytes, ContentType: str, Metadata: dict,
                   IfNoneMatch: str | None = None) -> dict:
        headers = {"Content-Type": ContentType}
        if IfNoneMatch:
            headers["If-None-Match"] = IfNoneMatch
'''),
            ("tilefactory/store.py", '''        if status in (408, 429) or''',
             '''        if status == 412:
            raise PreconditionFailed(f"412 for {response.url}")
        if status in (408, 429) or'''),
            ("tilefactory/jobs.py",
             '''    objects = store.client()
    there = objects.head_object(Bucket=bucket, Key=key)
    if there is None or there["Metadata"].get("sha256") != sha256:
        objects.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/gzip",
                           Metadata={"sha256": sha256})
''',
             '''    try:
        store.client().put_object(
            Bucket=bucket, Key=key, Body=body, ContentType="application/gzip",
            Metadata={"sha256": sha256}, IfNoneMatch="*")
    except store.PreconditionFailed:
        # The hash is part of the key: what lies there has the same bytes.
        logs.for_batch(logger, attempt.batch_id).info("%s was there", key)
'''),
            (_SPEC, '''  - name: look
    call: tilefactory.store:ObjectStore.head_object
    guarantee: convergent
    returns: null
''', ""),
            (_SPEC, '''  acceptable_delay: 2h''', '''  success: ["tilefactory.store:PreconditionFailed"]
  acceptable_delay: 2h'''),
        ],
    },
    {
        "id": "ok-2", "kind": "correct", "job": "build-batch",
        "what": "No status: the artifact's row is the mark, each attempt is a row of its own in runs,"
                " a decorator does the error handling, and the log is JSON.",
        "edits": [
            ("tilefactory/batches.py", "", _BATCHES_LEDGER),
            ("tilefactory/jobs.py", "", _JOBS_LEDGER),
            ("tilefactory/logs.py", "", _LOGS_JSON),
            ("tilefactory/db.py",
             '''    status      text not null default 'ready' check (status in ('ready', 'done', 'dead')),
    attempts    integer not null default 0,
    released_at real,
    enqueued_at real,
    touched_at  real
);''',
             '''    released_at real,
    enqueued_at real,
    touched_at  real,
    dead_at     real
);
create table if not exists runs (
    batch_id   integer not null references batches(id),
    number     integer not null,
    started_at real not null,
    outcome    text,
    primary key (batch_id, number)
);'''),
            ("tilefactory/release.py",
             '''            "update batches set status = 'ready', attempts = 0, released_at = ?, enqueued_at = null"
            " where id = ? and (status = 'dead' or (status = 'ready' and released_at is null))",
            (time.time(), batch_id))
        if changed.rowcount == 0:
            return False
''',
             '''            "update batches set dead_at = null, released_at = ?, enqueued_at = null"
            " where id = ? and (dead_at is not null or released_at is null)"
            " and not exists (select 1 from artifacts where batch_id = batches.id)",
            (time.time(), batch_id))
        if changed.rowcount == 0:
            return False
        tx.execute("delete from runs where batch_id = ?", (batch_id,))
'''),
            ("tilefactory/release.py", '''from tilefactory import db, logs, settings''',
             '''from tilefactory import db, settings'''),
            ("tilefactory/release.py", '''    logs.for_batch(logger, batch_id).info("enqueued")


if __name__ == "__main__":
    logs.configure()
''', '''    logger.info("build-batch enqueued batch=%s", batch_id,
                extra={"fields": {"job": "build-batch", "event": "enqueued", "batch_id": batch_id}})


if __name__ == "__main__":
    from tilefactory import logs
    logs.configure()
'''),
            ("tilefactory/sweeps.py",
             '''            "select id, attempts from batches where status = 'ready' and"
            " ((released_at is not null and enqueued_at is null) or touched_at < ?) order by id",
''',
             '''            "select id, (select count(*) from runs where batch_id = batches.id) as attempts"
            " from batches where dead_at is null"
            " and not exists (select 1 from artifacts where batch_id = batches.id)"
            " and ((released_at is not null and enqueued_at is null) or touched_at < ?) order by id",
'''),
            ("tilefactory/sweeps.py", '''        log = logs.for_batch(logger, row["id"])
''', ''''''),
            ("tilefactory/sweeps.py", '''jobs.give_up(log, row["id"],''', '''jobs.give_up(row["id"],'''),
            ("tilefactory/sweeps.py", '''        log.warning("stood still after %d attempts, enqueued again", row["attempts"])
''', '''        jobs.event(logging.WARNING, "swept", row["id"], attempts=row["attempts"])
'''),
            ("tilefactory/sweeps.py", '''logger = logging.getLogger(__name__)


''', '''
'''),
            (_SPEC, '''  - name: look
    call: tilefactory.store:ObjectStore.head_object
    guarantee: convergent
    returns: null
''', ""),
            (_SPEC, "dedupe: {store: table batches}", "dedupe: {store: table artifacts}"),
            (_SPEC, "    batches: select id, layer, status from batches order by id\n",
             "    batches: select id, layer, dead_at is not null as dead from batches order by id\n"),
            (_SPEC, "  dead_letters: select", "  not_state: [runs]\n  dead_letters: select"),
            ("tests/test_build.py", '''    assert rows("select status from batches where id = 1") == [("done",)]
''', '''    assert rows("select batch_id from artifacts") == [(1,)]
'''),
            ("tests/test_build.py", '''"batch=1] gave up: StoreUnavailable: 503"''',
             '''"gave-up batch=1 reason=StoreUnavailable: 503"'''),
        ],
    },
    {
        "id": "m-attempt-header", "kind": "mistake", "job": "build-batch",
        "what": "The file gets a header for the analysts, with the number of the attempt in it: the bytes,"
                " their hash and so the object's key differ from attempt to attempt.",
        "edits": [
            ("tilefactory/jobs.py",
             '''    lines = "".join(json.dumps(row, sort_keys=True) + "\\n" for row in rows)
''',
             '''    header = {"layer": attempt.layer, "batch": attempt.batch_id, "features": len(rows),
              "attempt": attempt.number}
    lines = "".join(json.dumps(row, sort_keys=True) + "\\n" for row in [header, *rows])
'''),
            ("tests/test_build.py", '''.splitlines()) == 2''', '''.splitlines()) == 3'''),
            ("tests/test_build.py", '''    assert len(set(objects.puts)) == 1
''', ''''''),
            ("tests/test_build.py", '''    assert len(objects.objects) == 1
''', ''''''),
        ],
    },
    {
        "id": "m-denied-retried", "kind": "mistake", "job": "build-batch",
        "what": "A 403 is tried again, five times over, because tokens are rotated at night.",
        "edits": [
            ("tilefactory/jobs.py", '''PERMANENT = (store.AccessDenied, store.InvalidObject)''',
             '''# Not AccessDenied: the token is rotated at night, and a 403 is gone a minute later.
PERMANENT = (store.InvalidObject,)'''),
        ],
    },
    {
        "id": "m-enqueued-first", "kind": "mistake", "job": "build-batch",
        "what": "One transaction instead of two: a release is marked as enqueued before it is."
                " A release that dies in between is in no queue, and the sweep does not see it.",
        "edits": [
            ("tilefactory/release.py", '''released_at = ?, enqueued_at = null"
            " where id = ? and (status = 'dead' or (status = 'ready' and released_at is null))",
            (time.time(), batch_id))''', '''released_at = ?, enqueued_at = ?"
            " where id = ? and (status = 'dead' or (status = 'ready' and released_at is null))",
            (time.time(), time.time(), batch_id))'''),
            ("tilefactory/release.py", '''    # If we die here, the sweep finds the batch: released, and not enqueued.
''', ''''''),
            ("tilefactory/release.py", '''    with db.transaction() as tx:
        tx.execute("update batches set enqueued_at = ?, touched_at = ? where id = ?",
                   (time.time(), time.time(), batch_id))
''', ''''''),
            ("tests/test_build.py", '''    assert sweeps.requeue() == []
    now = sweeps.time.time()
    monkeypatch.setattr(sweeps.time, "time", lambda: now + 700)
    assert sweeps.requeue() == [1]
''', '''    assert sweeps.requeue() == []
'''),
        ],
    },
    {
        "id": "m-counted-twice", "kind": "mistake", "job": "build-batch",
        "what": "finish() relies on begin() having looked at the status: of two deliveries at once both add"
                " to the layer's count.",
        "edits": [
            ("tilefactory/batches.py",
             '''        changed = tx.execute(
            "update batches set status = 'done' where id = ? and status <> 'done'", (batch_id,))
        if changed.rowcount == 0:
            return False
        tx.execute("delete''',
             '''        tx.execute("update batches set status = 'done' where id = ?", (batch_id,))
        tx.execute("delete'''),
            ("tilefactory/batches.py", '''"insert into artifacts (batch_id''',
             '''"insert or replace into artifacts (batch_id'''),
            ("tests/test_build.py", '''    assert len(objects.objects) == 1
    assert rows("select published from layers where name = 'roads'") == [(2,)]
''', '''    assert len(objects.objects) == 1
'''),
        ],
    },
]
