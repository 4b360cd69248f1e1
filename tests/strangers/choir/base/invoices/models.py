from django.db import models


class Member(models.Model):
    name = models.CharField(max_length=120)
    email = models.EmailField(blank=True)
    voice = models.CharField(max_length=10, default="alto")


class Series(models.Model):
    """The last invoice number of a season. The auditors want no gaps."""

    season = models.PositiveIntegerField(primary_key=True)
    last = models.PositiveIntegerField(default=0)


class Invoice(models.Model):
    number = models.CharField(max_length=20, unique=True)
    member = models.ForeignKey(Member, on_delete=models.PROTECT)
    season = models.PositiveIntegerField()
    amount_cents = models.PositiveIntegerField()
    mailed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["member", "season"], name="one_invoice_per_season")]


class Inbox(models.Model):
    """One row for each invoice that was asked for; what became of it."""

    class Status(models.TextChoices):
        OPEN = "open"
        DONE = "done"
        DEAD = "dead"

    key = models.CharField(max_length=60, primary_key=True)
    member_id = models.BigIntegerField()
    season = models.PositiveIntegerField()
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.OPEN)
    attempts = models.PositiveIntegerField(default=0)
    holder = models.CharField(max_length=32, blank=True)
    held_until = models.DateTimeField(null=True)
    touched_at = models.DateTimeField()


class DeadJob(models.Model):
    key = models.CharField(max_length=80, primary_key=True)
    message = models.JSONField()
    reason = models.CharField(max_length=200)
    attempts = models.PositiveIntegerField()
    died_at = models.DateTimeField()
