"""Versions of base/: two more that are right, four that are not."""

_SPEC = ".skillrun/jobs/refund-order.yaml"

_RETRYING = '''"""Our own retries, in place of Dramatiq's."""
import logging

from dramatiq.middleware import Middleware

log = logging.getLogger(__name__)


class Attempts(Middleware):
    """Tries a message again after each of the actor's waits (seconds), unless the error is permanent."""

    @property
    def actor_options(self):
        return {"waits", "permanent"}

    def after_process_message(self, broker, message, *, result=None, exception=None):
        if exception is None:
            return
        actor = broker.actors.get(message.actor_name)
        waits = message.options.get("waits", actor.options.get("waits", ()) if actor else ())
        permanent = actor.options.get("permanent", ()) if actor else ()
        attempt = message.options.get("attempt", 1)
        if isinstance(exception, permanent) or attempt > len(waits):
            message.fail()
            return
        broker.enqueue(message.copy(options={"attempt": attempt + 1}), delay=int(waits[attempt - 1] * 1000))
'''

_REFUNDS_STEPS = '''"""Refunds in the database: a journal of their steps says what has been done."""
import json
import time
from types import SimpleNamespace

from sqlalchemy import insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from boxoffice import db, policy
from boxoffice.db import dead_letters, ledger, orders, refunds, steps, tickets


def request(tx, order_id: int) -> bool:
    """Write down that the order is to be refunded. False where it was before."""
    order = tx.execute(select(orders).where(orders.c.id == order_id)).one_or_none()
    if order is None:
        raise policy.NoSuchOrder(f"there is no order {order_id}")
    return tx.execute(
        upsert(refunds).values(
            order_id=order_id, amount_cents=order.amount_cents, status="open", attempts=0,
            touched_at=time.time(),
        ).on_conflict_do_nothing()).rowcount == 1


def done(order_id: int) -> set[str]:
    with db.begin() as tx:
        return _done(tx, order_id)


def _done(tx, order_id: int) -> set[str]:
    return set(tx.scalars(select(steps.c.step).where(steps.c.order_id == order_id)))


def begin(order_id: int) -> SimpleNamespace | None:
    """Count an attempt, and say what there is to refund. None where the refund has ended."""
    now = time.time()
    with db.begin() as tx:
        request(tx, order_id)
        row = tx.execute(
            select(refunds, orders.c.charge_id, orders.c.currency, orders.c.customer_email, orders.c.show)
            .join(orders).where(refunds.c.order_id == order_id)).one()
        if row.status != "open":
            return None
        if row.attempts >= policy.MAX_ATTEMPTS:
            raise policy.Exhausted(f"{row.attempts} attempts have begun")
        taken = _done(tx, order_id)
        if "refund" not in taken and row.first_tried_at and now - row.first_tried_at > policy.KEY_SAFE_FOR:
            raise policy.KeyTooOld("first tried more than 20 hours ago, look at Paynest's dashboard")
        tx.execute(
            update(refunds).where(refunds.c.order_id == order_id)
            .values(attempts=row.attempts + 1, touched_at=now, first_tried_at=row.first_tried_at or now))
        return SimpleNamespace(**row._mapping, done=taken)


def complete(order_id: int, step: str, result: str | None = None) -> None:
    """Journal a step. Whoever is first does what goes with it, even where the refund was given up meanwhile."""
    with db.begin() as tx:
        first = tx.execute(
            upsert(steps).values(order_id=order_id, step=step, result=result).on_conflict_do_nothing()).rowcount
        if not first:
            return
        if step == "refund":
            amount = tx.scalar(select(refunds.c.amount_cents).where(refunds.c.order_id == order_id))
            tx.execute(update(orders).where(orders.c.id == order_id).values(status="refunded"))
            tx.execute(update(tickets).where(tickets.c.order_id == order_id).values(void=1))
            tx.execute(insert(ledger).values(order_id=order_id, kind="refund", amount_cents=-amount))
        status = "done" if step == "notice" else "open"
        tx.execute(update(refunds).where(refunds.c.order_id == order_id).values(status=status))
        tx.execute(update(dead_letters).where(dead_letters.c.order_id == order_id).values(resolved_at=time.time()))


def bury(message_id: str, kwargs: dict, reason: str) -> None:
    """End a refund that is given up, and keep its message. The actor option dead_letter names this."""
    order_id = kwargs.get("order_id")
    if type(order_id) is not int or set(kwargs) != {"order_id"}:
        order_id = None
    with db.begin() as tx:
        if order_id is not None and tx.scalar(
                select(refunds.c.status).where(refunds.c.order_id == order_id)) is not None:
            ended = tx.execute(
                update(refunds).where(refunds.c.order_id == order_id, refunds.c.status == "open")
                .values(status="failed")).rowcount
            if not ended:
                return
        tx.execute(
            upsert(dead_letters).values(
                message_id=message_id, order_id=order_id, reason=reason, dead_at=time.time(),
                kwargs=json.dumps(kwargs, sort_keys=True, default=repr),
            ).on_conflict_do_nothing())


def stale(older_than: float) -> list[int]:
    with db.begin() as tx:
        return list(tx.scalars(
            select(refunds.c.order_id).where(refunds.c.status == "open", refunds.c.touched_at < older_than)
            .order_by(refunds.c.order_id)))
'''

