"""Versions of base/: (path, old text, new text); an empty old text writes the whole file."""

SPEC = ".skillrun/jobs/send-invoice.yaml"
TESTS = "tests/test_send_invoice.py"

# ------------- ok-1: autoretry_for, a task class that records failures, logging by Celery's signals
OK1_TASKS = '''import logging

from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from petvault import claims, post
from petvault.celery_app import app
from petvault.failures import Passing, Recorded
from petvault.pdf import render
from petvault.tables import engine, invoices
from petvault.vault import VaultUnavailable, vault

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 6


class Malformed(Exception):
    pass


class WorkersLost(Exception):
    pass


@app.task(
    bind=True,
    base=Recorded,
    name="petvault.send_invoice",
    autoretry_for=(Passing,),
    max_retries=MAX_ATTEMPTS - 1,
    retry_backoff=20,
    retry_backoff_max=900,
    retry_jitter=True,
    soft_time_limit=120,
    time_limit=150,
)
def send_invoice(self, invoice_id):
    if type(invoice_id) is not int or invoice_id < 1:
        raise Malformed(f"no invoice id: {invoice_id!r}")
    try:
        claim = claims.take(invoice_id)
    except claims.Held as held:
        raise self.retry(exc=held, countdown=held.wait)
    except OperationalError as error:
        raise Passing(str(error)) from error
    if claim is None:
        log.info("invoice has been dealt with before", extra={"invoice_id": invoice_id})
        return
    if claim.attempts > MAX_ATTEMPTS:
        raise WorkersLost("attempts used up by workers that were lost")
    try:
        _deliver(claim)
    except claims.ClaimLost as error:
        log.warning(
            "stopped, another worker took over",
            extra={"invoice_id": invoice_id, "reason": str(error)},
        )
    except Exception as error:
        # What fails for good keeps its claim until on_failure has recorded it.
        if not _may_pass(error) or claim.attempts >= MAX_ATTEMPTS:
            raise
        if self.request.retries < self.max_retries:
            claims.release(claim, wait=self.retry_backoff_max)
        raise Passing(repr(error)) from error


def _deliver(claim: claims.Claim) -> None:
    with engine().connect() as connection:
        invoice = connection.execute(
            select(invoices).where(invoices.c.id == claim.invoice_id)
        ).one()
    pdf = render(invoice)
    if claim.object_key is None:
        key = f"invoices/{invoice.issued_on.year}/{invoice.number}.pdf"
        vault().put(key=key, body=pdf, content_type="application/pdf")
        claims.note_stored(claim, key)
    post.send(
        to=invoice.email,
        subject=f"Invoice {invoice.number} for {invoice.animal}",
        text=f"Dear {invoice.owner},\\n\\nplease find our invoice attached.\\n",
        filename=f"{invoice.number}.pdf",
        pdf=pdf,
        message_id=f"<invoice-{invoice.number}@petvault.example>",
    )
    claims.finish(claim)


def _may_pass(error: Exception) -> bool:
    if isinstance(error, post.NotSent):
        return error.code < 500
    # OSError: Celery's SoftTimeLimitExceeded is none, it is for good; a slow relay is a NotSent
    return isinstance(error, (VaultUnavailable, OperationalError))
'''

