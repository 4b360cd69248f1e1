import functools
import logging

from huey import CancelExecution, SqliteHuey, crontab
from huey.exceptions import RetryTask

from imkerei import config, dunning, letters, post, reminders
from imkerei.models import database

log = logging.getLogger(__name__)
huey = SqliteHuey("imkerei", filename=config.QUEUE, results=False, fsync=True)

RETRIES = 4


class BadMessage(ValueError):
    pass


def check(order_id, number, **more):
    for value in (order_id, number):
        if type(value) is not int or value < 1:
            raise BadMessage("order_id and number are whole numbers from 1")
    if more or number > 3:
        raise BadMessage("unknown field" if more else "number")
    return order_id, number


def parsed(message):
    try:
        return check(**message)
    except TypeError as error:
        raise BadMessage("fields are missing") from error


def closing(function):
    @functools.wraps(function)
    def run(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        finally:
            if not database.is_closed():
                database.close()

    return run


@huey.task(retries=RETRIES, retry_delay=120, context=True)
@closing
def send_reminder(task=None, **message):
    task_id, left = (task.id, task.retries) if task else ("-", 0)
    attempt = RETRIES + 1 - left
    try:
        order_id, number = parsed(message)
    except BadMessage as error:
        reminders.bury("task-%s" % task_id, task_id, "BadMessage")
        log.error("job=send_reminder id=%s key=- attempt=%s outcome=dead reason=BadMessage", task_id, attempt)
        raise CancelExecution(str(error), retry=False) from error
    about = "job=send_reminder id=%s key=%s attempt=%s" % (task_id, reminders.name_of(order_id, number), attempt)
    try:
        outcome = send(order_id, number)
    except reminders.Claimed as error:
        log.info("%s outcome=waiting seconds=%d", about, error.seconds)
        raise RetryTask(str(error), delay=error.seconds) from error
    except Exception as error:
        reason = type(error).__name__
        hopeless = post.refused(error) or isinstance(error, (reminders.NoSuchOrder, reminders.TooManyClaims))
        if left and not hopeless:
            log.warning("%s outcome=retry reason=%s", about, reason)
            raise
        buried = reminders.give_up(order_id, number, task_id, reason)
        log.error("%s outcome=%s reason=%s", about, "dead" if buried else "superseded", reason)
        raise CancelExecution(reason, retry=False) from error
    log.info("%s outcome=%s", about, outcome)


def send(order_id, number):
    reminder, order = reminders.claim(order_id, number)
    if order is None:
        return reminder
    try:
        post.send_letter(
            to=order.email,
            subject=letters.subject(order, number),
            text=letters.text(order, number),
            message_id=reminder.message_id,
        )
        reminders.mark_sent(reminder)
    except Exception:
        reminders.give_back(reminder)
        raise
    return "sent"


@huey.periodic_task(crontab(hour="8", minute="0"))
@closing
def dun_orders():
    log.info("job=dun_orders outcome=planned reminders=%s", dunning.remind_overdue())


@huey.periodic_task(crontab(minute="*"))
@closing
def queue_reminders():
    dunning.queue_planned()


@huey.periodic_task(crontab(minute="*/15"))
@closing
def chase_reminders():
    found = dunning.chase()
    if found:
        log.warning("job=chase_reminders outcome=queued reminders=%s", found)
