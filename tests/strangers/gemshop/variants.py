SPEC = ".skillrun/jobs/charge-order.yaml"

CREDIT = '''    with Session.begin() as session:
        session.execute(
            update(ChargeAttempt).where(ChargeAttempt.id == charge.attempt_id)
            .values(outcome=f"captured {capture_id}")
        )
        paid = session.execute(
            update(Order).where(Order.id == charge.order_id, Order.status == "confirmed")
            .values(status="paid", capture_id=capture_id)
        ).rowcount
        if paid:
            session.execute(
                update(Player).where(Player.id == charge.player_id)
                .values(gems=Player.gems + charge.gems)
            )
            return True
        status = session.scalar(select(Order.status).where(Order.id == charge.order_id))
    if status != "paid":
        raise CapturedInVain(f"{capture_id} captured, but the order is {status}")
    return False
'''

CREDIT_1 = '''    close(charge, f"captured {capture_id}")
    try:
        with Session.begin() as session:
            session.add(Capture(order_id=charge.order_id, capture_id=capture_id))
            session.flush()  # a second one of the order ends here
            order = session.get_one(Order, charge.order_id, with_for_update=True)
            if order.status != "confirmed":
                raise CapturedInVain(f"{capture_id} captured, but the order is {order.status}")
            order.status = "paid"
            player = session.get_one(Player, charge.player_id, with_for_update=True)
            player.gems += charge.gems
    except IntegrityError:
        return False
    return True
'''

JUDGE = '''"""What goes around an actor: who tries again, who gives up, who says so."""

import functools
import logging
import random

from dramatiq.errors import Retry
from dramatiq.middleware import CurrentMessage, TimeLimitExceeded
from pydantic import ValidationError
from sqlalchemy.exc import OperationalError

from . import ledger
from .messages import ChargeOrder
from .paygate import Unavailable

log = logging.getLogger("gemshop.jobs")

MAX_ATTEMPTS = 5
TRANSIENT = (Unavailable, OperationalError, TimeLimitExceeded)


def order_of(args, kwargs):
    try:
        return ChargeOrder(**kwargs).order_id if not args else None
    except (ValidationError, TypeError):
        return None


def judged(fn):
    @functools.wraps(fn)
    def around(*args, **kwargs):
        message = CurrentMessage.get_current_message()
        attempt = message.options.get("retries", 0) + 1
        order_id = order_of(args, kwargs)
        who = f"order={order_id} message={message.message_id} attempt={attempt}/{MAX_ATTEMPTS}"
        log.info("charge started: %s", who)
        try:
            fn(*args, **kwargs)
        except TRANSIENT as exc:
            if attempt < MAX_ATTEMPTS:
                delay = int(10_000 * 2 ** (attempt - 1) * random.uniform(1, 2))
                log.warning("charge tried again in %d ms: %s: %r", delay, who, exc)
                raise Retry(repr(exc), delay=delay) from exc
            failure = exc
        except Exception as exc:
            failure = exc
        else:
            log.info("charge done: %s", who)
            return
        if ledger.give_up(message.message_id, message.actor_name,
                          {"args": list(args), "kwargs": kwargs}, order_id, failure):
            log.error("charge given up: %s kwargs=%r: %r", who, kwargs, failure, exc_info=failure)
        else:
            log.warning("charge settled by another delivery: %s: %r", who, failure)

    return around
'''

ACTORS_2 = '''from functools import cache

import dramatiq

from . import broker as _broker  # noqa: F401  (sets dramatiq's broker)
from . import ledger
from .messages import ChargeOrder
from .middleware import MAX_ATTEMPTS, judged
from .paygate import Paygate
from .settings import settings


@cache
def paygate() -> Paygate:
    return Paygate(settings.paygate_key.get_secret_value(), settings.paygate_url)


@dramatiq.actor(queue_name="payments", max_retries=MAX_ATTEMPTS - 1, time_limit=60_000)
@judged
def charge_order(order_id: str) -> None:
    ChargeOrder(order_id=order_id)
    charge = ledger.begin(order_id)
    if charge is None:
        return
    try:
        capture = paygate().captures.create(
            amount=charge.cents, currency="EUR", customer=charge.customer,
            reference=order_id, idempotency_key=f"charge-{order_id}",
        )
    except Exception as exc:
        ledger.close(charge, repr(exc))
        raise
    ledger.credit(charge, capture["id"])
'''

BROKER_2 = '''import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import CurrentMessage

from . import log
from .settings import settings

log.configure(settings.log_level)

broker = StubBroker() if settings.broker == "stub" else RedisBroker(url=settings.redis_url)
broker.add_middleware(CurrentMessage())
dramatiq.set_broker(broker)
'''

