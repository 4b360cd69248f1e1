from django.db import models


class Booking(models.Model):
    class Status(models.TextChoices):
        BOOKED = "booked"
        CANCELLED = "cancelled"
        REFUNDED = "refunded"

    reference = models.CharField(max_length=20, unique=True)
    email = models.EmailField()
    fare_cents = models.PositiveIntegerField()
    payment_ref = models.CharField(max_length=64)
    status = models.CharField(max_length=12, choices=Status, default=Status.BOOKED)

    def __str__(self):
        return self.reference


class Refund(models.Model):
    class Status(models.TextChoices):
        REQUESTED = "requested"
        PAID = "paid"
        FAILED = "failed"

    booking = models.OneToOneField(Booking, on_delete=models.PROTECT)
    amount_cents = models.PositiveIntegerField()
    status = models.CharField(max_length=12, choices=Status, default=Status.REQUESTED)
    provider_ref = models.CharField(max_length=64, blank=True)
    failure = models.TextField(blank=True)
    tries = models.PositiveSmallIntegerField(default=0)
    first_tried_at = models.DateTimeField(null=True)
    touched_at = models.DateTimeField(auto_now=True)

    @property
    def idempotency_key(self):
        return f"ferryboard-refund-{self.booking.reference}"


class DeadLetter(models.Model):
    job = models.CharField(max_length=60)
    message_id = models.CharField(max_length=64, unique=True)
    body = models.JSONField()
    reason = models.TextField()
    buried_at = models.DateTimeField(auto_now_add=True)
