"""Versions of base: edits are (path, old text, new text); an empty old text writes the file new."""

OK1_TASKS = '''"""Celery's own means throughout: autoretry_for counts and waits, the signals of a
task say how it ends."""
import logging

import psycopg
import structlog
from botocore import exceptions as boto
from celery import Celery
from celery.signals import setup_logging, task_failure, task_retry

from . import exports, log, portal
from .config import config
from .objects import ObjectStore

log.configure()
logger = structlog.get_logger()

app = Celery("umschlag", broker=config.broker)
app.config_from_object("umschlag.celeryconfig")

store = ObjectStore()


class BadMessage(Exception):
    pass


class TooManyStarts(Exception):
    pass


class StoreAway(Exception):
    """The object store is out of order; it says so itself, or nothing at all."""


PASSING = (StoreAway, portal.PortalDown, psycopg.OperationalError)


@setup_logging.connect
def _keep_ours(**_):
    logging.basicConfig(level=logging.INFO)


@app.task(
    bind=True,
    name="umschlag.export_manifest",
    autoretry_for=PASSING,
    max_retries=config.max_retries,
    retry_backoff=config.first_wait,
    retry_backoff_max=config.longest_wait,
    retry_jitter=False,
)
def export_manifest(self, **message):
    """Store the manifest of one revision and announce it to the carrier."""
    about = logger.bind(job="export-manifest", task_id=self.request.id, message=message)
    about.info("started", attempt=self.request.retries + 1)
    shipment_id, revision = read(message)
    export = exports.start(shipment_id, revision)
    if export["status"] != "pending":
        about.info("nothing to do", status=export["status"])
        return
    if export["starts"] > config.max_starts:
        raise TooManyStarts(f"{config.max_starts} starts came to no end")
    try:
        Export(shipment_id, revision).carry_out(export["object_key"])
    except portal.PortalBusy as exc:
        raise self.retry(exc=exc, countdown=exc.retry_after)
    about.info("succeeded")


class Export:
    def __init__(self, shipment_id, revision):
        self.id = shipment_id, revision
        self.carrier, self.pieces, self.text = exports.manifest(shipment_id, revision)
        self.reference = f"{shipment_id}-r{revision}"

    def carry_out(self, key):
        if key is None:
            key = self.upload()
        self.announce(key)
        exports.finish(*self.id)

    def upload(self):
        key = "{}/{}/r{}.csv".format(self.carrier, *self.id)
        try:
            store.put(key=key, body=self.text)
        except boto.ClientError as exc:
            status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            if status < 500 and status not in (408, 429):
                raise
            raise StoreAway(str(exc)) from exc
        except (boto.ConnectionError, boto.HTTPClientError) as exc:
            raise StoreAway(str(exc)) from exc
        exports.stored(*self.id, key)
        return key

    def announce(self, key):
        try:
            portal.announce(self.carrier, reference=self.reference, object_key=key, pieces=self.pieces)
        except portal.AlreadyAnnounced:
            pass


@task_retry.connect
def _says_retry(sender, request, reason, **_):
    if sender.name == export_manifest.name:
        logger.warning(
            "failed, will be retried", job="export-manifest", task_id=request.id,
            message=request.kwargs, reason=str(reason),
        )


@task_failure.connect
def _buries(sender, task_id, exception, args, kwargs, **_):
    if sender.name != export_manifest.name:
        return
    message = {**kwargs, "args": list(args)} if args else dict(kwargs)
    reason = f"{type(exception).__name__}: {exception}"
    about = logger.bind(job="export-manifest", task_id=task_id, message=message, reason=reason)
    if exports.bury("export-manifest", message, reason):
        about.error("failed, given up")
    else:
        about.warning("failed, but another delivery has done it")


def read(message):
    if set(message) != {"shipment_id", "revision"}:
        raise BadMessage(f"shipment_id and revision are wanted, not {sorted(message)}")
    for name, value in message.items():
        if type(value) is not int or not 1 <= value < 2**31:
            raise BadMessage(f"{name} is {value!r}")
    return message["shipment_id"], message["revision"]


@app.task(name="umschlag.publish_pending")
def publish_pending():
    from . import releases

    releases.publish_pending()
'''

OK1_CONFIG = '''task_serializer = "json"
accept_content = ["json"]
task_ignore_result = True
task_acks_late = True
task_reject_on_worker_lost = True
worker_prefetch_multiplier = 1
# longer than the longest wait (a Retry-After of 900 s), or Redis hands out waiting tasks again
broker_transport_options = {"visibility_timeout": 3600}
beat_schedule = {"outbox": {"task": "umschlag.publish_pending", "schedule": 30.0}}
'''

