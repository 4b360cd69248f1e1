from django.db import models


class Tenancy(models.Model):
    tenant = models.CharField(max_length=200)
    mandate = models.CharField(max_length=35)  # the tenant's debit mandate at Sammelwerk
    rent_cents = models.PositiveIntegerField()
    ended = models.BooleanField(default=False)


class RentCharge(models.Model):
    class Status(models.TextChoices):
        DUE = "due"
        COLLECTING = "collecting"
        COLLECTED = "collected"
        WAIVED = "waived"
        FAILED = "failed"

    OPEN = (Status.DUE, Status.COLLECTING)

    tenancy = models.ForeignKey(Tenancy, on_delete=models.PROTECT)
    period = models.CharField(max_length=7)
    amount_cents = models.PositiveIntegerField()
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.DUE)
    debit_id = models.CharField(max_length=64, blank=True, default="")
    attempts = models.PositiveIntegerField(default=0)
    published_at = models.DateTimeField(null=True, blank=True)
    touched_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenancy", "period"], name="one_rent_per_period"),
        ]

    @property
    def reference(self):
        return reference(self.tenancy_id, self.period)


class FailedCollection(models.Model):
    """Rents that we could not collect, for the office. One row per rent."""

    reference = models.CharField(max_length=100, unique=True)
    payload = models.JSONField()
    reason = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)


def reference(tenancy_id, period):
    return f"rent-{tenancy_id}-{period}"