LOG_2 = '''import logging
import sys


def configure(level: str) -> None:
    logging.basicConfig(
        level=level, stream=sys.stdout, force=True,
        format="%(asctime)s %(levelname)s %(process)d %(name)s: %(message)s",
    )
'''

TEST_2 = '''import pytest
from dramatiq.broker import MessageProxy
from dramatiq.errors import Retry

from gemshop import kiosk
from gemshop.actors import charge_order
from gemshop.broker import broker
from gemshop.db import FailedJob, Order, Player, Session
from gemshop.paygate import Declined, Unavailable


def row(model, key):
    with Session() as session:
        return session.get(model, key)


def run(retries=0, **kwargs):
    message = MessageProxy(charge_order.message_with_options(kwargs=kwargs))
    message.options["retries"] = retries
    broker.emit_before("process_message", message)
    try:
        charge_order.fn(**kwargs)
    finally:
        broker.emit_after("process_message", message)
    return row(FailedJob, message.message_id)


def test_charges_and_credits_once(captures):
    assert run(order_id="K-1001") is None
    assert run(order_id="K-1001") is None
    assert len(captures.calls) == 1
    assert (row(Order, "K-1001").status, row(Player, 1).gems) == ("paid", 540)


def test_outage(captures):
    captures.trouble = [Unavailable("HTTP 503")] * 2
    with pytest.raises(Retry):
        run(order_id="K-1001")
    assert "503" in run(retries=4, order_id="K-1001").reason
    assert row(Order, "K-1001").status == "failed"


def test_declined(captures):
    captures.trouble = [Declined("insufficient_funds")]
    assert run(order_id="K-1001").order_id == "K-1001"


@pytest.mark.parametrize("kwargs", [{"order_id": 1001}, {}, {"order_id": "K-1001", "gems": 9}])
def test_malformed(kwargs, captures):
    assert run(**kwargs).order_id is None
    assert row(Order, "K-1001").status == "confirmed" and not captures.calls


def test_kiosk_publishes(monkeypatch):
    sent = []
    monkeypatch.setattr(charge_order, "send", lambda **kwargs: sent.append(kwargs))
    kiosk.purchase_confirmed("K-2001", 7, "gems-100")
    assert sent == [{"order_id": "K-2001"}]
'''

KIOSK_LOG_2 = [
    ("gemshop/kiosk.py", "import structlog\nfrom sqlalchemy", "import logging\n\nfrom sqlalchemy"),
    ("gemshop/kiosk.py", 'log = structlog.get_logger("gemshop.kiosk")', 'log = logging.getLogger("gemshop.kiosk")'),
    ("gemshop/kiosk.py", 'log.info("kiosk.repeated_at_once", order_id=order_id)',
     'log.info("order %s comes twice at once", order_id)'),
    ("gemshop/kiosk.py", 'log.info("charge.queued", order_id=order_id)', 'log.info("charge queued: order=%s", order_id)'),
]

INSERT = '''                session.add(Order(id=order_id, player_id=player_id, sku=sku, gems=gems, cents=cents))
'''

