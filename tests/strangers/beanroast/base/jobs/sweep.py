"""Finds the runs that were forgotten: never enqueued, or lost with a worker or with Redis."""

from datetime import timedelta

import structlog
from django.utils import timezone

from jobs.house import nudge
from jobs.models import JobRun

# longer than the longest wait between two attempts
FORGOTTEN_AFTER = timedelta(minutes=45)

log = structlog.get_logger("jobs.sweep")


def sweep_forgotten():
    forgotten = JobRun.objects.filter(state=JobRun.OPEN, touched_at__lt=timezone.now() - FORGOTTEN_AFTER)
    for run in forgotten:
        log.warning("job.forgotten", job=run.function, run=run.id, attempts=run.attempts)
        nudge(run)
        JobRun.objects.filter(id=run.id).update(touched_at=timezone.now())
