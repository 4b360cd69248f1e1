from django.db import models


class Appointment(models.Model):
    patient = models.CharField(max_length=100)
    phone = models.CharField(max_length=20)
    email = models.EmailField()
    starts_at = models.DateTimeField()


class Reminder(models.Model):
    """One reminder of one kind. The claim says which task works on it, and until when that is believed."""

    class Status(models.TextChoices):
        PENDING = "pending"
        DONE = "done"
        FAILED = "failed"

    KINDS = ("confirmation", "day-before")

    appointment = models.ForeignKey(Appointment, models.PROTECT)
    kind = models.CharField(max_length=20)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    queued_at = models.DateTimeField(null=True)
    claim_token = models.CharField(max_length=40, blank=True, default="")
    claimed_until = models.DateTimeField(null=True)
    sms_sent_at = models.DateTimeField(null=True)
    mail_sent_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["appointment", "kind"], name="one_reminder_per_kind")]


class FailedReminder(models.Model):
    """For the front desk: these patients have to be phoned."""

    message_key = models.CharField(max_length=80, unique=True)
    message = models.JSONField()
    error = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)
