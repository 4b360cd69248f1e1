"""What is stored."""

from django.db import models


class Order(models.Model):
    """Status: paid, shipped."""

    number = models.CharField(max_length=20, unique=True)
    status = models.CharField(max_length=10, default="paid")
    label = models.CharField(max_length=40, blank=True)


class Stock(models.Model):
    """How many are left of a product."""

    product = models.CharField(max_length=20, unique=True)
    left = models.IntegerField()


class FailedJob(models.Model):
    """For a person to look at."""

    task = models.CharField(max_length=40)
    key = models.CharField(max_length=100)
    reason = models.TextField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["task", "key"], name="one_row_a_job")]
