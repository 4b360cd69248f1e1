"""Versions of base: edits are (path, old text, new text); an empty old text writes the file new."""

SPEC = ".skillrun/jobs/top-up.yaml"

JOBS = '''"""The job: book one ordered top-up at the provider."""
import hashlib
import json
import re
from contextlib import contextmanager

from rq import get_current_job

from . import ledger, log, provider, settings
from .models import now

ORDER_NO = re.compile(r"TU-[0-9]{4,10}")


class Hopeless(Exception):
    """No further attempt will do any better."""


class MalformedMessage(Hopeless):
    pass


class UnknownOrder(Hopeless):
    pass


class Exhausted(Hopeless):
    """It has had its attempts; the last one did not live to say so."""


class KeyExpired(Hopeless):
    """The provider may have forgotten the key, and would book a second time."""


class TopUpJob:
    def __init__(self, message, job_id):
        self.message, self.job_id, self.key = message, job_id, key_of(message)
        self.logger = log.get("adexchange.jobs").bind(job="top_up", job_id=job_id, key=self.key, attempt=1)

    @contextmanager
    def giving_up_where_hopeless(self):
        try:
            yield
        except (Hopeless, provider.ProviderRejected) as error:
            self.give_up(type(error).__name__)
        except Exception as error:
            self.logger.warning("failed", outcome="failed", error=type(error).__name__)
            raise

    def run(self):
        with self.giving_up_where_hopeless():
            self.check()
            order = ledger.begin(self.key)
            if order is None:
                raise UnknownOrder
            self.logger = self.logger.bind(attempt=order.starts)
            if order.booked or order.dead:
                self.logger.info("nothing to do", outcome="already-booked" if order.booked else "already-dead")
                return "booked" if order.booked else "dead"
            if order.starts > settings.MAX_ATTEMPTS:
                raise Exhausted
            if now() - order.first_tried_at > settings.KEY_IS_GOOD_FOR:
                raise KeyExpired
            self.logger.info("started", outcome="started")
            receipt = provider.add_budget(
                order.provider_ref, order.amount_cents, idempotency_key=order.idempotency_key
            )
            first = ledger.book(order, receipt)
            self.logger.info("booked", outcome="booked" if first else "booked-elsewhere", receipt=receipt)
            return "booked"
        return "dead"

    def check(self):
        if self.key.startswith("message-"):
            raise MalformedMessage

    def give_up(self, reason):
        if self.key.startswith("message-") or reason == UnknownOrder.__name__:
            ledger.lay_aside(self.key, self.job_id, reason)
        else:
            starts = ledger.bury(self.key, self.job_id, reason)
            if starts is None:
                self.logger.info("nothing to give up", outcome="settled-elsewhere", error=reason)
                return
            self.logger = self.logger.bind(attempt=starts)
        self.logger.error("given up", outcome="dead", error=reason)


def top_up(**message):
    current = get_current_job()
    return TopUpJob(message, current.id if current else None).run()


def on_failure(job, connection, error_type, error, traceback):
    """RQ calls this after every failed attempt; it matters after the last."""
    if not job.retries_left:
        TopUpJob(job.kwargs, job.id).give_up(error_type.__name__)


def bury(message, reason, job_id):
    TopUpJob(message, job_id).give_up(reason)


def key_of(message):
    if set(message) == {"order_no"}:
        order_no = message["order_no"]
        if isinstance(order_no, str) and ORDER_NO.fullmatch(order_no):
            return order_no
    text = json.dumps(message, sort_keys=True, default=str)
    return f"message-{hashlib.sha256(text.encode()).hexdigest()[:24]}"
'''

