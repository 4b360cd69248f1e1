"""Rules about schedulers and the options of a job; those about options hold for APScheduler 3."""

from __future__ import annotations

import ast
import datetime
import re
from collections.abc import Iterator
from typing import Any

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.apscheduler.jobs import (
    Scheduled,
    Scheduler,
    find_jobs,
    is_version_4,
    option,
    period,
    the_scheduler,
)
from skillrun.frameworks.common.facts import seconds, tell
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.interface import Job
from skillrun.frameworks.rulebook import rule
from skillrun.repo.places import is_aside
from skillrun.repo.python import Module, is_known
from skillrun.repo.source import last_word
from skillrun.repo.syntax import find_keyword, find_nodes
from skillrun.repo.uses import Place

_WEB_APPS = (
    "flask.Flask",
    "fastapi.FastAPI",
    "django.core.wsgi.get_wsgi_application",
    "starlette.applications.Starlette",
)
_SERVER = re.compile(r"\b(?:gunicorn|uvicorn|hypercorn|uwsgi)\b.*")
_WORKERS = re.compile(r"(?:\s-w|--workers|--processes|\s-p)[ =]*(\d+)")
# Seconds: from this period on a dropped run is missed.
_LONG = 3600.0
# APScheduler's default for `misfire_grace_time`, in seconds.
_DEFAULT_GRACE_S = 1
_CRON_TRIGGERS = ("cron", "CronTrigger")
# A cron trigger with one of these fields comes less than every hour.
_COARSE_FIELDS = {"hour", "day", "week", "day_of_week", "month", "year"}
_THREAD_SCHEDULERS = ("BackgroundScheduler", "BlockingScheduler")
# The hours in which clocks change, as a trigger may write them.
_CHANGING_HOURS = ("1", "2", "3", "01", "02", "03")


def _list_scheduled(job: Job) -> tuple[Scheduled, ...]:
    """The places outside tests that schedule the handler, of APScheduler 3."""
    if is_version_4(job.project):
        return ()
    jobs = []
    for one in find_jobs(job.project, job.handler):
        if not one.in_tests:
            jobs.append(one)
    return tuple(jobs)


@rule(
    "apscheduler.started-in-web-process",
    stage="idempotency",
    rests_on="setup",
    source=(
        "lokole#1: four gunicorn workers, each mail four times; agronholm/apscheduler#766;"
        " frequently asked questions of APScheduler 3"
    ),
)
def started_in_web_process(job: Job) -> Iterator[Finding]:
    """A scheduler that a web module starts runs in each of the server's processes: every job runs
    that many times.
    """
    hint = "start the scheduler in a process of its own, or behind a lock that one process gets"
    for module, call in _find_starts(job):
        where = _web_place(job, module, call)
        if where is None:
            continue
        severity = Severity.WARNING
        message = (
            f"the scheduler starts {where}: with several server processes every job runs in"
            " each of them"
        )
        served = _count_workers(job, module)
        if served is not None:
            command, processes = served
            # gunicorn's --preload imports the module once, before its processes are made.
            if processes == 1 or "--preload" in command.text:
                continue
            severity = Severity.ERROR
            message = (
                f"the scheduler starts {where}, and {command.path}:{command.line} starts"
                f" {processes} processes: every job runs {processes} times"
            )
        yield tell(job, "started-in-web-process", severity, place_of(module, call), message, hint)


def _find_starts(job: Job) -> Iterator[tuple[Module, ast.Call]]:
    """The calls such as `scheduler.start()`, with their modules."""
    for module in job.project.modules_with("start"):
        if is_aside(module.path):
            continue
        for call in module.nodes(ast.Call):
            if not isinstance(call.func, ast.Attribute) or call.func.attr != "start":
                continue
            if "sched" in ast.unparse(call.func).lower():
                yield module, call


def _web_place(job: Job, module: Module, call: ast.Call) -> str | None:
    """Where a server process would run the call; None for anything that a condition or a lock
    guards.
    """
    if any(isinstance(node, ast.If | ast.With | ast.Try) for node in module.parents(call)):
        return None
    function = module.function_of(call)
    if function is None:
        for other in module.nodes(ast.Call):
            if job.project.origin_of(module, other.func) in _WEB_APPS:
                return "when the web module is imported"
        return None
    owner = module.class_of(call)
    if owner is None or function.name != "ready":
        return None
    bases = job.project.ancestors(job.project.define(module, owner).dotted)
    # An `if` anywhere in it may be a guard that returns.
    is_guarded = any(isinstance(node, ast.If) for node in ast.walk(function))
    if "django.apps.AppConfig" in bases and not is_guarded:
        return "in AppConfig.ready"
    return None


