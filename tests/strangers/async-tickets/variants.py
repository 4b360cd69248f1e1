"""Other ways to be right, and mistakes that pass review."""

TASKS, BROKER, MIDDLE, SERVICE = "tickets/tasks.py", "tickets/broker.py", "tickets/middleware.py", "tickets/service.py"
J = dict(job="refund-order")

SETTLE = '''    try:
        with Session.begin() as session:
            session.add(Step(order_id=order.id, name="refund", result=refund))
            session.flush()
            session.execute(
                update(Order).where(Order.id == order.id).values(status="refunded", refund_id=refund["id"])
            )
            goodwill = order.amount_cents * GOODWILL_PERCENT // 100
            session.execute(
                update(Customer)
                .where(Customer.id == order.customer_id)
                .values(credit_cents=Customer.credit_cents + goodwill)
            )
    except IntegrityError:
        logger.info("settled_by_another_delivery")
'''
BODY = '''        order = await load(order_id)
        refund = await finished(order_id, "refund")
        if refund is None:
            refund = await payments.refund(
                order_id=order_id, amount_cents=order.amount_cents, idempotency_key=f"refund:{order_id}"
            )
            await settle(order, refund)
        if await finished(order_id, "organiser") is None:
            await tell_organiser(order, reason)
        logger.info("order_refunded", refund_id=refund["id"])
'''
RAISE = '''        try:
            response.raise_for_status()
        except httpx.HTTPStatusError as exc:
            if exc.response.status_code >= 500:
                raise PartnerDown(f"organiser answered {exc.response.status_code}") from exc
            raise
'''
KEY = 'idempotency_key=f"refund:{order_id}"'
SMART = '''    SmartRetryMiddleware(
        default_retry_count=5,
        default_retry_label=True,
        default_delay=2,
        use_delay_exponent=True,
        max_delay_exponent=60,
        use_jitter=True,
        schedule_source=schedule,
        types_of_exceptions=TRANSIENT,
    ),
'''

