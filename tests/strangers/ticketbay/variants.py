"""Other versions of base/: two that keep the promise in another way, four that break it."""

OK1_TASKS = '''import json
import random
import uuid

import structlog
from sqlalchemy import insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import IntegrityError, OperationalError

from .celery_app import app
from .db import Session
from .gateway import AlreadyRefunded, CardDeclined, GatewayDown, GatewayTimeout, RequestRejected, gateway
from .models import (
    ATTENTION,
    CANCELLED,
    CHARGING,
    DECLINED,
    PAID,
    PLACED,
    REFUND_DUE,
    REFUNDED,
    UNSETTLED,
    FailedSettlement,
    Movement,
    Order,
    utcnow,
)

MAX_UNRETURNED = 5
TRANSIENT = (GatewayDown, GatewayTimeout, OperationalError)


class BadMessage(Exception):
    pass


class NoSuchOrder(Exception):
    pass


class WorkerKiller(Exception):
    """The order has cost several workers their lives; somebody has to look at it."""


@app.task(bind=True, name="ticketbay.settle_order", max_retries=4)
def settle_order(self, *args, **message):
    """Charge an order that was placed, or refund one that was cancelled after it was paid."""
    log = structlog.get_logger("ticketbay.settlement").bind(
        job="settle-order", task_id=self.request.id, attempt=self.request.retries + 1, **{"order_id": message.get("order_id")}
    )
    log.info("settlement started")
    try:
        order_id = parse(args, message)
        with Session.begin() as session:
            status = begin(session, order_id)
        if status == CHARGING:
            status = charge(order_id, log)
        if status == REFUND_DUE:
            status = refund(order_id, log)
    except TRANSIENT as error:
        if self.request.retries >= self.max_retries:
            give_up(self.request.id, message, error, ATTENTION, log)
            return
        returned(order_id)
        pause = min(300, 10 * 2**self.request.retries)
        pause = random.uniform(0, pause)
        log.warning("settlement failed, will be retried", reason=repr(error), wait=round(pause))
        raise self.retry(exc=error, countdown=pause)
    except CardDeclined as error:
        give_up(self.request.id, message, error, DECLINED, log)
    except (RequestRejected, BadMessage, NoSuchOrder, WorkerKiller) as error:
        give_up(self.request.id, message, error, ATTENTION, log)
    except Exception as error:
        give_up(self.request.id, message, error, ATTENTION, log)
        raise
    else:
        log.info("settlement succeeded", status=status)


def parse(args, message) -> int:
    order_id = message.get("order_id")
    if args or set(message) != {"order_id"} or type(order_id) is not int or order_id < 1:
        raise BadMessage(f"{args!r} {message!r}")
    return order_id


def begin(session, order_id: int) -> str:
    session.execute(
        update(Order)
        .where(Order.id == order_id, Order.status.in_(UNSETTLED))
        .values(unreturned=Order.unreturned + 1, touched_at=utcnow())
    )
    order = session.get(Order, order_id)
    if order is None:
        raise NoSuchOrder(f"order {order_id}")
    if order.status in UNSETTLED and order.unreturned > MAX_UNRETURNED:
        raise WorkerKiller(f"order {order_id}: {MAX_UNRETURNED} workers died of it")
    if order.status == PLACED:
        order.status = CHARGING
    return order.status


def movement(order_id: int, kind: str) -> Movement:
    """The row of this movement of money. Its key is drawn once, by whoever comes first."""
    with Session.begin() as session:
        session.execute(
            upsert(Movement)
            .values(order_id=order_id, kind=kind, key=uuid.uuid4().hex)
            .on_conflict_do_nothing(index_elements=["order_id", "kind"])
        )
        row = session.get(Movement, (order_id, kind))
        session.expunge(row)
        return row


def done(order_id: int, kind: str, gateway_id: str, log) -> str:
    column, steps = {
        "charge": ("charge_id", [((CHARGING, ATTENTION), PAID), ((CANCELLED,), REFUND_DUE)]),
        "refund": ("refund_id", [((REFUND_DUE, ATTENTION), REFUNDED)]),
    }[kind]
    with Session.begin() as session:
        session.execute(
            update(Movement)
            .where(Movement.order_id == order_id, Movement.kind == kind, Movement.gateway_id.is_(None))
            .values(gateway_id=gateway_id)
        )
        for old, new in steps:
            values = {"status": new, column: gateway_id, "unreturned": 0, "touched_at": utcnow()}
            if session.execute(
                update(Order).where(Order.id == order_id, Order.status.in_(old)).values(**values)
            ).rowcount:
                break
        else:
            log.info("order had moved on", kind=kind)
        return session.scalar(select(Order.status).where(Order.id == order_id))


def charge(order_id: int, log) -> str:
    row, order = movement(order_id, "charge"), look(order_id)
    charge_id = row.gateway_id or gateway.charge(
        order.card_token, order.amount_cents, order.currency, idempotency_key=row.key
    )
    return done(order_id, "charge", charge_id, log)


def refund(order_id: int, log) -> str:
    row, order = movement(order_id, "refund"), look(order_id)
    try:
        refund_id = row.gateway_id or gateway.refund(order.charge_id, order.amount_cents, idempotency_key=row.key)
    except AlreadyRefunded as error:
        refund_id = error.refund_id
    return done(order_id, "refund", refund_id, log)


def look(order_id: int) -> Order:
    with Session() as session:
        order = session.get(Order, order_id)
        session.expunge(order)
        return order


def returned(order_id: int) -> None:
    with Session.begin() as session:
        session.execute(update(Order).where(Order.id == order_id).values(unreturned=0, touched_at=utcnow()))


def give_up(task_id, message, error, status, log) -> None:
    log.error("settlement given up", reason=repr(error), exc_info=error)
    order_id = message.get("order_id")
    letter = {"task_id": task_id, "message": json.dumps(message, default=str), "error": repr(error)}
    try:
        with Session.begin() as session:
            if not isinstance(error, (BadMessage, NoSuchOrder)):
                letter["order_id"] = order_id
                if not session.execute(
                    update(Order)
                    .where(Order.id == order_id, Order.status.in_(UNSETTLED))
                    .values(status=status, unreturned=0, touched_at=utcnow())
                ).rowcount:
                    log.info("another delivery has ended the settlement")
                    return
            session.execute(insert(FailedSettlement).values(**letter))
    except IntegrityError:
        log.info("the failure was recorded before")
'''