OK2_EXPORTS = '''"""What became of the export of a revision: marks that are set once, each with its
primary key. No mark is ever taken back but by hand."""
import csv
import io

from psycopg.types.json import Jsonb

from .db import connect


class NoSuchRevision(Exception):
    pass


def marks(conn, shipment_id, revision):
    rows = conn.execute(
        "select mark, detail from marks where shipment_id = %s and revision = %s", (shipment_id, revision)
    )
    return {row["mark"]: row["detail"] for row in rows}


def start(shipment_id, revision):
    """The marks so far, and how many starts there were with this one."""
    with connect() as conn:
        found = marks(conn, shipment_id, revision)
        if found.keys() & {"done", "dead"}:
            return found, 0
        row = conn.execute(
            "insert into starts as s values (%s, %s, 1) on conflict (shipment_id, revision)"
            " do update set n = s.n + 1 returning n",
            (shipment_id, revision),
        ).fetchone()
        return found, row["n"]


def mark(conn, shipment_id, revision, name, detail=None):
    conn.execute(
        "insert into marks values (%s, %s, %s, %s) on conflict do nothing",
        (shipment_id, revision, name, detail),
    )


def stored(shipment_id, revision, key):
    with connect() as conn:
        mark(conn, shipment_id, revision, "stored", key)


def finish(shipment_id, revision):
    with connect() as conn:
        mark(conn, shipment_id, revision, "done")
        conn.execute(
            "update shipments set exported = greatest(exported, %s) where id = %s", (revision, shipment_id)
        )


def manifest(shipment_id, revision):
    with connect() as conn:
        shipment = conn.execute("select carrier from shipments where id = %s", (shipment_id,)).fetchone()
        lines = conn.execute(
            "select line, sku, pieces, kilograms from shipment_lines"
            " where shipment_id = %s and revision = %s order by line",
            (shipment_id, revision),
        ).fetchall()
    if shipment is None or not lines:
        raise NoSuchRevision(f"shipment {shipment_id} has no revision {revision}")
    text = io.StringIO()
    writer = csv.DictWriter(text, ["line", "sku", "pieces", "kilograms"], lineterminator="\\n")
    writer.writeheader()
    writer.writerows(lines)
    return shipment["carrier"], sum(line["pieces"] for line in lines), text.getvalue()


def bury(job, message, reason, export=None):
    with connect() as conn:
        if export:
            if "done" in marks(conn, *export):
                return
            mark(conn, *export, "dead")
        conn.execute(
            "insert into dead_letters (job, message, reason) values (%s, %s, %s) on conflict do nothing",
            (job, Jsonb(message), reason),
        )
'''

