from django.db import models
from django.utils import timezone


class Bescheid(models.Model):
    class Status(models.TextChoices):
        OFFEN = "offen"
        ERLEDIGT = "erledigt"
        UNZUSTELLBAR = "unzustellbar"

    aktenzeichen = models.CharField(max_length=20, unique=True)
    empfaenger = models.CharField(max_length=120)
    postfach = models.CharField(max_length=80)
    betrag_cent = models.PositiveIntegerField()
    zweck = models.CharField(max_length=200)
    sachbearbeitung = models.EmailField()
    angelegt_am = models.DateTimeField(default=timezone.now)

    status = models.CharField(max_length=12, choices=Status, default=Status.OFFEN)
    versuche = models.PositiveSmallIntegerField(default=0)
    gesperrt_bis = models.DateTimeField(default=timezone.now)
    sperrmarke = models.CharField(max_length=32, default="", blank=True)
    beruehrt_am = models.DateTimeField(default=timezone.now)
    sendungsnummer = models.CharField(max_length=40, default="", blank=True)
    zugestellt_am = models.DateTimeField(null=True)
    kopie_am = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["status", "beruehrt_am"], name="bescheid_liegt")]


class Unzustellbar(models.Model):
    schluessel = models.CharField(max_length=80, unique=True)
    grund = models.CharField(max_length=120)
    versuche = models.PositiveSmallIntegerField()
    am = models.DateTimeField(default=timezone.now)
