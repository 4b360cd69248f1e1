from django.db import models
from django.utils import timezone


class Order(models.Model):
    class Status(models.TextChoices):
        ORDERED = "ordered", "bestellt"
        BOOKED = "booked", "Lieferung gebucht"
        STRANDED = "stranded", "Lieferung ungeklärt"

    form_token = models.CharField(max_length=40, unique=True)  # of the web form: a double click is one order
    brigade = models.CharField(max_length=80)
    street = models.CharField(max_length=120)
    postcode = models.CharField(max_length=10)
    article = models.CharField(max_length=40)
    pieces = models.PositiveIntegerField()
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.ORDERED)
    consignment = models.CharField(max_length=40, blank=True, default="")


class Outbox(models.Model):
    """One booking that is owed to an order. Written together with it; the row, not the message, is the truth."""

    class Status(models.TextChoices):
        PENDING = "pending", "noch nicht veröffentlicht"
        PUBLISHED = "published", "in der Warteschlange"
        RUNNING = "running", "in Arbeit"
        DONE = "done", "gebucht"
        DEAD = "dead", "aufgegeben"

    order = models.OneToOneField(Order, on_delete=models.PROTECT, related_name="outbox")
    reference = models.CharField(max_length=40, unique=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PENDING)
    attempts = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(default=timezone.now)  # when the relay is to look at the row (again)

    class Meta:
        indexes = [models.Index(fields=["status", "due_at"])]


OPEN = (Outbox.Status.PENDING, Outbox.Status.PUBLISHED, Outbox.Status.RUNNING)


class DeadBooking(models.Model):
    """What the dispatch desk has to settle by telephone."""

    key = models.CharField(max_length=60, unique=True)
    outbox = models.OneToOneField(Outbox, null=True, on_delete=models.PROTECT)
    reason = models.CharField(max_length=60)
    attempts = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
