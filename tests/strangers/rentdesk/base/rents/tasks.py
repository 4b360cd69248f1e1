import rentdesk.boot  # noqa: F401  (RQ imports this module before anything of Django)

import json
import logging
import re
from hashlib import sha256

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce
from django.utils import timezone

from rents.debits import DebitClient, MandateRefused
from rents.models import FailedCollection, RentCharge, Tenancy, reference
from rents.queues import MAX_ATTEMPTS

log = logging.getLogger("rents.tasks")

Status = RentCharge.Status
PERIOD = re.compile(r"20\d\d-(0[1-9]|1[0-2])")


class BadMessage(Exception):
    """The message does not name a rent that we could collect."""


def collect_rent(tenancy_id=None, period=None, **rest):
    """Collect one tenancy's rent for one period by direct debit."""
    payload = {"tenancy_id": tenancy_id, "period": period, **rest}
    try:
        check(tenancy_id, period, rest)
        charge = open_charge(tenancy_id, period)
    except BadMessage as error:
        job = "message-" + sha256(json.dumps(payload, sort_keys=True, default=str).encode()).hexdigest()[:16]
        FailedCollection.objects.get_or_create(
            reference=job, defaults={"payload": payload, "reason": f"bad message: {error}"})
        log.error("rent collection failed: bad message",
                  extra={"job": job, "payload": payload, "reason": str(error)})
        return None

    extra = {"job": charge.reference, "charge": charge.pk}
    if charge.status not in RentCharge.OPEN:
        log.info("rent collection skipped, nothing to do", extra={**extra, "status": charge.status})
        return charge.debit_id
    if charge.attempts >= MAX_ATTEMPTS:
        give_up(charge, f"stopped {charge.attempts} times without a result; look the debit up")
        return None
    if not claim(charge):
        log.info("rent collection skipped, charge is no longer open", extra=extra)
        return None

    extra["attempt"] = charge.attempts
    log.info("rent collection started", extra=extra)
    try:
        debit_id = DebitClient().collect(
            mandate=charge.tenancy.mandate,
            amount_cents=charge.amount_cents,
            reference=charge.reference,
            idempotency_key=charge.reference,
        )
        settle(charge, debit_id)
    except MandateRefused as error:
        give_up(charge, f"refused: {error}")
        return None
    except Exception as error:
        if charge.attempts >= MAX_ATTEMPTS:
            give_up(charge, f"out of attempts, last error {type(error).__name__}: {error}")
            return None
        log.warning("rent collection will be retried",
                    extra={**extra, "reason": f"{type(error).__name__}: {error}"})
        raise
    return debit_id


def check(tenancy_id, period, rest):
    if rest:
        raise BadMessage(f"unknown fields {sorted(rest)}")
    if type(tenancy_id) is not int or tenancy_id < 1:
        raise BadMessage("tenancy_id must be a positive integer")
    if not isinstance(period, str) or not PERIOD.fullmatch(period):
        raise BadMessage("period must be YYYY-MM")


def open_charge(tenancy_id, period):
    try:
        tenancy = Tenancy.objects.get(pk=tenancy_id)
    except Tenancy.DoesNotExist:
        raise BadMessage(f"no tenancy {tenancy_id}") from None
    now = timezone.now()
    charge, _ = RentCharge.objects.get_or_create(
        tenancy=tenancy, period=period,
        defaults={"amount_cents": tenancy.rent_cents, "published_at": now, "touched_at": now},
    )
    return charge


def claim(charge):
    """Count the attempt, before the provider is asked: a killed attempt counts as well."""
    now = timezone.now()
    taken = RentCharge.objects.filter(
        pk=charge.pk, status__in=RentCharge.OPEN, attempts__lt=MAX_ATTEMPTS,
    ).update(status=Status.COLLECTING, attempts=F("attempts") + 1, touched_at=now,
             published_at=Coalesce("published_at", now))
    if taken:
        charge.refresh_from_db()
    return bool(taken)


def settle(charge, debit_id):
    extra = {"job": charge.reference, "charge": charge.pk, "debit": debit_id}
    with transaction.atomic():
        # FAILED: another delivery gave up while this one was still waiting for its answer
        done = RentCharge.objects.filter(
            pk=charge.pk, status__in=(Status.COLLECTING, Status.FAILED),
        ).update(status=Status.COLLECTED, debit_id=debit_id, touched_at=timezone.now())
        if done:
            FailedCollection.objects.filter(reference=charge.reference).delete()
        else:
            charge.refresh_from_db()
            if charge.status != Status.COLLECTED:
                RentCharge.objects.filter(pk=charge.pk).update(debit_id=debit_id)
                record(charge, f"collected as {debit_id}, but the charge is {charge.status} by now")
    if done or charge.status == Status.COLLECTED:
        log.info("rent collected", extra=extra)
    else:
        log.error("rent collected although the charge is no longer open",
                  extra={**extra, "status": charge.status})


def give_up(charge, reason):
    with transaction.atomic():
        closed = RentCharge.objects.filter(pk=charge.pk, status__in=RentCharge.OPEN).update(
            status=Status.FAILED, touched_at=timezone.now())
        if closed:
            record(charge, reason)
    if closed:
        log.error("rent collection failed", extra={"job": charge.reference, "charge": charge.pk,
                                                   "attempt": charge.attempts, "reason": reason})


def record(charge, reason):
    FailedCollection.objects.get_or_create(
        reference=reference(charge.tenancy_id, charge.period),
        defaults={"payload": {"tenancy_id": charge.tenancy_id, "period": charge.period},
                  "reason": reason},
    )
