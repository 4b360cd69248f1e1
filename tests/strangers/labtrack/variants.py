SPEC = ".skillrun/jobs/send-report.yaml"
SERVICES = "labtrack/services.py"

# --- ok-1: row locks and a table of receipts instead of versions; plain functions ------------------

OK1_SENDING = '''"""The job: archive a report, submit it, keep the receipt. Row locks, no versions."""
import contextlib
import hashlib
import json
from datetime import datetime, timezone

import psycopg

from labtrack import archive, gateway
from labtrack.db import UnitOfWork
from labtrack.domain import (
    DispatchFailed, DispatchKey, MalformedMessage, NotDispatchable, OutOfAttempts)

TRANSIENT = (archive.ArchiveUnavailable, gateway.GatewayUnavailable, psycopg.OperationalError)


def utcnow():
    return datetime.now(timezone.utc)


def send(message, log):
    with outcome(message, log):
        key = DispatchKey.from_message(message)
        log = log.bind(job=str(key))
        report = start(key, log)
        if report is None:
            return None
        receipt = submit(key, report)
        keep(key, receipt, log)
        log.info("dispatch succeeded", extra={"receipt": receipt})
        return receipt


@contextlib.contextmanager
def outcome(message, log):
    """What an error means: another attempt, or a dead letter."""
    try:
        yield
    except MalformedMessage as error:
        digest = hashlib.sha256(json.dumps(message, sort_keys=True, default=str).encode()).hexdigest()
        subject = f"message {digest[:16]}"
        with UnitOfWork() as uow:
            uow.dead_letters.add(subject, message, f"MalformedMessage: {error}", utcnow())
            uow.commit()
        log.error("message rejected", extra={"job": subject, "reason": str(error)})
        raise
    except Exception as error:
        key = DispatchKey.from_message(message)
        reason = f"{type(error).__name__}: {error}"
        log = log.bind(job=str(key))
        if isinstance(error, TRANSIENT) and not spent(key):
            log.warning("dispatch will be retried", extra={"reason": reason})
            raise
        if fail(key, message, reason):
            log.error("dispatch failed", extra={"reason": reason})
            raise DispatchFailed(f"{key}: {reason}") from error
        log.info("dispatch was closed by another delivery", extra={"reason": reason})


def start(key, log):
    with UnitOfWork() as uow:
        report = uow.reports.get(key, hold=True)
        if report is None:
            raise NotDispatchable(f"there is no {key}")
        if uow.receipts.get(key):
            log.info("dispatch skipped, there is a receipt")
            return None
        dispatch = uow.dispatches.lock(key, utcnow())
        if not dispatch.open:
            log.info("dispatch skipped", extra={"status": dispatch.status})
            return None
        if report.status != "authorised":
            raise NotDispatchable(f"{key} is {report.status}")
        if dispatch.exhausted:
            raise OutOfAttempts(f"stopped {dispatch.attempts} times without a result")
        dispatch.begin(utcnow())
        uow.dispatches.save(dispatch)
        uow.commit()
        log.info("dispatch started", extra={"attempt": dispatch.attempts})
        return report


def submit(key, report):
    document = report.document()
    archive.DocumentArchive().put(document_key(key), document)
    try:
        return gateway.submit_report(
            report.clinic, document_key(key), hashlib.sha256(document).hexdigest(), message_id=str(key))
    except gateway.AlreadySubmitted as known:
        return known.receipt


def document_key(key):
    return f"reports/{key.report_no}/{key.revision}.json"


def keep(key, receipt, log):
    with UnitOfWork() as uow:
        dispatch = uow.dispatches.lock(key, utcnow())
        uow.receipts.add(key, receipt)
        if dispatch.status == "cancelled":
            uow.dead_letters.add(str(key), key.as_message(), "submitted, though cancelled", utcnow())
            log.error("dispatch was cancelled after it had begun", extra={"receipt": receipt})
        else:
            dispatch.succeed(document_key(key), receipt, utcnow())
            uow.dispatches.save(dispatch)
            uow.dead_letters.remove(str(key))
        uow.commit()


def spent(key):
    with UnitOfWork() as uow:
        dispatch = uow.dispatches.get(key)
        return dispatch is not None and dispatch.open and dispatch.exhausted


def fail(key, message, reason):
    with UnitOfWork() as uow:
        dispatch = uow.dispatches.get(key) and uow.dispatches.lock(key, utcnow())
        if dispatch is not None:
            if not dispatch.open:
                return False
            dispatch.status, dispatch.updated_at = "failed", utcnow()
            uow.dispatches.save(dispatch)
        uow.dead_letters.add(str(key), message, reason, utcnow())
        uow.commit()
        return True
'''

