from django.db import models


class Rental(models.Model):
    class Status(models.TextChoices):
        RIDING = "riding"
        CLOSED = "closed"
        CHARGED = "charged"
        PARKED = "parked"

    bike = models.CharField(max_length=12)
    rider = models.CharField(max_length=40)
    card_token = models.CharField(max_length=64)
    started_at = models.DateTimeField()
    returned_at = models.DateTimeField(null=True)
    status = models.CharField(max_length=8, choices=Status, default=Status.RIDING)
    fee_cents = models.PositiveIntegerField(null=True)
    payment_ref = models.CharField(max_length=64, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    first_attempt_at = models.DateTimeField(null=True)
    next_attempt_at = models.DateTimeField(null=True)
    version = models.PositiveIntegerField(default=0)

    class Meta:
        indexes = [models.Index(fields=["status", "next_attempt_at"], name="rental_due")]

    @property
    def charge_key(self):
        return f"leihrad-rental-{self.pk}"


class ParkedRental(models.Model):
    """For the operators. They look into the payment house before they do anything."""

    rental = models.OneToOneField(Rental, on_delete=models.PROTECT, primary_key=True)
    reason = models.CharField(max_length=120)
    attempts = models.PositiveSmallIntegerField()
    parked_at = models.DateTimeField()
