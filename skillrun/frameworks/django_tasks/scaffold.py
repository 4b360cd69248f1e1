"""The job as a task of Django's: it enqueues its own retries, and keeps what is given up.

Written for django_tasks_db.DatabaseBackend, whose queue is a table: the row of a job is committed
together with what the job is about, and a retry is a row with a later `run_after`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from skillrun.frameworks.common.callables import runner
from skillrun.frameworks.common.callables.scaffold import Ticked, left_out
from skillrun.frameworks.common.handlers import keys, longest_wait, settles
from skillrun.frameworks.django_tasks.backends import (
    DEFAULT,
    MOVED,
    Backend,
    find_default_backends,
    settings,
)
from skillrun.frameworks.pieces import Facts, Module, Piece, Render, Symbol
from skillrun.frameworks.publishing import IN_TRANSACTION, when_to_publish

if TYPE_CHECKING:
    from skillrun.repo.python import Project

MESSAGE = "kwargs"
AWAITS = False
TESTS = (
    "enqueued, and run by a worker of django_tasks_db over the test database; only the waiting is"
    " left out."
)
"""What the tests' docstring says of how they run the job."""

_OURS = ("context", "timezone", "timedelta")
_LOST = "its row stays RUNNING, and nothing runs it again"


def read(project: Project, facts: Facts) -> dict[str, Any]:
    """What these templates need to know beyond `Facts`.

    `backends`: what the settings say of the backend "default"; `library`: the module that has
    `task`; `queue`: where
    it is not Django's own; `replaced`: whether some settings have another backend, which tests then
    replace; `routed`:
    the row may be in another database; `dies`: the state of a job whose worker died, and why; where
    a clock starts the
    job, the facts of its runner.
    """
    backends = find_default_backends(project, facts.use)
    clocked = {}
    if facts.trigger != "event":
        clocked = runner.read(project, facts)
    return {
        **clocked,
        "dies": ("queued", "the next tick enqueues it again") if clocked else ("lost", _LOST),
        "publishes": True,  # a tick of the clock enqueues too
        "backends": backends,
        "library": _choose_library(project, facts),
        "queue": _choose_queue(backends),
        "replaced": any(
            not one.is_database for one in find_default_backends(project, facts.use, tests=True)
        ),
        "routed": any("DATABASE_ROUTERS" in module.text for module in settings(project, facts.use)),
        "sends": _name_sender(facts),
    }


def _choose_library(project: Project, facts: Facts) -> str:
    """Django's own module, or the backport that it came from, as most of the repository's tasks
    have it.
    """
    texts = []
    for path in facts.use.task_modules:
        if (module := project.module(path)) is not None:
            texts.append(module.text)
    own = sum("from django.tasks" in text for text in texts)
    backport = sum("from django_tasks" in text for text in texts)
    if own == backport:
        if _has_backport(project):
            return "django_tasks"
        return "django.tasks"
    if own > backport:
        return "django.tasks"
    return "django_tasks"


def _has_backport(project: Project) -> bool:
    """Among the dependencies, by itself or as what the backend's extra brings along."""
    from skillrun.repo.manifests import read_manifests

    found = read_manifests(project.tree).find
    return bool(found("django-tasks")) or any(
        "compat" in one.text for one in found("django-tasks-db")
    )


def _choose_queue(backends: tuple[Backend, ...]) -> str | None:
    """The first queue of a backend that has no queue of the name "default"; None where Django's own
    will do.
    """
    for one in backends:
        queues = one.settings.get("QUEUES")
        if isinstance(queues, list | tuple) and queues and DEFAULT not in queues:
            return str(queues[0])
    return None


def _name_sender(facts: Facts) -> Symbol:
    """What enqueues the job: the publisher beside it, else the task itself."""
    if _writes_publisher(facts):
        name = facts.enqueue.name
    else:
        name = f"{facts.name}.enqueue"
    return Symbol(facts.module, name, path=facts.path)


def _writes_publisher(facts: Facts) -> bool:
    """Whether the publisher is written beside the handler."""
    return facts.enqueue.module == facts.module


def problems(facts: Facts) -> Iterator[str]:
    """What Django's tasks cannot do of what the spec asks for, a sentence each."""
    yield from _backend_problems(facts)
    if facts.dead_letter == "queue":
        yield (
            "a worker runs what is in any queue, dead letters too: dead_letter.kind is to be table,"
            " none, or framework for the FAILED rows"
        )
    for field in facts.fields:
        if field.name in _OURS:
            yield f"the handler has a use of its own for the name {field.name}: rename the field"
    if facts.trigger != "event":
        yield from runner.problems(facts)


def _backend_problems(facts: Facts) -> Iterator[str]:
    backends: tuple[Backend, ...] = facts.of_library["backends"]
    if not backends:
        yield (
            "no settings have TASKS, and without it Django runs a task in whoever enqueues it: set"
            " its default to django_tasks_db.DatabaseBackend"
        )
    elif any(one.path == MOVED for one in backends):
        yield (
            f"{MOVED} has become django_tasks_db.DatabaseBackend, of a package of its own: upgrade"
            " to that"
        )
    elif not any(one.is_database or one.path is None for one in backends):
        at = f"{backends[0].place.path}:{backends[0].place.line}"
        yield (
            f"{at}: tasks go to {backends[0].path}, and skillrun's templates know"
            " django_tasks_db.DatabaseBackend"
        )


