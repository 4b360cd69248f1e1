"""Charges rents and has them collected: `python -m rents.monthly 2026-12`."""
import rentdesk.boot  # noqa: F401

import logging
import sys

from django.db import transaction
from django.utils import timezone
from redis.exceptions import RedisError

from rents.models import RentCharge, Tenancy
from rents.queues import enqueue_collection

log = logging.getLogger("rents.monthly")


def raise_rent(tenancy_id, period):
    """Charge one tenancy for one period. Doing it again does no harm."""
    with transaction.atomic():
        tenancy = Tenancy.objects.get(pk=tenancy_id)
        charge, _ = RentCharge.objects.get_or_create(
            tenancy=tenancy, period=period,
            defaults={"amount_cents": tenancy.rent_cents, "touched_at": timezone.now()},
        )
        if charge.published_at is None and charge.status == RentCharge.Status.DUE:
            transaction.on_commit(lambda: publish(charge))
    return charge


def publish(charge):
    try:
        enqueue_collection(charge.tenancy_id, charge.period)
    except RedisError as error:
        # The charge stays unpublished; the hourly sweep brings it.
        log.warning("rent not published, left to the sweep",
                    extra={"job": charge.reference, "error": str(error)})
        return
    RentCharge.objects.filter(pk=charge.pk).update(published_at=timezone.now())


def waive_rent(tenancy_id, period):
    """Let a tenant off, as long as nobody has begun to collect."""
    return RentCharge.objects.filter(
        tenancy_id=tenancy_id, period=period, status=RentCharge.Status.DUE,
    ).update(status=RentCharge.Status.WAIVED, touched_at=timezone.now()) == 1


def main(period):
    for tenancy_id in Tenancy.objects.filter(ended=False).values_list("pk", flat=True):
        raise_rent(tenancy_id, period)


if __name__ == "__main__":
    main(sys.argv[1])