OK2_TASKS = '''import logging
from dataclasses import dataclass

import psycopg
from botocore.exceptions import ClientError, ConnectionError, HTTPClientError
from celery import Celery
from celery.signals import setup_logging

from . import exports, log
from .config import config
from .objects import ObjectStore
from .portal import Portal, PortalBusy, PortalDown, PortalRefused

log.configure()
logger = logging.getLogger(__name__)

app = Celery("umschlag", broker=config.broker)
app.conf.update(
    task_serializer="json",
    accept_content=["json"],
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    broker_transport_options={"visibility_timeout": 3600},
    beat_schedule={"outbox": {"task": "umschlag.publish_pending", "schedule": 30.0}},
)

store = ObjectStore()
portal = Portal(config.portal, config.portal_key)
JOB = "export-manifest"


@setup_logging.connect
def _keep_ours(**_):
    log.configure()


class Unusable(Exception):
    """A message that nobody can act on, or one that was acted on too often."""


@dataclass(frozen=True)
class Revision:
    shipment_id: int
    number: int

    @classmethod
    def of(cls, message):
        match message:
            case {"shipment_id": int(shipment_id), "revision": int(number)} if len(message) == 2:
                if bool not in (type(shipment_id), type(number)) and min(shipment_id, number) >= 1:
                    if max(shipment_id, number) < 2**31:
                        return cls(shipment_id, number)
        raise Unusable(f"malformed message: {message!r}")

    def __iter__(self):
        return iter((self.shipment_id, self.number))

    def __str__(self):
        return f"{self.shipment_id}-r{self.number}"


@app.task(bind=True, name="umschlag.export_manifest", max_retries=config.max_retries)
def export_manifest(self, *args, **message):
    attempt = self.request.retries + 1
    about = f"job={JOB} task={self.request.id} message={message}"
    logger.info("%s attempt=%s started", about, attempt)
    revision = None
    try:
        if args:
            raise Unusable(f"malformed message: {args!r}")
        revision = Revision.of(message)
        outcome = export(revision)
    except Exception as exc:
        reason = f"{type(exc).__name__}: {exc}"
        if passes(exc) and attempt <= config.max_retries:
            wait = getattr(exc, "retry_after", 0) or min(
                config.first_wait << self.request.retries, config.longest_wait
            )
            logger.warning("%s attempt=%s failed, will be retried in %ss: %s", about, attempt, wait, reason)
            raise self.retry(exc=exc, countdown=wait)
        exports.bury(JOB, message or {"args": list(args)}, reason, revision)
        logger.error("%s attempt=%s failed, given up: %s", about, attempt, reason)
    else:
        logger.info("%s attempt=%s succeeded: %s", about, attempt, outcome)


def export(revision):
    marks, starts = exports.start(*revision)
    for end in ("done", "dead"):
        if end in marks:
            return f"nothing to do, it is {end}"
    if starts > config.max_starts:
        raise Unusable(f"{config.max_starts} starts came to no end")
    carrier, pieces, text = exports.manifest(*revision)
    key = f"{carrier}/{revision.shipment_id}/r{revision.number}.csv"
    if "stored" not in marks:
        store.put(key=key, body=text)
        exports.stored(*revision, key)
    portal.announce(carrier, key, pieces, headers={"Idempotency-Key": str(revision)})
    exports.finish(*revision)
    return f"announced {key}"


def passes(exc):
    if isinstance(exc, PortalRefused):
        return False
    if isinstance(exc, ClientError):
        status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= 500 or status in (408, 429)
    return isinstance(
        exc, (PortalDown, PortalBusy, ConnectionError, HTTPClientError, psycopg.OperationalError)
    )


@app.task(name="umschlag.publish_pending")
def publish_pending():
    from . import releases

    releases.publish_pending()
'''

OK2_PORTAL = '''"""The carriers' portal. An announcement is known again by its Idempotency-Key for
14 days; a repetition is answered like the first one, or with 409."""
import requests
from requests.adapters import HTTPAdapter


class PortalDown(Exception):
    """No answer, or a broken one: it may have arrived."""


class PortalBusy(Exception):
    def __init__(self, retry_after=60):
        super().__init__(f"portal is busy, asks for {retry_after}s")
        self.retry_after = retry_after


class PortalRefused(Exception):
    """The portal will never take this announcement."""


class Portal:
    def __init__(self, url, key):
        self.url = url
        self.http = requests.Session()
        self.http.headers["X-Api-Key"] = key
        self.http.mount("http", HTTPAdapter(max_retries=0))

    def announce(self, carrier, object_key, pieces, headers):
        try:
            answer = self.http.post(
                self.url + "/v2/announcements",
                json={"carrier": carrier, "reference": headers["Idempotency-Key"],
                      "manifest": object_key, "pieces": pieces},
                headers=headers,
                timeout=(5, 30),
            )
        except requests.RequestException as exc:
            raise PortalDown(f"{type(exc).__name__}: {exc}") from exc
        match answer.status_code:
            case 409:
                return
            case 429:
                after = answer.headers.get("Retry-After", "")
                raise PortalBusy(min(int(after), 900) if after.isdigit() else 60)
            case code if code >= 500 or code == 408:
                raise PortalDown(f"portal answers {code}")
            case code if code >= 400:
                raise PortalRefused(f"portal answers {code}: {answer.text[:200]}")
'''

