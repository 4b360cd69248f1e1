import logging
import sqlite3

from huey import SqliteHuey, crontab

from . import config, deliveries, jsonlog
from .postman import Postman, is_final, write

jsonlog.setup()
log = logging.getLogger("mailcourier")

huey = SqliteHuey("mailcourier", filename=config.QUEUE, results=False)
postman = Postman()


@huey.task(retries=deliveries.MAX_ATTEMPTS - 1, retry_delay=60, retry_backoff=2, context=True)
def deliver_copy(*args, task=None, **message):
    """Mail one issue to one reader. Takes whatever the queue brings: a message that does not fit
    would otherwise be a TypeError, which Huey retries."""
    about = {"job": "deliver-copy", "task": getattr(task, "id", None)}
    if args or not fits(message):
        log.error("delivery given up: malformed message", extra={**about, "got": [args, message]})
        deliveries.refuse(about["task"], [args, message], "malformed message")
        return
    about.update(message)
    key = message["issue_id"], message["subscriber_id"]
    try:
        row = deliveries.claim(*key)
    except deliveries.NoSuchDelivery as error:
        log.error("delivery given up: %r", error, extra=about)
        deliveries.refuse(about["task"], message, repr(error))
        return
    except sqlite3.OperationalError as error:
        log.warning("delivery failed, will be retried: %r", error, extra=about)
        raise
    if row is None:
        log.info("delivery is done or in other hands", extra=about)
        return
    about["attempt"] = row["attempts"]
    log.info("delivery started", extra=about)
    if row["attempts"] > deliveries.MAX_ATTEMPTS:
        give_up(key, row, "its workers died of it", about)
    elif not row["active"]:
        deliveries.skipped(*key, row["attempts"])
        log.info("delivery skipped, the reader has unsubscribed", extra=about)
    else:
        mail(key, row, task, about)


def mail(key, row, task, about):
    message_id = "<issue-{}.reader-{}@{}>".format(*key, config.DOMAIN)
    try:
        postman.send(write(row, row, message_id))
    except Exception as error:
        if is_final(error) or row["attempts"] >= deliveries.MAX_ATTEMPTS:
            give_up(key, row, repr(error), about, error)
            return
        wait = task.retry_delay if task else 60
        log.warning("delivery failed, will be retried: %r", error, extra={**about, "wait": wait})
        deliveries.put_back(*key, row["attempts"], wait)
        raise
    deliveries.sent(*key, message_id)
    log.info("delivery succeeded", extra={**about, "message_id": message_id})


def give_up(key, row, reason, about, error=None):
    log.error("delivery given up: %s", reason, extra={**about, "reason": reason}, exc_info=error)
    if not deliveries.give_up(*key, row["attempts"], reason):
        log.info("delivery is in other hands by now", extra=about)


def fits(message):
    return set(message) == {"issue_id", "subscriber_id"} and all(
        type(value) is int and value > 0 for value in message.values()
    )


@huey.periodic_task(crontab(minute="*/5"))
def send_due_issues():
    from .dispatch import dispatch_due

    dispatch_due()


@huey.periodic_task(crontab(minute="*/15"))
def take_up_lost():
    from .dispatch import rescue_lost

    rescue_lost()
