"""Rules about how a worker is set up and runs the job: what it never calls, and what it runs too
often.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.arq.sends import SENDER
from skillrun.frameworks.arq.workers import find_entries
from skillrun.frameworks.common.facts import tell
from skillrun.frameworks.common.listed import Entry, Worker, find_hook
from skillrun.frameworks.common.reading import held_value, place_of
from skillrun.frameworks.common.send_rules import find_real_sends
from skillrun.frameworks.interface import (
    Job,
)
from skillrun.frameworks.rulebook import rule
from skillrun.repo.python import Module
from skillrun.repo.syntax import is_none
from skillrun.repo.uses import Place

# What a worker's settings may hold (arq/worker.py, Worker.__init__).
_NAMES = """
    functions queue_name cron_jobs redis_settings redis_pool on_startup on_shutdown on_job_start on_job_end
    after_job_end job_completion_wait max_jobs job_timeout keep_result keep_result_forever poll_delay queue_read_limit
    max_tries health_check_interval health_check_key ctx retry_jobs allow_abort_jobs max_burst_jobs job_serializer
    job_deserializer expires_extra_ms timezone log_results
"""
_SETTINGS = frozenset(_NAMES.split())
_ASYNCIO, _ORM = "sqlalchemy.ext.asyncio", "sqlalchemy.orm"
_SESSIONS = (f"{_ASYNCIO}.AsyncSession", f"{_ORM}.Session", "sqlmodel.Session")
_MAKERS = (
    f"{_ASYNCIO}.async_sessionmaker",
    f"{_ORM}.sessionmaker",
    f"{_ASYNCIO}.session.async_sessionmaker",
)


@rule("arq.never-runs", stage="handler", source="func and run_job in arq/worker.py")
def never_runs(job: Job) -> Iterator[Finding]:
    """arq runs coroutine functions that take ctx first; anything else fails at the worker's start,
    or at every run.
    """
    node, place = job.handler.node, Place(job.handler.path, job.handler.line)
    if isinstance(node, ast.FunctionDef) and not node.decorator_list:
        message = (
            f"{job.handler.name} is no coroutine function: the worker ends with RuntimeError when"
            " it starts"
        )
        yield tell(
            job,
            "never-runs",
            Severity.ERROR,
            place,
            message,
            "async def; blocking work in asyncio.to_thread",
        )
    elif isinstance(node, ast.AsyncFunctionDef) and not node.decorator_list:
        positional = [*node.args.posonlyargs, *node.args.args]
        if not positional and node.args.vararg is None:
            message = (
                f"{job.handler.name} takes no ctx: arq gives it as the first argument, every run"
                " raises TypeError"
            )
            yield tell(
                job,
                "never-runs",
                Severity.ERROR,
                place,
                message,
                f"async def {job.handler.name}(ctx, ...)",
            )


@rule(
    "arq.inherited-settings",
    stage="handler",
    rests_on="setup",
    source="get_kwargs in arq/worker.py",
)
def inherited_settings(job: Job) -> Iterator[Finding]:
    """arq reads the attributes of the settings class itself; what it inherits is silently left at
    its default.
    """
    for worker in _find_own_workers(job):
        lost = sorted(name for name in worker.inherited if name in _SETTINGS)
        if lost and isinstance(worker.node, ast.ClassDef):
            message = (
                f"{worker.node.name} inherits {', '.join(lost)}, and arq reads a class's own"
                " attributes alone: the defaults hold"
            )
            hint = f"{lost[0]} = Base.{lost[0]} in {worker.node.name} itself"
            place = place_of(worker.module, worker.node)
            yield tell(job, "inherited-settings", Severity.ERROR, place, message, hint)


def _find_own_workers(job: Job) -> Iterator[Worker]:
    seen: list[Worker] = []
    for entry in find_entries(job.project, job.handler):
        if entry.worker not in seen:
            seen.append(entry.worker)
            yield entry.worker


def _find_crons(job: Job) -> Iterator[Entry]:
    for entry in find_entries(job.project, job.handler):
        if entry.kind == "cron":
            yield entry


def _has_option(job: Job, entry: Entry, name: str, value: bool) -> bool:
    node = entry.options.get(name)
    return node is not None and job.project.literal(node, entry.module) is value


@rule(
    "arq.shared-session",
    stage="idempotency",
    source=(
        "max_jobs in arq/worker.py; Is the AsyncSession safe to share in concurrent tasks,"
        " SQLAlchemy's documentation"
    ),
)
def shared_session(job: Job) -> Iterator[Finding]:
    """A database session in ctx is shared by all jobs of a worker: one job's commit or rollback is
    another's.

    `ctx["db"] = sessions()` in on_startup, and the handler works with it.
    """
    used = {_read_context_key(node) for node in ast.walk(job.handler.node)} - {None}
    for worker in _find_own_workers(job):
        started = find_hook(job.project, worker, "on_startup")
        for node in ast.walk(started.node) if started is not None else ():
            if (
                not isinstance(node, ast.Assign)
                or started is None
                or _read_context_key(node.targets[0]) not in used
            ):
                continue
            if _is_session(job, node.value, started.module):
                name = ast.unparse(node.targets[0])
                message = (
                    f"{name} is one session for all jobs of the worker, and ten of them run at once"
                    " by default"
                )
                hint = (
                    "keep the sessionmaker there, and open a session in the job: async with"
                    " sessions() as session"
                )
                yield tell(
                    job,
                    "shared-session",
                    Severity.ERROR,
                    place_of(started.module, node),
                    message,
                    hint,
                )


def _read_context_key(node: ast.AST) -> object:
    """The name in `ctx["name"]`; None for anything else."""
    constant = None
    if isinstance(node, ast.Subscript):
        constant = node.slice
    if not isinstance(constant, ast.Constant):
        return None
    return constant.value


def _is_session(job: Job, node: ast.expr, module: Module) -> bool:
    """An SQLAlchemy session, or one that a sessionmaker made; with `await` or without."""
    if isinstance(node, ast.Await):
        node = node.value
    if not isinstance(node, ast.Call):
        return False
    made = job.project.origin_of(module, node.func)
    if made in _SESSIONS or made.removesuffix("()") in _MAKERS:
        return made in _SESSIONS or made.endswith("()")
    held = held_value(job.project, node.func, module)
    maker = None
    if held is not None and isinstance(held[0], ast.Call):
        maker = held[1].resolve(held[0].func)
    return job.project.origin(maker or "") in _MAKERS


@rule(
    "arq.cron-not-unique",
    stage="idempotency",
    source="cron in arq/cron.py, run_cron in arq/worker.py",
)
def cron_not_unique(job: Job) -> Iterator[Finding]:
    """With unique=False each worker enqueues the tick, and it runs as often as there
    are workers.
    """
    for entry in _find_crons(job):
        if _has_option(job, entry, "unique", False) and "job_id" not in entry.options:
            message = (
                "unique=False: every worker that runs enqueues this tick, and each of them is run"
            )
            yield tell(
                job,
                "cron-not-unique",
                Severity.WARNING,
                entry.place,
                message,
                "leave unique at True",
            )


@rule("arq.cron-at-startup", stage="idempotency", source="run_cron in arq/worker.py")
def cron_at_startup(job: Job) -> Iterator[Finding]:
    """run_at_startup runs the job in each worker that starts: its id is made of the moment."""
    for entry in _find_crons(job):
        if _has_option(job, entry, "run_at_startup", True) and "job_id" not in entry.options:
            message = (
                "run_at_startup: every worker runs it when it starts, at each deployment, and no id"
                " keeps it single"
            )
            yield tell(
                job,
                "cron-at-startup",
                Severity.WARNING,
                entry.place,
                message,
                "job_id=..., or a key in the job",
            )


@rule("arq.cron-every-second", stage="contract", source="cron in arq/cron.py")
def cron_every_second(job: Job) -> Iterator[Finding]:
    """cron(f, hour=3) runs every minute from 3:00 to 3:59, and second=None every second."""
    for entry in _find_crons(job):
        node = entry.options.get("second")
        if is_none(node):
            message = "second=None: it runs every second of the time that the other fields name"
            yield tell(
                job,
                "cron-every-second",
                Severity.WARNING,
                entry.place,
                message,
                "leave second at 0",
            )
        elif _coarse_without_minute(entry):
            message = "minute is any by default: it runs every minute of the hours that are named"
            yield tell(
                job, "cron-every-second", Severity.WARNING, entry.place, message, "add minute=0"
            )


def _coarse_without_minute(entry: Entry) -> bool:
    given = set()
    for name, node in entry.options.items():
        if not is_none(node):
            given.add(name)
    return "minute" not in given and bool(given & {"hour", "day", "weekday", "month"})


@rule(
    "arq.unread-queue",
    stage="handler",
    rests_on="setup",
    source="queue_name in arq/worker.py and _queue_name in arq/connections.py",
)
def handler_unlisted_queue(job: Job) -> Iterator[Finding]:
    """A job in a queue that no worker of it reads waits until it expires."""
    read: set[object] = set()
    for worker in _find_own_workers(job):
        option = worker.option("queue_name")
        read.add(job.project.literal(*option) if option else "arq:queue")
    if not read or not all(isinstance(name, str) for name in read):
        return
    for send in find_real_sends(job, SENDER):
        given = send.option("_queue_name")
        name = None
        if given is not None:
            name = job.project.literal(*given)
        if isinstance(name, str) and name not in read:
            listed = ", ".join(sorted(map(str, read)))
            message = (
                f"the job goes to the queue {name}, and its workers read {listed}: nobody runs it"
            )
            yield tell(
                job,
                "unread-queue",
                Severity.ERROR,
                send.place,
                message,
                f"queue_name = {name!r} in the settings",
            )