OK2_GATEWAY = '''"""The payment gateway. It remembers an Idempotency-Key for 24 hours and answers a repetition
with the answer that it gave the first time."""

import requests

from .settings import settings

_http = requests.Session()


class GatewayError(Exception):
    """Whatever the gateway has against a request."""


class GatewayDown(GatewayError):
    """It cannot be reached, or answers 5xx or 429."""


class GatewayTimeout(GatewayError):
    """No answer in time: it may have done it or not."""


class CardDeclined(GatewayError):
    """The bank says no."""


class RequestRejected(GatewayError):
    """The gateway will never do that: unknown charge, bad amount, account closed."""


class AlreadyRefunded(GatewayError):
    """The charge was refunded before, by us or on the dashboard."""

    def __init__(self, refund_id: str):
        super().__init__(f"refunded already as {refund_id}")
        self.refund_id = refund_id


def create(kind: str, body: dict, headers: dict) -> dict:
    """POST /charges or /refunds; the answer's JSON."""
    try:
        answer = _http.post(
            f"{settings.gateway_url}/{kind}",
            json=body,
            headers={"Authorization": f"Bearer {settings.gateway_token}", **headers},
            timeout=(3, 10),
        )
    except requests.Timeout as error:
        raise GatewayTimeout(str(error)) from error
    except requests.ConnectionError as error:
        raise GatewayDown(str(error)) from error
    if answer.status_code >= 500 or answer.status_code == 429:
        raise GatewayDown(f"answered {answer.status_code}")
    if answer.status_code == 402:
        raise CardDeclined(answer.text[:200])
    if answer.status_code == 409:
        raise AlreadyRefunded(answer.json()["refund"])
    if not answer.ok:
        raise RequestRejected(f"{answer.status_code}: {answer.text[:200]}")
    return answer.json()
'''

OK2_LOGS = '''import logging
from logging.config import dictConfig

from .settings import settings


class ForJob(logging.LoggerAdapter):
    """Puts what it was made with before each message and into the record."""

    def process(self, msg, kwargs):
        kwargs["extra"] = {**self.extra, **kwargs.get("extra", {})}
        return " ".join(f"{k}={v}" for k, v in self.extra.items()) + f": {msg}", kwargs


def configure() -> None:
    dictConfig({
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": "pythonjsonlogger.json.JsonFormatter",
                "fmt": "%(asctime)s %(levelname)s %(name)s %(message)s",
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"handlers": ["stderr"], "level": settings.log_level},
    })
'''

