"""One attempt to hand over one order."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import models, transaction
from django.db.models import F, Q
from django.utils import timezone

from handover import partner
from handover.models import DeadLetter, Delivery, Order

log = logging.getLogger("handover.push")

JOB = "push-order"
MAX_ATTEMPTS = 8
# For that long an order belongs to its last attempt: it is either still running, or has failed and is left in peace.
PAUSE = timedelta(minutes=4)


@dataclass(frozen=True)
class Attempt:
    order: Order
    number: int


def due(now: datetime) -> Q:
    return Q(state=Delivery.State.WAITING) & (Q(last_attempt_at=None) | Q(last_attempt_at__lte=now - PAUSE))


def push_order(order_id: int) -> str:
    """Tries once, if it is the order's turn. Returns what became of it; a failure is tried again by a later poll."""
    order = Order.objects.get(pk=order_id)
    Delivery.objects.get_or_create(order=order)
    attempt = _claim(order)
    if attempt is None:
        return _without_attempt(order)
    _say(logging.INFO, attempt, "started", "-")
    try:
        partner.push(order.partner_reference, order.as_document())
    except partner.PartnerRefused as error:
        return _give_up(attempt, repr(error))
    except Exception as error:  # PartnerUnavailable, or something of our own: the reference makes another try harmless
        return _note_failure(attempt, repr(error))
    return _complete(attempt)


def _claim(order: Order) -> Attempt | None:
    """Counts the attempt and takes the order, in one statement: of two pollers one gets it."""
    now = timezone.now()
    taken = Delivery.objects.filter(due(now), order=order, attempts__lt=MAX_ATTEMPTS).update(
        attempts=F("attempts") + 1, last_attempt_at=now
    )
    if not taken:
        return None
    return Attempt(order, Delivery.objects.get(order=order).attempts)


def _without_attempt(order: Order) -> str:
    delivery = Delivery.objects.get(order=order)
    attempt = Attempt(order, delivery.attempts)
    is_due = Delivery.objects.filter(due(timezone.now()), order=order).exists()
    if is_due and delivery.attempts >= MAX_ATTEMPTS:
        return _give_up(attempt, "the last attempt never came to an end; LogiHub may have the order")
    _say(logging.INFO, attempt, "skipped", f"{delivery.state}, last attempt at {delivery.last_attempt_at}")
    return "skipped"


def _complete(attempt: Attempt) -> str:
    """LogiHub has the order: that is so whatever another attempt has noted meanwhile."""
    with transaction.atomic():
        Delivery.objects.filter(order=attempt.order).exclude(state=Delivery.State.DONE).update(
            state=Delivery.State.DONE, done_at=timezone.now(), last_error=""
        )
        DeadLetter.objects.filter(order=attempt.order).delete()
    _say(logging.INFO, attempt, "done", "-")
    return "done"


def _note_failure(attempt: Attempt, reason: str) -> str:
    if attempt.number >= MAX_ATTEMPTS:
        return _give_up(attempt, reason)
    _mine(attempt).update(last_error=reason)
    _say(logging.WARNING, attempt, "retry", reason)
    return "retry"


def _give_up(attempt: Attempt, reason: str) -> str:
    with transaction.atomic():
        if not _mine(attempt).update(state=Delivery.State.DEAD, last_error=reason):
            _say(logging.WARNING, attempt, "overtaken", reason)
            return "overtaken"
        DeadLetter.objects.update_or_create(
            order=attempt.order, defaults={"job": JOB, "attempt": attempt.number, "reason": reason}
        )
    _say(logging.ERROR, attempt, "dead", reason)
    return "dead"


def _mine(attempt: Attempt) -> models.QuerySet[Delivery]:
    """The delivery, unless a later attempt has it or it has come to an end."""
    return Delivery.objects.filter(order=attempt.order, state=Delivery.State.WAITING, attempts=attempt.number)


def _say(level: int, attempt: Attempt, result: str, reason: str) -> None:
    log.log(
        level,
        "job=%s order_id=%s reference=%s attempt=%s/%s result=%s reason=%s",
        JOB, attempt.order.pk, attempt.order.partner_reference, attempt.number, MAX_ATTEMPTS, result, reason,
    )  # fmt: skip
