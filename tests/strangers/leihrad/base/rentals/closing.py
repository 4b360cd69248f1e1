"""The job close-rentals: what the crontab starts every hour."""
import uuid
from collections import Counter

import structlog
from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone

from payments.client import PaymentClient, PaymentDeclined, PaymentUnavailable

from . import ledger

logger = structlog.get_logger("rentals.closing")


def close_rentals():
    """Close what was returned, charge what is closed. Returns how often what came out."""
    run = logger.bind(job="close-rentals", job_id=uuid.uuid4().hex[:16])
    outcomes = Counter()
    for rental in ledger.returned():
        outcomes[_guarded(_close, rental, run)] += 1
    with PaymentClient() as payments:
        for rental in ledger.chargeable():
            outcomes[_guarded(_charge, rental, run, payments)] += 1
    run.info("run finished", outcome="finished", **{f"n_{name}": number for name, number in outcomes.items()})
    return outcomes


def _guarded(step, rental, run, *more):
    """One rental's trouble is not the others'."""
    log = run.bind(key=rental.charge_key)
    try:
        return step(rental, log, *more)
    except Exception as error:
        log.exception("rental left for the next run", outcome="interrupted", attempt=rental.attempts, reason=type(error).__name__)
        return "interrupted"


def _close(rental, log):
    outcome = "closed" if ledger.close(rental) else "superseded"
    log.info("rental closed", outcome=outcome, attempt=0)
    return outcome


def _charge(rental, log, payments):
    rental = ledger.claim(rental)
    if rental is None:
        log.info("rental is in other hands", outcome="superseded", attempt=0)
        return "superseded"
    if rental.attempts > settings.CHARGE_ATTEMPTS:
        return _park(rental, log, "runs died over it")
    if rental.first_attempt_at < timezone.now() - settings.CHARGE_KEY_TRUSTED_FOR:
        return _park(rental, log, "first tried too long ago")
    log = log.bind(attempt=rental.attempts)
    log.info("charging", outcome="started")
    try:
        payment_ref = payments.charge(
            idempotency_key=rental.charge_key,
            card_token=rental.card_token,
            amount_cents=rental.fee_cents,
            purpose=f"Bike {rental.bike}",
        )
    except PaymentDeclined as error:
        return _park(rental, log, f"declined: {error}")
    except PaymentUnavailable as error:
        if rental.attempts >= settings.CHARGE_ATTEMPTS:
            return _park(rental, log, f"attempts used up: {error}")
        log.warning("charge failed", outcome="retry", reason=str(error), next_attempt_at=str(rental.next_attempt_at))
        return "retry"
    outcome = "charged" if _insist(ledger.settle, rental, payment_ref) else "known"
    log.info("rental charged", outcome=outcome, payment_ref=payment_ref)
    return outcome


def _park(rental, log, reason):
    outcome = "parked" if _insist(ledger.park, rental, reason) else "superseded"
    log.error("rental parked", outcome=outcome, attempt=rental.attempts, reason=reason)
    return outcome


def _insist(write, *args, tries=3):
    for left in reversed(range(tries)):
        try:
            return write(*args)
        except DatabaseError:
            if not left:
                raise