OK1_FAILURES = '''"""What is common to the tasks that work on an invoice: the record of their failure, and a log
line for each of their turns."""
import hashlib
import json
import logging

from celery import Task
from celery.signals import task_failure, task_prerun, task_retry, task_success

from petvault import claims

log = logging.getLogger(__name__)


class Passing(Exception):
    """Trouble that is worth another try."""


def _invoice_id(args, kwargs) -> int | None:
    message = kwargs or {}
    if args or set(message) != {"invoice_id"}:
        return None
    return message["invoice_id"] if type(message["invoice_id"]) is int else None


class Recorded(Task):
    """on_failure runs when there will be no further retry, before the message is acknowledged."""

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        if isinstance(exc, claims.Held):
            return  # whoever holds it answers for it, and requeue_open for both of us
        reason = repr(exc.__cause__ or exc)
        invoice_id = _invoice_id(args, kwargs)
        if invoice_id is not None:
            claims.fail(invoice_id, reason, self.request.retries + 1)
        else:
            message = json.dumps([list(args), kwargs], sort_keys=True, default=str)
            digest = hashlib.sha256(message.encode()).hexdigest()[:16]
            claims.bury(f"message:{digest}", f"{reason}: {message[:500]}")


def _about(task, task_id, args, kwargs) -> dict:
    return {
        "job": task.name,
        "task_id": task_id,
        "invoice_id": _invoice_id(args, kwargs),
        "attempt": (task.request.retries or 0) + 1,
    }


@task_prerun.connect
def _started(task_id, task, args, kwargs, **_):
    if isinstance(task, Recorded):
        log.info("task started", extra=_about(task, task_id, args, kwargs))


@task_retry.connect
def _retried(sender, request, reason, **_):
    if isinstance(sender, Recorded):
        about = _about(sender, request.id, request.args, request.kwargs)
        log.warning("task failed, will retry", extra={**about, "reason": str(reason)})


@task_failure.connect
def _failed(sender, task_id, exception, args, kwargs, **_):
    if isinstance(sender, Recorded):
        about = _about(sender, task_id, args, kwargs)
        log.error("task failed for good", extra={**about, "reason": repr(exception)})


@task_success.connect
def _succeeded(sender, **_):
    if isinstance(sender, Recorded):
        request = sender.request
        log.info("task succeeded", extra=_about(sender, request.id, request.args, request.kwargs))
'''

OK1 = [
    ("petvault/tasks.py", "", OK1_TASKS.replace(
        "    # OSError: Celery's SoftTimeLimitExceeded is none, it is for good; a slow relay is a NotSent\n"
        "    return isinstance(error, (VaultUnavailable, OperationalError))\n",
        "    return isinstance(error, (VaultUnavailable, OperationalError, SoftTimeLimitExceeded))\n",
    ).replace(
        "import logging\n\nfrom sqlalchemy import select\n",
        "import logging\n\nfrom celery.exceptions import SoftTimeLimitExceeded\nfrom sqlalchemy import select\n",
    )),
    ("petvault/failures.py", "", OK1_FAILURES),
    (
        "petvault/claims.py",
        '''def fail(claim: Claim, reason: str) -> None:
    with engine().begin() as tx:
        _ours(tx, claim, status="failed", holder=None, leased_until=0)
        _bury(tx, f"invoice:{claim.invoice_id}", reason, claim.attempts)
''',
        '''def fail(invoice_id: int, reason: str, attempts: int) -> None:
    """Unless it has been mailed after all."""
    with engine().begin() as tx:
        tx.execute(
            deliveries.update()
            .where(deliveries.c.invoice_id == invoice_id, deliveries.c.status == "open")
            .values(status="failed", holder=None, leased_until=0)
        )
        status = tx.scalar(
            select(deliveries.c.status).where(deliveries.c.invoice_id == invoice_id)
        )
        if status != "mailed":
            _bury(tx, f"invoice:{invoice_id}", reason, attempts)
''',
    ),
    (
        SPEC,
        "backoff: {kind: exponential, base: 20s, factor: 3, cap: 15m}",
        "backoff: {kind: exponential, base: 20s, factor: 2, cap: 15m, jitter: true}",
    ),
    (TESTS, '    done = [r for r in caplog.records if r.message == "invoice delivered"]\n    assert [r.invoice_id for r in done] == [1]\n',
     '    done = [r for r in caplog.records if r.message == "task succeeded"]\n    assert {r.invoice_id for r in done} == {1}\n'),
    (TESTS, '''    assert "NotSent" in [r for r in caplog.records if r.levelname == "ERROR"][-1].reason
''', '''    assert "task failed for good" in [r.message for r in caplog.records]
'''),
    (TESTS, "rows(DEAD) == [(\"invoice:1\", 7)]", "rows(\"select subject from dead_invoices\") == [(\"invoice:1\",)]"),
    (TESTS, '''    with pytest.raises(claims.ClaimLost):
        claims.fail(late, "too slow")
''', '''    with pytest.raises(claims.ClaimLost):
        claims.finish(late)
    claims.fail(1, "too slow", 1)
'''),
]

