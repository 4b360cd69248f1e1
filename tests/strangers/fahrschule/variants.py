"""Versions of base: edits are (path, old text, new text); an empty old text writes the file new."""

VARIANTS = [
    {
        "id": "ok-receipts", "kind": "correct", "job": "charge-package",
        "what": "Right in another way: a table receipt with the purchase as its primary key remembers what was charged; who gets its row in credits the lessons, in the same transaction. The dead letter is written by on_failure of the task's base class; the signals only measure time. Log lines are JSON",
        "edits": [
            ("fahrschule/models.py", '''class DeadLetter(db.Model):
''', '''class Receipt(db.Model):
    """One for each charge that was taken."""

    __tablename__ = "receipt"

    purchase_id: Mapped[int] = mapped_column(ForeignKey("purchase.id"), primary_key=True, autoincrement=False)
    charge_id: Mapped[str]
    amount_cents: Mapped[int]
    written_at: Mapped[datetime] = mapped_column(default=now)


class DeadLetter(db.Model):
'''),
            ("fahrschule/charging.py", "from fahrschule.models import DeadLetter, Learner, Purchase, db, now", "from fahrschule.models import DeadLetter, Learner, Purchase, Receipt, db, now"),
            ("fahrschule/charging.py", '''    """True for the one who made it paid. A purchase that was given up meanwhile is paid all the same."""
    paid = db.session.execute(
        update(Purchase)
        .where(Purchase.id == purchase_id, Purchase.state.in_(("open", "failed")))
        .values(state="paid", charge_id=charge_id, touched_at=now())
    )
    if not paid.rowcount:
        return False
    purchase = select(Purchase.learner_id, Purchase.lessons).where(Purchase.id == purchase_id)
    learner_id, lessons = db.session.execute(purchase).one()
    db.session.execute(
        update(Learner).where(Learner.id == learner_id).values(lessons_left=Learner.lessons_left + lessons)
    )
''', '''    """True for the one who wrote the receipt. A purchase that was given up meanwhile gets it all the same."""
    amount = select(Purchase.amount_cents).where(Purchase.id == purchase_id).scalar_subquery()
    receipt = db.session.execute(
        insert(Receipt)
        .values(purchase_id=purchase_id, charge_id=charge_id, amount_cents=amount, written_at=now())
        .on_conflict_do_nothing()
    )
    if not receipt.rowcount:
        return False
    purchase = db.session.get(Purchase, purchase_id, populate_existing=True)
    db.session.execute(
        update(Learner)
        .where(Learner.id == purchase.learner_id)
        .values(lessons_left=Learner.lessons_left + purchase.lessons)
    )
    purchase.state, purchase.charge_id, purchase.touched_at = "paid", charge_id, now()
'''),
            ("fahrschule/tasks.py", "from fahrschule.app import celery\n", "from fahrschule.app import celery\nfrom fahrschule.burial import Buried\n"),
            ("fahrschule/tasks.py", '''@celery.task(bind=True, name="fahrschule.charge_package", max_retries=RETRIES)''', '''@celery.task(bind=True, base=Buried, name="fahrschule.charge_package", max_retries=RETRIES)'''),
            ("fahrschule/burial.py", "", '''"""Tasks about a purchase, and where they end when they fail for good."""
import logging
import time

from celery.exceptions import Reject
from sqlalchemy.exc import OperationalError

from fahrschule import charging
from fahrschule.app import celery

log = logging.getLogger("fahrschule.burial")


class Buried(celery.Task):
    abstract = True
    writes = 3

    @staticmethod
    def purchase_of(args, kwargs):
        purchase_id = (kwargs or {}).get("purchase_id")
        proper = not args and list(kwargs) == ["purchase_id"] and type(purchase_id) is int and purchase_id > 0
        return purchase_id if proper else None

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        reason = type(exc).__name__
        if isinstance(exc, Reject):
            log.error("job=charge_package id=%s outcome=lost reason=%s", task_id, reason)
            return
        purchase_id = self.purchase_of(args, kwargs)
        subject = charging.subject_of(purchase_id) if purchase_id else "message-%s" % task_id
        for left in reversed(range(self.writes)):
            try:
                buried = charging.in_app(charging.bury)(subject, purchase_id, task_id, reason)
            except OperationalError:
                outcome = "unwritten"
                time.sleep(0.2 if left else 0)
            else:
                outcome = "dead" if buried else "superseded"
                break
        log.error("job=charge_package id=%s key=%s outcome=%s reason=%s", task_id, subject, outcome, reason)
'''),
            ("fahrschule/signals.py", '''"""What Celery tells us about tasks that have failed for good."""
import logging
import time

from billiard.exceptions import WorkerLostError
from celery.exceptions import Reject
from celery.signals import task_failure
from sqlalchemy.exc import OperationalError

from fahrschule import charging

log = logging.getLogger("fahrschule.signals")

TASK = "fahrschule.charge_package"
WRITES = 3


def purchase_in(args, kwargs):
    """The purchase of a message that is as it should be."""
    if args or set(kwargs or ()) != {"purchase_id"}:
        return None
    purchase_id = kwargs["purchase_id"]
    return purchase_id if type(purchase_id) is int and purchase_id > 0 else None


@task_failure.connect(weak=False)
def write_dead_letter(sender=None, task_id=None, exception=None, args=None, kwargs=None, **_):
    if getattr(sender, "name", None) != TASK:
        return
    if isinstance(exception, (Reject, WorkerLostError)):
        # The message is gone, the purchase is still open: the sweep's business.
        log.error("job=charge_package id=%s outcome=lost reason=%s", task_id, type(exception).__name__)
        return
    purchase_id = purchase_in(args, kwargs)
    subject = "message-%s" % task_id if purchase_id is None else charging.subject_of(purchase_id)
    reason = type(exception).__name__
    for attempt in range(1, WRITES + 1):
        try:
            buried = charging.in_app(charging.bury)(subject, purchase_id, task_id, reason)
            break
        except OperationalError:
            if attempt == WRITES:
                log.critical("job=charge_package id=%s key=%s outcome=unwritten reason=%s", task_id, subject, reason)
                return
            time.sleep(0.2)
    log.error(
        "job=charge_package id=%s key=%s outcome=%s reason=%s",
        task_id, subject, "dead" if buried else "superseded", reason,
    )
''', '''"""How long tasks take."""
import logging
import time

from celery.signals import task_postrun, task_prerun

log = logging.getLogger("fahrschule.signals")
began = {}


@task_prerun.connect(weak=False)
def note_begin(task_id=None, **_):
    began[task_id] = time.monotonic()


@task_postrun.connect(weak=False)
def log_duration(sender=None, task_id=None, **_):
    since = began.pop(task_id, None)
    if since is not None:
        log.info("job=%s id=%s seconds=%.2f", sender.name, task_id, time.monotonic() - since)
'''),
            ("fahrschule/logs.py", '''import logging

''', '''import json
import logging

'''),
            ("fahrschule/logs.py", '''def configure():
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
''', '''class Lines(logging.Formatter):
    """key=value pairs of the message become fields."""

    def format(self, record):
        line = {"at": self.formatTime(record), "level": record.levelname, "logger": record.name}
        words = record.getMessage().split(" ")
        line.update(word.split("=", 1) for word in words if "=" in word)
        rest = " ".join(word for word in words if "=" not in word)
        if rest:
            line["text"] = rest
        return json.dumps(line)


def configure():
    handler = logging.StreamHandler()
    handler.setFormatter(Lines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
'''),
            ("README.md", '''* `purchase.state` goes from `open` to `paid`, `declined` or `failed` by conditional updates. The lessons are credited
  in the transaction that makes the purchase `paid`, so once.
''', '''* What was charged has a row in `receipt`, whose primary key is the purchase. Who gets it in credits the lessons and
  makes the purchase `paid`, in the same transaction.
'''),
            ("README.md", "* After the last attempt the signal `task_failure` makes the purchase", "* After the last attempt `on_failure` makes the purchase"),
            ("README.md", "Redis flushed, signal could not write", "Redis flushed, `on_failure` could not write"),
            (".skillrun/jobs/charge-package.yaml", "dedupe: {store: table purchase (state)}", "dedupe: {store: table receipt}"),
            (".skillrun/jobs/charge-package.yaml", '''    lessons: select id''', '''    receipts: select purchase_id, charge_id, amount_cents from receipt order by 1
    lessons: select id'''),
        ],
    },
    {
        "id": "m-signal-overrules", "kind": "mistake", "job": "charge-package",
        "what": "The signal makes the purchase failed without asking which state it is in. Breaks idempotency by purchase (a second delivery changes nothing) and the dead letter (only what used up its attempts undone): the message is there twice (double click, or the sweep republished it while the first one waited); A is in its last attempt and waits for KartenPay, having started while the purchase was open; B charges under the same key and settles: paid, lessons credited; A's connection times out, no retry is left, task_failure turns the paid purchase into failed and writes a dead letter. The office reopens it as the README says: the same charge is answered, settle() sees open and credits the lessons once more",
        "edits": [
            ("fahrschule/charging.py", '''    """False where somebody else brought the purchase to its end."""
    if purchase_id is not None:
        failed = db.session.execute(
            update(Purchase)
            .where(Purchase.id == purchase_id, Purchase.state == "open")
            .values(state="failed", touched_at=now())
        )
        if not failed.rowcount and db.session.get(Purchase, purchase_id) is not None:
            return False
    db.session.execute(
''', '''    """The task is over, and with it the purchase."""
    if purchase_id is not None:
        db.session.execute(
            update(Purchase).where(Purchase.id == purchase_id).values(state="failed", touched_at=now())
        )
    db.session.execute(
'''),
            ("fahrschule/charging.py", '''        .values(subject=subject, task_id=task_id, reason=reason[:200], written_at=now())
        .on_conflict_do_nothing()
    )
    return True
''', '''        .values(subject=subject, task_id=task_id, reason=reason[:200], written_at=now())
        .on_conflict_do_nothing()
    )
'''),
            ("fahrschule/signals.py", '''            buried = charging.in_app(charging.bury)(subject, purchase_id, task_id, reason)
''', '''            charging.in_app(charging.bury)(subject, purchase_id, task_id, reason)
'''),
            ("fahrschule/signals.py", '''    log.error(
        "job=charge_package id=%s key=%s outcome=%s reason=%s",
        task_id, subject, "dead" if buried else "superseded", reason,
    )
''', '''    log.error("job=charge_package id=%s key=%s outcome=dead reason=%s", task_id, subject, reason)
'''),
        ],
    },
]