OK2_TEST = '''"""The database is a dict here: the laptops of the desk have no PostgreSQL."""
from unittest import mock

import pytest
from botocore.exceptions import ClientError

from umschlag import exports, portal, tasks

MESSAGE = {"shipment_id": 1, "revision": 1}


@pytest.fixture
def world(monkeypatch):
    world = mock.Mock(marks={}, dead=[])
    monkeypatch.setattr(tasks.store, "put", world.put)
    monkeypatch.setattr(tasks.portal, "announce", world.announce)
    monkeypatch.setattr(exports, "start", lambda *id: (dict(world.marks), 1))
    monkeypatch.setattr(exports, "manifest", lambda *id: ("alpin", 12, "line"))
    monkeypatch.setattr(exports, "stored", lambda s, r, key: world.marks.update(stored=key))
    monkeypatch.setattr(exports, "finish", lambda *id: world.marks.update(done=None))
    monkeypatch.setattr(exports, "bury", lambda *letter: world.dead.append(letter))
    return world


def test_once_and_again(world):
    for _ in range(2):
        tasks.export_manifest.apply(kwargs=MESSAGE)
    world.put.assert_called_once_with(key="alpin/1/r1.csv", body="line")
    world.announce.assert_called_once()


def test_six_tries(world):
    world.announce.side_effect = portal.PortalDown("502")
    tasks.export_manifest.apply(kwargs=MESSAGE)
    assert world.announce.call_count == 6 and len(world.dead) == 1 and world.put.call_count == 1


def test_denied(world):
    world.put.side_effect = ClientError(
        {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}, "PutObject"
    )
    tasks.export_manifest.apply(kwargs=MESSAGE)
    assert world.put.call_count == 1 and len(world.dead) == 1


@pytest.mark.parametrize("message", [{}, {"shipment_id": True, "revision": 1}, {**MESSAGE, "more": 1}])
def test_malformed(world, message):
    tasks.export_manifest.apply(kwargs=message)
    assert len(world.dead) == 1 and not world.put.called
'''

OK2_LOG = '''import logging.config


def configure():
    logging.config.dictConfig({
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": "{asctime} {levelname} {process} {name}: {message}", "style": "{"}},
        "handlers": {"err": {"class": "logging.StreamHandler", "formatter": "line"}},
        "loggers": {"umschlag": {"level": "INFO"}},
        "root": {"level": "WARNING", "handlers": ["err"]},
    })
'''

SPEC = ".skillrun/jobs/export-manifest.yaml"

