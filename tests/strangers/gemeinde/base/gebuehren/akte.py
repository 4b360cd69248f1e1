"""Sperre, Vermerke und Ende eines Bescheids. Jede Funktion ist eine Transaktion."""

from datetime import timedelta
from uuid import uuid4

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from .fehler import InArbeit, Unbekannt
from .models import Bescheid, Unzustellbar

Status = Bescheid.Status


def max_versuche():
    return settings.Q_CLUSTER["max_attempts"]


def nehmen(aktenzeichen):
    """Den Bescheid für einen Versuch sperren. None: es gibt nichts mehr zu tun, oder keine Versuche mehr."""
    marke, jetzt = uuid4().hex, timezone.now()
    genommen = Bescheid.objects.filter(
        aktenzeichen=aktenzeichen, status=Status.OFFEN, gesperrt_bis__lte=jetzt, versuche__lt=max_versuche()
    ).update(versuche=F("versuche") + 1, sperrmarke=marke, gesperrt_bis=jetzt + _dauer(), beruehrt_am=jetzt)
    bescheid = Bescheid.objects.filter(aktenzeichen=aktenzeichen).first()
    if bescheid is None:
        raise Unbekannt(aktenzeichen)
    if genommen and bescheid.sperrmarke == marke:
        return bescheid
    if bescheid.status == Status.OFFEN and (bescheid.gesperrt_bis > jetzt or bescheid.versuche < max_versuche()):
        raise InArbeit(aktenzeichen)
    return None


def verlaengern(bescheid):
    return bool(_meiner(bescheid).update(gesperrt_bis=timezone.now() + _dauer()))


def zugestellt(bescheid, sendungsnummer):
    """Das Gateway hat den Bescheid. Das gilt, wer ihn auch hält."""
    Bescheid.objects.filter(pk=bescheid.pk, zugestellt_am=None).update(
        zugestellt_am=timezone.now(), sendungsnummer=sendungsnummer
    )


def erledigt(bescheid):
    with transaction.atomic():
        geaendert = (
            Bescheid.objects.filter(pk=bescheid.pk)
            .exclude(status=Status.ERLEDIGT)
            .update(status=Status.ERLEDIGT, kopie_am=timezone.now(), sperrmarke="")
        )
        Unzustellbar.objects.filter(schluessel=bescheid.aktenzeichen).delete()
    return bool(geaendert)


def freigeben(bescheid):
    _meiner(bescheid).update(sperrmarke="", gesperrt_bis=timezone.now())


def aufgeben(bescheid, grund):
    return _aufgeben(_meiner(bescheid), bescheid.aktenzeichen, grund, bescheid.versuche)


def aufgeben_wenn_erschoepft(aktenzeichen):
    """Der letzte Versuch ist mit seinem Worker untergegangen."""
    erschoepft = Bescheid.objects.filter(
        aktenzeichen=aktenzeichen,
        status=Status.OFFEN,
        gesperrt_bis__lte=timezone.now(),
        versuche__gte=max_versuche(),
    )
    return _aufgeben(erschoepft, aktenzeichen, "letzter Versuch ohne Ende", max_versuche())


def ablegen(schluessel, grund):
    """Eine Nachricht, zu der es keinen Bescheid gibt."""
    Unzustellbar.objects.get_or_create(schluessel=schluessel, defaults={"grund": grund, "versuche": 1})


def _aufgeben(bescheide, aktenzeichen, grund, versuche):
    with transaction.atomic():
        if not bescheide.update(status=Status.UNZUSTELLBAR, sperrmarke=""):
            return False
        Unzustellbar.objects.update_or_create(
            schluessel=aktenzeichen, defaults={"grund": grund[:120], "versuche": versuche}
        )
    return True


def _meiner(bescheid):
    return Bescheid.objects.filter(pk=bescheid.pk, status=Status.OFFEN, sperrmarke=bescheid.sperrmarke)


def _dauer():
    return timedelta(seconds=settings.SPERRE_SEKUNDEN)
