"""Rules about schedules and starts."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common.callables.callers import reach_of
from skillrun.frameworks.common.callables.commands import starts_of
from skillrun.frameworks.common.callables.starts import Start
from skillrun.frameworks.common.facts import calls_of
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.interface import Job
from skillrun.frameworks.rulebook import rule
from skillrun.repo.places import is_aside
from skillrun.repo.python import Call
from skillrun.repo.source import last_word


@rule(
    "plain-cron.crontab-minute",
    stage="contract",
    source="crontab(5); flake8-pie PIE784 says the same of Celery's crontab",
)
def crontab_minute(job: Job) -> Iterator[Finding]:
    """`* 3 * * *` runs every minute from 3:00 to 3:59, because its minute is '*'."""
    for start in _list_starts(job):
        fields = start.when.split()
        if len(fields) == 5 and fields[0] == "*" and re.fullmatch(r"\d{1,2}", fields[1]):
            hour = int(fields[1])
            message = (
                f"{start.when!r} runs it every minute from {hour}:00 to {hour}:59, sixty times"
            )
            yield Finding(
                "plain-cron.crontab-minute",
                Severity.WARNING,
                message,
                start.path,
                start.line,
                "0 for the minute",
            )


@rule(
    "plain-cron.cronjob-overlap",
    stage="idempotency",
    source=(
        "CronJob in the documentation of Kubernetes: concurrencyPolicy is Allow by default;"
        " django-cronjobs#1"
    ),
)
def cronjob_overlap(job: Job) -> Iterator[Finding]:
    """Kubernetes starts the next run beside one that still runs, unless concurrencyPolicy forbids
    it.

    A CronJob that says nothing about a run that still goes on.
    """
    for start in _list_starts(job):
        if start.how == "CronJob" and not start.locked:
            message = (
                "Kubernetes starts the next run beside one that still runs (concurrencyPolicy is"
                " Allow by default)"
            )
            hint = "concurrencyPolicy: Forbid, or an effect that two runs cannot repeat"
            yield Finding(
                "plain-cron.cronjob-overlap", Severity.NOTE, message, start.path, start.line, hint
            )


def _list_starts(job: Job) -> Iterator[Start]:
    starts = starts_of(job.project, reach_of(job.project, job.handler))
    for start in starts:
        if not is_aside(start.path):
            yield start


@rule(
    "plain-cron.called-not-scheduled",
    stage="handler",
    rests_on="setup",
    source="Job.do of the library schedule: TypeError where the value is not callable",
)
def called_not_scheduled(job: Job) -> Iterator[Finding]:
    """`.do(f())` runs f once at start-up and schedules what it returned."""
    for use in job.project.uses(job.handler.dotted):
        called = use.module.find_call_of(use.node)
        above = None
        if called is not None:
            above = next(use.module.parents(called), None)
        if not isinstance(above, ast.Call) or above.args[:1] != [called] or is_aside(use.path):
            continue
        if last_word(above.func) == "do" and "every" in ast.unparse(above.func):
            place = place_of(use.module, above)
            name = ast.unparse(use.node)
            message = f".do({name}()) runs it once, now, and schedules what it returns"
            hint = f".do({name})"
            yield Finding(
                "plain-cron.called-not-scheduled",
                Severity.ERROR,
                message,
                place.path,
                place.line,
                hint,
            )


@rule(
    "plain-cron.schedule-dies",
    stage="retry",
    source=(
        "Exception handling in the documentation of schedule: 'Schedule doesn't catch exceptions'"
    ),
)
def schedule_dies(job: Job) -> Iterator[Finding]:
    """The library schedule lets a job's exception through: it ends the loop, and with it every
    other job.
    """
    if not _scheduled_by_library(job) or _catches_all(job):
        return
    for reference in job.project.references("schedule.run_pending"):
        if is_aside(reference.path) or any(clause.broad for clause in reference.in_try):
            continue
        message = (
            "an exception of the job goes through run_pending() and ends the loop, and every other"
            " job with it"
        )
        hint = "catch and log it in the job, so that the next tick tries again"
        yield Finding(
            "plain-cron.schedule-dies",
            Severity.WARNING,
            message,
            reference.path,
            reference.line,
            hint,
        )


def _scheduled_by_library(job: Job) -> bool:
    """Whether the library `schedule` calls the handler: `schedule.every(5).minutes.do(handler)`."""
    for use in job.project.uses(job.handler.dotted):
        parent = next(iter(use.module.parents(use.node)), None)
        if isinstance(parent, ast.Call):
            call = job.project.call_at(use.module, parent)
            chain = ast.unparse(call.node.func)  # "schedule.every(5).minutes.do"
            if last_word(call.node.func) == "do" and "every" in chain:
                return True
    return False


def _catches_all(job: Job) -> bool:
    """Every call of the handler's own body stands in a `try` with a broad clause that does not
    raise again.
    """
    own = []
    for call in calls_of(job):
        if not call.via and call.in_except is None:
            own.append(call)
    return all(_is_caught(call) for call in own if _does_work(call.name))


def _is_caught(call: Call) -> bool:
    return any(clause.broad and not clause.reraises for clause in call.in_try)


def _does_work(name: str) -> bool:
    return not re.search(r"(^|\.)(log|logger|logging)(\(\))?\.", name)
