"""Three other correct versions of print-label and seven natural mistakes."""

JOBS = "parceldesk/jobs.py"
REPOS = "parceldesk/repositories.py"
TESTS = "tests/test_print_label.py"

NONSENSE = '''            jobs.print_label(**message)
'''
REJECTED = '''        with self.assertLogs("parceldesk.jobs", "ERROR") as logged:
'''
AWAY = '''        with self.assertRaises(CarrierUnavailable):
            jobs.print_label(shipment_id=1, parcel=2)
'''
REFUSED = '''            jobs.print_label(shipment_id=1, parcel=2)
        self.assertIn("shipment=1 parcel=2", logged.output[0])
        self.assertEqual(self.rows("select job from failed_jobs"), [("print-label",)])
'''

CALL = '''    with CarrierClient() as carrier:
        answer = carrier.print_label(
            order.receiver,
            order.address,
            order.grams,
            idempotency_key=f"label-{shipment_id}-{parcel}",
        )
    with transaction() as con:
        LabelRepository(con).add(shipment_id, parcel, answer["tracking"], answer["label_url"])
        ParcelRepository(con).set_state(shipment_id, parcel, "printed")
'''
KEY = '''            idempotency_key=f"label-{shipment_id}-{parcel}",
'''
READ = '''    with reading() as con:
        order = ParcelRepository(con).get(shipment_id, parcel)
        label = LabelRepository(con).find(shipment_id, parcel)
'''
GIVE_UP = '''    except PERMANENT as exc:
        log.error("given up: %s: %s", type(exc).__name__, exc)
        _bury({"shipment_id": shipment_id, "parcel": parcel, **extra}, exc)
'''
ADD = '''    def add(self, shipment_id, parcel, tracking, label_url):
'''

LOCKED_JOBS = '''"""Jobs that the RQ worker runs. RQ retries whatever a job raises; what it returns from is done."""

import fcntl
import json
import logging
from contextlib import closing, contextmanager

from .carrier import CarrierClient
from .config import load
from .db import connect
from .errors import InvalidMessage, LabelRejected, UnknownParcel

log = logging.getLogger("parceldesk.labels")


def print_label(shipment_id=None, parcel=None, **extra):
    message = {"shipment_id": shipment_id, "parcel": parcel, **extra}
    if extra or not (_number(shipment_id) and _number(parcel)):
        log.error("print-label %s: this is not an order for a label", message)
        return _dead(message, InvalidMessage("not an order for a label"))
    try:
        with _alone(shipment_id, parcel):
            _print_unless_printed(shipment_id, parcel)
    except (LabelRejected, UnknownParcel) as exc:
        log.error("print-label %s: given up, %r", message, exc)
        _dead(message, exc, touch_parcel=True)


@contextmanager
def _alone(shipment_id, parcel):
    """All workers run on this host. The kernel drops the lock when the process ends, however it ends."""
    with open(f"{load().database}.{shipment_id}-{parcel}.lock", "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _print_unless_printed(shipment_id, parcel):
    where = (shipment_id, parcel)
    with closing(connect()) as con:
        if con.execute("select 1 from labels where shipment_id = ? and parcel = ?", where).fetchone():
            log.info("print-label %s/%s: printed before", *where)
            return
        order = con.execute(
            "select receiver, address, grams from parcels join shipments on id = shipment_id"
            " where shipment_id = ? and parcel = ?",
            where,
        ).fetchone()
    if order is None:
        raise UnknownParcel("%s/%s" % where)
    with CarrierClient() as carrier:
        answer = carrier.print_label(**order, idempotency_key="parcel:%s:%s" % where)
    with closing(connect()) as con:
        con.isolation_level = "IMMEDIATE"
        with con:
            con.execute(
                "insert or ignore into labels (shipment_id, parcel, tracking, label_url) values (?, ?, ?, ?)",
                (*where, answer["tracking"], answer["label_url"]),
            )
            con.execute("update parcels set label_state = 'printed' where shipment_id = ? and parcel = ?", where)
    log.info("print-label %s/%s: tracking %s", *where, answer["tracking"])


def label_failed(job, connection, exc_type, exc, traceback):
    """RQ calls this after every failed attempt."""
    if job.retries_left:
        log.warning("print-label %s: %r, %s attempts left", job.kwargs, exc, job.retries_left)
        return
    log.error("print-label %s: given up after the last attempt, %r", job.kwargs, exc)
    _dead(job.kwargs, exc, touch_parcel=_number(job.kwargs.get("shipment_id")) and _number(job.kwargs.get("parcel")))


def horse_killed(job, pid, status, usage):
    label_failed(job, None, ChildProcessError, ChildProcessError(f"killed, status {status}"), None)


def _dead(message, exc, touch_parcel=False):
    with closing(connect()) as con:
        con.execute("begin immediate")
        with con:
            if touch_parcel:
                where = (message["shipment_id"], message["parcel"])
                if con.execute("select 1 from labels where shipment_id = ? and parcel = ?", where).fetchone():
                    return
                con.execute("update parcels set label_state = 'failed' where shipment_id = ? and parcel = ?", where)
            con.execute(
                "insert or replace into failed_jobs (job, message, error) values ('print-label', ?, ?)",
                (json.dumps(message, sort_keys=True, default=str), repr(exc)),
            )


def _number(value):
    return type(value) is int and 0 < value < 2**63
'''

