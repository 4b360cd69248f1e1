from django.db import models


class Member(models.Model):
    name = models.CharField(max_length=80)
    email = models.EmailField()
    address = models.CharField(max_length=200)
    active = models.BooleanField(default=True)


class Selection(models.Model):
    """The book of a month."""

    month = models.CharField(max_length=7, unique=True)
    isbn = models.CharField(max_length=13)
    title = models.CharField(max_length=120)


class Parcel(models.Model):
    class Status(models.TextChoices):
        PLANNED = "planned"
        ORDERED = "ordered"  # the distributor has it, the member does not know yet
        CONFIRMED = "confirmed"
        FAILED = "failed"
        UNCONFIRMED = "unconfirmed"  # ordered, and no mail could be sent

    member = models.ForeignKey(Member, on_delete=models.PROTECT)
    month = models.CharField(max_length=7)
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.PLANNED)
    order_number = models.CharField(max_length=40, blank=True, default="")
    starts = models.PositiveIntegerField(default=0)
    planned_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["member", "month"], name="one_parcel_per_month")]

    @property
    def reference(self) -> str:
        return reference(self.member_id, self.month)


class DeadLetter(models.Model):
    key = models.CharField(max_length=60, unique=True)
    task = models.CharField(max_length=60)
    task_id = models.CharField(max_length=60)
    message = models.JSONField()
    reason = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)


def reference(member_id: int, month: str) -> str:
    return f"BC-{member_id}-{month}"