# --------------- ok-2: an outbox, leases in a table of their own as a context manager, LoggerAdapter
OK2_CLAIMS = '''"""Who works on which invoice: a lease of three minutes at most, in a table of its own.

A worker that dies leaves its lease behind; once it is over the next one takes it. The hard time
limit of the task is shorter than the lease, so no worker outlives its lease.
"""
import time
import uuid
from contextlib import contextmanager

from petvault.tables import engine, insert, leases

LEASE = 180


class Held(Exception):
    """Somebody else has it, for so many seconds."""

    def __init__(self, wait: int):
        super().__init__(f"leased for another {wait} s")
        self.wait = wait


@contextmanager
def lease(invoice_id: int):
    """Ours for the block. Only a worker that dies, or is interrupted, leaves it to its end."""
    now, holder = int(time.time()), uuid.uuid4().hex
    wanted = insert(leases).values(invoice_id=invoice_id, holder=holder, until=now + LEASE)
    with engine().begin() as tx:
        got = tx.scalar(
            wanted.on_conflict_do_update(
                index_elements=["invoice_id"],
                set_={"holder": wanted.excluded.holder, "until": wanted.excluded.until},
                where=leases.c.until <= now,
            ).returning(leases.c.holder)
        )
        until = tx.scalar(leases.select().with_only_columns(leases.c.until).where(
            leases.c.invoice_id == invoice_id))
    if got != holder:
        raise Held(until - now)
    try:
        yield
    except Exception:
        _let_go(invoice_id, holder)
        raise
    else:
        _let_go(invoice_id, holder)


def _let_go(invoice_id: int, holder: str) -> None:
    mine = (leases.c.invoice_id == invoice_id) & (leases.c.holder == holder)
    with engine().begin() as tx:
        tx.execute(leases.delete().where(mine))
'''

OK2_PROGRESS = '''"""How far the delivery of an invoice is. Only the holder of its lease writes here."""
import time

from sqlalchemy import select

from petvault.tables import dead_invoices, deliveries, engine, insert, invoices


class NoSuchInvoice(Exception):
    pass


def begin(invoice_id: int):
    """Counts the attempt, for good: also if the worker dies in it. None: nothing left to do."""
    with engine().begin() as tx:
        tx.execute(
            insert(deliveries)
            .from_select(["invoice_id"], select(invoices.c.id).where(invoices.c.id == invoice_id))
            .on_conflict_do_nothing()
        )
        tx.execute(
            deliveries.update()
            .where(deliveries.c.invoice_id == invoice_id, deliveries.c.status == "open")
            .values(attempts=deliveries.c.attempts + 1)
        )
        row = tx.execute(
            select(deliveries.c.status, deliveries.c.attempts, deliveries.c.object_key, invoices)
            .join(invoices)
            .where(deliveries.c.invoice_id == invoice_id)
        ).first()
    if row is None:
        raise NoSuchInvoice(f"no invoice {invoice_id}")
    return row if row.status == "open" else None


def note(invoice_id: int, **values) -> None:
    with engine().begin() as tx:
        tx.execute(
            deliveries.update()
            .where(deliveries.c.invoice_id == invoice_id, deliveries.c.status == "open")
            .values(**values)
        )


def fail(invoice_id: int, reason: str) -> None:
    with engine().begin() as tx:
        attempts = tx.scalar(
            deliveries.update()
            .where(deliveries.c.invoice_id == invoice_id, deliveries.c.status == "open")
            .values(status="failed")
            .returning(deliveries.c.attempts)
        )
        _bury(tx, f"invoice:{invoice_id}", reason, attempts or 1)


def bury(subject: str, reason: str) -> None:
    """For messages that name no invoice of ours."""
    with engine().begin() as tx:
        _bury(tx, subject, reason, 1)


def _bury(tx, subject: str, reason: str, attempts: int) -> None:
    tx.execute(
        insert(dead_invoices)
        .values(subject=subject, reason=reason, attempts=attempts, failed_at=int(time.time()))
        .on_conflict_do_nothing()
    )
'''