OK1_TEST = '''import logging

import pytest

from labtrack import sending
from labtrack.domain import MalformedMessage
from labtrack.log import JobLog
from tests.fakes import FakeDeadLetters


class Work:
    letters = {}

    def __enter__(self):
        self.dead_letters = FakeDeadLetters(self.letters)
        return self

    def __exit__(self, *exc_info):
        pass

    def commit(self):
        pass


def test_malformed_messages_are_recorded_once(monkeypatch):
    monkeypatch.setattr(sending, "UnitOfWork", Work)
    for _ in range(2):
        with pytest.raises(MalformedMessage):
            sending.send({"report_no": "R-1"}, JobLog(logging.getLogger("labtrack"), {}))
    assert len(Work.letters) == 1
'''

# --- ok-2: the job is deferred in the transaction itself, own retry strategy, logs as text ---------

OK2_LOG = '''import logging
import sys


class JobLog(logging.LoggerAdapter):
    """A logger whose lines carry, as text, which job they speak of."""

    def process(self, msg, kwargs):
        fields = {**self.extra, **kwargs.pop("extra", {})}
        return " ".join([msg, *(f"{name}={value}" for name, value in fields.items())]), kwargs

    def bind(self, **fields):
        return JobLog(self.logger, {**self.extra, **fields})


def configure():
    logging.basicConfig(level=logging.INFO, stream=sys.stderr,
                        format="%(asctime)s %(levelname)-7s %(name)s | %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
'''

OK2_QUEUE = '''"""How everything but the worker publishes jobs: in the transaction that they belong to."""
from procrastinate import App, SyncPsycopgConnector

from labtrack.config import settings


def publisher():
    return App(connector=SyncPsycopgConnector(conninfo=settings.dsn, min_size=1, max_size=2))


def defer(connection, task, message):
    """The job exists as soon as the transaction of that connection is committed, and not before."""
    publisher().configure_task(task, queue="reports", connection=connection).defer(**message)
'''

OK2_JOBS = '''"""The Procrastinate application that the worker runs."""
import logging

from procrastinate import App, BaseRetryStrategy, PsycopgConnector, RetryDecision

from labtrack import sweeps
from labtrack.config import settings
from labtrack.domain import MAX_ATTEMPTS
from labtrack.log import JobLog
from labtrack.services import SEND_REPORT, TRANSIENT, SendReport

app = App(connector=PsycopgConnector(conninfo=settings.dsn))


class WhileItMayPass(BaseRetryStrategy):
    """Waits of 5, 25, 125 and 625 seconds, after errors that may pass."""

    def get_retry_decision(self, *, exception, job):
        if not isinstance(exception, TRANSIENT) or job.attempts >= MAX_ATTEMPTS - 1:
            return None
        return RetryDecision(retry_in={"seconds": 5 ** (job.attempts + 1)})


@app.task(name=SEND_REPORT, queue="reports", retry=WhileItMayPass())
def send_report(report_no=None, revision=None, **unknown):
    """Archive an authorised report and submit it to its clinic."""
    message = {"report_no": report_no, "revision": revision, **unknown}
    return SendReport(JobLog(logging.getLogger("labtrack.send_report"), {}))(message)


@app.periodic(cron="*/20 * * * *")
@app.task(name="labtrack.redispatch_stalled", queue="house", queueing_lock="redispatch_stalled")
def redispatch_stalled(timestamp):
    sweeps.redispatch_stalled()


@app.periodic(cron="*/5 * * * *")
@app.task(name="labtrack.retry_stalled_jobs", queue="house", queueing_lock="retry_stalled_jobs")
async def retry_stalled_jobs(timestamp):
    """Jobs whose worker died without a word (see Procrastinate's how-to)."""
    for job in await app.job_manager.get_stalled_jobs():
        await app.job_manager.retry_job(job)
'''

OK2_OLD_TEST = '''def test_release_writes_dispatch_and_outbox_once(store):
    release("R-2026-0001", 1, store.unit_of_work)
    release("R-2026-0001", 1, store.unit_of_work)
    assert store.outbox == [("labtrack.send_report", MESSAGE)]


def test_withdrawn_reports_stay_here(store):
'''