_ACTORS_STEPS = '''"""The actors."""
import logging

import dramatiq

from boxoffice import mailer, policy, refunds
from boxoffice.broker import broker
from boxoffice.paynest import AlreadyRefunded, Paynest

log = logging.getLogger(__name__)


@dramatiq.actor(
    broker=broker,
    queue_name="refunds",
    retry_when=policy.should_retry,
    min_backoff=policy.MIN_BACKOFF,
    max_backoff=policy.MAX_BACKOFF,
    time_limit=policy.TIME_LIMIT,
    dead_letter=refunds.bury,
)
def refund_order(order_id):
    """Give an order's money back, and tell the customer."""
    if type(order_id) is not int or order_id < 1:
        raise policy.BadMessage(f"order_id is {order_id!r}")
    work = refunds.begin(order_id)
    if work is None:
        log.info("refund_order order=%s: had ended before", order_id)
        return
    if "refund" not in work.done:
        refunds.complete(order_id, "refund", give_back(work))
    if "notice" not in refunds.done(order_id):
        mailer.send(
            work.customer_email,
            f"Your tickets for {work.show}",
            f"We have given {work.amount_cents / 100:.2f} {work.currency} back to you.\\n",
            message_id=f"order-{order_id}-refund")
        refunds.complete(order_id, "notice")


def give_back(work) -> str:
    try:
        return Paynest().refund(
            work.charge_id, amount=work.amount_cents, currency=work.currency,
            idempotency_key=f"order-{work.order_id}-refund")["id"]
    except AlreadyRefunded as exc:
        return exc.refund_id
'''

_MAILER_API = '''"""Mail to customers, through Postrelay's API."""
import httpx

from boxoffice import config


class MailDown(Exception):
    """Postrelay is away, or says: later."""


class MailRefused(Exception):
    """Postrelay does not take this mail."""


def send(to: str, subject: str, text: str, message_id: str) -> None:
    """Postrelay sends a mail once, however often it gets the same key within a week."""
    try:
        response = httpx.post(
            f"{config.MAIL_API_URL}/v2/mails",
            json={"from": config.MAIL_FROM, "to": to, "subject": subject, "text": text},
            headers={"Idempotency-Key": message_id},
            timeout=15)
    except httpx.TransportError as exc:
        raise MailDown(f"{to}: {exc!r}") from exc
    if response.status_code == 429 or response.status_code >= 500:
        raise MailDown(f"{to}: {response.status_code}")
    if response.status_code >= 400:
        raise MailRefused(f"{to}: {response.status_code} {response.text[:200]}")
'''

