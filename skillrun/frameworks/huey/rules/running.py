"""Rules about how a job runs: killed workers, locks, timeouts, immediate mode, schedules."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common.facts import tell
from skillrun.frameworks.common.lock_times import (
    HeldLock,
    as_seconds,
    find_short_locks,
    list_locks,
)
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.schedule_rules import Clock, Tick, declare_schedule_rules
from skillrun.frameworks.huey.apps import setting, storage
from skillrun.frameworks.huey.failures import bodies, locks
from skillrun.frameworks.huey.rules.facts import (
    CRONTABS,
    consumer_option,
    consumers,
    crontab,
    run_place,
    task_of,
)
from skillrun.frameworks.huey.sends import find_sends
from skillrun.frameworks.interface import Job
from skillrun.frameworks.rulebook import rule
from skillrun.repo.places import is_plainly_test
from skillrun.repo.python import Module
from skillrun.repo.syntax import is_none

_NO_TTL = ("SqliteHuey", "CySqliteHuey", "PostgresHuey", "FileHuey")
_FLUSHES = re.compile(r"(?:\s|[\"'])(?:--flush-locks|-[a-zA-Z]*f)\b")
_ENFORCES = re.compile(
    r"-k[\"'\s,=]*(?:process|greenlet|gevent)|--worker-type[\"'\s,=]*(?:process|greenlet|gevent)"
)


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
    yield from find_short_locks(job, list_locks(job))
    made_as = storage(job.project, job.use, task_of(job).owner)
    for call, module, _ in locks(job.project, job.use, task_of(job)):
        node = _find_ttl(call)
        if node is None:
            continue
        place = place_of(module, call)
        if made_as in _NO_TTL:
            message = (
                f"{made_as} knows no ttl for locks: taking this one raises NotImplementedError at"
                " every run"
            )
            hint = "leave ttl out, and start with --flush-locks"
            yield tell(job, "lock-ttl", Severity.ERROR, place, message, hint)
            continue
        ttl = as_seconds(job.project.literal(node, module))
        if ttl is not None:
            # The block that holds it ends with each attempt, so no retry needs it.
            yield from find_short_locks(job, [HeldLock(place, ttl, let_go=True)])


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
    if found is None or found.value is not True or is_plainly_test(found.place.path):
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


def _list_ticks(job: Job) -> Iterator[Tick]:
    node = crontab(job)
    if node is not None:
        module = job.handler.module
        yield Tick(place_of(module, node), module, node)


def _takes_lock(job: Job) -> bool:
    return any(True for _ in locks(job.project, job.use, task_of(job)))


SCHEDULES = declare_schedule_rules(
    Clock(
        library="huey",
        crontabs=CRONTABS,
        fields=("minute", "hour", "day", "month", "day_of_week"),
        on_the_hour="minute='0'",
        limit="its timeout",
        list_ticks=_list_ticks,
        takes_lock=_takes_lock,
        hint_for_long_runs="lock_task(...) around it",
        hint_for_unbounded_runs="lock_task(...) around it, or a timeout",
    ),
    crontab_source="crontab in huey/api.py; flake8-pie PIE784",
    overlap_source="django-cronjobs#1",
)
