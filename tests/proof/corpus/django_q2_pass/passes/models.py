"""What is stored."""

from django.db import models


class Pass(models.Model):
    """Status: paid, issued."""

    number = models.CharField(max_length=20, unique=True)
    status = models.CharField(max_length=10, default="paid")
    code = models.CharField(max_length=40, blank=True)


class Lockers(models.Model):
    """How many are free in a room."""

    room = models.CharField(max_length=20, unique=True)
    free = models.IntegerField()


class FailedJob(models.Model):
    """For a person to look at."""

    task = models.CharField(max_length=40)
    key = models.CharField(max_length=100)
    reason = models.TextField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["task", "key"], name="one_row_a_job")]