OK2_TASKS = '''import hashlib
import json
import logging
import time

from celery.exceptions import SoftTimeLimitExceeded
from sqlalchemy.exc import OperationalError

from petvault import claims, post, progress
from petvault.celery_app import app
from petvault.pdf import render
from petvault.vault import VaultUnavailable, vault

MAX_ATTEMPTS = 6
WAITS = (20, 60, 180, 540, 900)


class AttemptsUsedUp(Exception):
    pass


class InvoiceLog(logging.LoggerAdapter):
    def process(self, msg, kwargs):
        kwargs["extra"] = {**self.extra, **kwargs.get("extra", {})}
        return f"send-invoice {self.extra['invoice_id']}: {msg}", kwargs


@app.task(
    bind=True,
    name="petvault.send_invoice",
    # The attempts are counted in deliveries. Each of them can make another message of the same
    # invoice wait once.
    max_retries=2 * MAX_ATTEMPTS,
    soft_time_limit=120,
    time_limit=150,
)
def send_invoice(self, **message):
    log = InvoiceLog(
        logging.getLogger(__name__),
        {"invoice_id": message.get("invoice_id"), "task_id": self.request.id},
    )
    log.info("started")
    if not _well_formed(message):
        text = json.dumps(message, sort_keys=True, default=str)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        progress.bury(f"message:{digest}", f"malformed message: {text[:500]}")
        log.error("failed for good: malformed message")
        return
    wait = None
    try:
        with claims.lease(message["invoice_id"]):
            wait = _attempt(message["invoice_id"], log)
    except claims.Held as held:
        log.info("%s, will retry then", held)
        raise self.retry(exc=held, countdown=max(held.wait, 1))
    except OperationalError as error:
        log.warning("no database, will retry: %s", error)
        raise self.retry(exc=error, countdown=WAITS[0])
    if wait is not None:
        raise self.retry(countdown=wait)


def _well_formed(message: dict) -> bool:
    return (
        set(message) == {"invoice_id"}
        and type(message["invoice_id"]) is int
        and message["invoice_id"] >= 1
    )


def _attempt(invoice_id: int, log: logging.LoggerAdapter) -> int | None:
    """Returns after how many seconds to come back, if at all."""
    attempt = 0
    try:
        delivery = progress.begin(invoice_id)
        if delivery is None:
            log.info("has been dealt with before")
            return None
        attempt = delivery.attempts
        if attempt > MAX_ATTEMPTS:
            raise AttemptsUsedUp("workers were lost")
        log.info("attempt %s", attempt)
        _store_and_mail(invoice_id, delivery)
    except OperationalError:
        raise
    except Exception as error:
        if not _may_pass(error) or attempt >= MAX_ATTEMPTS:
            progress.fail(invoice_id, repr(error))
            log.error("failed for good after attempt %s: %r", attempt, error)
            return None
        wait = WAITS[attempt - 1]
        progress.note(invoice_id, expected_at=int(time.time()) + wait)
        log.warning("attempt %s failed, will retry in %s s: %r", attempt, wait, error)
        return wait
    log.info("delivered in attempt %s", attempt)
    return None


def _store_and_mail(invoice_id: int, delivery) -> None:
    pdf = render(delivery)
    if delivery.object_key is None:
        key = f"invoices/{delivery.issued_on.year}/{delivery.number}.pdf"
        vault().put(key=key, body=pdf, content_type="application/pdf")
        progress.note(invoice_id, object_key=key)
    post.send(
        to=delivery.email,
        subject=f"Invoice {delivery.number} for {delivery.animal}",
        text=f"Dear {delivery.owner},\\n\\nplease find our invoice attached.\\n",
        filename=f"{delivery.number}.pdf",
        pdf=pdf,
        message_id=f"<invoice-{delivery.number}@petvault.example>",
    )
    progress.note(invoice_id, status="mailed")


def _may_pass(error: Exception) -> bool:
    if isinstance(error, post.NotSent):
        return error.code < 500
    return isinstance(error, (VaultUnavailable, SoftTimeLimitExceeded))
'''

