from django.db import models


class JobRun(models.Model):
    """One piece of background work; its id is also its id in RQ."""

    OPEN, DONE, FAILED = "open", "done", "failed"

    id = models.CharField(primary_key=True, max_length=80)
    function = models.CharField(max_length=120)
    message = models.JSONField()
    state = models.CharField(max_length=10, default=OPEN, choices=[(s, s) for s in (OPEN, DONE, FAILED)])
    attempts = models.PositiveIntegerField(default=0)
    touched_at = models.DateTimeField(auto_now=True)


class DeadLetter(models.Model):
    run_id = models.CharField(max_length=80, unique=True)
    function = models.CharField(max_length=120)
    message = models.TextField()
    reason = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)
