"""Nachfassen: Meldungen in Arbeit, für die kein Task mehr wartet und an denen sich nichts mehr bewegt.

Stirbt ein Arbeiter, bleibt sein Task in django-tasks für immer RUNNING; RUNNING heißt hier also nicht lebendig.
Ein Task, der noch wartet (READY), wird dagegen in Ruhe gelassen, auch wenn der Arbeiter tagelang fort ist.
"""

import logging
from datetime import timedelta

from django.db import transaction
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from meldungen import ablauf
from meldungen.models import Meldung
from meldungen.tasks import notiz

STILLSTAND = timedelta(minutes=10)  # ein Versuch dauert höchstens eine


def nachfassen() -> int:
    grenze = timezone.now() - STILLSTAND
    stehend = {"status": Meldung.Status.IN_ARBEIT, "bewegt_am__lte": grenze}
    anzahl = 0
    for pk in list(Meldung.objects.filter(**stehend).order_by("pk").values_list("pk", flat=True)):
        with transaction.atomic():
            meldung = Meldung.objects.filter(pk=pk, **stehend).first()
            if meldung is None or DBTaskResult.objects.filter(pk=meldung.auftrag, status="READY").exists():
                continue
            if meldung.versuche >= ablauf.MAX_VERSUCHE:
                ablauf.aufgeben({"meldung_id": pk}, f"nach {meldung.versuche} Versuchen ohne Ergebnis")
                ergebnis = "dead"
            else:
                ablauf.einreihen(meldung)
                ergebnis = "requeued"
                anzahl += 1
        notiz(logging.WARNING, pk, meldung.versuche, ergebnis, "stand still")
    return anzahl