OK2_TASKS = '''import json

from celery import Task
from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError, OperationalError

from . import gateway
from .celery_app import app
from .db import Session
from .logs import ForJob, logging
from .models import (
    ATTENTION,
    CANCELLED,
    CHARGING,
    DECLINED,
    PAID,
    PLACED,
    REFUND_DUE,
    REFUNDED,
    UNSETTLED,
    FailedSettlement,
    Order,
    utcnow,
)

MAX_UNRETURNED = 5


class BadMessage(Exception):
    pass


class NoSuchOrder(Exception):
    pass


class WorkerKiller(Exception):
    """The order has cost several workers their lives; somebody has to look at it."""


class SettlementTask(Task):
    def log(self, kwargs):
        return ForJob(
            logging.getLogger("ticketbay.settlement"),
            {"job": "settle-order", "order_id": kwargs.get("order_id"), "task_id": self.request.id,
             "attempt": self.request.retries + 1},
        )

    def on_retry(self, exc, task_id, args, kwargs, einfo):
        self.log(kwargs).warning("attempt failed, will be retried: %r", exc)
        set_order(kwargs["order_id"], UNSETTLED, unreturned=0)

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        log = self.log(kwargs)
        log.error("settlement given up: %r", exc, exc_info=exc)
        order_id = None
        if not isinstance(exc, (BadMessage, NoSuchOrder, TypeError)):
            order_id = kwargs["order_id"]
        try:
            with Session.begin() as session:
                session.execute(
                    insert(FailedSettlement).values(
                        task_id=task_id, order_id=order_id, error=repr(exc),
                        message=json.dumps(kwargs or args, default=str),
                    )
                )
                ended = DECLINED if isinstance(exc, gateway.CardDeclined) else ATTENTION
                if order_id and not _set(session, order_id, UNSETTLED, status=ended, unreturned=0):
                    session.rollback()
                    log.info("another delivery has ended the settlement")
        except IntegrityError:
            log.info("recorded before")


def _set(session, order_id, old, **values):
    query = update(Order).where(Order.id == order_id, Order.status.in_(old))
    return session.execute(query.values(touched_at=utcnow(), **values)).rowcount


def set_order(order_id, old, **values):
    with Session.begin() as session:
        return _set(session, order_id, old, **values)


def get_order(order_id) -> Order | None:
    with Session() as session:
        return session.scalars(select(Order).where(Order.id == order_id)).first()


@app.task(
    bind=True,
    base=SettlementTask,
    name="ticketbay.settle_order",
    autoretry_for=(gateway.GatewayError, OperationalError),
    dont_autoretry_for=(gateway.CardDeclined, gateway.RequestRejected),
    max_retries=4,
    retry_backoff=10,
    retry_backoff_max=300,
    retry_jitter=True,
)
def settle_order(self, *, order_id):
    log = self.log({"order_id": order_id})
    log.info("started")
    if type(order_id) is not int or order_id < 1:
        raise BadMessage(f"order_id {order_id!r}")
    if not set_order(order_id, UNSETTLED, unreturned=Order.unreturned + 1):
        if get_order(order_id) is None:
            raise NoSuchOrder(f"order {order_id}")
        log.info("nothing to settle")
        return
    if get_order(order_id).unreturned > MAX_UNRETURNED:
        raise WorkerKiller(f"order {order_id}: {MAX_UNRETURNED} workers died of it")
    set_order(order_id, (PLACED,), status=CHARGING)
    # each step looks at the row afresh: a charge may be followed by a refund
    for status, step in ((CHARGING, charge), (REFUND_DUE, refund)):
        order = get_order(order_id)
        if order.status == status:
            step(order)
            log.info("%s done", step.__name__)
    log.info("settlement succeeded, order is %s", get_order(order_id).status)


def charge(order):
    answer = gateway.create(
        "charges",
        {"source": order.card_token, "amount": order.amount_cents, "currency": order.currency},
        headers={"Idempotency-Key": f"order-{order.id}/charge"},
    )
    done = {"charge_id": answer["id"], "unreturned": 0}
    if not set_order(order.id, (CHARGING, ATTENTION), status=PAID, **done):
        set_order(order.id, (CANCELLED,), status=REFUND_DUE, **done)


def refund(order):
    try:
        refund_id = gateway.create(
            "refunds",
            {"charge": order.charge_id, "amount": order.amount_cents},
            headers={"Idempotency-Key": f"order-{order.id}/refund"},
        )["id"]
    except gateway.AlreadyRefunded as error:
        refund_id = error.refund_id
    set_order(order.id, (REFUND_DUE, ATTENTION), status=REFUNDED, refund_id=refund_id, unreturned=0)
'''

