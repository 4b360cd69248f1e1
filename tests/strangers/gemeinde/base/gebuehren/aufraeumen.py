"""Läuft alle 15 Minuten (manage.py zeitplan)."""

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from .journal import Journal
from .models import Bescheid
from .sachbearbeitung import beauftragen


def liegengebliebene():
    """Offene Bescheide, an denen lange niemand war, noch einmal beauftragen."""
    jetzt = timezone.now()
    vorher = jetzt - timedelta(minutes=settings.LIEGENGEBLIEBEN_MINUTEN)
    liegen = Bescheid.objects.filter(status=Bescheid.Status.OFFEN, beruehrt_am__lte=vorher, gesperrt_bis__lte=jetzt)
    for bescheid in list(liegen.order_by("beruehrt_am")[:500]):
        with transaction.atomic():
            meiner = liegen.filter(pk=bescheid.pk).update(beruehrt_am=jetzt)
            if meiner:
                beauftragen(bescheid.aktenzeichen)
        if meiner:
            Journal(bescheid.aktenzeichen)("neu_beauftragt")
