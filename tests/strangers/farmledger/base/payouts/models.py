from django.db import models


class Farmer(models.Model):
    name = models.CharField(max_length=100)
    iban = models.CharField(max_length=34)


class Payout(models.Model):
    class Status(models.TextChoices):
        DRAFT = "draft"
        RELEASED = "released"  # approved by the office
        QUEUED = "queued"  # given to the worker on pay day
        PAID = "paid"
        FAILED = "failed"

    PAYABLE = (Status.RELEASED, Status.QUEUED)

    farmer = models.ForeignKey(Farmer, on_delete=models.PROTECT)
    period = models.CharField(max_length=7)
    amount_cents = models.PositiveIntegerField()
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.DRAFT, db_index=True)
    attempts = models.PositiveIntegerField(default=0)
    transfer_id = models.CharField(max_length=64, blank=True, default="")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["farmer", "period"], name="one_payout_per_period")]


class LedgerEntry(models.Model):
    payout = models.OneToOneField(Payout, on_delete=models.PROTECT)
    amount_cents = models.IntegerField()
    booked_at = models.DateTimeField(auto_now_add=True)


class DeadLetter(models.Model):
    task = models.CharField(max_length=100)
    ref = models.CharField(max_length=80)
    task_id = models.CharField(max_length=64)
    message = models.JSONField()
    reason = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["task", "ref"], name="one_letter_per_job")]
