"""Die Schritte einer Meldung in der Datenbank. Jeder ist eine Transaktion, auch das Einreihen gehört hinein."""

import json
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from meldungen.models import Meldung, Vorlage

JOB = "meldung-einreichen"
MAX_VERSUCHE = 5
WARTEZEITEN = [timedelta(seconds=s) for s in (30, 120, 480, 1920)]


class UnbekannteMeldung(Exception):
    pass


class KeineVersucheMehr(Exception):
    pass


def einreihen(meldung: Meldung, wann=None) -> None:
    """In der Transaktion des Aufrufers. Die Warteschlange liegt in derselben Datenbank: beides gilt, oder keines."""
    from meldungen.tasks import meldung_einreichen

    ergebnis = meldung_einreichen.using(run_after=wann).enqueue(meldung_id=meldung.pk)
    meldung.auftrag = ergebnis.id
    meldung.bewegt_am = timezone.now()
    meldung.save(update_fields=["auftrag", "bewegt_am"])


def freigeben(meldung_id: int) -> bool:
    """Gibt eine Meldung zur Einreichung frei. Noch einmal zu rufen schadet nicht; Aufgegebenes beginnt von vorn."""
    with transaction.atomic():
        meldung = Meldung.objects.get(pk=meldung_id)
        if meldung.status == Meldung.Status.EINGEREICHT:
            return False
        if meldung.status == Meldung.Status.AUFGEGEBEN:
            meldung.versuche = 0
            meldung.vorlagen.all().delete()
        meldung.status = Meldung.Status.IN_ARBEIT
        meldung.save(update_fields=["status", "versuche"])
        einreihen(meldung)
    return True


def beginnen(meldung_id: int) -> Meldung:
    """Zählt den Versuch. Danach darf der Prozess sterben: die Zahl bleibt."""
    with transaction.atomic():
        meldung = Meldung.objects.filter(pk=meldung_id).first()
        if meldung is None:
            raise UnbekannteMeldung(f"Meldung {meldung_id}")
        if meldung.abgeschlossen:
            return meldung
        if meldung.versuche >= MAX_VERSUCHE:
            raise KeineVersucheMehr(f"nach {meldung.versuche} Versuchen")
        meldung.status = Meldung.Status.IN_ARBEIT
        meldung.versuche += 1
        meldung.bewegt_am = timezone.now()
        meldung.save(update_fields=["status", "versuche", "bewegt_am"])
        return meldung


def eingereicht(meldung_id: int, quittung: str) -> None:
    """Erledigt, und damit auch, was ein anderer Versuch inzwischen vorgelegt hat."""
    with transaction.atomic():
        meldung = Meldung.objects.get(pk=meldung_id)
        meldung.status = Meldung.Status.EINGEREICHT
        meldung.quittung = meldung.quittung or quittung
        meldung.save(update_fields=["status", "quittung"])
        meldung.vorlagen.all().delete()


def gescheitert(meldung_id: int, versuch: int | None, grund: str) -> str:
    """Entscheidet nach einem Versuch, der später gelingen kann: retry, dead, oder superseded und skipped.

    versuch ist None, wenn schon das Zählen gescheitert ist; dann wird hier gezählt.
    """
    with transaction.atomic():
        meldung = Meldung.objects.filter(pk=meldung_id).first()
        if meldung is None or meldung.abgeschlossen:
            return "skipped"
        if versuch is None:
            meldung.status = Meldung.Status.IN_ARBEIT
            meldung.versuche = versuch = min(meldung.versuche + 1, MAX_VERSUCHE)
            meldung.save(update_fields=["status", "versuche"])
        if versuch >= MAX_VERSUCHE:
            aufgeben({"meldung_id": meldung_id}, grund)
            return "dead"
        if meldung.versuche != versuch:
            return "superseded"  # eine zweite Zustellung ist weiter; sie reiht den nächsten Versuch ein
        einreihen(meldung, wann=timezone.now() + WARTEZEITEN[versuch - 1])
        return "retry"


def aufgeben(nachricht: dict, grund: str) -> bool:
    """Legt vor. Was inzwischen eingereicht ist, bleibt eingereicht; eine verdorbene Nachricht fasst keine Meldung an."""
    with transaction.atomic():
        meldung = None
        if set(nachricht) == {"meldung_id"} and type(nachricht["meldung_id"]) is int:
            meldung = Meldung.objects.filter(pk=nachricht["meldung_id"]).first()
        if meldung is not None:
            if meldung.status == Meldung.Status.EINGEREICHT:
                return False
            meldung.status = Meldung.Status.AUFGEGEBEN
            meldung.save(update_fields=["status"])
        Vorlage.objects.get_or_create(
            job=JOB,
            nachricht=json.dumps(nachricht, sort_keys=True, default=str),
            defaults={"meldung": meldung, "grund": grund},
        )
        return True
