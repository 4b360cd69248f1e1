"""Rules about how a job runs: killed workers, locks, timeouts, immediate mode, schedules."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common.facts import seconds, tell
from skillrun.frameworks.common.reading import in_tests, place_of
from skillrun.frameworks.huey.apps import setting, storage
from skillrun.frameworks.huey.failures import bodies, locks
from skillrun.frameworks.huey.rules.facts import (
    consumer_option,
    consumers,
    crontab,
    run_place,
    task_of,
)
from skillrun.frameworks.huey.sends import find_sends
from skillrun.frameworks.interface import Job
from skillrun.frameworks.rulebook import rule
from skillrun.repo.python import Module
from skillrun.repo.syntax import is_none

_NO_TTL = ("SqliteHuey", "CySqliteHuey", "PostgresHuey", "FileHuey")
_FLUSHES = re.compile(r"(?:\s|[\"'])(?:--flush-locks|-[a-zA-Z]*f)\b")
_ENFORCES = re.compile(
    r"-k[\"'\s,=]*(?:process|greenlet|gevent)|--worker-type[\"'\s,=]*(?:process|greenlet|gevent)"
)
_COARSER = ("hour", "day", "month", "day_of_week")
_FIELDS = ("minute", "hour", "day", "month", "day_of_week")


@rule(
    "huey.lost-on-kill",
    stage="retry",
    source="coleifer/huey#559, #598, #844; Huey.dequeue and _execute in huey/api.py",
)
def lost_on_kill(job: Job) -> Iterator[Finding]:
    """Huey acknowledges nothing: the message is gone when its worker is killed, and retries do not
    bring it back.
    """
    trigger = None
    if job.spec.trigger:
        trigger = job.spec.trigger.type
    if trigger in ("cron", "poller") or task_of(job).kind == "periodic" or _found_again(job):
        return
    message = (
        "Huey acknowledges nothing: a worker that is killed while it runs this job loses it,"
        " retries or not"
    )
    hint = (
        "keep what is due in a table, and let a periodic task enqueue again what was not done in"
        " time"
    )
    yield tell(job, "lost-on-kill", Severity.WARNING, run_place(job), message, hint)


def _found_again(job: Job) -> bool:
    """A periodic task enqueues the job too."""
    sends = find_sends(job.project, job.use, job.handler)
    return any(send.kind == "schedule" for send in sends)


@rule(
    "huey.stale-lock",
    stage="idempotency",
    source="coleifer/huey#308, #538; Huey.lock_task and the consumer's --flush-locks",
)
def stale_lock(job: Job) -> Iterator[Finding]:
    """A lock stays locked when its holder is killed: the task never runs again until somebody
    clears it.

    A lock without a ttl, and no consumer that flushes locks when it starts.
    """
    flushed = consumer_option(job, "flush_locks") is True or any(
        _FLUSHES.search(c.text) for c in consumers(job.project)
    )
    for call, module, at_import in locks(job.project, job.use, task_of(job)):
        if _find_ttl(call) is not None or (flushed and at_import):
            continue
        name = "..."
        if call.args:
            name = ast.unparse(call.args[0])
        message = (
            f"the lock {name} stays locked when its holder is killed: the task never gets it again"
        )
        hint = "ttl= (Redis storages), or a consumer started with --flush-locks"
        if not at_import:
            message += "; a consumer's --flush-locks knows only locks that are made at import"
            hint = "ttl= (Redis storages), or the lock as a decorator and --flush-locks"
        yield tell(job, "stale-lock", Severity.WARNING, place_of(module, call), message, hint)


def _find_ttl(call: ast.Call) -> ast.expr | None:
    given = [keyword.value for keyword in call.keywords if keyword.arg == "ttl"] or call.args[1:2]
    if given and not is_none(given[0]):
        return given[0]
    return None


@rule(
    "huey.lock-ttl",
    stage="idempotency",
    source="put_if_empty in huey/storage.py (NotImplementedError); openedx#1438 (review)",
)
def lock_ttl(job: Job) -> Iterator[Finding]:
    """A lock that runs out before the job ends lets a second run in, and most storages refuse a ttl
    altogether.
    """
    made_as = storage(job.project, job.use, task_of(job).owner)
    for call, module, _ in locks(job.project, job.use, task_of(job)):
        node = _find_ttl(call)
        ttl = None
        if node is not None:
            ttl = job.project.literal(node, module)
        place, limit = place_of(module, call), job.policy.time_limit_s
        if node is not None and made_as in _NO_TTL:
            message = (
                f"{made_as} knows no ttl for locks: taking this one raises NotImplementedError at"
                " every run"
            )
            yield tell(
                job,
                "lock-ttl",
                Severity.ERROR,
                place,
                message,
                "leave ttl out, and start with --flush-locks",
            )
        elif isinstance(ttl, int | float) and limit is not None and ttl < limit:
            message = (
                f"the lock is held for {seconds(ttl)} at most, the task's timeout is"
                f" {seconds(limit)}"
            )
            yield tell(
                job,
                "lock-ttl",
                Severity.WARNING,
                place,
                message,
                f"hold it for more than {limit:g} s",
            )


@rule(
    "huey.locked-job-lost",
    stage="retry",
    source="Huey.lock_task in Huey's API documentation; TaskLockedException in huey/api.py",
)
def locked_job_lost(job: Job) -> Iterator[Finding]:
    """A job that finds its lock taken fails with TaskLockedException; without retries it never
    runs.
    """
    task = task_of(job)
    if (
        task.kind == "periodic"
        or job.policy.max_attempts != 1
        or "max_attempts" in job.policy.unknown
    ):
        return
    for call, module, _ in locks(job.project, job.use, task):
        if _is_caught(job, call, module):
            continue
        message = (
            "a job that finds this lock taken fails with TaskLockedException, and without retries"
            " it never runs"
        )
        yield tell(
            job,
            "locked-job-lost",
            Severity.WARNING,
            place_of(module, call),
            message,
            "retries= and retry_delay=",
        )


def _is_caught(job: Job, call: ast.Call, module: Module) -> bool:
    tries = []
    for above in module.parents(call):
        if isinstance(above, ast.Try):
            tries.append(above)
    names = set()
    for t in tries:
        for h in t.handlers:
            for n in job.project.exception_names(h.type, module):
                names.add(n)
    return any(
        name.endswith(("TaskLockedException", "HueyException", ".Exception")) for name in names
    )


@rule(
    "huey.timeout-not-enforced",
    stage="retry",
    source="ThreadEnvironment has no timeout in huey/consumer.py",
)
def timeout_not_enforced(job: Job) -> Iterator[Finding]:
    """The thread worker, which is the default, does not interrupt a task at its timeout."""
    place = job.policy.sources.get("time_limit_s")
    if job.policy.time_limit_s is None or place is None:
        return
    started = consumers(job.project)
    if consumer_option(job, "worker_type") in ("process", "greenlet") or any(
        _ENFORCES.search(c.text) for c in started
    ):
        return
    nodes = (node for part in bodies(job.project, job.handler) for node in ast.walk(part.node))
    if any(
        isinstance(n, ast.Attribute)
        and n.attr in ("check_timeout", "is_timed_out", "time_remaining")
        for n in nodes
    ):
        return
    message = "thread workers, the default, do not interrupt a task at its timeout"
    if not started:
        message += ", and no command line here asks for others"
    hint = "start the consumer with -k process, or call task.check_timeout() (context=True)"
    yield tell(job, "timeout-not-enforced", Severity.WARNING, place, message, hint)


@rule("huey.immediate", stage="handler", source="Immediate mode in Huey's guide")
def immediate(job: Job) -> Iterator[Finding]:
    """In immediate mode the job runs inside its caller: slow, without a worker, lost with the
    request.

    immediate=True outside the tests: whoever publishes waits for the job.
    """
    found = setting(job.project, job.use, task_of(job).owner, "immediate")
    if found is None or found.value is not True or in_tests(found.place.path):
        return
    message = "immediate mode is on: the job runs inside its caller, without a worker"
    yield tell(
        job,
        "immediate",
        Severity.WARNING,
        found.place,
        message,
        "set it in the tests' configuration only",
    )


@rule("huey.crontab-minute", stage="contract", source="crontab in huey/api.py; flake8-pie PIE784")
def crontab_minute(job: Job) -> Iterator[Finding]:
    """crontab(hour='3') fires every minute from 3:00 to 3:59, because minute is '*' unless it is
    given.
    """
    node = crontab(job)
    given = {}
    if node:
        given = _list_given(node)
    coarser = []
    for name in _COARSER:
        if name in given and _read_text(job, given[name]) not in ("*", None):
            coarser.append(name)
    if (
        node is None
        or "minute" in given
        or not coarser
        or any(k.arg is None for k in node.keywords)
    ):
        return
    message = (
        f"{ast.unparse(node)} fires every minute of the time that {coarser[0]} names: minute is '*'"
        " by default"
    )
    yield tell(
        job,
        "crontab-minute",
        Severity.WARNING,
        place_of(job.handler.module, node),
        message,
        "add minute='0'",
    )


@rule("huey.period-overlap", stage="idempotency", source="django-cronjobs#1")
def period_overlap(job: Job) -> Iterator[Finding]:
    """A schedule that is shorter than the run starts a second run beside the first.

    A tick that starts while the one before still runs.
    """
    node = crontab(job)
    if node is None or any(True for _ in locks(job.project, job.use, task_of(job))):
        return
    period = _read_period(job, node)
    limit, place = job.policy.time_limit_s, place_of(job.handler.module, node)
    if period is not None and limit is not None and period < limit:
        message = (
            f"it starts every {seconds(period)} and may run for {seconds(limit)} (its timeout): two"
            " run at once"
        )
        hint = "lock_task(...) around it"
        yield tell(job, "period-overlap", Severity.WARNING, place, message, hint)
    elif period == 60.0 and limit is None:
        message = "it starts every 60 s and nothing bounds how long it runs: two may run at once"
        hint = "lock_task(...) around it, or a timeout"
        yield tell(job, "period-overlap", Severity.NOTE, place, message, hint)


def _read_period(job: Job, node: ast.Call) -> float | None:
    """Seconds between two ticks of a crontab whose minutes are `*` or `*/5`."""
    given = _list_given(node)
    if "minute" in given:
        text = _read_text(job, given["minute"])
    else:
        text = "*"
    if text == "*":
        return 60.0
    if text and re.fullmatch(r"\*/\d+", text):
        return 60.0 * int(text[2:])
    return None


def _list_given(node: ast.Call) -> dict[str, ast.expr]:
    return dict(zip(_FIELDS, node.args, strict=False)) | {
        k.arg: k.value for k in node.keywords if k.arg
    }


def _read_text(job: Job, node: ast.expr) -> str | None:
    value = job.project.literal(node, job.handler.module)
    if not isinstance(value, int | str):
        return None
    return str(value)
