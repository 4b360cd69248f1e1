import uuid

from django.db import models


class Appointment(models.Model):
    customer = models.CharField(max_length=120)
    phone = models.CharField(max_length=40, blank=True)
    branch = models.CharField(max_length=40)
    starts_at = models.DateTimeField()


class LensOrder(models.Model):
    class Status(models.TextChoices):
        DRAFT = "draft", "being measured"
        PLACED = "placed", "on its way to the laboratory"
        ORDERED = "ordered", "confirmed by the laboratory"
        FAILED = "failed", "needs a phone call"

    appointment = models.OneToOneField(Appointment, models.PROTECT, related_name="lens_order")
    request_key = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    lens = models.CharField(max_length=20)
    right_sphere = models.DecimalField(max_digits=4, decimal_places=2)
    left_sphere = models.DecimalField(max_digits=4, decimal_places=2)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.DRAFT)
    lab_reference = models.CharField(max_length=40, blank=True)
    starts = models.PositiveIntegerField(default=0)
    placed_at = models.DateTimeField(null=True)
    ordered_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True, db_index=True)


class DeadOrder(models.Model):
    """A job that has ended without the laboratory's word."""

    key = models.CharField(max_length=40, unique=True)
    message = models.JSONField()
    reason = models.CharField(max_length=200)
    job_id = models.CharField(max_length=64)
    died_at = models.DateTimeField(auto_now_add=True)