VARIANTS = [
    {"id": "ok-1", "kind": "correct", "job": "charge-order",
     "what": "A table of captures with the order as its primary key decides who credits; "
             "the gems are added under row locks",
     "edits": [
         ("gemshop/db.py", "class ChargeAttempt(Base):",
          'class Capture(Base):\n    """Money that has been credited for; once an order."""\n\n'
          '    __tablename__ = "captures"\n\n'
          '    order_id: Mapped[str] = mapped_column(ForeignKey("orders.id"), primary_key=True)\n'
          '    capture_id: Mapped[str] = mapped_column(String(40))\n'
          '    captured_at: Mapped[datetime] = mapped_column(server_default=func.now())\n\n\n'
          'class ChargeAttempt(Base):'),
         ("gemshop/db.py", '    capture_id: Mapped[str | None] = mapped_column(String(40))\n', ""),
         ("gemshop/ledger.py", CREDIT, CREDIT_1),
         ("gemshop/ledger.py", "from sqlalchemy import func, select, update\n\nfrom .db import ChargeAttempt,",
          "from sqlalchemy import func, select, update\nfrom sqlalchemy.exc import IntegrityError\n\n"
          "from .db import Capture, ChargeAttempt,"),
         ("gemshop/ledger.py", '        if order.status != "confirmed":\n            return None\n',
          '        if order.status != "confirmed" or session.get(Capture, order_id):\n            return None\n'),
         (SPEC, 'store: table orders', 'store: table captures'),
         (SPEC, "    orders: select id, status, capture_id from orders order by id\n",
          "    orders: select id, status from orders order by id\n"
          "    captures: select order_id, capture_id from captures order by 1\n"),
     ]},
    {"id": "ok-2", "kind": "correct", "job": "charge-order",
     "what": "No middleware: a decorator below the actor raises dramatiq's Retry or records the job and "
             "returns; plain logging, key=value",
     "edits": [
         ("gemshop/middleware.py", "", JUDGE),
         ("gemshop/actors.py", "", ACTORS_2),
         ("gemshop/broker.py", "", BROKER_2),
         ("gemshop/log.py", "", LOG_2),
         ("tests/test_charge.py", "", TEST_2),
         ("pyproject.toml", '"structlog>=24",\n', "\n"),
         *KIOSK_LOG_2,
     ]},
    {"id": "m-middleware-last", "kind": "mistake", "job": "charge-order",
     "what": "The broker gets its middleware as one tidy list, ours at the end; it now runs before Retries has "
             "decided, and no failure is ever recorded",
     "edits": [
         ("gemshop/broker.py", 'broker = StubBroker() if settings.broker == "stub" else RedisBroker(url=settings.redis_url)\n'
                               'broker.add_middleware(FailedJobs(), before=Retries)\n',
          'middleware = [AgeLimit(), TimeLimit(), ShutdownNotifications(), Retries(), FailedJobs()]\n'
          'if settings.broker == "stub":\n    broker = StubBroker(middleware=middleware)\n'
          'else:\n    broker = RedisBroker(url=settings.redis_url, middleware=middleware)\n'),
         ("gemshop/broker.py", "from dramatiq.middleware import Retries",
          "from dramatiq.middleware import AgeLimit, Retries, ShutdownNotifications, TimeLimit"),
     ]},
    {"id": "m-max-retries", "kind": "mistake", "job": "charge-order",
     "what": "The bound moved from the predicate to max_retries, which dramatiq does not look at as soon as "
             "there is a retry_when: tried for ever",
     "edits": [
         ("gemshop/actors.py", '    """Asked by Retries; `retries` is how many there were before this attempt."""\n'
                               '    return isinstance(exc, TRANSIENT) and retries < MAX_ATTEMPTS - 1\n',
          '    return isinstance(exc, TRANSIENT)\n'),
         ("gemshop/actors.py", "    retry_when=worth_another_try,\n",
          "    max_retries=MAX_ATTEMPTS - 1,\n    retry_when=worth_another_try,\n"),
     ]},
    {"id": "m-message-key", "kind": "mistake", "job": "charge-order",
     "what": "The idempotency key carries the message's id, so that Paygate's log leads to ours; "
             "the Kiosk's repetition is another message and charges again",
     "edits": [
         ("gemshop/actors.py", '            idempotency_key=f"charge-{order_id}",\n',
          '            idempotency_key=trace_key(order_id),\n'),
         ("gemshop/actors.py", "def worth_another_try(",
          'def trace_key(order_id: str) -> str:\n'
          '    message = CurrentMessage.get_current_message()\n'
          '    return f"charge-{order_id}-{message.message_id}" if message else f"charge-{order_id}"\n\n\n'
          'def worth_another_try('),
         ("gemshop/actors.py", "from dramatiq.middleware import TimeLimitExceeded",
          "from dramatiq.middleware import CurrentMessage, TimeLimitExceeded"),
         ("gemshop/broker.py", "from dramatiq.middleware import Retries", "from dramatiq.middleware import CurrentMessage, Retries"),
         ("gemshop/broker.py", "dramatiq.set_broker(broker)\n",
          "broker.add_middleware(CurrentMessage())\ndramatiq.set_broker(broker)\n"),
     ]},
    {"id": "m-only-new-orders", "kind": "mistake", "job": "charge-order",
     "what": "The Kiosk's repetitions no longer publish (they filled the queue on a slow day): an order whose "
             "message was lost between commit and Redis is never charged",
     "edits": [
         ("gemshop/kiosk.py", INSERT, INSERT + "                created = True\n"),
         ("gemshop/kiosk.py", "    gems, cents = PACKS[sku]\n", "    gems, cents = PACKS[sku]\n    created = False\n"),
         ("gemshop/kiosk.py", '    with Session() as session:\n'
                              '        status = session.get_one(Order, order_id).status\n'
                              '    if status == "confirmed":\n', "    if created:\n"),
     ]},
]
