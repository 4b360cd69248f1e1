import hashlib
import json
import logging

from huey import CancelExecution, RedisHuey, crontab
from huey.exceptions import RetryTask

from . import config, delivery, objects, render
from .repository import Orders

log = logging.getLogger(__name__)
huey = RedisHuey("fotolabor", url=config.REDIS, results=False)


class BadMessage(Exception):
    pass


def parse(message):
    if set(message) != {"order_id"} or type(message["order_id"]) is not int or message["order_id"] < 1:
        raise BadMessage("order_id")
    return message["order_id"]


@huey.task(retries=config.RETRIES, retry_delay=config.RETRY_DELAY, context=True)
def deliver_order(task=None, **message):
    task_id, left = (task.id, task.retries) if task else ("-", 0)
    attempt = config.RETRIES + 1 - left
    try:
        order_id = parse(message)
    except BadMessage as error:
        lay_aside(task_id, attempt, message, error)
        raise CancelExecution("BadMessage", retry=False) from error
    try:
        outcome = delivery.deliver(order_id)
    except delivery.CallGoesOn as error:
        log.info("job=deliver_order id=%s key=order-%s attempt=%s outcome=call-goes-on", task_id, order_id, attempt)
        if not left:
            return  # the rescue looks at it
        raise RetryTask(str(error), delay=error.seconds + 1) from error
    except delivery.NoSuchOrder as error:
        lay_aside(task_id, attempt, message, error)
        raise CancelExecution("NoSuchOrder", retry=False) from error
    except Exception as error:
        reason = type(error).__name__
        hopeless = isinstance(error, (delivery.TooManyRuns, render.MissingNegative)) or objects.hopeless(error)
        if left and not hopeless:
            log.warning("job=deliver_order id=%s key=order-%s attempt=%s outcome=retry reason=%s",
                        task_id, order_id, attempt, reason)
            raise
        given_up = Orders().give_up(order_id, reason)
        log.error("job=deliver_order id=%s key=order-%s attempt=%s outcome=%s reason=%s",
                  task_id, order_id, attempt, "dead" if given_up else "settled-elsewhere", reason)
        raise CancelExecution(reason, retry=False) from error
    log.info("job=deliver_order id=%s key=order-%s attempt=%s outcome=%s", task_id, order_id, attempt, outcome)


def lay_aside(task_id, attempt, message, error):
    digest = hashlib.sha256(json.dumps(message, sort_keys=True, default=str).encode()).hexdigest()
    ref = "message-%s" % digest[:32]
    Orders().lay_aside(ref, type(error).__name__)
    log.error("job=deliver_order id=%s key=%s attempt=%s outcome=dead reason=%s",
              task_id, ref, attempt, type(error).__name__)


@huey.periodic_task(crontab(minute="5,35"))
def rescue_orders():
    from .rescue import rescue

    rescue()
