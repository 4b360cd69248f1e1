"""The life of a purchase in the database. Each function is a transaction of its own."""
import functools
import logging
from dataclasses import dataclass
from datetime import timedelta

from flask import has_app_context
from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.sqlite import insert

from fahrschule.models import DeadLetter, Learner, Purchase, db, now

log = logging.getLogger("fahrschule.charging")

MAX_STARTS = 12
# Longer than the longest wait between two attempts.
STOOD_STILL = timedelta(minutes=15)


class NoSuchPurchase(LookupError):
    pass


class TooManyStarts(Exception):
    pass


@dataclass(frozen=True)
class Bill:
    purchase_id: int
    amount_cents: int
    card_token: str
    key: str


def in_app(function):
    """For callers outside of a request or task, such as scripts."""

    @functools.wraps(function)
    def run(*args, **kwargs):
        if has_app_context():
            return function(*args, **kwargs)
        from fahrschule.app import app

        with app.app_context():
            return function(*args, **kwargs)

    return run


def transaction(function):
    @functools.wraps(function)
    def run(*args, **kwargs):
        try:
            result = function(*args, **kwargs)
            db.session.commit()
            return result
        except BaseException:
            db.session.rollback()
            raise

    return run


@transaction
def _note_request(purchase_id):
    asked = db.session.execute(
        update(Purchase)
        .where(Purchase.id == purchase_id, Purchase.state == "open")
        .values(requested_at=func.coalesce(Purchase.requested_at, now()), touched_at=now())
    )
    return asked.rowcount == 1


@transaction
def _note_published(purchase_id):
    db.session.execute(
        update(Purchase)
        .where(Purchase.id == purchase_id, Purchase.state == "open")
        .values(published_at=now(), touched_at=now())
    )


@in_app
def request_charge(purchase_id):
    if not _note_request(purchase_id):
        return False
    try:
        publish(purchase_id)
        _note_published(purchase_id)
    except Exception as exc:
        log.warning("purchase=%s outcome=unpublished reason=%s", purchase_id, type(exc).__name__)
    return True


def publish(purchase_id):
    from fahrschule.tasks import charge_package

    charge_package.apply_async(kwargs={"purchase_id": purchase_id}, retry=False)


@transaction
def start(purchase_id):
    """The bill that is to be charged; None when there is nothing left to do."""
    started = db.session.execute(
        update(Purchase)
        .where(Purchase.id == purchase_id, Purchase.state == "open")
        .values(
            starts=Purchase.starts + 1,
            requested_at=func.coalesce(Purchase.requested_at, now()),
            touched_at=now(),
        )
    )
    row = db.session.execute(
        select(Purchase.amount_cents, Purchase.starts, Learner.card_token)
        .join(Learner, Learner.id == Purchase.learner_id)
        .where(Purchase.id == purchase_id)
    ).one_or_none()
    if row is None:
        raise NoSuchPurchase("purchase %s" % purchase_id)
    if not started.rowcount:
        return None
    if row.starts > MAX_STARTS:
        raise TooManyStarts("started %d times" % MAX_STARTS)
    return Bill(purchase_id, row.amount_cents, row.card_token, "package-%d" % purchase_id)


@transaction
def settle(purchase_id, charge_id):
    """True for the one who made it paid. A purchase that was given up meanwhile is paid all the same."""
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
    db.session.execute(delete(DeadLetter).where(DeadLetter.subject == subject_of(purchase_id)))
    return True


@transaction
def decline(purchase_id, code):
    declined = db.session.execute(
        update(Purchase)
        .where(Purchase.id == purchase_id, Purchase.state.in_(("open", "failed")))
        .values(state="declined", decline_code=code, touched_at=now())
    )
    db.session.execute(delete(DeadLetter).where(DeadLetter.subject == subject_of(purchase_id)))
    return declined.rowcount == 1


def subject_of(purchase_id):
    return "purchase-%d" % purchase_id


@transaction
def bury(subject, purchase_id, task_id, reason):
    """False where somebody else brought the purchase to its end."""
    if purchase_id is not None:
        failed = db.session.execute(
            update(Purchase)
            .where(Purchase.id == purchase_id, Purchase.state == "open")
            .values(state="failed", touched_at=now())
        )
        if not failed.rowcount and db.session.get(Purchase, purchase_id) is not None:
            return False
    db.session.execute(
        insert(DeadLetter)
        .values(subject=subject, task_id=task_id, reason=reason[:200], written_at=now())
        .on_conflict_do_nothing()
    )
    return True


@transaction
def reopen(purchase_id):
    again = db.session.execute(
        update(Purchase)
        .where(Purchase.id == purchase_id, Purchase.state == "failed")
        .values(state="open", starts=0, published_at=None, touched_at=now())
    )
    db.session.execute(delete(DeadLetter).where(DeadLetter.subject == subject_of(purchase_id)))
    return again.rowcount == 1


@in_app
def publish_requested():
    """Publishes what was asked for while the broker was away."""
    return _publish_all(Purchase.published_at.is_(None), "published")


@in_app
def sweep():
    """Publishes again what was asked for and stands still."""
    return _publish_all(Purchase.touched_at < now() - STOOD_STILL, "republished")


def _publish_all(condition, outcome):
    waiting = db.session.scalars(
        select(Purchase.id).where(Purchase.state == "open", Purchase.requested_at.is_not(None), condition)
    ).all()
    db.session.rollback()
    for purchase_id in waiting:
        publish(purchase_id)
        _note_published(purchase_id)
        log.warning("purchase=%s outcome=%s", purchase_id, outcome)
    return len(waiting)
