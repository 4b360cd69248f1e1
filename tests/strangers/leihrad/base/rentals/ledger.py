"""What may become of a rental. Whoever changes a row names the version that he has read, and raises it."""
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from .models import ParkedRental, Rental
from .tariff import fee_cents

Status = Rental.Status


def returned():
    """Rentals that are to be closed."""
    return list(Rental.objects.filter(status=Status.RIDING, returned_at__lte=timezone.now()).order_by("pk"))


def chargeable():
    """Closed rentals whose turn it is."""
    now = timezone.now()
    return list(
        Rental.objects.filter(Q(next_attempt_at=None) | Q(next_attempt_at__lte=now), status=Status.CLOSED).order_by("pk")
    )


def close(rental):
    """Fix the fee. Tariffs change, a closed rental does not."""
    return _change(rental, Status.RIDING, status=Status.CLOSED, fee_cents=fee_cents(rental.started_at, rental.returned_at))


def claim(rental):
    """Take a rental for one attempt; None if another run was first. The attempt counts from here on."""
    now = timezone.now()
    taken = _change(
        rental,
        Status.CLOSED,
        attempts=F("attempts") + 1,
        first_attempt_at=Coalesce("first_attempt_at", now),
        next_attempt_at=now + settings.CHARGE_AGAIN_AFTER,
    )
    if not taken:
        return None
    return Rental.objects.get(pk=rental.pk, version=rental.version + 1)


def settle(rental, payment_ref):
    """The money has moved: this holds whatever another run has made of the row. False if it was known."""
    with transaction.atomic():
        settled = Rental.objects.filter(pk=rental.pk, status__in=[Status.CLOSED, Status.PARKED]).update(
            status=Status.CHARGED, payment_ref=payment_ref, next_attempt_at=None, version=F("version") + 1
        )
        if settled:
            ParkedRental.objects.filter(rental_id=rental.pk).delete()
    return bool(settled)


def park(rental, reason):
    """Leave it to an operator; False if the row has moved since it was read."""
    with transaction.atomic():
        if not _change(rental, Status.CLOSED, status=Status.PARKED, next_attempt_at=None):
            return False
        ParkedRental.objects.create(
            rental_id=rental.pk, reason=reason[:120], attempts=rental.attempts, parked_at=timezone.now()
        )
    return True


def _change(rental, expected, **values):
    rows = Rental.objects.filter(pk=rental.pk, version=rental.version, status=expected)
    return rows.update(version=F("version") + 1, **values) == 1
