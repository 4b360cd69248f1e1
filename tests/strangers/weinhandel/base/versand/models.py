from django.db import models
from django.db.models import F
from django.utils import timezone


class ShipmentQuerySet(models.QuerySet):
    def begin_attempt(self, order_number, limit):
        """Counts an attempt. False if there is none left or nothing to do."""
        return self.filter(
            order_number=order_number, state=Shipment.PACKED, attempts__lt=limit
        ).update(attempts=F("attempts") + 1, touched_at=timezone.now()) == 1


class Shipment(models.Model):
    OPEN, PACKED, LABELLED, FAILED = "open", "packed", "labelled", "failed"

    order_number = models.CharField(max_length=20, unique=True)
    state = models.CharField(
        max_length=10, default=OPEN, choices=[(s, s) for s in (OPEN, PACKED, LABELLED, FAILED)]
    )
    # Frozen once the box is closed: the label service compares repetitions.
    recipient = models.CharField(max_length=100)
    street = models.CharField(max_length=100)
    postcode = models.CharField(max_length=10)
    city = models.CharField(max_length=60)
    bottles = models.PositiveSmallIntegerField()

    tracking = models.CharField(max_length=40, blank=True)
    label_key = models.CharField(max_length=80, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    # When the label was last asked for or worked at; null while nobody has asked.
    touched_at = models.DateTimeField(null=True)

    objects = ShipmentQuerySet.as_manager()

    def __str__(self):
        return self.order_number


class DeadLetter(models.Model):
    key = models.CharField(max_length=80, unique=True)
    actor = models.CharField(max_length=60)
    message = models.TextField()
    error = models.CharField(max_length=80)
    died_at = models.DateTimeField(default=timezone.now)
