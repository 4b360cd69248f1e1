"""Rules about how a task is run: dead workers, backends without a worker, queues, the context."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common.facts import at, tell
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.django_tasks.backends import find_backends
from skillrun.frameworks.django_tasks.sends import find_real_enqueues, find_sends
from skillrun.frameworks.django_tasks.tasks import read_task
from skillrun.frameworks.interface import (
    Job,
)
from skillrun.frameworks.rulebook import rule
from skillrun.repo.places import is_plainly_test
from skillrun.repo.uses import Place

_LOOKS_AT_ROWS = re.compile(rb"DBTaskResult|django_tasks_d")
_RUNNING = re.compile(rb"\bRUNNING\b|\.running\(\)")
_WORKER = "db_worker"
_QUEUES = re.compile(r"--queue-name[=\s,\"']+(?P<names>[^\s\"']+)")


@rule(
    "django-tasks.lost-on-kill",
    stage="retry",
    source=(
        "RealOrangeOne/django-tasks#46; Worker.run in"
        " django_tasks_db/management/commands/db_worker.py"
    ),
)
def lost_on_kill(job: Job) -> Iterator[Finding]:
    """The row of a worker that dies stays RUNNING, and no worker looks at it again: the job is
    lost.
    """
    trigger = None
    if job.spec.trigger:
        trigger = job.spec.trigger.type
    once = (
        all(effect.guarantee == "at_most_once" for effect in job.spec.effects or ())
        and job.spec.effects
    )
    if trigger in ("cron", "poller") or once or _found_again(job) or _is_swept(job):
        return
    message = (
        "the row of a worker that dies while it runs this job stays RUNNING for ever: the job is"
        " lost"
    )
    hint = (
        "keep what is due in a table, and let a scheduled command enqueue again what was not done"
        " in time"
    )
    place = at(job, read_task(job.project, job.handler).registered)
    yield tell(job, "lost-on-kill", Severity.WARNING, place, message, hint)


def _found_again(job: Job) -> bool:
    """Something enqueues it by the clock too."""
    sends = find_sends(job.project, job.use, job.handler)
    return any(send.kind == "schedule" for send in sends)


def _is_swept(job: Job) -> bool:
    """Code of the repository looks at RUNNING rows."""
    for module in job.project.modules_with("DBTaskResult"):
        text = "\n".join(module.lines).encode()
        if (
            not is_plainly_test(module.path)
            and _LOOKS_AT_ROWS.search(text)
            and _RUNNING.search(text)
        ):
            return True
    return False


@rule(
    "django-tasks.no-worker",
    stage="handler",
    rests_on="setup",
    source=(
        "django/tasks/backends/immediate.py and dummy.py; Task backends in Django's documentation"
    ),
)
def no_worker(job: Job) -> Iterator[Finding]:
    """ImmediateBackend, the default, runs a task in whoever enqueues it; DummyBackend never runs
    it.

    Every settings module has a backend that no worker reads.
    """
    backends = find_backends(job.project, job.use, read_task(job.project, job.handler))
    if not backends or not all(
        one.kind in ("ImmediateBackend", "DummyBackend") for one in backends
    ):
        return
    for one in backends[:1]:
        does = "never runs it"
        if one.kind == "ImmediateBackend":
            does = "runs it where it is enqueued"
        message = f"{one.kind} {does}: there is no worker, and a failure has nobody to look at it"
        hint = (
            'TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}, and manage.py'
            " db_worker"
        )
        yield tell(job, "no-worker", Severity.ERROR, one.place, message, hint)


@rule(
    "django-tasks.enqueue-on-commit",
    stage="handler",
    source="BaseTaskBackend.__init__ in django/tasks/backends/base.py",
)
def enqueue_on_commit(job: Job) -> Iterator[Finding]:
    """ENQUEUE_ON_COMMIT was a setting of django-tasks before 0.12: newer ones, and Django, do not
    read it.
    """
    for one in find_backends(job.project, job.use, read_task(job.project, job.handler)):
        if "ENQUEUE_ON_COMMIT" in one.settings:
            message = (
                "ENQUEUE_ON_COMMIT is not read since django-tasks 0.12, nor by Django: a task is"
                " enqueued at once"
            )
            hint = (
                "transaction.on_commit(partial(ship.enqueue, ...)); with the database backend the"
                " row waits by itself"
            )
            yield tell(job, "enqueue-on-commit", Severity.WARNING, one.place, message, hint)


def _list_queues(job: Job) -> Iterator[tuple[str, Place]]:
    """(queue, where it is said), of the task and of `using(queue_name=...)`."""
    task = read_task(job.project, job.handler)
    node = task.options.get("queue_name")
    if node is not None:
        name = job.project.literal(node, task.handler.module)
        if isinstance(name, str):
            yield name, place_of(task.handler.module, node)
    for send in find_real_enqueues(job.project, task):
        said = send.option("queue_name")
        value = None
        if said is not None:
            value = job.project.literal(*said)
        if isinstance(value, str):
            yield value, send.place


@rule(
    "django-tasks.unknown-queue",
    stage="handler",
    rests_on="setup",
    source="BaseTaskBackend.validate_task in django/tasks/backends/base.py",
)
def unknown_queue(job: Job) -> Iterator[Finding]:
    """A queue that the backend's QUEUES do not name raises InvalidTask, when the module is imported
    already.
    """
    backends = find_backends(job.project, job.use, read_task(job.project, job.handler))
    for name, place in _list_queues(job):
        for one in backends:
            if one.path is not None:
                known = one.settings.get("QUEUES", ["default"])
            else:
                known = []
            if isinstance(known, list | tuple) and known and name not in known:
                message = (
                    f"the queue {name} is none of the backend's ({', '.join(map(str, known))}):"
                    " InvalidTask"
                )
                hint = f'"QUEUES": [..., "{name}"] in TASKS; [] lets any name through'
                yield tell(job, "unknown-queue", Severity.ERROR, place, message, hint)
                break


@rule(
    "django-tasks.unread-queue",
    stage="handler",
    source="add_arguments in django_tasks_db/management/commands/db_worker.py",
)
def unread_queue(job: Job) -> Iterator[Finding]:
    """db_worker reads the queue default alone, unless --queue-name says more.

    No worker that is started here reads it.
    """
    starts = [place for place in job.use.evidence if _WORKER in place.text]
    read = {name for place in starts for name in _read_by(place.text)}
    for name, place in _list_queues(job):
        if starts and name not in read and "*" not in read:
            message = (
                f"the queue {name} is read by no db_worker that is started here"
                f" ({', '.join(sorted(read))})"
            )
            hint = f"--queue-name default,{name}, or '*'"
            yield tell(job, "unread-queue", Severity.WARNING, place, message, hint)


def _read_by(command: str) -> list[str]:
    found = _QUEUES.search(command)
    if found:
        return found["names"].split(",")
    return ["default"]


@rule(
    "django-tasks.context-first",
    stage="handler",
    source="BaseTaskBackend.validate_task in django/tasks/backends/base.py",
)
def context_first(job: Job) -> Iterator[Finding]:
    """takes_context wants a first parameter with the name context; without it nobody gives one."""
    task, node = read_task(job.project, job.handler), job.handler.node
    if task.registered is None or isinstance(node, ast.ClassDef):
        return
    # Below another decorator the parameters are that one's.
    own = len(node.decorator_list) <= 1
    first = next((arg.arg for arg in (*node.args.posonlyargs, *node.args.args)), None)
    takes = "takes_context" in task.options
    if takes and task.is_on(job.project, "takes_context") and first != "context" and own:
        message = (
            "takes_context wants the first parameter to be named context: InvalidTask when it is"
            " imported"
        )
        hint = f"def {job.handler.name}(context, ...)"
        yield tell(job, "context-first", Severity.ERROR, task.registered, message, hint)
    elif not takes and first == "context" and own and not node.args.defaults:
        message = (
            "nobody gives the context: without takes_context=True each run fails with TypeError"
        )
        yield tell(
            job,
            "context-first",
            Severity.ERROR,
            task.registered,
            message,
            "@task(takes_context=True)",
        )