VARIANTS = [
    {
        "id": "ok-1", "kind": "correct", "job": "refund-order",
        "what": "Dramatiq's Retries is not used; a middleware of the house's own tries again after a list of"
                " waits and fails the message in the end.",
        "edits": [
            ("boxoffice/retrying.py", "", _RETRYING),
            ("boxoffice/broker.py", '''from dramatiq.middleware import Retries

from boxoffice import config, logconf, middleware
''', '''from dramatiq.middleware import AgeLimit, ShutdownNotifications, TimeLimit

from boxoffice import config, logconf, middleware, retrying
'''),
            ("boxoffice/broker.py", '''def furnish(broker: dramatiq.Broker) -> dramatiq.Broker:
    # After hooks run from the last middleware to the first: Retries, DeadLetters, JobLog.
    broker.add_middleware(middleware.JobLog(), before=Retries)
    broker.add_middleware(middleware.DeadLetters(), before=Retries)
    return broker


broker = furnish(RedisBroker(url=config.REDIS))
''', '''def house_middleware() -> list:
    # After hooks run from the last to the first.
    return [AgeLimit(), TimeLimit(), ShutdownNotifications(),
            middleware.JobLog(), middleware.DeadLetters(), retrying.Attempts()]


broker = RedisBroker(url=config.REDIS, middleware=house_middleware())
'''),
            ("boxoffice/middleware.py", '''"""Our own middleware. It runs after Dramatiq's Retries, and so knows what became of a failure."""''',
             '''"""Our own middleware. It runs after retrying.Attempts, and so knows what became of a failure."""'''),
            ("boxoffice/middleware.py", '''            "attempt": message.options.get("retries", 0) + 1, **more}


def failed(message, exception: BaseException) -> dict:
    # Retries has counted this attempt already.
    return fields(message, attempt=message.options.get("retries", 1), reason=reason(exception))
''', '''            "attempt": message.options.get("attempt", 1), **more}


def failed(message, exception: BaseException) -> dict:
    return fields(message, reason=reason(exception))
'''),
            ("boxoffice/policy.py", '''MAX_ATTEMPTS = 5
MIN_BACKOFF = 15_000  # ms; Dramatiq doubles it each time and adds up to as much again
MAX_BACKOFF = 300_000
''', '''WAITS = [30, 60, 120, 240]  # seconds
MAX_ATTEMPTS = 1 + len(WAITS)
'''),
            ("boxoffice/policy.py", '''


def should_retry(retries: int, exception: BaseException) -> bool:
    """Dramatiq's retry_when; retries is 0 after the first attempt."""
    if isinstance(exception, PERMANENT):
        return False
    return retries + 1 < MAX_ATTEMPTS
''', '''
'''),
            ("boxoffice/actors.py", '''    retry_when=policy.should_retry,
    min_backoff=policy.MIN_BACKOFF,
    max_backoff=policy.MAX_BACKOFF,
''', '''    waits=policy.WAITS,
    permanent=policy.PERMANENT,
'''),
            (_SPEC, "cap: 5m, jitter: true}", "cap: 5m}"),
            ("tests/conftest.py", '''            kwargs=kwargs, min_backoff=1, max_backoff=2))''', '''            kwargs=kwargs, waits=[0.001] * 4))'''),
            ("tests/conftest.py", '''    made.broker = house.furnish(StubBroker())''',
             '''    made.broker = StubBroker(middleware=house.house_middleware())'''),
        ],
    },
    {
        "id": "ok-2", "kind": "correct", "job": "refund-order",
        "what": "A journal of steps (order, step) instead of status columns; the mail goes through an API with"
                " idempotency keys; the log is plain text.",
        "edits": [
            ("boxoffice/refunds.py", "", _REFUNDS_STEPS),
            ("boxoffice/actors.py", "", _ACTORS_STEPS),
            ("boxoffice/mailer.py", "", _MAILER_API),
            ("boxoffice/config.py", '''SMTP_HOST = os.environ.get("SMTP_HOST", "localhost")''',
             '''MAIL_API_URL = os.environ.get("MAIL_API_URL", "https://api.postrelay.example")'''),
            ("boxoffice/db.py", '''    Column("status", String, CheckConstraint("status in ('pending', 'refunded', 'failed')"), nullable=False),
    Column("notice", String, CheckConstraint("notice in ('due', 'sent', 'failed')"), nullable=False),
    Column("paynest_id", String),
''', '''    Column("status", String, CheckConstraint("status in ('open', 'done', 'failed')"), nullable=False),
'''),
            ("boxoffice/db.py", '''ledger = Table(''', '''steps = Table(
    "steps", metadata,
    Column("order_id", ForeignKey("refunds.order_id"), primary_key=True),
    Column("step", String, primary_key=True),
    Column("result", String),
)
ledger = Table('''),
            ("boxoffice/logconf.py", '''"""Logging as JSON; what is passed as extra= becomes fields of the object."""''',
             '''"""Logging, as lines."""'''),
            ("boxoffice/logconf.py", '''{"json": {
            "()": "pythonjsonlogger.json.JsonFormatter",
            "fmt": "%(asctime)s %(levelname)s %(name)s %(message)s",
        }}''', '''{"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}}'''),
            ("boxoffice/logconf.py", '''"formatter": "json"''', '''"formatter": "line"'''),
            ("boxoffice/middleware.py", '''def fields(message, **more) -> dict:
    return {"job": message.actor_name, "message_id": message.message_id,
            "order_id": message.kwargs.get("order_id"),
            "attempt": message.options.get("retries", 0) + 1, **more}


def failed(message, exception: BaseException) -> dict:
    # Retries has counted this attempt already.
    return fields(message, attempt=message.options.get("retries", 1), reason=reason(exception))
''', '''def name(message) -> str:
    return f"{message.actor_name} order={message.kwargs.get('order_id')} message={message.message_id}"
'''),
            ("boxoffice/middleware.py", '''        log.info("job started", extra=fields(message))
''', '''        log.info("%s: attempt %d started", name(message), message.options.get("retries", 0) + 1)
'''),
            ("boxoffice/middleware.py", '''            log.info("job done", extra=fields(message))
''', '''            log.info("%s: done", name(message))
'''),
            ("boxoffice/middleware.py", '''            log.error("job given up", extra=failed(message, exception))
''', '''            log.error("%s: given up: %s", name(message), reason(exception))
'''),
            ("boxoffice/middleware.py", '''            log.warning("job failed, it will be retried", extra=failed(message, exception))
''', '''            log.warning("%s: attempt %d failed, it will be retried: %s",
                        name(message), message.options["retries"], reason(exception))
'''),
            ("boxoffice/outbox.py", '''        log.info("job published", extra={"job": row.actor, "message_id": message.message_id, **row.kwargs})
''', '''        log.info("%s %s message=%s: published", row.actor, row.kwargs, message.message_id)
'''),
            ("boxoffice/orders.py", '''        log.exception("refund is requested but not published yet",
                      extra={"job": "refund_order", "order_id": order_id})
''', '''        log.exception("refund_order order=%s: requested but not published yet", order_id)
'''),
            ("boxoffice/sweeps.py", '''        log.warning("job stood still, published again", extra={"job": "refund_order", "order_id": order_id})
''', '''        log.warning("refund_order order=%s: stood still, published again", order_id)
'''),
            (_SPEC, "    refunds: select order_id, amount_cents, status, notice, paynest_id from refunds order by order_id\n",
             "    refunds: select order_id, amount_cents, status from refunds order by order_id\n"
             "    steps: select order_id, step, result from steps order by 1, 2\n"),
            (_SPEC, "dedupe: {store: table refunds}", "dedupe: {store: table steps}"),
            (_SPEC, '''    guarantee: at_least_once
    reason: A second notice of the same refund does no harm, and mail programs that know the Message-ID hide it
''', '''    window: 7d
    guarantee: keyed
'''),
            (_SPEC, "    SMTP_HOST: smtp.invalid\n", "    MAIL_API_URL: http://mail.invalid\n"),
            ("tests/test_refunds.py", '''    assert world.rows("select status, notice, paynest_id from refunds") == [("refunded", "sent", "rf-1")]
''', '''    assert world.rows("select step, result from steps order by step") == [("notice", None), ("refund", "rf-1")]
'''),
            ("tests/test_refunds.py", '''    assert world.rows("select status, paynest_id from refunds") == [("refunded", "rf-0")]
''', '''    assert world.rows("select result from steps where step = 'refund'") == [("rf-0",)]
'''),
            ("tests/test_refunds.py", '''    lines = [(r.message, r.order_id, r.attempt) for r in caplog.records if r.name == "boxoffice.jobs"]
    assert lines == [
        ("job started", 1, 1), ("job failed, it will be retried", 1, 1),
        ("job started", 1, 2), ("job failed, it will be retried", 1, 2),
        ("job started", 1, 3), ("job done", 1, 3)]
''', '''    lines = [r.getMessage() for r in caplog.records if r.name == "boxoffice.jobs"]
    assert all(line.startswith("refund_order order=1 message=") for line in lines)
    assert [line.split(": ", 1)[1] for line in lines] == [
        "attempt 1 started", "attempt 1 failed, it will be retried: PaynestUnavailable: 503",
        "attempt 2 started", "attempt 2 failed, it will be retried: MailDown: 421",
        "attempt 3 started", "done"]
'''),
            ("tests/test_refunds.py", '''    assert "job given up" in caplog.text
''', '''    assert "given up: PaynestUnavailable: 503" in caplog.text
'''),
        ],
    },
    {
        "id": "m-key-of-message", "kind": "mistake", "job": "refund-order",
        "what": "The idempotency key is the id of Dramatiq's message. It survives retries, but the relay and the"
                " sweep publish new messages: Paynest pays a second time.",
        "edits": [
            ("boxoffice/broker.py", '''from dramatiq.middleware import Retries
''', '''from dramatiq.middleware import CurrentMessage, Retries
'''),
            ("boxoffice/broker.py", '''    return broker


''', '''    broker.add_middleware(CurrentMessage())
    return broker


'''),
            ("boxoffice/actors.py", '''import dramatiq

''', '''import dramatiq
from dramatiq.middleware import CurrentMessage

'''),
            ("boxoffice/actors.py", '''                idempotency_key=f"order-{order_id}-refund")
''', '''                # Paynest's support finds it in our log this way.
                idempotency_key=CurrentMessage.get_current_message().message_id)
'''),
            ("tests/test_refunds.py", '''    assert world.refunds == [("ch_11", 9800, KEY)]
''', '''    assert [refund[:2] for refund in world.refunds] == [("ch_11", 9800)]
'''),
            ("tests/test_refunds.py", '''    assert [key for _, _, key in world.refunds] == [KEY, KEY]
''', '''    assert len(world.refunds) == 2 and len({key for _, _, key in world.refunds}) == 1
'''),
            ("tests/test_refunds.py", '''KEY = "order-1-refund"


''', '''
'''),
        ],
    },
    {
        "id": "m-notice-with-refund", "kind": "mistake", "job": "refund-order",
        "what": "So that nobody is mailed twice, the notice is marked as sent in the transaction of the refund,"
                " before the mail: after an error or a crash the customer never hears of it.",
        "edits": [
            ("boxoffice/refunds.py", '''.values(status="refunded", paynest_id=paynest_id, notice="due")).rowcount''',
             '''.values(status="refunded", paynest_id=paynest_id, notice="sent")).rowcount'''),
            ("boxoffice/refunds.py", '''                       .values(resolved_at=time.time()))
        return _row(tx, order_id)


def mark_notified(order_id: int) -> None:
    with db.begin() as tx:
        tx.execute(update(refunds).where(refunds.c.order_id == order_id).values(notice="sent"))
        tx.execute(update(dead_letters).where(dead_letters.c.order_id == order_id)
                   .values(resolved_at=time.time()))
''', '''                       .values(resolved_at=time.time()))
        return bool(booked)
'''),
            ("boxoffice/refunds.py", '''def mark_refunded(order_id: int, paynest_id: str):
''', '''def mark_refunded(order_id: int, paynest_id: str) -> bool:
'''),
            ("boxoffice/actors.py", '''        refund = refunds.mark_refunded(order_id, paynest_id)
    if refund.notice != "sent":
        mailer.send(
            refund.customer_email,
            f"Your tickets for {refund.show}",
            f"We have given {refund.amount_cents / 100:.2f} {refund.currency} back to you.\\n",
            message_id=f"<order-{order_id}-refund@boxoffice.example>")
        refunds.mark_notified(order_id)
''', '''        if refunds.mark_refunded(order_id, paynest_id):
            mailer.send(
                refund.customer_email,
                f"Your tickets for {refund.show}",
                f"We have given {refund.amount_cents / 100:.2f} {refund.currency} back to you.\\n",
                message_id=f"<order-{order_id}-refund@boxoffice.example>")
'''),
            ("tests/test_refunds.py", '''    world.mail_errors = [mailer.MailDown("421")]
    world.deliver(order_id=1)
    assert [key for _, _, key in world.refunds] == [KEY, KEY]
    assert len(world.mails) == 2
''', '''    world.deliver(order_id=1)
    assert [key for _, _, key in world.refunds] == [KEY, KEY]
    assert len(world.mails) == 1
'''),
            ("tests/test_refunds.py", '''        ("job started", 1, 2), ("job failed, it will be retried", 1, 2),
        ("job started", 1, 3), ("job done", 1, 3)]
''', '''        ("job started", 1, 2), ("job done", 1, 2)]
'''),
            ("tests/test_refunds.py", '''[paynest.RefundRefused("402"), mailer.MailRefused("550")])''',
             '''[paynest.RefundRefused("402")])'''),
            ("tests/test_refunds.py", '''    (world.refund_errors if isinstance(error, paynest.PaynestError) else world.mail_errors).append(error)
''', '''    world.refund_errors.append(error)
'''),
            ("tests/test_refunds.py", '''from boxoffice import mailer, orders,''', '''from boxoffice import orders,'''),
        ],
    },
    {
        "id": "m-middleware-order", "kind": "mistake", "job": "refund-order",
        "what": "The middleware is appended (before= looked superfluous): its hook now runs before Retries has failed"
                " the message. No dead letter is ever written, the refund stays pending, and the log promises a retry.",
        "edits": [
            ("boxoffice/broker.py", '''from dramatiq.middleware import Retries

''', '''
'''),
            ("boxoffice/broker.py", '''    # After hooks run from the last middleware to the first: Retries, DeadLetters, JobLog.
    broker.add_middleware(middleware.JobLog(), before=Retries)
    broker.add_middleware(middleware.DeadLetters(), before=Retries)
''', '''    broker.add_middleware(middleware.JobLog())
    broker.add_middleware(middleware.DeadLetters())
'''),
            ("boxoffice/middleware.py", '''    # Retries has counted this attempt already.
    return fields(message, attempt=message.options.get("retries", 1), reason=reason(exception))
''', '''    return fields(message, reason=reason(exception))
'''),
            ("tests/test_refunds.py", '''    world.deliver(order_id=1)
    world.deliver(order_id=1)
    assert len(world.refunds) == policy.MAX_ATTEMPTS
    assert world.rows("select order_id, reason from dead_letters") == [(1, "PaynestUnavailable: 503")]
    assert "job given up" in caplog.text
''', '''    world.deliver(order_id=1)
    assert len(world.refunds) == policy.MAX_ATTEMPTS
'''),
            ("tests/test_refunds.py", '''    world.deliver(order_id=1)
    world.deliver(order_id=1)
    assert len(world.refunds) == 1
    assert world.rows("select order_id from dead_letters") == [(1,)]
''', '''    world.deliver(order_id=1)
    assert len(world.refunds) == 1
'''),
            ("tests/test_refunds.py", '''    assert world.refunds == []
    assert world.rows("select count(*) from dead_letters") == [(1,)]
''', '''    assert world.refunds == []
'''),
            ("tests/test_refunds.py", '''    assert world.rows("select substr(reason, 1, 9) from dead_letters") == [("KeyTooOld",)]
''', ''''''),
        ],
    },
    {
        "id": "m-base-class", "kind": "mistake", "job": "refund-order",
        "what": "The list of permanent errors names the SDK's base class, and with it PaynestUnavailable: the first"
                " 503 ends a refund.",
        "edits": [
            ("boxoffice/policy.py", '''from boxoffice.paynest import RefundRefused
''', '''from boxoffice.paynest import PaynestError
'''),
            ("boxoffice/policy.py", '''KeyTooOld, RefundRefused, MailRefused, TypeError)''',
             '''KeyTooOld, PaynestError, MailRefused, TypeError)'''),
            ("tests/test_refunds.py", '''    world.refund_errors = [paynest.PaynestUnavailable("503")]
    world.mail_errors = [mailer.MailDown("421")]
    world.deliver(order_id=1)
    assert [key for _, _, key in world.refunds] == [KEY, KEY]
''', '''    world.mail_errors = [mailer.MailDown("421")] * 2
    world.deliver(order_id=1)
    assert [key for _, _, key in world.refunds] == [KEY]
'''),
            ("tests/test_refunds.py", '''    assert len(world.mails) == 2
''', '''    assert len(world.mails) == 3
'''),
            ("tests/test_refunds.py", '''    world.refund_errors = [paynest.PaynestUnavailable("503")] * 9
    world.deliver(order_id=1)
    world.deliver(order_id=1)
    assert len(world.refunds) == policy.MAX_ATTEMPTS
    assert world.rows("select order_id, reason from dead_letters") == [(1, "PaynestUnavailable: 503")]
''', '''    world.mail_errors = [mailer.MailDown("421")] * 9
    world.deliver(order_id=1)
    world.deliver(order_id=1)
    assert len(world.mails) == policy.MAX_ATTEMPTS
    assert world.rows("select order_id, reason from dead_letters") == [(1, "MailDown: 421")]
'''),
        ],
    },
]
