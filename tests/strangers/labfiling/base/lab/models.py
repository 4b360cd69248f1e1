from django.db import models
from django.utils import timezone


class Result(models.Model):
    class Status(models.TextChoices):
        MEASURED = "measured"
        RELEASED = "released"
        WITHDRAWN = "withdrawn"

    order_no = models.CharField(max_length=20, unique=True)
    patient_ref = models.CharField(max_length=32)
    analyte = models.CharField(max_length=40)
    value = models.CharField(max_length=40)
    unit = models.CharField(max_length=20, blank=True)
    status = models.CharField(max_length=10, choices=Status, default=Status.MEASURED)

    def document(self):
        return {
            "order": self.order_no,
            "patient": self.patient_ref,
            "observations": [
                {"analyte": self.analyte, "value": self.value, "unit": self.unit}
            ],
        }


class Transmission(models.Model):
    """How far the filing of one result has come."""

    class Status(models.TextChoices):
        QUEUED = "queued"
        SENT = "sent"
        CANCELLED = "cancelled"
        FAILED = "failed"

    result = models.OneToOneField(Result, models.PROTECT, related_name="transmission")
    submission_id = models.CharField(max_length=40, unique=True)
    status = models.CharField(max_length=10, choices=Status, default=Status.QUEUED)
    starts = models.PositiveSmallIntegerField(default=0)
    failures = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(default=timezone.now, db_index=True)
    receipt = models.CharField(max_length=64, blank=True)
    sent_at = models.DateTimeField(null=True)


class DeadLetter(models.Model):
    task_id = models.CharField(max_length=64, unique=True)
    task = models.CharField(max_length=100)
    message = models.JSONField()
    transmission = models.ForeignKey(Transmission, models.PROTECT, null=True)
    reason = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)