SPEC = ".skillrun/jobs/settle-order.yaml"
TESTS = "tests/test_settlement.py"
TASKS = "ticketbay/tasks.py"

VARIANTS = [
    {
        "id": "ok-1", "kind": "correct", "job": "settle-order",
        "what": "A ledger of movements remembers key and answer (the key is drawn once and stored), "
                "the handler retries and gives up by itself instead of autoretry_for and on_failure",
        "edits": [
            (TASKS, "", OK1_TASKS),
            ("ticketbay/models.py", "class FailedSettlement(Base):", '''class Movement(Base):
    """One movement of money: the key under which it is asked for, and the gateway's answer."""

    __tablename__ = "movements"

    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(10), primary_key=True)
    key: Mapped[str] = mapped_column(String(40))
    gateway_id: Mapped[str | None] = mapped_column(String(80))


class FailedSettlement(Base):'''),
            (TESTS, """    settle(order_id=1)
    settle(order_id=1)
    assert gateway.calls == ["charge-1"]
""", """    settle(order_id=1)
    settle(order_id=1)
    assert len(gateway.calls) == 1
"""),
            (TESTS, """    assert gateway.calls == ["refund-2"]
""", """    assert len(gateway.calls) == 1
"""),
            (TESTS, """    assert gateway.calls == ["charge-1"] * 3
""", """    assert len(gateway.calls) == 3 and len(set(gateway.calls)) == 1
"""),
            (TESTS, """    tasks.claim(1)
    with pytest""", """    with Session.begin() as session:
        tasks.begin(session, 1)
    with pytest"""),
            (TESTS, """    taken = tasks.claim(1)
""", """    with Session.begin() as session:
        tasks.begin(session, 1)
"""),
            (TESTS, """    assert tasks.charge(taken).status == "paid"
""", """    assert tasks.charge(1, tasks.structlog.get_logger()) == "paid"
"""),
            (TESTS, """    assert gateway.calls == ["charge-1", "refund-1"]
""", """    assert len(set(gateway.calls)) == len(gateway.calls) == 2
"""),
            (SPEC, "and each goes to the gateway under a key made of the order's id (charge-1, refund-1)",
             "and each goes to the gateway under a key that is drawn once and kept in movements"),
            (SPEC, "guarded_by: conditional updates of orders.status, and the gateway's idempotency keys",
             "guarded_by: conditional updates of orders.status, the primary key of movements and the gateway's idempotency keys"),
            (SPEC, "    orders: select id, status, charge_id, refund_id from orders order by id\n",
             "    orders: select id, status, charge_id, refund_id from orders order by id\n"
             "    movements: select order_id, kind, gateway_id from movements order by 1, 2\n"),
        ],
    },
    {
        "id": "ok-2", "kind": "correct", "job": "settle-order",
        "what": "requests and one function instead of a client class, the key in the headers; "
                "stdlib logging with a LoggerAdapter; a base error with dont_autoretry_for",
        "edits": [
            (TASKS, "", OK2_TASKS),
            ("ticketbay/gateway.py", "", OK2_GATEWAY),
            ("ticketbay/logs.py", "", OK2_LOGS),
            ("tests/conftest.py", """    def charge(self, card_token, amount_cents, currency, *, idempotency_key):
        return self._do("ch", idempotency_key)

    def refund(self, charge_id, amount_cents, *, idempotency_key):
        return self._do("rf", idempotency_key)
""", """    def create(self, kind, body, headers):
        return {"id": self._do({"charges": "ch", "refunds": "rf"}[kind], headers["Idempotency-Key"])}
"""),
            ("tests/conftest.py", """    monkeypatch.setattr(tasks, "gateway", fake)
""", """    monkeypatch.setattr(tasks.gateway, "create", fake.create)
"""),
            (TESTS, """    settle(order_id=1)
    settle(order_id=1)
    assert gateway.calls == ["charge-1"]
""", """    settle(order_id=1)
    settle(order_id=1)
    assert gateway.calls == ["order-1/charge"]
"""),
            (TESTS, """["refund-2"]""", """["order-2/refund"]"""),
            (TESTS, """["charge-1"] * 3""", """["order-1/charge"] * 3"""),
            (TESTS, """    tasks.claim(1)
    with pytest""", """    tasks.set_order(1, ("placed",), status="charging")
    with pytest"""),
            (TESTS, """    taken = tasks.claim(1)
""", """    tasks.set_order(1, ("placed",), status="charging")
"""),
            (TESTS, """    assert tasks.charge(taken).status == "paid"
""", """    tasks.charge(order(1))
    assert order(1).status == "paid"
"""),
            (TESTS, """    charge = gateway.charge

    def slow(*args, **kwargs):
        with Session.begin() as session:
            session.get(Order, 1).status = "cancelled"
        return charge(*args, **kwargs)

    monkeypatch.setattr(gateway, "charge", slow)
""", """    def slow(kind, body, headers):
        if kind == "charges":
            with Session.begin() as session:
                session.get(Order, 1).status = "cancelled"
        return gateway.create(kind, body, headers)

    monkeypatch.setattr(tasks.gateway, "create", slow)
"""),
            (TESTS, """["charge-1", "refund-1"]""", """["order-1/charge", "order-1/refund"]"""),
            ("pyproject.toml", '    "httpx>=0.27",\n', '    "requests>=2.31",\n    "python-json-logger>=3",\n'),
            (SPEC, "and each goes to the gateway under a key made of the order's id (charge-1, refund-1)",
             "and each goes to the gateway under a key made of the order's id (order-1/charge, order-1/refund)"),
            (SPEC, '''  - name: charge
    call: ticketbay.gateway:PaymentGateway.charge
    key_arg: idempotency_key
    window: 24h
    guarantee: keyed
    returns: ch_1
  - name: refund
    call: ticketbay.gateway:PaymentGateway.refund
    key_arg: idempotency_key
    window: 24h
    guarantee: keyed
    returns: rf_1
''', '''  - name: movement
    call: ticketbay.gateway:create
    key_arg: headers.Idempotency-Key
    window: 24h
    guarantee: keyed
    returns: {id: mv_1}
'''),
            (SPEC, 'args: ["answered 503"], effects: [charge, refund]', 'args: ["answered 503"], effects: [movement]'),
            (SPEC, 'args: ["timed out"], effects: [charge, refund]', 'args: ["timed out"], effects: [movement]'),
            (SPEC, "effects: [charge], unsent", "effects: [movement], unsent"),
            (SPEC, "effects: [charge, refund], unsent", "effects: [movement], unsent"),
            (SPEC, '''  success:
    - {type: "ticketbay.gateway:AlreadyRefunded", args: [rf_1], effects: [refund]}
''', ""),
        ],
    },
    {
        "id": "m-task-id-key", "kind": "mistake", "job": "settle-order",
        "what": "The idempotency key of a charge is the id of the Celery task: a settlement that the sweep "
                "publishes again charges a second time",
        "edits": [
            (TASKS, "        order = charge(order)\n", "        order = charge(order, self.request.id)\n"),
            (TASKS, "def charge(order: Order) -> Order:", "def charge(order: Order, task_id: str) -> Order:"),
            (TASKS, 'idempotency_key=f"charge-{order.id}"', 'idempotency_key=f"charge-{task_id}"'),
        ],
    },
    {
        "id": "m-retry-declined", "kind": "mistake", "job": "settle-order",
        "what": "autoretry_for names the base class: declined cards are asked five times",
        "edits": [
            (TASKS, "    CardDeclined,\n    GatewayDown,\n    GatewayTimeout,\n", "    CardDeclined,\n    GatewayError,\n"),
            (TASKS, "autoretry_for=(GatewayDown, GatewayTimeout, OperationalError)",
             "autoretry_for=(GatewayError, OperationalError)"),
        ],
    },
    {
        "id": "m-endless", "kind": "mistake", "job": "settle-order",
        "what": "max_retries=None after an outage of the gateway that was longer than the five attempts",
        "edits": [(TASKS, "    max_retries=4,\n", "    max_retries=None,\n")],
    },
    {
        "id": "m-no-commit", "kind": "mistake", "job": "settle-order",
        "what": "on_failure forgets to commit: neither a dead letter nor the order's end are recorded",
        "edits": [
            (TASKS, '''            with Session.begin() as session:
                if well_formed(order_id):
''', '''            with Session() as session:
                if well_formed(order_id):
'''),
        ],
    },
]
