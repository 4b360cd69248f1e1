from __future__ import annotations

from typing import Any

from django.db import models


class Order(models.Model):
    number = models.CharField(max_length=32, unique=True)
    recipient = models.CharField(max_length=200)
    address = models.TextField()
    lines = models.JSONField(default=list)
    released_at = models.DateTimeField(null=True, blank=True)

    @property
    def partner_reference(self) -> str:
        """The name of this order at LogiHub's, who take every reference once."""
        return f"WEB-{self.number}"

    def as_document(self) -> dict[str, Any]:
        return {"recipient": self.recipient, "address": self.address, "lines": self.lines}


class Delivery(models.Model):
    """The way of one order to LogiHub. The table is the queue: what is WAITING is to be done."""

    class State(models.TextChoices):
        WAITING = "waiting"
        DONE = "done"
        DEAD = "dead"

    order = models.OneToOneField(Order, on_delete=models.PROTECT, primary_key=True)
    state = models.CharField(max_length=10, choices=State, default=State.WAITING, db_index=True)
    attempts = models.PositiveIntegerField(default=0)
    last_attempt_at = models.DateTimeField(null=True)
    last_error = models.TextField(blank=True, default="")
    done_at = models.DateTimeField(null=True)


class DeadLetter(models.Model):
    """A delivery that was given up."""

    job = models.CharField(max_length=50)
    order = models.OneToOneField(Order, on_delete=models.PROTECT)
    attempt = models.PositiveIntegerField()
    reason = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)
