"""The job: book one ordered top-up at the provider."""
import hashlib
import json
import re

from rq import get_current_job
from structlog.contextvars import bind_contextvars, bound_contextvars

from . import ledger, log, provider, settings
from .models import now

logger = log.get("adexchange.jobs")

ORDER_NO = re.compile(r"TU-[0-9]{4,10}")


class MalformedMessage(Exception):
    pass


class UnknownOrder(Exception):
    pass


class Exhausted(Exception):
    """It has had its attempts; the last one did not live to say so."""


class KeyExpired(Exception):
    """The provider may have forgotten the key, and would book a second time."""


HOPELESS = (provider.ProviderRejected, MalformedMessage, UnknownOrder, Exhausted, KeyExpired)


def top_up(**message):
    current = get_current_job()
    job_id = current.id if current else None
    with bound_contextvars(job="top_up", job_id=job_id, key=key_of(message), attempt=1):
        try:
            return _top_up(message)
        except HOPELESS as error:
            bury(message, type(error).__name__, job_id)
            return "dead"
        except Exception as error:
            logger.warning("attempt failed", outcome="failed", error=f"{type(error).__name__}: {_short(error)}")
            raise


def _top_up(message):
    if not valid(message):
        raise MalformedMessage
    order_no = message["order_no"]
    order = ledger.begin(order_no)
    if order is None:
        raise UnknownOrder
    bind_contextvars(attempt=order.starts)
    if order.status != "ordered":
        logger.info("nothing to do", outcome=f"already-{order.status}")
        return order.status
    if order.starts > settings.MAX_ATTEMPTS:
        raise Exhausted
    if now() - order.first_tried_at > settings.KEY_IS_GOOD_FOR:
        raise KeyExpired
    logger.info("started", outcome="started")
    receipt = provider.add_budget(
        order.provider_ref, order.amount_cents, idempotency_key=order.idempotency_key
    )
    first = ledger.book(order_no, receipt)
    logger.info("booked", outcome="booked" if first else "booked-elsewhere", receipt=receipt)
    return "booked"


def on_failure(job, connection, error_type, error, traceback):
    """RQ calls this after every failed attempt; it matters after the last."""
    if job.retries_left:
        return
    with bound_contextvars(job="top_up", job_id=job.id, key=key_of(job.kwargs)):
        bury(job.kwargs, error_type.__name__, job.id)


def bury(message, reason, job_id):
    if not valid(message) or reason == UnknownOrder.__name__:
        ledger.lay_aside(key_of(message), job_id, reason)
        logger.error("given up", outcome="dead", error=reason)
        return
    starts = ledger.bury(message["order_no"], job_id, reason)
    if starts is None:
        logger.info("nothing to give up", outcome="settled-elsewhere", error=reason)
    else:
        logger.error("given up", outcome="dead", attempt=starts, error=reason)


def valid(message):
    order_no = message.get("order_no")
    return set(message) == {"order_no"} and isinstance(order_no, str) and bool(ORDER_NO.fullmatch(order_no))


def key_of(message):
    if valid(message):
        return message["order_no"]
    text = json.dumps(message, sort_keys=True, default=str)
    return f"message-{hashlib.sha256(text.encode()).hexdigest()[:24]}"


def _short(error):
    return str(error).splitlines()[0][:120] if str(error) else ""