def _count_workers(job: Job, module: Module) -> tuple[Place, int] | None:
    """A command line that serves this module with a number of processes."""
    tree = job.project.tree
    paths: set[str] = set()
    for word in ("gunicorn", "uvicorn", "hypercorn"):
        paths |= set(tree.search(word, ""))
    for path in sorted(paths):
        # These name a server because they depend on it, or speak of it.
        if is_aside(path) or path.endswith((".py", ".txt", ".lock", ".md", ".toml")):
            continue
        text = (tree.read(path) or b"").decode("utf-8", "replace")
        for number, line in enumerate(text.splitlines(), 1):
            count = _read_workers(line, module)
            if count is not None:
                return Place(path, number, line.strip()), count
    return None


def _read_workers(line: str, module: Module) -> int | None:
    """The number of processes that a line serves the module with."""
    if line.lstrip().startswith("#"):
        return None
    # CMD ["gunicorn", "-w", "4", "shop:app"] as a shell would have it.
    served = _SERVER.search(re.sub(r"[\"',\[\]]+", " ", line))
    if served is None or not re.search(rf"\b{re.escape(module.name)}:", served[0]):
        return None
    count = _WORKERS.search(served[0])
    if count:
        return int(count[1])
    return None


@rule(
    "apscheduler.copied-on-restart",
    stage="idempotency",
    rests_on="setup",
    source=(
        "user guide of APScheduler 3: 'you MUST define an explicit ID for the job and use"
        " replace_existing=True'"
    ),
)
def copied_on_restart(job: Job) -> Iterator[Finding]:
    """A job without an id is added to a persistent store again at every start, and each copy runs.

    A persistent store, and `add_job` without an id, or with one that is there already after a
    restart.
    """
    scheduler = the_scheduler(job.project)
    if scheduler is None or scheduler.persistent is None:
        return
    for one in _list_scheduled(job):
        if one.spread or one.argument("jobstore") is not None:
            continue
        if one.method == "JOBS" or not one.scheduled:
            continue
        severity = Severity.WARNING
        if one.method == "scheduled_job" or _at_import(one):
            severity = Severity.ERROR
        if one.argument("id") is None:
            message = (
                "a job without an id in a persistent store: every start of the program adds it once"
                " more"
            )
            hint = 'id="...", replace_existing=True'
            yield tell(job, "copied-on-restart", severity, one.place, message, hint)
        elif one.method == "add_job" and one.argument("replace_existing") is None:
            message = (
                "the id is in the persistent store already after a restart: add_job raises"
                " ConflictingIdError"
            )
            hint = "replace_existing=True"
            yield tell(job, "copied-on-restart", severity, one.place, message, hint)


def _at_import(scheduled: Scheduled) -> bool:
    """Whether the job is added whenever its module is imported."""
    for node in scheduled.module.parents(scheduled.call):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.If | ast.Try):
            return False
    return True


@rule(
    "apscheduler.misfire",
    stage="retry",
    source=(
        "user guide of APScheduler 3, missed job executions; ethyca/fides#7346: a daily job"
        " that was not run"
    ),
)
def misfire(job: Job) -> Iterator[Finding]:
    """A run that comes more than misfire_grace_time late (1 s unless it is set) is dropped, not
    done later.

    A job that comes seldom, with the second of grace that is the default.
    """
    for one in _list_scheduled(job):
        grace = option(job.project, one, "misfire_grace_time")
        if not is_known(grace) or not isinstance(grace, int) or grace > _DEFAULT_GRACE_S:
            continue
        if _comes_seldom(job, one):
            message = (
                "a run that is more than 1 s late (a busy pool, a restart) is dropped, and the next"
                " one is far away"
            )
            hint = (
                "misfire_grace_time: how late it is still of use, in seconds; None for however late"
            )
            yield tell(job, "misfire", Severity.WARNING, one.place, message, hint)


