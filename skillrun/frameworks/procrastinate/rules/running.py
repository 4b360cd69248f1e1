"""Rules about how a worker finds a task and calls it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common.facts import tell
from skillrun.frameworks.common.reading import options_of, place_of
from skillrun.frameworks.interface import (
    Job,
)
from skillrun.frameworks.procrastinate.loading import loads
from skillrun.frameworks.procrastinate.retries import ANY, read_strategy
from skillrun.frameworks.procrastinate.rules.giving_up import given
from skillrun.frameworks.procrastinate.tasks import Task, read_task
from skillrun.frameworks.rulebook import rule
from skillrun.repo.places import is_plainly_test
from skillrun.repo.python import Module
from skillrun.repo.syntax import is_given
from skillrun.repo.uses import Place


def _task_of(job: Job) -> Task:
    return read_task(job.project, job.use, job.handler)


@rule(
    "procrastinate.periodic-timestamp",
    stage="handler",
    source="PeriodicDeferrer.defer_jobs in procrastinate/periodic.py",
)
def periodic_timestamp(job: Job) -> Iterator[Finding]:
    """A periodic task is called with timestamp= each time."""
    node, task = job.handler.node, _task_of(job)
    if isinstance(node, ast.ClassDef) or not task.periodics or len(job.handler.decorators) > 2:
        return
    names = {arg.arg for arg in (*node.args.args, *node.args.kwonlyargs)}
    if "timestamp" not in names and node.args.kwarg is None:
        message = (
            f"{job.handler.name} takes no timestamp, and a periodic task is given one: each run"
            " raises TypeError"
        )
        place = Place(job.handler.path, job.handler.line)
        yield tell(job, "periodic-timestamp", Severity.ERROR, place, message, "add timestamp: int")


@rule(
    "procrastinate.periodic-overlap",
    stage="idempotency",
    source="PeriodicDeferrer in procrastinate/periodic.py; django-celery-beat#331",
)
def periodic_overlap(job: Job) -> Iterator[Finding]:
    """Ticks are deferred whether the last one has ended or not."""
    task = _task_of(job)
    for periodic in task.periodics:
        given = {keyword.arg for keyword in periodic.call.keywords}
        if not given & {"lock", "queueing_lock"} and not task.options.keys() & {
            "lock",
            "queueing_lock",
        }:
            message = (
                "a tick that takes longer than its period runs beside the next one, and ticks pile"
                " up in an outage"
            )
            hint = (
                f"lock={job.handler.name!r}, and queueing_lock={job.handler.name!r} for ticks that"
                " wait"
            )
            yield tell(job, "periodic-overlap", Severity.NOTE, periodic.place, message, hint)


@rule(
    "procrastinate.shutdown-aborts",
    stage="retry",
    source="_abort_running_jobs and _process_job in procrastinate/worker.py",
)
def shutdown_aborts(job: Job) -> Iterator[Finding]:
    """After shutdown_graceful_timeout a coroutine is cancelled: unless its strategy retries that,
    it is `aborted`.
    """
    strategy = read_strategy(job.project, _task_of(job))
    taken = {
        "builtins.BaseException",
        "asyncio.CancelledError",
        "asyncio.exceptions.CancelledError",
    }
    spared = strategy.custom is not None or not strategy.exceptions or strategy.exceptions == ANY
    if not isinstance(job.handler.node, ast.AsyncFunctionDef) or taken & set(
        strategy.exceptions or ()
    ):
        return
    if strategy.tries_again and spared:
        return
    for module in job.project.modules_with("shutdown_graceful_timeout"):
        for node in module.all_nodes if not is_plainly_test(module.path) else ():
            found = given(node, "shutdown_graceful_timeout")
            if is_given(found):
                message = (
                    "a coroutine that runs longer at a shutdown is aborted, and its strategy does"
                    " not retry that"
                )
                hint = "asyncio.CancelledError in retry_exceptions, or no timeout here"
                yield tell(
                    job, "shutdown-aborts", Severity.WARNING, place_of(module, found), message, hint
                )
                return


@rule(
    "procrastinate.task-not-imported",
    stage="handler",
    rests_on="setup",
    source="App(import_paths=) in procrastinate/app.py",
)
def task_not_imported(job: Job) -> Iterator[Finding]:
    """A worker knows the tasks of the modules that it imports: any other fails with
    TaskNotFound.
    """
    task = _task_of(job)
    found = None
    if task.owner:
        found = job.project.lookup(task.owner)
    if found is None or found.module is None or found.binding is None or task.django:
        return
    app = found.binding.value
    if not isinstance(app, ast.Call) or not _makes_app(app, found.module):
        return
    paths = _read_import_paths(job, app, found.module)
    if paths is None or loads(job.project, found.module, paths, job.handler.module.path):
        return
    own = job.handler.module.name
    message = f"the worker imports this module and import_paths, and neither leads to {own}"
    hint = f'import_paths=["{own}"]: else each of its jobs fails with TaskNotFound'
    place = place_of(found.module, app)
    yield tell(job, "task-not-imported", Severity.ERROR, place, message, hint)


def _makes_app(call: ast.Call, module: Module) -> bool:
    return (module.resolve(call.func) or "").rpartition(".")[2] == "App"


def _read_import_paths(job: Job, app: ast.Call, module: Module) -> list[str] | None:
    """What an App is given; None where it cannot be read."""
    options, unread = options_of(job.project, app, module)
    if unread:
        return None
    if "import_paths" not in options:
        return []
    paths = job.project.literal(options["import_paths"], module)
    if not isinstance(paths, list | tuple) or not all(isinstance(path, str) for path in paths):
        return None
    return list(paths)
