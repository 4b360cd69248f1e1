"""How this house runs its jobs.

A job is a plain function for RQ with @house_job around it. What there is to do
stands in the table of JobRuns; the message in Redis is no more than a nudge, so
it may come twice (the run is done by then) or not at all (jobs/sweep.py).
"""

import functools
import inspect
import uuid

import structlog
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from redis.exceptions import RedisError
from rq import get_current_job
from structlog.contextvars import bound_contextvars

from beanroast.queues import MAX_ATTEMPTS, enqueue
from jobs.models import DeadLetter, JobRun

log = structlog.get_logger("jobs")


class Malformed(Exception):
    """The message does not fit the function."""


def submit(job, **message):
    """Have a job done once the current transaction has been committed."""
    run_id = job.run_id(message)
    run, _ = JobRun.objects.get_or_create(id=run_id, defaults={"function": job.path, "message": message})
    if run.state == JobRun.OPEN:
        transaction.on_commit(functools.partial(nudge, run))
    return run


def nudge(run):
    try:
        enqueue(run)
    except RedisError as error:  # the sweep will do it
        log.warning("job.not_enqueued", job=run.function, run=run.id, error=repr(error))
    else:
        log.info("job.enqueued", job=run.function, run=run.id)


def house_job(*, run_id, permanent):
    """run_id: makes the id from the message, or raises Malformed. permanent: judges an error."""

    def decorate(function):
        path = f"{function.__module__}.{function.__qualname__}"
        signature = inspect.signature(function)

        def checked_id(message):
            try:
                signature.bind(**message)
            except TypeError as error:
                raise Malformed(str(error)) from error
            return run_id(**message)

        @functools.wraps(function)
        def perform(*args, **kwargs):
            with bound_contextvars(job=path):
                try:
                    if args:
                        raise Malformed("positional arguments")
                    name = checked_id(kwargs)
                except Malformed as error:
                    rq_job = get_current_job()
                    # never the name of a real run
                    name = f"malformed-{rq_job.id if rq_job else uuid.uuid4()}"
                    log.error("job.malformed", run=name, message=repr((args, kwargs)), reason=str(error))
                    bury(name, path, (args, kwargs), error)
                    return
                with bound_contextvars(run=name):
                    _attempt(name, path, kwargs)

        def _attempt(name, path, message):
            run = begin(name, path, message)
            if run is None:
                return
            with bound_contextvars(attempt=run.attempts):
                log.info("job.started")
                try:
                    function(**message)
                except Exception as error:
                    if permanent(error):
                        log.error("job.failed", reason=repr(error), permanent=True)
                    elif run.attempts >= MAX_ATTEMPTS:
                        log.error("job.failed", reason=repr(error), permanent=False)
                    else:
                        log.warning("job.retrying", reason=repr(error))
                        raise  # RQ waits and tries again
                    bury(name, path, message, error)
                else:
                    JobRun.objects.filter(id=name).update(state=JobRun.DONE, touched_at=timezone.now())
                    log.info("job.succeeded")

        perform.path = path
        perform.run_id = checked_id
        return perform

    return decorate


def begin(name, path, message):
    """Count the attempt; None where the run is over."""
    with transaction.atomic():
        run, _ = JobRun.objects.get_or_create(id=name, defaults={"function": path, "message": message})
        if run.state != JobRun.OPEN:
            log.info("job.over_already", state=run.state)
            return None
        if run.attempts < MAX_ATTEMPTS:
            JobRun.objects.filter(id=name).update(attempts=F("attempts") + 1, touched_at=timezone.now())
            run.refresh_from_db()
            return run
    # every attempt was counted, and none of them lived to say how it ended
    reason = RuntimeError(f"given up after {run.attempts} attempts that did not end")
    log.error("job.failed", reason=repr(reason))
    bury(name, path, message, reason)
    return None


def bury(name, path, message, error):
    with transaction.atomic():
        run = JobRun.objects.filter(id=name).first()
        if run is not None and run.state != JobRun.OPEN:
            return
        JobRun.objects.filter(id=name).update(state=JobRun.FAILED, touched_at=timezone.now())
        DeadLetter.objects.get_or_create(
            run_id=name, defaults={"function": path, "message": repr(message), "reason": repr(error)}
        )