VARIANTS = [
    dict(
        id="ok-1",
        kind="correct",
        job="print-label",
        what="The key for the carrier is drawn at random, but once per parcel and committed before the call",
        edits=[
            (REPOS, "from dataclasses import dataclass\n", "from dataclasses import dataclass\nfrom uuid import uuid4\n"),
            (REPOS, '''    def requested(self):
''', '''    def request_key(self, shipment_id, parcel):
        """The key under which this parcel's label is ordered: drawn once, the same ever after."""
        self.con.execute(
            "update parcels set request_key = ? where shipment_id = ? and parcel = ? and request_key is null",
            (uuid4().hex, shipment_id, parcel),
        )
        row = self.con.execute(
            "select request_key from parcels where shipment_id = ? and parcel = ?", (shipment_id, parcel)
        ).fetchone()
        return row["request_key"] if row else None

    def requested(self):
'''),
            (JOBS, READ, READ.replace("reading()", "transaction()") + '''        key = ParcelRepository(con).request_key(shipment_id, parcel)
'''),
            (JOBS, KEY, "            idempotency_key=key,\n"),
            (JOBS, "from .db import reading, transaction\n", "from .db import transaction\n"),
        ],
    ),
    dict(
        id="ok-2",
        kind="correct",
        job="print-label",
        what="A permanent error takes the job's remaining retries away and is raised; the failure callback alone buries, so RQ's failed registry has it too",
        edits=[
            (JOBS, GIVE_UP, '''    except PERMANENT as exc:
        job = get_current_job()
        log.error("no use in trying again: %s: %s", type(exc).__name__, exc)
        job.retries_left = 0
        raise
'''),
            (TESTS, "from parceldesk import jobs\n", "from rq import Queue\n\nfrom parceldesk import jobs\n"),
            (TESTS, NONSENSE, NONSENSE.replace("jobs.print_label(**message)", "self.as_rq(**message)")),
            (TESTS, REFUSED, REFUSED.replace("jobs.print_label(shipment", "self.as_rq(shipment") + '''
    def as_rq(self, **message):
        job = Queue("labels", connection=mock.Mock()).create_job("parceldesk.jobs.print_label", kwargs=message)
        job.retries_left = 4
        with self.assertRaises(jobs.PERMANENT) as raised:
            job.perform()
        self.assertEqual(job.retries_left, 0)
        jobs.label_failed(job, None, type(raised.exception), raised.exception, None)
'''),
        ],
    ),
    dict(
        id="ok-3",
        kind="correct",
        job="print-label",
        what="One parcel at a time under a file lock, plain SQL in the job, module logger that writes the message",
        edits=[
            (JOBS, "", LOCKED_JOBS),
            (TESTS, 'self.assertLogs("parceldesk.jobs", "ERROR")', 'self.assertLogs("parceldesk.labels", "ERROR")'),
            (TESTS, 'self.assertIn("shipment=1 parcel=2", ', 'self.assertIn("\'shipment_id\': 1, \'parcel\': 2", '),
        ],
    ),
    dict(
        id="bad-1",
        kind="mistake",
        job="print-label",
        what="The carrier's key names the shipment only, so its parcels share one label",
        edits=[(JOBS, KEY, '            idempotency_key=f"label-{shipment_id}",\n')],
    ),
    dict(
        id="bad-2",
        kind="mistake",
        job="print-label",
        what="RQ's job id is the carrier's key, so a label that was requested twice is printed twice",
        edits=[(JOBS, KEY, "            idempotency_key=_rq_id(),\n")],
    ),
    dict(
        id="bad-3",
        kind="mistake",
        job="print-label",
        what="The label row is claimed and committed before the call and only released on an exception: a killed attempt loses the label",
        edits=[
            (REPOS, ADD, '''    def release(self, shipment_id, parcel):
        self.con.execute("delete from labels where shipment_id = ? and parcel = ?", (shipment_id, parcel))

    def complete(self, shipment_id, parcel, tracking, label_url):
        self.con.execute(
            "update labels set tracking = ?, label_url = ?, printed_at = current_timestamp"
            " where shipment_id = ? and parcel = ?",
            (tracking, label_url, shipment_id, parcel),
        )

''' + ADD),
            (JOBS, CALL, '''    with transaction() as con:
        if not LabelRepository(con).add(shipment_id, parcel, "", ""):
            log.info("another worker is printing it")
            return None
    try:
        with CarrierClient() as carrier:
            answer = carrier.print_label(
                order.receiver,
                order.address,
                order.grams,
                idempotency_key=f"label-{shipment_id}-{parcel}",
            )
    except Exception:
        with transaction() as con:
            LabelRepository(con).release(shipment_id, parcel)
        raise
    with transaction() as con:
        LabelRepository(con).complete(shipment_id, parcel, answer["tracking"], answer["label_url"])
        ParcelRepository(con).set_state(shipment_id, parcel, "printed")
'''),
        ],
    ),
    dict(
        id="bad-4",
        kind="mistake",
        job="print-label",
        what="While the carrier is away the job puts itself on the queue again, for ever, and is never given up",
        edits=[
            (JOBS, "from rq import get_current_job\n", "from datetime import timedelta\n\nfrom rq import get_current_job\n"),
            (JOBS, "from .errors import InvalidMessage, LabelRejected, UnknownParcel\n", "from .errors import CarrierUnavailable, InvalidMessage, LabelRejected, UnknownParcel\n"),
            (JOBS, "from .logs import job_log\n", "from .logs import job_log\nfrom .queueing import label_queue\n"),
            (JOBS, GIVE_UP, '''    except CarrierUnavailable as exc:
        log.warning("%s; trying again in a minute", exc)
        label_queue().enqueue_in(
            timedelta(minutes=1), "parceldesk.jobs.print_label", shipment_id=shipment_id, parcel=parcel
        )
''' + GIVE_UP),
            (TESTS, AWAY, '''        with mock.patch("parceldesk.jobs.label_queue") as queue:
            jobs.print_label(shipment_id=1, parcel=2)
        queue.return_value.enqueue_in.assert_called_once()
'''),
            (TESTS, "test_unavailable_is_raised_so_that_rq_tries_again", "test_unavailable_comes_again_in_a_minute"),
        ],
    ),
    dict(
        id="bad-5",
        kind="mistake",
        job="print-label",
        what="The job returns a Retry instead of raising: RQ gives up without calling the failure callback, nothing is buried",
        edits=[
            (JOBS, "from rq import get_current_job\n", "from rq import Retry, get_current_job\n"),
            (JOBS, "from .errors import InvalidMessage, LabelRejected, UnknownParcel\n", "from .errors import CarrierUnavailable, InvalidMessage, LabelRejected, UnknownParcel\n"),
            (JOBS, "from .logs import job_log\n", "from .logs import job_log\nfrom .queueing import WAITS, waits\n"),
            (JOBS, GIVE_UP, '''    except CarrierUnavailable as exc:
        log.warning("will be tried again: %s", exc)  # without RQ's stack trace for every 503
        return Retry(max=len(WAITS), interval=waits())
''' + GIVE_UP),
            (TESTS, AWAY, "        self.assertEqual(jobs.print_label(shipment_id=1, parcel=2).max, 4)\n"),
            (TESTS, "test_unavailable_is_raised_so_that_rq_tries_again", "test_unavailable_is_tried_again"),
        ],
    ),
    dict(
        id="bad-6",
        kind="mistake",
        job="print-label",
        what="The parcel is set to 'printing' at the start, whatever it was: a second delivery turns a printed one back and leaves it so",
        edits=[
            (JOBS, READ, '''    with transaction() as con:
        ParcelRepository(con).set_state(shipment_id, parcel, "printing")
''' + READ),
        ],
    ),
    dict(
        id="bad-7",
        kind="mistake",
        job="print-label",
        what="A label that the carrier refuses is not among the permanent errors and is ordered five times",
        edits=[
            (JOBS, "PERMANENT = (InvalidMessage, UnknownParcel, LabelRejected)\n", "PERMANENT = (InvalidMessage, UnknownParcel)\n"),
            (JOBS, "from .errors import InvalidMessage, LabelRejected, UnknownParcel\n", "from .errors import InvalidMessage, UnknownParcel\n"),
            (TESTS, REJECTED + REFUSED, '''        with self.assertRaises(LabelRejected):
            jobs.print_label(shipment_id=1, parcel=2)
'''),
            (TESTS, "test_rejected_is_buried_at_once", "test_rejected_is_raised"),
        ],
    ),
]
