"""What the lock keeper does."""

from django.conf import settings
from django.utils import timezone

from .models import Stay


def depart(stay_id, departed_on):
    """Book a ship out. What the stay costs is settled here; a tariff of next year does not change it."""
    stay = Stay.objects.get(pk=stay_id)
    stay.departed_on = departed_on
    return Stay.objects.filter(pk=stay_id, status=Stay.Status.BERTHED).update(
        status=Stay.Status.DEPARTED,
        departed_on=departed_on,
        amount_cents=stay.nights * stay.gross_tonnage * settings.CENTS_PER_TON_AND_NIGHT,
        not_before=timezone.now(),
    )
