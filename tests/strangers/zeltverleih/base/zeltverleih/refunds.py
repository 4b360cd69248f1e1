"""One poll: claim a refund that is due, ask the provider, write down what came of it."""
import time
import uuid

import structlog
from sqlalchemy.exc import OperationalError

from . import refund_queue
from .payments import PaymentsAway, provider
from .refund_queue import KEY_GOOD_FOR, MAX_TRIES
from .settings import settings

log = structlog.get_logger("zeltverleih.refunds")

FIRST_WAIT, FACTOR = 30, 4


class TriesUsedUp(Exception):
    pass


class KeyTooOld(Exception):
    pass


def run_once():
    """True if there was something to do."""
    job_id = uuid.uuid4().hex
    refund = refund_queue.claim(job_id, time.time(), settings.lease_seconds)
    if refund is None:
        return False
    said = log.bind(job="refund-deposit", job_id=job_id, key=refund.id, attempt=refund.tries)
    said.info("refund claimed", outcome="started")
    try:
        handle(refund, said)
    except OperationalError as exc:
        said.warning("database away, the lease will run out", outcome="left", reason=type(exc.orig).__name__)
        raise
    return True


def handle(refund, said):
    try:
        check(refund)
        refund_id = provider.refund(refund.charge_id, refund.amount_cents, idempotency_key=refund.idempotency_key)
        first = refund_queue.finish(refund, refund_id, time.time())
    except (PaymentsAway, OperationalError) as exc:
        if refund.tries >= MAX_TRIES:
            return give_up(refund, exc, said)
        wait = FIRST_WAIT * FACTOR ** (refund.tries - 1)
        if refund_queue.put_off(refund, time.time() + wait):
            said.warning("refund put off", outcome="retry", wait=wait, reason=describe(exc))
        else:
            said.info("refund is somebody else's", outcome="lease lost", reason=describe(exc))
    except Exception as exc:
        give_up(refund, exc, said)
    else:
        said.info("refund made", outcome="done" if first else "done before")


def check(refund):
    if refund.tries > MAX_TRIES:
        raise TriesUsedUp(f"{MAX_TRIES} tries came to no end")
    if refund.first_try_at < time.time() - KEY_GOOD_FOR:
        raise KeyTooOld("the provider may have forgotten the key")


def give_up(refund, exc, said):
    if refund_queue.bury(refund, describe(exc), time.time()):
        said.error("refund given up", outcome="dead", reason=describe(exc))
    else:
        said.info("refund is somebody else's", outcome="lease lost", reason=describe(exc))


def describe(exc):
    if isinstance(exc, OperationalError):
        return f"OperationalError ({type(exc.orig).__name__})"
    return f"{type(exc).__name__}: {exc}"
