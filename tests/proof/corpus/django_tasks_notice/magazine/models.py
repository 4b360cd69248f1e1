"""What is stored."""

from django.db import models


class Renewal(models.Model):
    """`notice` is the number of the mail that told the reader."""

    number = models.CharField(max_length=20, unique=True)
    notice = models.CharField(max_length=40, blank=True)


class Month(models.Model):
    """How many notices were sent in it."""

    name = models.CharField(max_length=20, unique=True)
    sent = models.IntegerField(default=0)


class FailedNotice(models.Model):
    """For a person to look at."""

    number = models.CharField(max_length=100, unique=True)
    reason = models.TextField()
