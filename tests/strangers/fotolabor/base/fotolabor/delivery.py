"""What is done with one order. Knows nothing of Huey."""
import hashlib
import logging
import sqlite3
import time

from . import config, render
from .objects import ObjectStore
from .repository import Orders
from .texts import NumberRefused, NotTaken, TextService, Unclear

log = logging.getLogger(__name__)


class NoSuchOrder(Exception):
    pass


class TooManyRuns(Exception):
    pass


class CallGoesOn(Exception):
    """Somebody is talking to the provider at this moment."""

    def __init__(self, seconds):
        super().__init__("a call goes on, %d s at most" % seconds)
        self.seconds = seconds


def archive_key(order_id):
    return "orders/%d/prints.zip" % order_id


def deliver(order_id):
    """The outcome in a word."""
    orders = Orders()
    begun = orders.begin(order_id)
    order = orders.get(order_id)
    if order is None:
        raise NoSuchOrder(order_id)
    if order.status in ("delivered", "failed"):
        return "already-%s" % order.status
    if order.notice == "calling":
        return call_left_behind(orders, order)
    if not begun:
        raise TooManyRuns(order_id)

    body = render.archive(order_id, orders.frames(order_id))
    ObjectStore().put_object(Key=archive_key(order_id), Body=body)
    orders.archived(order_id, archive_key(order_id), hashlib.sha256(body).hexdigest())
    return notify(orders, order)


def notify(orders, order):
    if not orders.mark_calling(order.id):
        return "overtaken"
    try:
        message_id = TextService().send(
            phone=order.phone,
            text="Your photos are ready: order %d. Your photo lab" % order.id,
            reference="order-%d" % order.id)
    except NotTaken:
        orders.unmark_calling(order.id)
        raise
    except NumberRefused:
        write(orders.number_refused, order.id)
        return "number-refused"
    except Unclear as error:
        write(orders.unconfirmed, order.id, "unclear: %s" % error)
        return "unconfirmed"
    write(orders.notified, order.id, message_id)
    return "delivered"


def call_left_behind(orders, order):
    left = order.called_at + config.CALL_LASTS - time.time()
    if left > 0:
        raise CallGoesOn(left)
    # Whoever called is dead. The message is out, or it is not; it is not sent again.
    return "unconfirmed" if orders.unconfirmed(order.id, "died while calling") else "overtaken"


def write(change, *args):
    """What the provider has said cannot be asked for again; the database gets more than one chance."""
    for pause in (0.1, 0.5, 2):
        try:
            return change(*args)
        except sqlite3.OperationalError as error:
            log.warning("key=order-%s outcome=write-again reason=%s", args[0], type(error).__name__)
            time.sleep(pause)
    return change(*args)
