from django.db import models

from absences.models import Pupil


class Invoice(models.Model):
    pupil = models.ForeignKey(Pupil, on_delete=models.PROTECT)
    term = models.CharField(max_length=10)
    cents = models.PositiveIntegerField()
    remark = models.TextField(blank=True)  # the office writes here at any time
    issued_at = models.DateTimeField(null=True)
    queued_at = models.DateTimeField(null=True)
    exported_at = models.DateTimeField(null=True)
    partner_reference = models.CharField(max_length=40, blank=True)
