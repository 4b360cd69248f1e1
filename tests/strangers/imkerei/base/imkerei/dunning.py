"""Who is to be reminded, and how the reminders get into the queue."""
import logging
from datetime import date, timedelta

from imkerei import reminders
from imkerei.models import Order, Reminder, database, now

log = logging.getLogger(__name__)

DAYS = {1: 7, 2: 21}
STOOD_STILL = timedelta(minutes=20)


def remind(order_id, number):
    """The button in the office. The morning's round comes here, too."""
    with database.atomic("IMMEDIATE"):
        if not Order.select().where(Order.id == order_id, Order.state == "open").exists():
            return False
        reminders.plan(order_id, number)
    try:
        queue_planned(Reminder.order == order_id, Reminder.number == number)
    except Exception as error:
        log.warning("reminder=%s/%s outcome=unqueued reason=%s", order_id, number, type(error).__name__)
    return True


def remind_overdue(today=None):
    today = today or date.today()
    planned = 0
    for number, days in DAYS.items():
        overdue = (
            Order.select(Order.id)
            .where(
                Order.state == "open",
                Order.placed_on < today - timedelta(days=days),
                Order.reminded == number - 1,
            )
            .order_by(Order.id)
        )
        for (order_id,) in list(overdue.tuples()):
            planned += remind(order_id, number)
    return planned


def queue_planned(*which):
    """What has a row and is not in the queue."""
    return _queue(Reminder.queued_at.is_null(), *which)


def chase():
    """What has not moved for a while: its task is gone."""
    return _queue(Reminder.touched_at < now() - STOOD_STILL)


def _queue(*which):
    from imkerei.tasks import send_reminder

    found = list(Reminder.select(Reminder.order, Reminder.number).where(Reminder.state == "due", *which).tuples())
    for order_id, number in found:
        send_reminder(order_id=order_id, number=number)
        Reminder.update(queued_at=now(), touched_at=now()).where(
            reminders.this(order_id, number), Reminder.state == "due"
        ).execute()
        log.info("reminder=%s/%s outcome=queued", order_id, number)
    return len(found)
