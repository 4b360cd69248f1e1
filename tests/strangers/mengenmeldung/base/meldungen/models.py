from django.db import models


class Meldung(models.Model):
    class Status(models.TextChoices):
        ENTWURF = "entwurf"
        IN_ARBEIT = "in_arbeit"
        EINGEREICHT = "eingereicht"
        AUFGEGEBEN = "aufgegeben"

    meldenummer = models.CharField(max_length=30, unique=True)
    monat = models.CharField(max_length=7)
    material = models.CharField(max_length=30)
    menge_kg = models.PositiveIntegerField()
    status = models.CharField(max_length=12, choices=Status, default=Status.ENTWURF)
    versuche = models.PositiveSmallIntegerField(default=0)
    bewegt_am = models.DateTimeField(null=True)
    auftrag = models.UUIDField(null=True, help_text="der Task, der zuletzt für diese Meldung eingereiht wurde")
    quittung = models.CharField(max_length=60, blank=True, default="")

    def __str__(self) -> str:
        return self.meldenummer

    @property
    def abgeschlossen(self) -> bool:
        return self.status in (self.Status.EINGEREICHT, self.Status.AUFGEGEBEN)


class Vorlage(models.Model):
    """Was aufgegeben wurde und der Sachbearbeitung vorzulegen ist."""

    job = models.CharField(max_length=40)
    meldung = models.ForeignKey(Meldung, null=True, on_delete=models.CASCADE, related_name="vorlagen")
    nachricht = models.TextField()
    grund = models.TextField()
    seit = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "nachricht"], name="eine_vorlage_je_nachricht")]