OK2_DISPATCH = '''"""How invoices get to the task: through the table outbox."""
import logging
import time

from kombu.exceptions import OperationalError as BrokerDown
from sqlalchemy import select

from petvault.celery_app import app
from petvault.tables import deliveries, engine, insert, leases, outbox
from petvault.tasks import send_invoice

log = logging.getLogger(__name__)

OVERDUE = 10 * 60


def request_delivery(invoice_id: int) -> None:
    """The front desk's button: the wish and its message commit together."""
    with engine().begin() as tx:
        new = tx.execute(
            insert(deliveries)
            .values(invoice_id=invoice_id, expected_at=int(time.time()))
            .on_conflict_do_nothing()
        ).rowcount
        if new:
            tx.execute(insert(outbox).values(invoice_id=invoice_id).on_conflict_do_nothing())
    try:
        relay()
    except BrokerDown as error:
        log.warning(
            "broker is down, invoice stays in the outbox",
            extra={"invoice_id": invoice_id, "reason": str(error)},
        )


def relay() -> None:
    """Publishes first, deletes then: rather one message too many."""
    with engine().connect() as connection:
        ids = connection.scalars(select(outbox.c.invoice_id).order_by(outbox.c.invoice_id)).all()
    for invoice_id in ids:
        send_invoice.delay(invoice_id=invoice_id)
        with engine().begin() as tx:
            tx.execute(outbox.delete().where(outbox.c.invoice_id == invoice_id))
        log.info("invoice queued", extra={"invoice_id": invoice_id})


def rescue() -> None:
    """Back into the outbox with what should have run ten minutes ago and is in nobody's hands."""
    now = int(time.time())
    held = select(leases.c.invoice_id).where(leases.c.until > now)
    lost = (
        deliveries.c.status == "open",
        deliveries.c.expected_at <= now - OVERDUE,
        deliveries.c.invoice_id.not_in(held),
    )
    with engine().begin() as tx:
        ids = tx.scalars(
            deliveries.update().where(*lost).values(expected_at=now)
            .returning(deliveries.c.invoice_id)
        ).all()
        for invoice_id in ids:
            tx.execute(insert(outbox).values(invoice_id=invoice_id).on_conflict_do_nothing())
            log.warning("invoice stood still, queued again", extra={"invoice_id": invoice_id})
    relay()


@app.task(name="petvault.relay")
def relay_task() -> None:
    relay()


@app.task(name="petvault.rescue")
def rescue_task() -> None:
    rescue()
'''

