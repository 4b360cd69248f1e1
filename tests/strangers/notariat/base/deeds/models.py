from django.db import models


class Deed(models.Model):
    number = models.CharField(max_length=20, unique=True)  # of the deed roll, e.g. 2026/114
    title = models.CharField(max_length=120)
    client_name = models.CharField(max_length=120)
    client_email = models.EmailField()
    signed_at = models.DateTimeField(null=True)


class Filing(models.Model):
    """A signed deed's way to the public register."""

    class State(models.TextChoices):
        SIGNED = "signed"  # nothing at the register yet
        FILED = "filed"  # in the register; the client has no confirmation yet
        CONFIRMED = "confirmed"
        NOT_FILED = "not_filed"  # given up
        UNCONFIRMED = "unconfirmed"  # filed, and the confirmation was given up

    deed = models.OneToOneField(Deed, on_delete=models.PROTECT, related_name="filing")
    submission_id = models.CharField(max_length=36, unique=True)
    state = models.CharField(max_length=12, choices=State.choices, default=State.SIGNED)
    receipt = models.CharField(max_length=40, blank=True, default="")
    starts = models.PositiveIntegerField(default=0)
    released_at = models.DateTimeField(null=True)
    filed_at = models.DateTimeField(null=True)
    confirmed_at = models.DateTimeField(null=True)
    look_at = models.DateTimeField(null=True)  # when the sweep shall ask what became of it

    @property
    def key(self):
        return f"deed-{self.deed_id}"


class DeadLetter(models.Model):
    key = models.CharField(max_length=60, unique=True)
    job_id = models.CharField(max_length=60)
    message = models.TextField()
    reason = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)
