from django.db import models


class Member(models.Model):
    name = models.CharField(max_length=100)
    email = models.EmailField()


class Charge(models.Model):
    member = models.ForeignKey(Member, on_delete=models.PROTECT, related_name="charges")
    month = models.CharField(max_length=7)  # 2026-10
    label = models.CharField(max_length=100)
    cents = models.PositiveIntegerField()


class Invoice(models.Model):
    OPEN, SENDING, SENT, FAILED = "open", "sending", "sent", "failed"

    member = models.ForeignKey(Member, on_delete=models.PROTECT, related_name="invoices")
    month = models.CharField(max_length=7)
    number = models.CharField(max_length=20, unique=True)
    total_cents = models.PositiveIntegerField()
    status = models.CharField(max_length=10, default=OPEN)
    reason = models.CharField(max_length=300, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    version = models.PositiveIntegerField(default=1)
    leased_until = models.DateTimeField(null=True)
    queued_at = models.DateTimeField(null=True)
    touched_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["member", "month"], name="one_invoice_a_month")]


class DeadJob(models.Model):
    task_id = models.CharField(max_length=64, unique=True)
    task = models.CharField(max_length=100)
    message = models.JSONField()
    reason = models.CharField(max_length=300)
    attempts = models.PositiveIntegerField()
    died_at = models.DateTimeField(auto_now_add=True)