def _comes_seldom(job: Job, scheduled: Scheduled) -> bool:
    """Whether the next run is an hour away or more, as far as can be told."""
    if scheduled.trigger in _CRON_TRIGGERS:
        return not _is_hourly(job, scheduled)
    if scheduled.trigger in ("date", "DateTrigger"):
        return True
    return (period(job.project, scheduled) or 0) >= _LONG


def _is_hourly(job: Job, scheduled: Scheduled) -> bool:
    """Whether a cron trigger has no hour, and so comes at least every hour."""
    call = _find_trigger_call(scheduled)
    if last_word(call.func) != "from_crontab":
        fields = {keyword.arg for keyword in call.keywords}
        return fields.isdisjoint(_COARSE_FIELDS)
    crontab = None
    if call.args:
        crontab = job.project.literal(call.args[0], scheduled.module)
    # "30 4 * * *": the hour is the second word.
    return not isinstance(crontab, str) or crontab.split()[1:2] in ([], ["*"])


def _find_trigger_call(scheduled: Scheduled) -> ast.Call:
    """The call with the trigger's fields: of the trigger's class, else the one that adds the
    job.
    """
    trigger = scheduled.argument("trigger")
    if isinstance(trigger, ast.Call):
        return trigger
    return scheduled.call


@rule(
    "apscheduler.piled-up-runs",
    stage="idempotency",
    source="user guide of APScheduler 3, missed job executions and coalescing",
)
def piled_up_runs(job: Job) -> Iterator[Finding]:
    """With coalesce=False, all the runs that were missed while the process was down are made at
    once.

    A persistent interval job whose grace is longer than its period, with coalesce=False.
    """
    scheduler = the_scheduler(job.project)
    if scheduler is None or scheduler.persistent is None:
        return
    for one in _list_scheduled(job):
        interval = period(job.project, one)
        grace = option(job.project, one, "misfire_grace_time")
        if interval is None or not is_known(grace):
            continue
        # None: however late, a run is still made.
        outlasts = grace is None or (isinstance(grace, int) and grace > interval)
        if outlasts and option(job.project, one, "coalesce") is False:
            message = (
                f"it comes every {seconds(interval)} and waits longer than that: missed runs are"
                " all made at once"
            )
            yield tell(job, "piled-up-runs", Severity.WARNING, one.place, message, "coalesce=True")


@rule(
    "apscheduler.max-instances",
    stage="idempotency",
    source=(
        "user guide of APScheduler 3, limiting the number of concurrently executing"
        " instances; django-celery-beat#331"
    ),
)
def max_instances(job: Job) -> Iterator[Finding]:
    """max_instances above 1 lets a run begin beside one that still goes on."""
    for one in _list_scheduled(job):
        value = option(job.project, one, "max_instances")
        if isinstance(value, int) and value > 1 and one.scheduled:
            message = (
                f"max_instances is {value}: a run that takes longer than the period goes on beside"
                " the next one"
            )
            hint = "max_instances=1, or an effect that two runs cannot repeat"
            yield tell(job, "max-instances", Severity.WARNING, one.place, message, hint)


@rule(
    "apscheduler.coroutine-in-threads",
    stage="handler",
    source=(
        "of APScheduler 3's executors only asyncio.py and tornado.py ask whether the function"
        " is a coroutine's"
    ),
)
def coroutine_in_threads(job: Job) -> Iterator[Finding]:
    """A scheduler that runs its jobs in threads makes a coroutine of an async function, and never
    awaits it.
    """
    scheduler = the_scheduler(job.project)
    if scheduler is None or scheduler.kind not in _THREAD_SCHEDULERS or _has_executors(scheduler):
        return
    for one in _list_scheduled(job):
        if isinstance(one.function.node, ast.AsyncFunctionDef):
            message = (
                f"{scheduler.kind} never awaits {one.function.name}: the coroutine is made, and"
                " nothing runs"
            )
            yield tell(
                job,
                "coroutine-in-threads",
                Severity.ERROR,
                one.place,
                message,
                "AsyncIOScheduler, or a plain def",
            )


def _has_executors(scheduler: Scheduler) -> bool:
    """Whether a scheduler is given executors, or may be: its configuration cannot be read."""
    if not scheduler.stores_known:
        return True
    return any(keyword.arg == "executors" for keyword in scheduler.call.keywords)