VARIANTS = [
    {
        "id": "ok-1", "kind": "correct", "job": "export-manifest",
        "what": "autoretry_for with Celery's own backoff, dead letters and the retry line by signals, an object per export",
        "edits": [
            ("umschlag/tasks.py", "", OK1_TASKS),
            ("umschlag/celeryconfig.py", "", OK1_CONFIG),
        ],
    },
    {
        "id": "ok-2", "kind": "correct", "job": "export-manifest",
        "what": "Marks instead of a status row, the handler buries itself, the key in a header, plain logging, an outbox that keeps its rows",
        "edits": [
            ("umschlag/exports.py", "", OK2_EXPORTS),
            ("umschlag/tasks.py", "", OK2_TASKS),
            ("umschlag/portal.py", "", OK2_PORTAL),
            ("umschlag/log.py", "", OK2_LOG),
            ("tests/test_export.py", "", OK2_TEST),
            ("umschlag/schema.sql", '''create table if not exists exports (
    shipment_id integer not null,
    revision    integer not null,
    status      text not null default 'pending' check (status in ('pending', 'done', 'dead')),
    object_key  text,
    starts      integer not null default 0,
    primary key (shipment_id, revision)
);
''', '''create table if not exists marks (
    shipment_id integer not null,
    revision    integer not null,
    mark        text not null check (mark in ('stored', 'done', 'dead')),
    detail      text,
    primary key (shipment_id, revision, mark)
);

create table if not exists starts (
    shipment_id integer not null,
    revision    integer not null,
    n           integer not null,
    primary key (shipment_id, revision)
);
'''),
            ("umschlag/schema.sql", "    written timestamptz not null default now()\n", "    written timestamptz not null default now(),\n    published timestamptz\n"),
            ("umschlag/releases.py", "import structlog\nfrom kombu", "import logging\n\nfrom kombu"),
            ("umschlag/releases.py", "logger = structlog.get_logger()", "logger = logging.getLogger(__name__)"),
            ("umschlag/releases.py", '"select id, message from outbox order by id limit 200 for update skip locked"',
             '"select id, message from outbox where published is null"\n            " order by id limit 200 for update skip locked"'),
            ("umschlag/releases.py", '"delete from outbox where id = %s", (row["id"],)', '"update outbox set published = now() where id = %s", (row["id"],)'),
            ("umschlag/releases.py", 'logger.info("outbox published", messages=len(rows))', 'logger.info("outbox: %s messages published", len(rows))'),
            ("umschlag/releases.py", '"broker is away, the outbox keeps it", reason=str(exc)', '"broker is away, the outbox keeps it: %s", exc'),
            ("umschlag/releases.py", '''            "update exports set status = 'pending', starts = 0"
            " where shipment_id = %s and revision = %s and status = 'dead'",
            (shipment_id, revision),
        )
''', '''            "delete from marks where shipment_id = %s and revision = %s and mark = 'dead'",
            (shipment_id, revision),
        )
        conn.execute(
            "delete from starts where shipment_id = %s and revision = %s", (shipment_id, revision)
        )
'''),
            ("pyproject.toml", '"requests", "structlog>=24"]', '"requests"]'),
            (SPEC, "dedupe: {store: table exports}", "dedupe: {store: table marks}"),
            (SPEC, "    call: umschlag.portal:announce\n    key_arg: reference\n", "    call: umschlag.portal:Portal.announce\n    key_arg: headers.Idempotency-Key\n"),
            (SPEC, '''    - {type: "umschlag.tasks:BadMessage", effects: []}
    - {type: "umschlag.tasks:TooManyStarts", effects: []}
  success:
    - {type: "umschlag.portal:AlreadyAnnounced", args: [1-r1], effects: [announce]}
''', '''    - {type: "umschlag.tasks:Unusable", effects: []}
'''),
            (SPEC, "    exports: select shipment_id, revision, status, object_key from exports order by 1, 2\n",
             "    marks: select shipment_id, revision, mark, detail from marks order by 1, 2, 3\n"),
            (SPEC, "  dead_letters: select", "  not_state: [starts]\n  dead_letters: select"),
        ],
    },
    {
        "id": "m-outbox", "kind": "mistake", "job": "export-manifest",
        "what": "The relay takes the rows out and commits before it publishes, to hold no locks while it talks to Redis: a broker that is away, or a kill, loses them",
        "edits": [
            ("umschlag/releases.py", '''    """Hand what lies in the outbox to Celery. A row goes only after its message
    has left: twice is better than never."""
    with connect() as conn:
        rows = conn.execute(
            "select id, message from outbox order by id limit 200 for update skip locked"
        ).fetchall()
        for row in rows:
            export_manifest.apply_async(kwargs=row["message"])
            conn.execute("delete from outbox where id = %s", (row["id"],))
''', '''    """Hand what lies in the outbox to Celery."""
    # one short statement: two beats cannot take the same row, and no lock is
    # held while Redis is slow
    with connect() as conn:
        rows = conn.execute(
            "delete from outbox where id in"
            " (select id from outbox order by id limit 200 for update skip locked)"
            " returning id, message"
        ).fetchall()
    for row in sorted(rows, key=lambda row: row["id"]):
        export_manifest.apply_async(kwargs=row["message"])
'''),
        ],
    },
    {
        "id": "m-closing", "kind": "mistake", "job": "export-manifest",
        "what": "bury closes its connection with contextlib.closing, which does not commit: no dead letter is ever there",
        "edits": [
            ("umschlag/exports.py", "import csv\nimport io\n", "import csv\nimport io\nfrom contextlib import closing\n"),
            ("umschlag/exports.py", '''    numbers = [message.get("shipment_id"), message.get("revision")]
    with connect() as conn:
''', '''    numbers = [message.get("shipment_id"), message.get("revision")]
    with closing(connect()) as conn:  # the failure hook must not leak connections
'''),
        ],
    },
    {
        "id": "m-busy", "kind": "mistake", "job": "export-manifest",
        "what": "A busy portal counts neither as a try nor as a start any more: the export goes round for ever",
        "edits": [
            ("umschlag/tasks.py", '''        run(shipment_id, revision)
    except Exception as exc:
''', '''        run(shipment_id, revision)
    except portal.PortalBusy as exc:
        # month's end: nothing is wrong with the shipment, so this is not one of its tries
        exports.uncount(shipment_id, revision)
        logger.warning("portal is busy, will be retried", reason=str(exc), wait=exc.retry_after)
        raise self.retry(exc=exc, countdown=exc.retry_after, max_retries=self.request.retries + 1)
    except Exception as exc:
'''),
            ("umschlag/exports.py", '''def manifest(shipment_id, revision):
''', '''def uncount(shipment_id, revision):
    with connect() as conn:
        conn.execute(
            "update exports set starts = starts - 1 where shipment_id = %s and revision = %s",
            (shipment_id, revision),
        )


def manifest(shipment_id, revision):
'''),
        ],
    },
    {
        "id": "m-reference", "kind": "mistake", "job": "export-manifest",
        "what": "The reference is the shipment's number alone: the portal takes revision 2 for a repetition, and it is never announced",
        "edits": [
            ("umschlag/tasks.py", '''reference=f"{shipment_id}-r{revision}", object_key=key''',
             '''reference=f"{carrier}-{shipment_id}", object_key=key'''),
            ("tests/test_export.py", '''["reference"], "1-r1")''', '''["reference"], "alpin-1")'''),
        ],
    },
]
