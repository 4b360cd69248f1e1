"""What all background jobs of the school have in common."""
import json
import logging
import random

from celery import Task

from ops import deadletters

log = logging.getLogger("school.jobs")


class InvalidJob(Exception):
    """The message makes no sense, and will make none tomorrow."""


def backoff(retries, base=5, cap=300):
    """Seconds to wait before the next attempt: 5, 10, 20, ... with up to half of it taken off."""
    wait = min(cap, base * 2**retries)
    return wait * random.uniform(0.5, 1.0)


def check_ids(**ids):
    for name, value in ids.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InvalidJob(f"{name} must be a positive integer, got {value!r}")


class RecordedTask(Task):
    """A task whose final failure leaves a row in the table of dead jobs."""

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        payload = dict(kwargs)
        if args:
            payload["args"] = list(args)
        text = json.dumps(payload, sort_keys=True, default=str)
        deadletters.record(self.name, text, task_id, f"{type(exc).__name__}: {exc}")
        log.error("job %s %s given up: %s: %s (task %s)", self.name, text, type(exc).__name__, exc, task_id)