def runs_need(facts: Facts, *, case: bool) -> tuple[Symbol | str, ...]:
    """What `runs.jinja` imports beyond the handler."""
    worker = "from django_tasks_db.management.commands.db_worker import Worker"
    needed = (
        "from django.utils import timezone",
        "from django_tasks_db.models import DBTaskResult",
        worker,
    )
    replaced: tuple[str, ...] = ()
    if facts.of_library["replaced"]:
        replaced = ("from django.test import override_settings",)
    sent = (Symbol(facts.module, facts.enqueue.name),) if _writes_publisher(facts) else ()
    ticks: list[Symbol | str] = []
    if facts.trigger != "event" and not case:
        ticks = [
            *runner.tests_need(facts, case=case),
            "from collections.abc import Callable",
            facts.of_library["sends"],
        ]
    return (*needed, *replaced, *sent, *ticks)


def broker_needs(facts: Facts) -> None:
    """The broker is the database, and a worker takes the job out of it in all tests: there is no
    other one to try.
    """


def pieces(facts: Facts, render: Render) -> list[Piece]:
    """The task with what ends its failures, its publisher, and the runner of a clock."""
    clocked = facts.trigger != "event"
    text = render(
        "handler.py.jinja",
        facts,
        needed=_list_needed(facts),
        attempts_name=f"{facts.name.upper()}_ATTEMPTS",
        options=_list_options(facts),
        given=_list_parameters(facts),
        again=_list_retry_arguments(facts),
        settles=settles(facts),
        wait=longest_wait(facts.retries, "attempt - 1"),
        publishes=_writes_publisher(facts),
        sent=_list_arguments(facts),
        limits="" if clocked else f"Where a worker dies, {_LOST}.",
        publishing=when_to_publish(facts) if facts.of_library["routed"] else IN_TRANSACTION,
        **keys(facts),
    )
    return [
        Module(facts.path, text),
        *(runner.pieces(facts, render, _describe_tick(facts)) if clocked else ()),
    ]


def _describe_tick(facts: Facts) -> Ticked:
    """The tick enqueues a row; what was given up counts as handled, or has a row that says so."""
    failed = (
        "It leaves out what is done, and what has a FAILED row: each tick would enqueue it again."
    )
    if facts.dead_letter == "framework":
        known = failed
    else:
        known = left_out(facts)
    said = f"{known} What an earlier tick enqueued may still wait: once more is safe."
    argument = "**payload"
    if facts.message == "payload":
        argument = "payload"
    return Ticked(facts.of_library["sends"], argument, "Queues", "could not be enqueued", said)


def _list_needed(facts: Facts) -> list[Symbol | str]:
    needed: list[Symbol | str] = [
        "from typing import Any",
        facts.conventions.logger_import,
        *(effect.call for effect in facts.effects),
        facts.invalid,
        f"from {facts.of_library['library']} import TaskContext, task",
    ]
    if facts.retries.bounded:
        needed += facts.transient
    if _has_waits(facts):
        needed += ["from datetime import timedelta", "from django.utils import timezone"]
        if facts.retries.jitter:
            needed += ["import random"]
    if _writes_publisher(facts) and facts.of_library["routed"]:
        needed.append("from django.db import transaction")
    if facts.store.kind != "receiver" or facts.dead_letter == "table":
        needed.append(Symbol(facts.store.module, "once", path=facts.store.path))
    return needed


def _has_waits(facts: Facts) -> bool:
    return facts.retries.bounded and facts.retries.kind != "none"


def _list_options(facts: Facts) -> list[str]:
    """The options of the decorator."""
    queue = facts.of_library["queue"]
    return [*([f'queue_name="{queue}"'] if queue else []), "takes_context=True"]


def _list_parameters(facts: Facts) -> list[str]:
    """The handler's parameters: a call that lacks an argument would end before anything is kept of
    it.
    """
    fields = [f"{field.name}: Any = None" for field in facts.fields]
    own = [
        "correlation_id: str | None = None",
        *(["attempt: int = 1"] if facts.retries.bounded else []),
    ]
    return [
        "context: TaskContext",
        *(["payload: dict[str, Any]"] if facts.message == "payload" else fields),
        *own,
    ]


def _list_retry_arguments(facts: Facts) -> list[str]:
    """The arguments of the enqueueing that is a retry: the number of the attempt goes along."""
    message = "**message"
    if facts.message == "payload":
        message = "payload"
    return [message, "correlation_id=correlation_id", "attempt=attempt + 1"]


def _list_arguments(facts: Facts) -> list[str]:
    """The arguments of the first enqueueing."""
    fields = [f"{field.name}={field.name}" for field in facts.fields]
    return [
        *(["payload"] if facts.message == "payload" else fields),
        "correlation_id=correlation_id",
    ]
