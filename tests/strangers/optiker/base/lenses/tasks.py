import hashlib
import json
import logging

from celery import shared_task
from django.conf import settings
from django.db import DatabaseError

from . import services
from .laboratory import Laboratory, LaboratoryAway

logger = logging.getLogger(__name__)

PASSING = (LaboratoryAway, DatabaseError)


class BadMessage(Exception):
    pass


@shared_task(bind=True, name="lenses.order_lenses", max_retries=settings.LENS_ORDER_ATTEMPTS - 1)
def order_lenses(self, **message):
    """Order the lenses of a placed order at the laboratory. message: order_id."""
    order_id = None
    key = key_of(message)
    about = {"job": "order-lenses", "job_id": self.request.id, "key": key, "attempt": self.request.retries + 1}
    logger.info("lens order started", extra={**about, "outcome": "started"})
    try:
        order_id = read(message)
        order = services.begin(order_id)
        if order is None:
            logger.info("lens order skipped", extra={**about, "outcome": "nothing_to_do"})
            return
        reference = Laboratory().order(order.request_key, order.lens, order.right_sphere, order.left_sphere)
        insist(services.settle, order_id, reference)
    except PASSING as error:
        if self.request.retries >= self.max_retries:
            give_up(about, message, order_id, error)
            raise
        wait = backoff(self.request.retries)
        logger.warning(
            "lens order will be tried again",
            extra={**about, "outcome": "retry", "reason": reason_of(error), "wait": wait},
        )
        raise self.retry(exc=error, countdown=wait)
    except Exception as error:
        give_up(about, message, order_id, error)
        raise
    logger.info("lens order confirmed", extra={**about, "outcome": "ordered", "lab_reference": reference})


@shared_task(name="lenses.requeue_stalled")
def requeue_stalled():
    services.requeue_stalled()


def give_up(about, message, order_id, error):
    buried = insist(services.bury, about["key"], message, reason_of(error), about["job_id"], order_id)
    logger.error(
        "lens order given up",
        extra={**about, "outcome": "dead" if buried else "was_over", "reason": reason_of(error)},
    )


def insist(write, *args, tries=3):
    """What has been decided is written down, even if the database stumbles once."""
    for left in reversed(range(tries)):
        try:
            return write(*args)
        except DatabaseError:
            if not left:
                raise


def read(message):
    order_id = message.get("order_id")
    if set(message) != {"order_id"} or type(order_id) is not int or not 0 < order_id <= 2**53:
        raise BadMessage("order_id is wanted, a positive integer, and nothing else")
    return order_id


def key_of(message):
    try:
        return str(read(message))
    except BadMessage:
        return "bad-" + hashlib.sha256(json.dumps(message, sort_keys=True, default=str).encode()).hexdigest()[:16]


def backoff(retries):
    return min(settings.LENS_ORDER_FIRST_WAIT * 2**retries, settings.LENS_ORDER_LONGEST_WAIT)


def reason_of(error):
    return f"{type(error).__name__}: {error}"
