from django.db import models


class Reader(models.Model):
    name = models.CharField(max_length=120)
    address = models.TextField()
    owes_cents = models.PositiveIntegerField(default=0)


class Loan(models.Model):
    reader = models.ForeignKey(Reader, on_delete=models.PROTECT)
    title = models.CharField(max_length=200)
    due_on = models.DateField()


class Letter(models.Model):
    class Status(models.TextChoices):
        DRAFT = "draft"
        QUEUED = "queued"
        SENT = "sent"
        DEAD = "dead"

    loan = models.ForeignKey(Loan, on_delete=models.PROTECT)
    level = models.PositiveSmallIntegerField(default=1)
    fee_cents = models.PositiveIntegerField()
    reference = models.CharField(max_length=40, unique=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.DRAFT)
    tries = models.PositiveSmallIntegerField(default=0)
    released_at = models.DateTimeField(null=True)
    stirred_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["loan", "level"], name="one_letter_per_level")]


class DeadLetter(models.Model):
    job = models.CharField(max_length=40)
    key = models.CharField(max_length=80)
    message = models.JSONField()
    reason = models.CharField(max_length=200)
    tries = models.PositiveSmallIntegerField()
    died_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "key"], name="one_dead_letter_per_job")]
