from django.db import models
from django.utils import timezone


class Stay(models.Model):
    class Status(models.TextChoices):
        BERTHED = "berthed"
        DEPARTED = "departed"
        BILLED = "billed"
        PARKED = "parked"

    ship = models.CharField(max_length=80)
    imo = models.CharField(max_length=7)
    gross_tonnage = models.PositiveIntegerField()
    agent_email = models.EmailField()
    arrived_on = models.DateField()
    departed_on = models.DateField(null=True)
    amount_cents = models.PositiveIntegerField(null=True)
    status = models.CharField(max_length=10, choices=Status, default=Status.BERTHED)

    attempts = models.PositiveSmallIntegerField(default=0)
    not_before = models.DateTimeField(default=timezone.now)
    holder = models.CharField(max_length=32, default="", blank=True)
    filed_at = models.DateTimeField(null=True)
    mailed_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["status", "not_before"], name="stay_due")]

    @property
    def invoice_number(self):
        return f"LG-{self.departed_on:%Y}-{self.pk:05d}"

    @property
    def nights(self):
        return max((self.departed_on - self.arrived_on).days, 1)


class ParkedBill(models.Model):
    stay = models.OneToOneField(Stay, on_delete=models.CASCADE)
    reason = models.CharField(max_length=120)
    attempts = models.PositiveSmallIntegerField()
    parked_at = models.DateTimeField(default=timezone.now)