OK2 = [
    ("petvault/claims.py", "", OK2_CLAIMS),
    ("petvault/progress.py", "", OK2_PROGRESS),
    ("petvault/tasks.py", "", OK2_TASKS),
    ("petvault/dispatch.py", "", OK2_DISPATCH),
    (
        "petvault/tables.py",
        '''# One row per invoice that is to be delivered: how far it is, and who is at it until when.
''',
        '''# Who is at an invoice, until when.
leases = Table(
    "leases", metadata,
    Column("invoice_id", Integer, primary_key=True),
    Column("holder", String, nullable=False),
    Column("until", Integer, nullable=False),
)

# Messages that are still to be published.
outbox = Table(
    "outbox", metadata,
    Column("invoice_id", ForeignKey("invoices.id"), primary_key=True),
)

# One row per invoice that is to be delivered.
''',
    ),
    (
        "petvault/tables.py",
        '''    Column("holder", String),
    Column("leased_until", Integer, nullable=False, server_default="0"),
    Column("queued_for", Integer),  # when its message should run; null: not published yet
    Column("object_key", String),
''',
        '''    Column("expected_at", Integer, nullable=False, server_default=text("(unixepoch())")),
    Column("object_key", String),
''',
    ),
    ("petvault/tables.py", "    create_engine,\n", "    create_engine, text,\n"),
    (
        "petvault/celery_app.py",
        '        "requeue-open": {"task": "petvault.requeue_open", "schedule": 15 * 60},\n',
        '        "relay": {"task": "petvault.relay", "schedule": 10},\n'
        '        "rescue": {"task": "petvault.rescue", "schedule": 15 * 60},\n',
    ),
    (
        "README.md",
        "The\nCelery task `petvault.send_invoice` does the rest. Its claim on an invoice is a row in `deliveries`\nwith a lease of three minutes; what cannot",
        "The\nCelery task `petvault.send_invoice` does the rest, under a lease of three minutes in the table\n`leases`; what cannot",
    ),
    (SPEC, "  relay: petvault.dispatch:requeue_open\n", "  relay: petvault.dispatch:relay\n"),
    (
        SPEC,
        "  - {call: petvault.dispatch:requeue_open, every: 15m}\n",
        "  - {call: petvault.dispatch:relay, every: 10s}\n"
        "  - {call: petvault.dispatch:rescue, every: 15m}\n",
    ),
    (SPEC, "petvault.claims:NoSuchInvoice", "petvault.progress:NoSuchInvoice"),
    (
        SPEC,
        "    dead: select subject from dead_invoices order by 1\n",
        "    dead: select subject from dead_invoices order by 1\n"
        "    outbox: select invoice_id from outbox order by 1\n"
        "  not_state: [leases]\n",
    ),
    # the tests
    (
        "tests/conftest.py",
        '''    monkeypatch.setattr("petvault.dispatch.time", clock)
''',
        '''    monkeypatch.setattr("petvault.dispatch.time", clock)
    monkeypatch.setattr("petvault.tasks.time", clock)
    monkeypatch.setattr("petvault.progress.time", clock)
''',
    ),
    (TESTS, "import pytest\n\nfrom petvault import claims\n", "import pytest\n\nfrom petvault import claims, progress\n"),
    (TESTS, "import request_delivery, requeue_open\n", "import relay, request_delivery, rescue\n"),
    (TESTS, 'r.message == "invoice delivered"', '"delivered" in r.message'),
    (TESTS, '''    assert "NotSent" in [r for r in caplog.records if r.levelname == "ERROR"][-1].reason
''', '''    assert "NotSent" in [r for r in caplog.records if r.levelname == "ERROR"][-1].message
'''),
    (
        TESTS,
        '''    claims.take(1)  # and the worker dies
    send_invoice''',
        '''    _die()
    send_invoice''',
    ),
    (
        TESTS,
        '''def test_late_worker_does_not_undo(outside, rows, clock):
    late = claims.take(1)
    clock.now += claims.LEASE
    send_invoice.apply(kwargs={"invoice_id": 1})
    with pytest.raises(claims.ClaimLost):
        claims.fail(late, "too slow")
    assert rows(STATE) == [("mailed", 2, KEY)] and rows(DEAD) == []


''',
        "",
    ),
    (
        TESTS,
        '''    for _ in range(6):
        claims.take(1)
''',
        '''    for _ in range(6):
        _die()
''',
    ),
    (
        TESTS,
        '''def test_lease(''',
        '''def _die():
    with pytest.raises(KeyboardInterrupt), claims.lease(1):
        progress.begin(1)
        raise KeyboardInterrupt


def test_lease(''',
    ),
    (TESTS, "    requeue_open()\n    requeue_open()\n    assert len(outside.mails) == 1\n", "    relay()\n    relay()\n    assert len(outside.mails) == 1\n"),
    (
        TESTS,
        '''    requeue_open()
    assert not outside.mails
    clock.now += 15 * 60
    requeue_open()
''',
        '''    rescue()
    assert not outside.mails
    clock.now += 15 * 60
    rescue()
''',
    ),
]

