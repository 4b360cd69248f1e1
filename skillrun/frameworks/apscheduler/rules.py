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
from skillrun.frameworks.interface import (
    Job,
)
from skillrun.frameworks.rulebook import rule
from skillrun.repo.places import is_aside
from skillrun.repo.python import Module, is_known
from skillrun.repo.source import last_word
from skillrun.repo.syntax import find_keyword
from skillrun.repo.uses import Place

_WEB_APPS = (
    "flask.Flask",
    "fastapi.FastAPI",
    "django.core.wsgi.get_wsgi_application",
    "starlette.applications.Starlette",
)
_SERVER = re.compile(r"\b(?:gunicorn|uvicorn|hypercorn|uwsgi)\b.*")
_WORKERS = re.compile(r"(?:\s-w|--workers|--processes|\s-p)[ =]*(\d+)")
# Seconds: from here on a dropped run is missed.
_LONG = 3600.0
_COARSE = {"hour", "day", "week", "day_of_week", "month", "year"}
_THREADS = ("BackgroundScheduler", "BlockingScheduler")


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
    for module, call in _find_starts(job):
        where = _web_place(job, module, call)
        workers = None
        if where:
            workers = _count_workers(job, module)
        if where is None or (
            workers is not None and (workers[1] == 1 or "--preload" in workers[0].text)
        ):
            continue
        hint = "start the scheduler in a process of its own, or behind a lock that one process gets"
        if workers is None:
            message = (
                f"the scheduler starts {where}: with several server processes every job runs in"
                " each of them"
            )
            yield tell(
                job,
                "started-in-web-process",
                Severity.WARNING,
                place_of(module, call),
                message,
                hint,
            )
        else:
            said = f"{workers[0].path}:{workers[0].line} starts {workers[1]} processes"
            message = f"the scheduler starts {where}, and {said}: every job runs {workers[1]} times"
            yield tell(
                job, "started-in-web-process", Severity.ERROR, place_of(module, call), message, hint
            )


def _find_starts(job: Job) -> Iterator[tuple[Module, ast.Call]]:
    for module in job.project.modules_with("start"):
        for node in module.all_nodes:
            called = None
            if isinstance(node, ast.Call):
                called = node.func
            starts = (
                isinstance(called, ast.Attribute)
                and called.attr == "start"
                and not is_aside(module.path)
            )
            if starts and isinstance(node, ast.Call) and "sched" in ast.unparse(node.func).lower():
                yield module, node


def _web_place(job: Job, module: Module, call: ast.Call) -> str | None:
    """Where a server process would run the call; None for anything that a condition or a lock
    guards.
    """
    above = list(module.parents(call))
    if any(isinstance(node, ast.If | ast.With | ast.Try) for node in above):
        return None
    function = module.function_of(call)
    if function is None:
        made = (job.project.origin_of(module, n.func) for n in module.nodes(ast.Call))
        if any(name in _WEB_APPS for name in made):
            return "when the web module is imported"
        return None
    owner = module.class_of(call)
    is_config = owner is not None and "django.apps.AppConfig" in job.project.ancestors(
        job.project.define(module, owner).dotted
    )
    guarded = any(isinstance(n, ast.If) for n in ast.walk(function))
    if is_config and function.name == "ready" and not guarded:
        return "in AppConfig.ready"
    return None


def _count_workers(job: Job, module: Module) -> tuple[Place, int] | None:
    """A command line that serves this module with a number of processes."""
    tree = job.project.tree
    paths: set[str] = set()
    for word in ("gunicorn", "uvicorn", "hypercorn"):
        paths |= set(tree.search(word, ""))
    for path in sorted(paths):
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


def _at_import(one: Scheduled) -> bool:
    above = list(one.module.parents(one.call))
    return not any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.If | ast.Try)
        for node in above
    )


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
        seldom = (
            one.trigger in ("cron", "CronTrigger", "date", "DateTrigger")
            or (period(job.project, one) or 0) >= _LONG
        )
        if (
            seldom
            and is_known(grace)
            and isinstance(grace, int)
            and grace <= 1
            and not _is_hourly(job, one)
        ):
            message = (
                "a run that is more than 1 s late (a busy pool, a restart) is dropped, and the next"
                " one is far away"
            )
            hint = (
                "misfire_grace_time: how late it is still of use, in seconds; None for however late"
            )
            yield tell(job, "misfire", Severity.WARNING, one.place, message, hint)


