"""Reminders in the database: claimed, sent, given up."""
import uuid
from datetime import timedelta

from peewee import fn

from imkerei import config
from imkerei.models import DeadLetter, Order, Reminder, database, now

LEASE = timedelta(minutes=10)
MAX_CLAIMS = 12


class NoSuchOrder(LookupError):
    pass


class TooManyClaims(Exception):
    pass


class Claimed(Exception):
    """Somebody else is at it."""

    def __init__(self, seconds):
        super().__init__("claimed for another %d s" % seconds)
        self.seconds = seconds


def name_of(order_id, number):
    return "%d/%d" % (order_id, number)


def this(order_id, number):
    return (Reminder.order == order_id) & (Reminder.number == number)


def plan(order_id, number):
    """Within a transaction of the caller."""
    Reminder.insert(
        order=order_id,
        number=number,
        message_id="<bestellung-%d.erinnerung-%d@%s>" % (order_id, number, config.MAIL_DOMAIN),
    ).on_conflict_ignore().execute()


def claim(order_id, number):
    """The reminder, claimed, and its order; or the word that says why there is nothing to send."""
    who = uuid.uuid4().hex
    with database.atomic("IMMEDIATE"):
        order = Order.get_or_none(Order.id == order_id)
        if order is None:
            raise NoSuchOrder("order %s" % order_id)
        plan(order_id, number)
        reminder = Reminder.get(this(order_id, number))
        if reminder.state != "due":
            return "%s before" % reminder.state, None
        if order.state != "open":
            Reminder.update(state="dropped", touched_at=now()).where(this(order_id, number)).execute()
            return "dropped", None
        if reminder.claimed_until is not None and reminder.claimed_until > now():
            raise Claimed((reminder.claimed_until - now()).total_seconds() + 1)
        if reminder.claims >= MAX_CLAIMS:
            raise TooManyClaims("claimed %d times" % reminder.claims)
        Reminder.update(
            claims=Reminder.claims + 1, claimed_by=who, claimed_until=now() + LEASE, touched_at=now()
        ).where(this(order_id, number)).execute()
    reminder.claimed_by = who
    return reminder, order


def give_back(reminder):
    Reminder.update(claimed_by=None, claimed_until=None, touched_at=now()).where(
        this(reminder.order_id, reminder.number), Reminder.claimed_by == reminder.claimed_by
    ).execute()


def mark_sent(reminder):
    """Whoever holds the claim by now: the mail is out."""
    with database.atomic("IMMEDIATE"):
        marked = (
            Reminder.update(state="sent", claimed_by=None, claimed_until=None, touched_at=now())
            .where(this(reminder.order_id, reminder.number), Reminder.state.in_(["due", "failed"]))
            .execute()
        )
        if marked:
            Order.update(reminded=fn.MAX(Order.reminded, reminder.number)).where(
                Order.id == reminder.order_id
            ).execute()
            DeadLetter.delete().where(DeadLetter.subject == name_of(reminder.order_id, reminder.number)).execute()
    return bool(marked)


def give_up(order_id, number, task_id, reason):
    """False where the reminder has come to another end."""
    with database.atomic("IMMEDIATE"):
        failed = (
            Reminder.update(state="failed", claimed_by=None, claimed_until=None, touched_at=now())
            .where(this(order_id, number), Reminder.state == "due")
            .execute()
        )
        if not failed and Reminder.get_or_none(this(order_id, number)) is not None:
            return False
        bury(name_of(order_id, number), task_id, reason)
    return True


def bury(subject, task_id, reason):
    DeadLetter.insert(subject=subject, task_id=task_id, reason=reason).on_conflict_ignore().execute()