LEDGER = '''"""What happens to an order, one transaction each.

An order is booked if and only if there is a booking of it. The primary key of bookings sees to it that there is one.
"""
from sqlalchemy import delete, exists, func, select, update
from sqlalchemy.dialects.sqlite import insert

from . import db
from .models import Booking, Campaign, DeadLetter, TopUp, now

BOOKED = exists().where(Booking.order_no == TopUp.order_no)
QUIETLY = {"synchronize_session": False}


def order(order_no, campaign_id, amount_cents, idempotency_key):
    """Write an order down; one that is there stays as it is. Returns its status."""
    with db.begin() as session:
        session.execute(
            insert(TopUp)
            .values(order_no=order_no, campaign_id=campaign_id, amount_cents=amount_cents,
                    idempotency_key=idempotency_key)
            .on_conflict_do_nothing(index_elements=[TopUp.order_no])
        )
        booked, dead = session.execute(select(BOOKED, TopUp.dead).where(TopUp.order_no == order_no)).one()
        return "booked" if booked else "dead" if dead else "ordered"


def begin(order_no):
    """Count a start of an open order. The order and its campaign, or None."""
    with db.begin() as session:
        session.execute(
            update(TopUp)
            .where(TopUp.order_no == order_no, ~TopUp.dead, ~BOOKED)
            .values(starts=TopUp.starts + 1, touched_at=now(),
                    first_tried_at=func.coalesce(TopUp.first_tried_at, now())),
            execution_options=QUIETLY,
        )
        return session.execute(
            select(TopUp.order_no, TopUp.amount_cents, TopUp.idempotency_key, TopUp.dead, TopUp.starts,
                   TopUp.first_tried_at, TopUp.campaign_id, Campaign.provider_ref, BOOKED.label("booked"))
            .join(Campaign, Campaign.id == TopUp.campaign_id)
            .where(TopUp.order_no == order_no)
        ).one_or_none()


def book(order, receipt):
    """Book an order; False where another delivery has done so."""
    with db.begin() as session:
        first = session.execute(
            insert(Booking)
            .values(order_no=order.order_no, amount_cents=order.amount_cents, receipt=receipt)
            .on_conflict_do_nothing(index_elements=[Booking.order_no])
            .returning(Booking.order_no)
        ).one_or_none()
        if first is None:
            return False
        session.execute(
            update(Campaign)
            .where(Campaign.id == order.campaign_id)
            .values(budget_cents=Campaign.budget_cents + order.amount_cents),
            execution_options=QUIETLY,
        )
        session.execute(update(TopUp).where(TopUp.order_no == order.order_no).values(dead=False),
                        execution_options=QUIETLY)
        session.execute(delete(DeadLetter).where(DeadLetter.key == order.order_no))
        return True


def bury(order_no, job_id, reason):
    """Give an open order up. Its starts, or None where it is not open any more."""
    with db.begin() as session:
        starts = session.execute(
            update(TopUp)
            .where(TopUp.order_no == order_no, ~TopUp.dead, ~BOOKED)
            .values(dead=True, touched_at=now())
            .returning(TopUp.starts),
            execution_options=QUIETLY,
        ).scalar_one_or_none()
        if starts is not None:
            _lay_aside(session, order_no, job_id, reason, starts)
        return starts


def lay_aside(key, job_id, reason):
    """A message that is about no order."""
    with db.begin() as session:
        _lay_aside(session, key, job_id, reason, 1)


def standing_still(since):
    with db.begin() as session:
        return session.execute(
            select(TopUp.order_no, TopUp.starts)
            .where(~TopUp.dead, ~BOOKED, TopUp.touched_at < since)
            .order_by(TopUp.order_no)
        ).all()


def touch(order_no):
    with db.begin() as session:
        session.execute(update(TopUp).where(TopUp.order_no == order_no).values(touched_at=now()),
                        execution_options=QUIETLY)


def _lay_aside(session, key, job_id, reason, attempts):
    session.execute(
        insert(DeadLetter).values(key=key, job_id=job_id, reason=reason, attempts=attempts).on_conflict_do_nothing()
    )
'''