def _is_hourly(job: Job, one: Scheduled) -> bool:
    """A cron trigger without an hour comes at least every hour."""
    if one.trigger not in ("cron", "CronTrigger"):
        return False
    node = one.argument("trigger")
    if isinstance(node, ast.Call):
        given = node
    else:
        given = one.call
    if last_word(given.func) == "from_crontab":
        written = None
        if given.args:
            written = job.project.literal(given.args[0], one.module)
        return not isinstance(written, str) or written.split()[1:2] in ([], ["*"])
    return not {keyword.arg for keyword in given.keywords} & _COARSE


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
        every, grace = period(job.project, one), option(job.project, one, "misfire_grace_time")
        long = grace is None or (isinstance(grace, int) and every is not None and grace > every)
        if (
            every is not None
            and is_known(grace)
            and long
            and option(job.project, one, "coalesce") is False
        ):
            message = (
                f"it comes every {seconds(every)} and waits longer than that: missed runs are all"
                " made at once"
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
    if scheduler is None or scheduler.kind not in _THREADS or _has_executors(scheduler):
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
    return not scheduler.stores_known or any(
        keyword.arg == "executors" for keyword in scheduler.call.keywords
    )


@rule(
    "apscheduler.called-not-added",
    stage="handler",
    rests_on="setup",
    source="Job._modify in apscheduler/job.py: TypeError where func is neither callable nor a text",
)
def called_not_added(job: Job) -> Iterator[Finding]:
    """`add_job(f())` runs f once, there and then, and adds what it returned."""
    for one in _list_scheduled(job):
        first = one.call.args[0] if one.call.args else one.argument("func")
        name = None
        if isinstance(first, ast.Call) and one.method == "add_job":
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


def _may_return(one: Scheduled) -> bool:
    """It may return the function that is meant."""
    return any(
        isinstance(n, ast.Return) and n.value is not None for n in ast.walk(one.function.node)
    )


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
        first = None
        if one.call.args and one.method == "add_job":
            first = one.call.args[0]
        nested = one.function.module.function_of(one.function.node) is not None
        if one.argument("jobstore") is None and (isinstance(first, ast.Lambda) or nested):
            what = "an inner function"
            if isinstance(first, ast.Lambda):
                what = "a lambda"
            message = (
                f"{what} cannot be kept in a persistent job store: adding it raises ValueError"
            )
            yield tell(
                job,
                "unserializable",
                Severity.ERROR,
                one.place,
                message,
                "a function of a module, with args=",
            )


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
        hour, own = _read_cron_time(job, one)
        zone = own or (scheduler.timezone if scheduler else None)
        if hour not in ("1", "2", "3", "01", "02", "03") or not isinstance(zone, str):
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
    node = one.argument("trigger")
    if isinstance(node, ast.Call):
        call = node
    else:
        call = one.call
    hour, zone = find_keyword(call, "hour"), find_keyword(call, "timezone")
    return (
        "" if hour is None else str(job.project.literal(hour, one.module)),
        None if zone is None else job.project.literal(zone, one.module),
    )


def one_cron(job: Job) -> bool:
    """Some place schedules it by cron."""
    return any(one.trigger in ("cron", "CronTrigger") for one in _list_scheduled(job))


def _has_clock_change(zone: str, hour: int) -> bool:
    """Some day of this year has no such hour, or has it twice, as the machine's time zone data
    say.
    """
    import zoneinfo

    try:
        place = zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    first = datetime.datetime(2025, 1, 1, hour, 30)
    days = [(first + datetime.timedelta(days=n)).replace(tzinfo=place) for n in range(365)]
    return any(day.utcoffset() != day.replace(fold=1).utcoffset() for day in days)