VARIANTS = [
    {
        "id": "ok-1", "kind": "correct", "job": "send-invoice",
        "what": "autoretry_for with Celery's own backoff, a task class whose on_failure records, "
                "log lines by Celery's signals",
        "edits": OK1,
    },
    {
        "id": "ok-2", "kind": "correct", "job": "send-invoice",
        "what": "An outbox and its relay, leases in a table of their own behind a context manager, "
                "a LoggerAdapter",
        "edits": OK2,
    },
    {
        "id": "m-all-mail-errors", "kind": "mistake", "job": "send-invoice",
        "what": "Whatever the relay says counts as passing: 'no such user' is tried six times",
        "edits": [
            (
                "petvault/tasks.py",
                '''    if isinstance(error, post.NotSent):
        return error.code < 500
    return isinstance(error, (VaultUnavailable, OperationalError, SoftTimeLimitExceeded))
''',
                '''    return isinstance(
        error, (VaultUnavailable, post.NotSent, OperationalError, SoftTimeLimitExceeded)
    )
''',
            ),
            (
                TESTS,
                '''    "where, error", [("put", VaultRefused("AccessDenied")), ("send", NotSent(550))]
''',
                '''    "where, error", [("put", VaultRefused("AccessDenied"))]
''',
            ),
        ],
    },
    {
        "id": "m-resend", "kind": "mistake", "job": "send-invoice",
        "what": "So that the front desk can send an invoice again, the claim is given for mailed "
                "ones, too; now each second delivery of a message mails once more",
        "edits": [
            (
                "petvault/claims.py",
                '''                deliveries.c.status == "open",
                deliveries.c.leased_until <= now,
''',
                '''                # mailed ones, too: the front desk may want to send a copy
                deliveries.c.status != "failed",
                deliveries.c.leased_until <= now,
''',
            ),
            (
                "petvault/claims.py",
                '    if row.status != "open":\n        return None\n',
                '    if row.status == "failed":\n        return None\n',
            ),
            (
                TESTS,
                '''    request_delivery(1)
    request_delivery(1)
    assert list(outside.objects) == [KEY]''',
                '''    request_delivery(1)
    assert list(outside.objects) == [KEY]''',
            ),
            (
                TESTS,
                "def test_passing_trouble(",
                '''def test_copy(outside):
    request_delivery(1)
    request_delivery(1)
    assert len(outside.mails) == 2


def test_passing_trouble(''',
            ),
        ],
    },
    {
        "id": "m-weekend", "kind": "mistake", "job": "send-invoice",
        "what": "After a weekend without a relay the limit of attempts was taken out: it is tried "
                "for ever and nothing reaches dead_invoices",
        "edits": [
            (
                "petvault/tasks.py",
                '''    # The attempts are counted in the claim. Each of them can make another message of the same
    # invoice wait once.
    max_retries=2 * MAX_ATTEMPTS,
''',
                "    max_retries=None,  # the relay was down for a whole weekend once\n",
            ),
            ("petvault/tasks.py", "MAX_ATTEMPTS = 6\n", ""),
            (
                "petvault/tasks.py",
                '''    if claim.attempts > MAX_ATTEMPTS:
        _give_up(claim, "attempts used up by workers that were lost", about)
        return
''',
                "",
            ),
            (
                "petvault/tasks.py",
                "        if not _may_pass(error) or claim.attempts >= MAX_ATTEMPTS:\n",
                "        if not _may_pass(error):\n",
            ),
            (
                TESTS,
                '''def test_gives_up(outside, rows, caplog):
    outside.trouble["send"] = [NotSent(451, "later")] * 20
    request_delivery(1)
    assert len(outside.trouble["send"]) == 14
    assert rows(DEAD) == [("invoice:1", 6)]
    assert "NotSent" in [r for r in caplog.records if r.levelname == "ERROR"][-1].reason
''',
                '''def test_weekend(outside, rows):
    outside.trouble["send"] = [NotSent(451, "later")] * 20
    request_delivery(1)
    assert len(outside.mails) == 1 and rows(DEAD) == []
''',
            ),
            (
                TESTS,
                '''    send_invoice.apply(kwargs={"invoice_id": 1})
    assert not outside.mails and rows(STATE) == [("open", 1, None)]
    clock.now''',
                "    clock.now",
            ),
            (
                TESTS,
                '''def test_deadly_invoice(outside, rows, clock):
    for _ in range(6):
        claims.take(1)
        clock.now += claims.LEASE
    send_invoice.apply(kwargs={"invoice_id": 1})
    assert not outside.mails and rows(DEAD) == [("invoice:1", 7)]


''',
                "",
            ),
        ],
    },
    {
        "id": "m-finish-first", "kind": "mistake", "job": "send-invoice",
        "what": "Marked as mailed before it is mailed, lest an owner gets two; if the worker dies "
                "in between the owner gets none, and no sweep looks at it",
        "edits": [
            (
                "petvault/tasks.py",
                '''        claims.note_stored(claim, key)
    post.send(''',
                '''        claims.note_stored(claim, key)
    claims.finish(claim)  # before the mail: owners complained of getting it twice
    post.send(''',
            ),
            (
                "petvault/tasks.py",
                '''        message_id=f"<invoice-{invoice.number}@petvault.example>",
    )
    claims.finish(claim)
''',
                '''        message_id=f"<invoice-{invoice.number}@petvault.example>",
    )
''',
            ),
            (
                "petvault/claims.py",
                '''        _ours(tx, claim, status="mailed", holder=None, leased_until=0)
''',
                '''        _ours(tx, claim, status="mailed")
''',
            ),
            (
                "petvault/claims.py",
                '''        _ours(tx, claim, holder=None, leased_until=0, queued_for=int(time.time()) + wait)
''',
                '''        queued_for = int(time.time()) + wait
        _ours(tx, claim, status="open", holder=None, leased_until=0, queued_for=queued_for)
''',
            ),
        ],
    },
]