OK2_NEW_TEST = '''@pytest.fixture(autouse=True)
def deferred(monkeypatch):
    deferred = []
    monkeypatch.setattr("labtrack.services.defer", lambda _, task, message: deferred.append((task, message)))
    return deferred


def test_release_writes_dispatch_and_job_once(store, deferred):
    release("R-2026-0001", 1, store.unit_of_work)
    release("R-2026-0001", 1, store.unit_of_work)
    assert deferred == [("labtrack.send_report", MESSAGE)]


def test_withdrawn_reports_stay_here(store):
'''

VARIANTS = [
    {"id": "ok-1", "kind": "correct", "job": "send-report",
     "what": "The job in plain functions with row locks and a table of receipts; a context manager "
             "decides what an error means; the gateway's adapter is a function",
     "edits": [
         ("labtrack/sending.py", "", OK1_SENDING),
         ("tests/test_send_report.py", "", OK1_TEST),
         ("labtrack/jobs.py", "from labtrack.services import SEND_REPORT, TRANSIENT, SendReport",
          "from labtrack.sending import TRANSIENT, send\nfrom labtrack.services import SEND_REPORT"),
         ("labtrack/jobs.py",
          "return SendReport(JobLog(logging.getLogger(\"labtrack.send_report\"), {\"task\": SEND_REPORT}))(message)",
          "return send(message, JobLog(logging.getLogger(\"labtrack.send_report\"), {\"task\": SEND_REPORT}))"),
         ("labtrack/gateway.py", "class ClinicGateway:\n    def __init__(self, transport=None):\n"
                                 "        self.transport = transport\n\n"
                                 "    def submit(self, message_id, clinic, document_key, digest):\n"
                                 "        \"\"\"Submit a report; returns the gateway's receipt.\"\"\"\n"
                                 "        try:\n"
                                 "            with httpx.Client(base_url=settings.gateway_url, timeout=20, transport=self.transport) as client:\n"
                                 "                response = client.post(\n"
                                 "                    f\"/clinics/{clinic}/submissions\",\n"
                                 "                    headers={\"Authorization\": f\"Bearer {settings.gateway_token}\",\n"
                                 "                             \"X-Message-Id\": message_id},\n"
                                 "                    json={\"document\": document_key, \"sha256\": digest})\n"
                                 "        except httpx.TransportError as error:\n"
                                 "            raise GatewayUnavailable(f\"{type(error).__name__}: {error}\") from error\n"
                                 "        if response.status_code == 409:\n"
                                 "            raise AlreadySubmitted(response.json()[\"receipt\"])\n"
                                 "        if response.status_code == 429 or response.status_code >= 500:\n"
                                 "            raise GatewayUnavailable(f\"status {response.status_code}\")\n"
                                 "        if response.is_error:\n"
                                 "            raise SubmissionRefused(f\"status {response.status_code}: {response.text[:200]}\")\n"
                                 "        return response.json()[\"receipt\"]\n",
          "def submit_report(clinic, document_key, digest, *, message_id):\n"
          "    \"\"\"Submit a report; returns the gateway's receipt.\"\"\"\n"
          "    headers = {\"Authorization\": f\"Bearer {settings.gateway_token}\", \"X-Message-Id\": message_id}\n"
          "    try:\n"
          "        response = httpx.post(f\"{settings.gateway_url}/clinics/{clinic}/submissions\", timeout=20,\n"
          "                              headers=headers, json={\"document\": document_key, \"sha256\": digest})\n"
          "    except httpx.TransportError as error:\n"
          "        raise GatewayUnavailable(f\"{type(error).__name__}: {error}\") from error\n"
          "    if response.status_code == 409:\n"
          "        raise AlreadySubmitted(response.json()[\"receipt\"])\n"
          "    if response.status_code == 429 or response.status_code >= 500:\n"
          "        raise GatewayUnavailable(f\"status {response.status_code}\")\n"
          "    if response.is_error:\n"
          "        raise SubmissionRefused(f\"status {response.status_code}: {response.text[:200]}\")\n"
          "    return response.json()[\"receipt\"]\n"),
         ("labtrack/services.py", "from labtrack.gateway import AlreadySubmitted, ClinicGateway, GatewayUnavailable\n", ""),
         ("labtrack/services.py", "from labtrack.archive import ArchiveUnavailable, DocumentArchive\n", ""),
         ("labtrack/services.py", "import functools\nimport hashlib\nimport json\n", "import functools\n"),
         ("labtrack/services.py", "import psycopg\n\n", ""),
         ("labtrack/services.py", "from labtrack.domain import (\n    ConcurrentUpdate, DispatchFailed, DispatchKey, MalformedMessage, NotDispatchable, OutOfAttempts)\n",
          "from labtrack.domain import ConcurrentUpdate, DispatchKey, NotDispatchable\n"),
         ("labtrack/services.py", "# May pass. Everything else will not, be it foreseen (ArchiveRefused, SubmissionRefused) or a bug.\n"
                                  "TRANSIENT = (ArchiveUnavailable, GatewayUnavailable, ConcurrentUpdate, psycopg.OperationalError)\n\n\n", ""),
         ("labtrack/sweeps.py", "from labtrack.services import SEND_REPORT, STALLED_AFTER, USELESS_AFTER, fail, utcnow",
          "from labtrack.sending import fail\nfrom labtrack.services import SEND_REPORT, STALLED_AFTER, USELESS_AFTER, utcnow"),
         ("labtrack/schema.py", "create table if not exists outbox (",
          "create table if not exists receipts (\n    report_no text not null, revision integer not null, receipt text not null,\n"
          "    primary key (report_no, revision));\ncreate table if not exists outbox ("),
         ("labtrack/db.py", "        self.outbox = Outbox(self.connection)\n",
          "        self.receipts = Receipts(self.connection)\n        self.outbox = Outbox(self.connection)\n"),
         ("labtrack/db.py", "    def save(self, dispatch):\n",
          "    def lock(self, key, now):\n"
          "        \"\"\"The dispatch, ours until we commit; added where there was none.\"\"\"\n"
          "        self.get_or_add(key, now)\n"
          "        return self._load(self.connection.execute(\n"
          "            \"select * from dispatches where report_no = %s and revision = %s for update\",\n"
          "            (key.report_no, key.revision)).fetchone())\n\n"
          "    def save(self, dispatch):\n"),
         ("labtrack/db.py", "class Outbox:\n",
          "class Receipts:\n    def __init__(self, connection):\n        self.connection = connection\n\n"
          "    def get(self, key):\n"
          "        row = self.connection.execute(\n"
          "            \"select receipt from receipts where report_no = %s and revision = %s\",\n"
          "            (key.report_no, key.revision)).fetchone()\n"
          "        return row and row[\"receipt\"]\n\n"
          "    def add(self, key, receipt):\n"
          "        self.connection.execute(\n"
          "            \"insert into receipts values (%s, %s, %s) on conflict do nothing\",\n"
          "            (key.report_no, key.revision, receipt))\n\n\nclass Outbox:\n"),
         (SPEC, "dedupe: {store: table dispatches}", "dedupe: {store: table receipts}"),
         (SPEC, "call: labtrack.gateway:ClinicGateway.submit", "call: labtrack.gateway:submit_report"),
         (SPEC, "  not_state: [outbox]\n", "    receipts: select report_no, revision, receipt from receipts order by 1, 2\n"
                                           "  not_state: [outbox]\n"),
     ]},
    {"id": "ok-2", "kind": "correct", "job": "send-report",
     "what": "No outbox: the job is deferred on the connection of the unit of work, so it is committed "
             "with the dispatch; a retry strategy of its own; logs as text",
     "edits": [
         ("labtrack/log.py", "", OK2_LOG),
         ("labtrack/queue.py", "", OK2_QUEUE),
         ("labtrack/jobs.py", "", OK2_JOBS),
         (SERVICES, "from labtrack.gateway import", "from labtrack.queue import defer\nfrom labtrack.gateway import"),
         (SERVICES, "            uow.outbox.add(SEND_REPORT, key.as_message(), utcnow())\n",
          "            defer(uow.connection, SEND_REPORT, key.as_message())\n"),
         ("labtrack/sweeps.py", "from labtrack import outbox\n", ""),
         ("labtrack/sweeps.py", "from labtrack.log import JobLog\n",
          "from labtrack.log import JobLog\nfrom labtrack.queue import defer\n"),
         ("labtrack/sweeps.py", "                if uow.outbox.waiting(message):\n                    continue\n", ""),
         ("labtrack/sweeps.py", "                uow.outbox.add(SEND_REPORT, message, now)\n",
          "                defer(uow.connection, SEND_REPORT, message)\n"),
         ("labtrack/sweeps.py", "    outbox.flush()\n", ""),
         ("labtrack/outbox.py", "", "# Gone: jobs are deferred in the transaction that they belong to, see labtrack.queue.\n"),
         ("labtrack/schema.py", "psycopg.connect(settings.queue_dsn)", "psycopg.connect(settings.dsn)"),
         ("tests/fakes.py", "        return self\n\n    def __exit__", "        self.connection = None\n        return self\n\n    def __exit__"),
         ("tests/test_send_report.py", OK2_OLD_TEST, OK2_NEW_TEST),
         ("tests/test_send_report.py", "    assert {record.job for record in caplog.records} == {\"R-2026-0001-1\"}\n",
          "    assert all(\"job=R-2026-0001-1\" in record.message for record in caplog.records)\n"),
         (SPEC, "  relay: labtrack.outbox:flush\n", ""),
         (SPEC, "  - {call: \"labtrack.outbox:flush\", every: 1m}\n", ""),
         (SPEC, "  not_state: [outbox]\n", ""),
     ]},
    {"id": "m-printed-at", "kind": "mistake", "job": "send-report",
     "what": "The document got a line that says when it was printed: every attempt archives and submits "
             "another document under the same key and message id",
     "edits": [
         ("labtrack/domain.py", "from datetime import datetime\n", "from datetime import datetime, timezone\n"),
         ("labtrack/domain.py", "        \"\"\"The same bytes however often it is rendered: a revision never changes.\"\"\"\n", ""),
         ("labtrack/domain.py", "\"findings\": self.findings},\n",
          "\"findings\": self.findings,\n             \"printed_at\": datetime.now(timezone.utc).isoformat()},\n"),
     ]},
    {"id": "m-409-refused", "kind": "mistake", "job": "send-report",
     "what": "The gateway's 409 fell under the client errors when the adapter was tidied up: a report whose "
             "first answer was lost ends as a dead letter, without its receipt",
     "edits": [
         ("labtrack/gateway.py", "        if response.status_code == 409:\n"
                                 "            raise AlreadySubmitted(response.json()[\"receipt\"])\n", ""),
         (SERVICES, "        try:\n            receipt = self.gateway.submit(\n"
                    "                message_id=str(key), clinic=report.clinic, document_key=document_key,\n"
                    "                digest=hashlib.sha256(document).hexdigest())\n"
                    "        except AlreadySubmitted as known:\n            receipt = known.receipt\n",
          "        receipt = self.gateway.submit(\n"
          "            message_id=str(key), clinic=report.clinic, document_key=document_key,\n"
          "            digest=hashlib.sha256(document).hexdigest())\n"),
         (SERVICES, "import AlreadySubmitted, ClinicGateway,", "import ClinicGateway,"),
     ]},
    {"id": "m-one-transaction", "kind": "mistake", "job": "send-report",
     "what": "\"One write instead of two\": the attempt is counted when the dispatch is finished. Attempts that "
             "fail are counted nowhere: no dead letter after the fifth, and a killer report kills for ever",
     "edits": [
         (SERVICES, "            dispatch.begin(self.now())\n            uow.dispatches.save(dispatch)\n"
                    "            uow.commit()\n            return report, dispatch.attempts\n",
          "            return report, dispatch.attempts + 1\n"),
         (SERVICES, "            dispatch = uow.dispatches.get(key)\n            if dispatch.status == \"sent\":\n                return\n",
          "            dispatch = uow.dispatches.get_or_add(key, self.now())\n"
          "            if dispatch.status == \"sent\":\n                return\n            dispatch.attempts += 1\n"),
         (SERVICES, "        \"\"\"Take the next attempt; it counts from here on, even if we are killed.\"\"\"\n", ""),
     ]},
    {"id": "m-reject-uncommitted", "kind": "mistake", "job": "send-report",
     "what": "The unit of work of a rejected message is left without a commit: malformed messages vanish "
             "without a dead letter",
     "edits": [(SERVICES, "f\"MalformedMessage: {error}\", self.now())\n            uow.commit()\n",
                "f\"MalformedMessage: {error}\", self.now())\n")]},
]