VARIANTS = [
    {"id": "ok-bookings", "kind": "correct", "job": "top-up",
     "what": "Done once by a table of bookings: its primary key is inserted in the transaction that raises the "
             "counter; an order's status is read off it. A class per delivery with a bound logger, logfmt lines",
     "edits": [
         ("adexchange/jobs.py", "", JOBS),
         ("adexchange/ledger.py", "", LEDGER),
         ("adexchange/log.py", "        structlog.processors.JSONRenderer(),\n",
          "        structlog.processors.LogfmtRenderer(key_order=[\"timestamp\", \"level\", \"event\"]),\n"),
         ("adexchange/models.py",
          "    __table_args__ = (CheckConstraint(\"status in ('ordered', 'booked', 'dead')\"), CheckConstraint(\"amount_cents > 0\"))\n",
          "    __table_args__ = (CheckConstraint(\"amount_cents > 0\"),)\n"),
         ("adexchange/models.py", '    status: Mapped[str] = mapped_column(default="ordered")\n',
          "    dead: Mapped[bool] = mapped_column(default=False)\n"),
         ("adexchange/models.py", "    receipt: Mapped[str | None]\n\n\n",
          "\n\nclass Booking(Base):\n    __tablename__ = \"bookings\"\n\n"
          "    order_no: Mapped[str] = mapped_column(ForeignKey(\"top_ups.order_no\"), primary_key=True)\n"
          "    amount_cents: Mapped[int]\n    receipt: Mapped[str]\n"
          "    booked_at: Mapped[datetime] = mapped_column(default=now)\n\n\n"),
         ("tests/test_top_up.py", "import json\n", ""),
         ("tests/test_top_up.py",
          "from adexchange import db, jobs, orders, provider, queueing, rescue, settings\n",
          "from adexchange import db, jobs, ledger, orders, provider, queueing, rescue, settings\n"),
         ("tests/test_top_up.py", '    return scalar(select(TopUp.status).where(TopUp.order_no == "TU-1001"))\n',
          '    return ledger.order("TU-1001", 1, 25_000, "another")\n'),
         ("tests/test_top_up.py",
          '    line = json.loads(capsys.readouterr().out.splitlines()[-1])\n'
          '    assert (line["key"], line["attempt"], line["outcome"]) == ("TU-1001", 1, "booked")\n',
          '    line = capsys.readouterr().out.splitlines()[-1].split()\n'
          '    assert {"key=TU-1001", "attempt=1", "outcome=booked"} <= set(line)\n'),
         (SPEC, "dedupe: {store: table top_ups}", "dedupe: {store: table bookings}"),
         (SPEC, "    top_ups: select order_no, campaign_id, amount_cents, status, receipt from top_ups order by order_no\n",
          "    top_ups: select order_no, campaign_id, amount_cents, dead from top_ups order by order_no\n"
          "    bookings: select order_no, amount_cents, receipt from bookings order by order_no\n"),
         ("README.md", "* The counter is raised in the transaction that moves the order to `booked`, and only by the delivery that moves it.\n",
          "* The counter is raised in the transaction that inserts the row in `bookings`, and only by the delivery that inserts it.\n"),
     ]},
    {"id": "m-objects", "kind": "mistake", "job": "top-up",
     "what": "book() was rewritten with the objects of the ORM (the updates were hard to read). Breaks the state "
             "`campaigns` (raised exactly once): two deliveries at once both have the provider's answer to the same key; "
             "both read the status as ordered, before either has committed; the first commits booked and the "
             "raise, then the second does, and the counter has been raised twice for one order",
     "edits": [
         ("adexchange/ledger.py", '''        moved = session.execute(
            update(TopUp)
            .where(TopUp.order_no == order_no, TopUp.status != "booked")
            .values(status="booked", receipt=receipt, touched_at=now())
            .returning(TopUp.campaign_id, TopUp.amount_cents)
            .execution_options(synchronize_session=False)
        ).one_or_none()
        if moved is None:
            return False
        session.execute(
            update(Campaign)
            .where(Campaign.id == moved.campaign_id)
            .values(budget_cents=Campaign.budget_cents + moved.amount_cents)
            .execution_options(synchronize_session=False)
        )
        session.execute(delete''', '''        top_up = session.get(TopUp, order_no)
        if top_up.status == "booked":
            return False
        campaign = session.get(Campaign, top_up.campaign_id)
        campaign.budget_cents = Campaign.budget_cents + top_up.amount_cents
        top_up.status = "booked"
        top_up.receipt = receipt
        top_up.touched_at = now()
        session.execute(delete'''),
     ]},
    {"id": "m-rescue-key", "kind": "mistake", "job": "top-up",
     "what": "Orders that stood still over a weekend died of KeyExpired, so the rescue gives what it queues a fresh key. "
             "Breaks the effect `budget` (one key per order): the provider has booked, but the work horse is killed "
             "before book() commits, and the message is lost; the rescue queues the order under another key, "
             "and the provider books the budget a second time",
     "edits": [
         ("adexchange/rescue.py", "        queueing.put(order.order_no)\n        ledger.touch(order.order_no)\n",
          "        ledger.renew(order.order_no, str(uuid.uuid4()))\n        queueing.put(order.order_no)\n"),
         ("adexchange/rescue.py", "from structlog.contextvars import bound_contextvars\n",
          "import uuid\n\nfrom structlog.contextvars import bound_contextvars\n"),
         ("adexchange/ledger.py", '''def touch(order_no):
    with db.begin() as session:
        session.execute(
            update(TopUp).where(TopUp.order_no == order_no).values(touched_at=now())
''', '''def renew(order_no, idempotency_key):
    """For an order that is queued again: the provider may have forgotten its key."""
    with db.begin() as session:
        session.execute(
            update(TopUp).where(TopUp.order_no == order_no)
            .values(idempotency_key=idempotency_key, first_tried_at=None, touched_at=now())
'''),
         ("README.md", "* The `Idempotency-Key` is drawn when the order is placed and never changes. The provider",
          "* The `Idempotency-Key` is drawn when the order is placed, and anew when the rescue queues it again. The provider"),
     ]},
    {"id": "m-guard-moves", "kind": "mistake", "job": "top-up",
     "what": "first_tried_at was dropped, as touched_at seemed to say the same; but each start sets it, so the guard of "
             "the key's window compares now with now. Breaks the effect's window (24h): the first attempt is booked "
             "by the provider and its answer lost; the workers or Redis are away for more than a day; the redelivery (or "
             "the rescue) sends the key again after the provider has forgotten it, and it books a second time",
     "edits": [
         ("adexchange/jobs.py", "    if now() - order.first_tried_at > settings.KEY_IS_GOOD_FOR:\n",
          "    if now() - order.touched_at > settings.KEY_IS_GOOD_FOR:\n"),
         ("adexchange/models.py", "    first_tried_at: Mapped[datetime | None]\n", ""),
         ("adexchange/ledger.py", '''            .values(starts=TopUp.starts + 1, touched_at=now(),
                    first_tried_at=func.coalesce(TopUp.first_tried_at, now()))
''', '''            .values(starts=TopUp.starts + 1, touched_at=now())
'''),
         ("adexchange/ledger.py", "                   TopUp.first_tried_at, Campaign.provider_ref)\n",
          "                   TopUp.touched_at, Campaign.provider_ref)\n"),
         ("adexchange/ledger.py", "from sqlalchemy import delete, func, select, update\n",
          "from sqlalchemy import delete, select, update\n"),
     ]},
]
