from django.db import models


class DeadJob(models.Model):
    """A background job that nobody will try again unless a person does something."""

    task = models.CharField(max_length=100)
    payload = models.TextField()
    task_id = models.CharField(max_length=64)
    error = models.TextField()
    failed_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["task", "payload"], name="one_dead_job_per_payload")]