@rule(
    "apscheduler.called-not-added",
    stage="handler",
    rests_on="setup",
    source="Job._modify in apscheduler/job.py: TypeError where func is neither callable nor a text",
)
def called_not_added(job: Job) -> Iterator[Finding]:
    """`add_job(f())` runs f once, there and then, and adds what it returned."""
    for one in _list_scheduled(job):
        first = one.argument("func")
        if one.call.args:
            first = one.call.args[0]
        if one.method != "add_job" or not isinstance(first, ast.Call):
            continue
        name = one.module.resolve(first.func)
        if name and job.project.origin(name) == one.function.dotted and not _may_return(one):
            message = f"{one.function.name}() runs once, here, and what it returns is added"
            yield tell(
                job,
                "called-not-added",
                Severity.ERROR,
                one.place,
                message,
                f"add_job({one.function.name}, ...)",
            )


def _may_return(scheduled: Scheduled) -> bool:
    """Whether calling it may return the function that is meant."""
    returns = find_nodes(scheduled.function.node, ast.Return)
    return any(node.value is not None for node in returns)


@rule(
    "apscheduler.unserializable",
    stage="handler",
    rests_on="setup",
    source="Job.__getstate__ in apscheduler/job.py: 'This Job cannot be serialized'",
)
def unserializable(job: Job) -> Iterator[Finding]:
    """A lambda or an inner function cannot be kept in a persistent store, which keeps the name of
    the function.
    """
    scheduler = the_scheduler(job.project)
    if scheduler is None or scheduler.persistent is None:
        return
    for one in _list_scheduled(job):
        # Another store than the default one may be in memory.
        if one.argument("jobstore") is not None:
            continue
        first = None
        if one.call.args and one.method == "add_job":
            first = one.call.args[0]
        if isinstance(first, ast.Lambda):
            what = "a lambda"
        elif one.function.module.function_of(one.function.node) is not None:
            what = "an inner function"
        else:
            continue
        message = f"{what} cannot be kept in a persistent job store: adding it raises ValueError"
        hint = "a function of a module, with args="
        yield tell(job, "unserializable", Severity.ERROR, one.place, message, hint)


@rule(
    "apscheduler.daylight-saving",
    stage="contract",
    source="agronholm/apscheduler#87, #120; daylight saving time behavior of the cron trigger",
)
def daylight_saving(job: Job) -> Iterator[Finding]:
    """A cron time in the hour of the clock change is skipped in spring, and may come twice in
    autumn.
    """
    if not one_cron(job):
        return
    scheduler = the_scheduler(job.project)
    for one in _list_scheduled(job):
        hour, zone = _read_cron_time(job, one)
        if not zone and scheduler:
            zone = scheduler.timezone
        if hour not in _CHANGING_HOURS or not isinstance(zone, str):
            continue
        if _has_clock_change(zone, int(hour)):
            message = (
                f"{int(hour)} o'clock in {zone} may be skipped at the clock change in spring, or"
                " come twice in autumn"
            )
            hint = "another hour, or UTC; and an effect that a second run cannot repeat"
            yield tell(job, "daylight-saving", Severity.WARNING, one.place, message, hint)


def _read_cron_time(job: Job, one: Scheduled) -> tuple[str, Any]:
    """(hour, time zone) that the trigger, or the call itself, is given: "" and None for nothing."""
    call = _find_trigger_call(one)
    hour, zone = "", None
    hour_node, zone_node = find_keyword(call, "hour"), find_keyword(call, "timezone")
    if hour_node is not None:
        hour = str(job.project.literal(hour_node, one.module))
    if zone_node is not None:
        zone = job.project.literal(zone_node, one.module)
    return hour, zone


def one_cron(job: Job) -> bool:
    """Whether some place schedules it by cron."""
    return any(one.trigger in _CRON_TRIGGERS for one in _list_scheduled(job))


def _has_clock_change(zone: str, hour: int) -> bool:
    """Whether some day of a year has no such hour, or has it twice, as the machine's time zone
    data say.
    """
    import zoneinfo

    try:
        place = zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    first = datetime.datetime(2025, 1, 1, hour, 30)
    for number in range(365):
        moment = (first + datetime.timedelta(days=number)).replace(tzinfo=place)
        # The two readings of an hour differ where it comes twice, or not at all.
        if moment.utcoffset() != moment.replace(fold=1).utcoffset():
            return True
    return False
