from django.db import transaction
from django_q.tasks import async_task

from .models import Bescheid


def festsetzen(aktenzeichen, empfaenger, postfach, betrag_cent, zweck, sachbearbeitung):
    """Einen Bescheid anlegen und seine Zustellung beauftragen, in einer Transaktion. Ein Aktenzeichen gilt einmal."""
    with transaction.atomic():
        bescheid, neu = Bescheid.objects.get_or_create(
            aktenzeichen=aktenzeichen,
            defaults={
                "empfaenger": empfaenger,
                "postfach": postfach,
                "betrag_cent": betrag_cent,
                "zweck": zweck,
                "sachbearbeitung": sachbearbeitung,
            },
        )
        if neu:
            beauftragen(aktenzeichen)
    return bescheid


def beauftragen(aktenzeichen):
    async_task("gebuehren.zustellung.zustellen", {"aktenzeichen": aktenzeichen}, group="bescheide")