VARIANTS = [
    # ------------------------------------------------------------------ correct
    dict(id="ok-house-middleware", kind="correct", **J,
         what="One house middleware does both: it publishes the next attempt itself, or buries the job.",
         edits=[(MIDDLE, "", '''import random
from datetime import datetime, timedelta, timezone

import structlog
from sqlalchemy.dialects.sqlite import insert
from taskiq import TaskiqMessage, TaskiqMiddleware, TaskiqResult
from taskiq.exceptions import NoResultError
from taskiq.kicker import AsyncKicker

from .db import DeadJob, Session

logger = structlog.get_logger()


class RetryOrBury(TaskiqMiddleware):
    def __init__(self, transient: tuple, attempts: int, schedule=None) -> None:
        super().__init__()
        self.transient, self.attempts, self.schedule = transient, attempts, schedule

    async def on_error(self, message: TaskiqMessage, result: TaskiqResult, exception: BaseException) -> None:
        attempt = int(message.labels.get("attempt", 1))
        log = logger.bind(task=message.task_name, task_id=message.task_id, attempt=attempt, **message.kwargs)
        if isinstance(exception, self.transient) and attempt < self.attempts:
            wait = min(60, 2 * 2 ** (attempt - 1)) * random.uniform(0.5, 1)
            kicker = AsyncKicker(message.task_name, self.broker, message.labels).with_task_id(message.task_id)
            kicker = kicker.with_labels(attempt=attempt + 1)
            if self.schedule is None:
                await kicker.kiq(*message.args, **message.kwargs)
            else:
                when = datetime.now(timezone.utc) + timedelta(seconds=wait)
                await kicker.schedule_by_time(self.schedule, when, *message.args, **message.kwargs)
            result.error = NoResultError()
            log.warning("attempt_failed", error=repr(exception), wait=wait)
            return
        with Session.begin() as session:
            row = dict(task_id=message.task_id, task=message.task_name, payload=message.kwargs, error=repr(exception))
            session.execute(insert(DeadJob).values(**row).on_conflict_do_nothing())
        log.critical("buried", error=repr(exception))
'''),
                (BROKER, "    DeadLetters(),\n" + SMART, "    RetryOrBury(TRANSIENT, attempts=5, schedule=schedule),\n"),
                (BROKER, "# on_error runs from the last middleware to the first: the retry decides, then DeadLetters looks.\n", ""),
                (BROKER, "import DeadLetters", "import RetryOrBury"),
                (BROKER, "from taskiq import InMemoryBroker, SmartRetryMiddleware", "from taskiq import InMemoryBroker")]),
    dict(id="ok-order-is-the-marker", kind="correct", **J,
         what="No step row for the refund: a conditional UPDATE of the order decides who credits.",
         edits=[(TASKS, SETTLE, '''    with Session.begin() as session:
        won = session.execute(
            update(Order)
            .where(Order.id == order.id, Order.refund_id.is_(None))
            .values(status="refunded", refund_id=refund["id"])
        ).rowcount
        if not won:
            logger.info("settled_by_another_delivery")
            return
        goodwill = order.amount_cents * GOODWILL_PERCENT // 100
        session.execute(
            update(Customer)
            .where(Customer.id == order.customer_id)
            .values(credit_cents=Customer.credit_cents + goodwill)
        )
'''), (TASKS, '        refund = await finished(order_id, "refund")\n', '        refund = {"id": order.refund_id} if order.refund_id else None\n')]),
    dict(id="ok-upsert", kind="correct", **J,
         what="INSERT ... ON CONFLICT DO NOTHING and its rowcount instead of an IntegrityError.",
         edits=[(TASKS, SETTLE, '''    mark = insert(Step).values(order_id=order.id, name="refund", result=refund).on_conflict_do_nothing()
    goodwill = order.amount_cents * GOODWILL_PERCENT // 100
    with Session() as session, session.begin():
        if session.execute(mark).rowcount != 1:
            return
        session.execute(update(Order).where(Order.id == order.id).values(status="refunded", refund_id=refund["id"]))
        session.execute(
            update(Customer)
            .where(Customer.id == order.customer_id)
            .values(credit_cents=Customer.credit_cents + goodwill)
        )
'''), (TASKS, "from sqlalchemy.exc import", "from sqlalchemy.dialects.sqlite import insert\nfrom sqlalchemy.exc import")]),
    dict(id="ok-begin-immediate", kind="correct", **J,
         what="The write lock is taken first (BEGIN IMMEDIATE), then ORM objects are read and changed in plain Python.",
         edits=[(TASKS, SETTLE, '''    with Session() as session:
        session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
        session.execute(text("BEGIN IMMEDIATE"))
        try:
            if session.get(Step, (order.id, "refund")) is None:
                session.add(Step(order_id=order.id, name="refund", result=refund))
                fresh = session.get(Order, order.id)
                fresh.status, fresh.refund_id = "refunded", refund["id"]
                customer = session.get(Customer, order.customer_id)
                customer.credit_cents += order.amount_cents * GOODWILL_PERCENT // 100
                session.flush()
            session.execute(text("COMMIT"))
        except BaseException:
            session.execute(text("ROLLBACK"))
            raise
'''), (TASKS, "from sqlalchemy import update", "from sqlalchemy import text")]),
    dict(id="ok-job-object", kind="correct", **J,
         what="A small class carries the order through the steps; a bound logger instead of contextvars; pydantic checks the message.",
         edits=[(TASKS, '''    if not isinstance(order_id, str) or not order_id.startswith("ord-") or not reason:
        raise BadMessage(f"order_id={order_id!r} reason={reason!r}")
    with structlog.contextvars.bound_contextvars(order_id=order_id):
''' + BODY, '''    try:
        message = Message(order_id=order_id, reason=reason)
    except ValidationError as exc:
        raise BadMessage(f"order_id={order_id!r}: {exc.error_count()} errors") from exc
    await Refund(message).run()


class Message(BaseModel):
    order_id: StrictStr = Field(pattern="^ord-")
    reason: StrictStr = Field(min_length=1)


class Refund:
    def __init__(self, message: Message) -> None:
        self.message = message
        self.log = logger.bind(order_id=message.order_id)

    async def run(self) -> None:
        order = await load(self.message.order_id)
        for name, step in (("refund", self.pay_back), ("organiser", self.tell)):
            if await finished(order.id, name) is None:
                await step(order)
                self.log.info("step_done", step=name)

    async def pay_back(self, order: Order) -> None:
        key = f"refund:{order.id}"
        refund = await payments.refund(order_id=order.id, amount_cents=order.amount_cents, idempotency_key=key)
        await settle(order, refund)

    async def tell(self, order: Order) -> None:
        await tell_organiser(order, self.message.reason)
'''), (TASKS, "from sqlalchemy import update", "from pydantic import BaseModel, Field, StrictStr, ValidationError\nfrom sqlalchemy import update")]),
    # ----------------------------------------------------------------- mistakes
    dict(id="bad-key-random", kind="mistake", **J,
         what="A new idempotency key for each attempt.",
         edits=[(TASKS, KEY, "idempotency_key=str(uuid4())"), (TASKS, "import httpx\n", "from uuid import uuid4\n\nimport httpx\n")]),
    dict(id="bad-key-shared", kind="mistake", **J,
         what="The refund's key is customer and event: the second order of a customer is answered with the first refund.",
         edits=[(TASKS, KEY, 'idempotency_key=f"refund:{order.customer_id}:{order.event}"')]),
    dict(id="bad-organiser-key-shared", kind="mistake", **J,
         what="The organiser's key names the event, not the order.",
         edits=[(TASKS, 'f"release:{order.id}"', 'f"release:{order.event}"')]),
    dict(id="bad-ack-received", kind="mistake", **J, look="killed",
         what="ack_type when_received 'so that slow refunds are not delivered twice'.",
         edits=[(TASKS, '@broker.task(task_name="tickets.refund_order")', '@broker.task(task_name="tickets.refund_order", ack_type="when_received")')]),
    dict(id="bad-middleware-order", kind="mistake", **J,
         what="The middlewares are added the other way round: every failed attempt is buried and retried.",
         edits=[(BROKER, "    DeadLetters(),\n" + SMART, SMART + "    DeadLetters(),\n")]),
    dict(id="bad-swallowed", kind="mistake", **J,
         what="The organiser's failure is logged and forgotten, 'it must not fail the refund'.",
         edits=[(TASKS, "            await tell_organiser(order, reason)\n", '''            try:
                await tell_organiser(order, reason)
            except Exception:
                logger.exception("organiser_not_told")
''')]),
    dict(id="bad-no-raise-for-status", kind="mistake", **J,
         what="raise_for_status is missing: a 503 of the organiser counts as told.",
         edits=[(TASKS, RAISE, ""), (TASKS, "NotRefundable, PartnerDown, UnknownOrder", "NotRefundable, UnknownOrder")]),
    dict(id="bad-retry-everything", kind="mistake", **J,
         what="No types_of_exceptions: rejected refunds and malformed messages are tried five times.",
         edits=[(BROKER, "        types_of_exceptions=TRANSIENT,\n", "")]),
    dict(id="bad-requeue-self", kind="mistake", **J,
         what="On PaymentsDown the task publishes itself anew and returns: no count, no end.",
         edits=[(TASKS, BODY, BODY.replace('''            refund = await payments.refund(
                order_id=order_id, amount_cents=order.amount_cents, idempotency_key=f"refund:{order_id}"
            )
''', '''            try:
                refund = await payments.refund(
                    order_id=order_id, amount_cents=order.amount_cents, idempotency_key=f"refund:{order_id}"
                )
            except PaymentsDown:
                logger.warning("payments_down", requeued=True)
                await refund_order.kiq(order_id=order_id, reason=reason)
                return
''')), (TASKS, "import payments\n", "import PaymentsDown, payments\n")]),
    dict(id="bad-mark-first", kind="mistake", **J,
         what="The organiser's step is marked before the call, against double calls; a failure then never tells them.",
         edits=[(TASKS, '''    async with httpx.AsyncClient(timeout=10) as client:
''', '''    try:
        with Session.begin() as session:
            session.add(Step(order_id=order.id, name="organiser", result={"reason": reason}))
    except IntegrityError:
        logger.info("organiser_told_by_another_delivery")
        return
    async with httpx.AsyncClient(timeout=10) as client:
'''), (TASKS, '''        answer = response.json()
    try:
        with Session.begin() as session:
            session.add(Step(order_id=order.id, name="organiser", result=answer))
    except IntegrityError:
        logger.info("organiser_told_by_another_delivery")
''', '''        logger.info("organiser_told", answer=response.json())
''')]),
    dict(id="bad-two-transactions", kind="mistake", **J, look="killed",
         what="The credit is committed in a transaction of its own, before the step: a death between credits twice.",
         edits=[(TASKS, SETTLE, '''    goodwill = order.amount_cents * GOODWILL_PERCENT // 100
    with Session.begin() as session:
        session.execute(
            update(Customer)
            .where(Customer.id == order.customer_id)
            .values(credit_cents=Customer.credit_cents + goodwill)
        )
    try:
        with Session.begin() as session:
            session.add(Step(order_id=order.id, name="refund", result=refund))
            session.execute(
                update(Order).where(Order.id == order.id).values(status="refunded", refund_id=refund["id"])
            )
    except IntegrityError:
        logger.info("settled_by_another_delivery")
''')]),
    dict(id="bad-credit-lost-update", kind="mistake", **J, look="together",
         what="The credit is read before the transaction and written as a sum: two refunds of one customer lose one.",
         edits=[(TASKS, "    try:\n        with Session.begin() as session:\n            session.add(Step(order_id=order.id, name=\"refund\"", '''    with Session() as session:
        customer = session.get(Customer, order.customer_id)
    try:
        with Session.begin() as session:
            session.add(Step(order_id=order.id, name="refund"'''),
                (TASKS, "credit_cents=Customer.credit_cents + goodwill", "credit_cents=customer.credit_cents + goodwill")]),
    dict(id="bad-merge-no-guard", kind="mistake", **J, look="together",
         what="session.merge instead of add: the second of two at once meets no unique key and credits again.",
         edits=[(TASKS, 'session.add(Step(order_id=order.id, name="refund", result=refund))', 'session.merge(Step(order_id=order.id, name="refund", result=refund))')]),
    dict(id="bad-publish-before-commit", kind="mistake", **J, look="publisher",
         what="cancel_order publishes inside the open transaction.",
         edits=[(SERVICE, '        session.add(Outbox(', '        await broker.find_task("tickets.refund_order").kiq(order_id=order_id, reason=reason)\n        session.add(Outbox('),
                (SERVICE, '"reason": reason}))\n    await publish_pending()\n', '"reason": reason}, sent_at=now()))\n'),
                (SERVICE, "from .broker import broker\n", "from . import tasks  # noqa: F401\nfrom .broker import broker\n")]),
    dict(id="bad-sent-before-kick", kind="mistake", **J, look="publisher",
         what="The outbox row is marked as sent before it is published: a death between loses the job.",
         edits=[(SERVICE, '''        await broker.find_task(row.task).kiq(**row.payload)
        with Session.begin() as session:
            session.execute(update(Outbox).where(Outbox.id == row.id).values(sent_at=now()))
''', '''        with Session.begin() as session:
            session.execute(update(Outbox).where(Outbox.id == row.id).values(sent_at=now()))
        await broker.find_task(row.task).kiq(**row.payload)
''')]),
    dict(id="bad-dead-letter-key", kind="mistake", **J,
         unpromised="a message that breaks the payload's schema ends at once, with an error that an operator can find",
         what="The dead letter takes order_id out of the message; a message without one dies unrecorded.",
         edits=[(MIDDLE, "                    task_id=message.task_id,\n", "                    task_id=f\"{message.task_name}:{message.kwargs['order_id']}\",\n")]),
    dict(id="bad-nameless", kind="mistake", **J,
         what="Dead letter and log name the task and its id, nothing of the order.",
         edits=[(MIDDLE, ", task_id=message.task_id, payload=message.kwargs)", ", task_id=message.task_id)"),
                (MIDDLE, "                    payload=message.kwargs,\n", "                    payload=message.labels,\n")]),
    dict(id="bad-early-return", kind="mistake", **J,
         what="A refunded order returns at the top: after a failure at the organiser nobody ever tells them.",
         edits=[(TASKS, "        order = await load(order_id)\n", '''        order = await load(order_id)
        if order.status == "refunded":
            logger.info("already_refunded")
            return
''')]),
]
