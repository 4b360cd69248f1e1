"""The job as a Celery task: retries and acknowledgement by the task's own options, the dead letter
by a signal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from skillrun.frameworks.celery import beat
from skillrun.frameworks.celery.loading import find_loading
from skillrun.frameworks.common.handlers import longest_wait
from skillrun.frameworks.deaths import lost_with_its_worker
from skillrun.frameworks.layout import source
from skillrun.frameworks.pieces import Entry, Facts, Module, Piece, Render, Symbol
from skillrun.frameworks.publishing import publishes_on_commit, when_to_publish

if TYPE_CHECKING:
    from skillrun.repo.python import Project

MESSAGE = "kwargs"
AWAITS = False
_PROPAGATES = (
    *("task_eager_propagates", "TASK_EAGER_PROPAGATES", "CELERY_TASK_EAGER_PROPAGATES"),
    *("CELERY_EAGER_PROPAGATES", "CELERY_EAGER_PROPAGATES_EXCEPTIONS"),
)
TESTS = (
    "run by Celery's own tracer in this process: retries are real, only the waiting is left out."
)
"""What the tests' docstring says of how they run the job."""


def read(project: Project, facts: Facts) -> dict[str, Any]:
    """What these templates need to know beyond `Facts`.

    `shared`: the repository's tasks are `@shared_task`; `propagates`: somewhere a task that is run
    at once raises.
    """
    texts = []
    for path in facts.use.task_modules:
        if (module := project.module(path)) is not None:
            texts.append(module.text)
    shared = sum(text.count("@shared_task") for text in texts)
    return {
        "shared": (
            facts.app is None
            or shared > sum(text.count(f"@{facts.app.name}.task") for text in texts)
        ),
        "own_task": _has_own_task(project, facts),
        "propagates": any(any(project.modules_with(word)) for word in _PROPAGATES),
        "due": f"due_{facts.name}",
        "loading": find_loading(project, facts),
        "publishes": True,  # a tick of the clock publishes too
        "beat": beat.find_schedule(project, facts) if facts.trigger != "event" else None,
    }


def _has_own_task(project: Project, facts: Facts) -> bool:
    """Whether the app runs its tasks by a class of its own, e.g. within the context of a Flask
    app.
    """
    module = None
    if facts.app:
        module = project.module(facts.app.path)
    return module is not None and re.search(r"\btask_cls\s*=|\.Task = ", module.text) is not None


def problems(facts: Facts) -> Iterator[str]:
    """What Celery cannot do of what the spec asks for, a sentence each."""
    if facts.dead_letter == "framework":
        yield (
            "Celery keeps no dead letters of its own: dead_letter.kind framework is to be table,"
            " queue or none"
        )
    if facts.trigger != "event":
        yield from beat.problems(facts)
    if "self" in {field.name for field in facts.fields}:
        yield "a task has a use of its own for the name self: rename the field"
    yield from lost_with_its_worker(facts)


def runs_need(facts: Facts, *, case: bool) -> tuple[Symbol | str, ...]:
    """A task runs itself; what a clock starts is tried in its module."""
    ticks = facts.trigger != "event" and not case
    if not ticks:
        return ()
    return (Symbol(facts.module, facts.name, path=facts.path),)


def broker_needs(facts: Facts) -> tuple[Symbol | str, ...]:
    """What `over_broker.jinja` imports beside the handler."""
    beside: tuple[Symbol, ...] = ()
    if facts.enqueue.module == facts.module:
        beside = (Symbol(facts.module, facts.enqueue.name),)
    return (
        "import time",
        "from functools import partial",
        "from uuid import uuid4",
        "from celery.contrib.testing.worker import start_worker",
        "from kombu.exceptions import OperationalError",
        Symbol(facts.module, facts.name),
        *beside,
    )


def pieces(facts: Facts, render: Render) -> list[Piece]:
    """The handler with its retries, its dead letter and its publisher, and the beat entry of a
    schedule.
    """
    shared = facts.of_library["shared"]
    base = "Task"
    if facts.app and not shared and facts.of_library["own_task"]:
        base = f"{facts.app.name}.Task"
    needed = [*_list_needed(facts)]
    if base == "Task":
        needed.append("from celery import Task")
    text = render(
        "handler.py.jinja",
        facts,
        needed=needed,
        base=base,
        auto=_fits_own_options(facts),
        wait=longest_wait(facts.retries, "self.request.retries"),
        attempt=facts.retries.bounded and not _fits_own_options(facts),
        decorator="shared_task" if shared or facts.app is None else f"{facts.app.name}.task",
        ids=[*((key, key) for key in facts.key), ("correlation_id", "self.correlation_id()")],
        publishing=when_to_publish(facts),
        tick=f"tick_{facts.name}",
        message_ids=[(key, f'message.get("{key}")') for key in facts.key],
    )
    pieces: list[Piece] = [Module(facts.path, text)]
    if facts.trigger != "event":
        pieces.append(beat.entry(facts, f"{facts.module}.tick_{facts.name}"))
    return [*pieces, *_load_module(facts)]


def _list_needed(facts: Facts) -> Iterator[Symbol | str]:
    """What the handler's module imports, whatever its base class is."""
    yield from ("from collections.abc import Sequence", "from typing import Any")
    yield facts.conventions.logger_import
    yield "from celery.signals import task_failure"
    for effect in facts.effects:
        yield effect.call
    yield from (*facts.transient, facts.invalid)
    if publishes_on_commit(facts):
        yield "from django.db import transaction"
    if facts.trigger != "event":
        yield "from collections.abc import Iterable"
    if facts.retries.bounded and facts.retries.jitter and not _fits_own_options(facts):
        yield "import random"
    if facts.of_library["shared"]:
        yield "from celery import shared_task"
    elif facts.app is not None:
        # By name, as tasks are written.
        yield Symbol(facts.app.module, facts.app.name)
    if facts.store.kind != "receiver" or facts.dead_letter == "table":
        yield Symbol(facts.store.module, "once", path=facts.store.path)


def _load_module(facts: Facts) -> list[Piece]:
    """A module of its own is named where the app names the modules that a worker loads."""
    if facts.of_library["loading"] is None:
        return []
    path, target = facts.of_library["loading"]
    return [Entry(path, target, source(facts.module))]


def _fits_own_options(facts: Facts) -> bool:
    """Whether Celery's own options can say the waits: whole seconds that double."""
    retries = facts.retries
    whole = float(retries.base_s).is_integer() and retries.base_s > 0
    return retries.kind == "exponential" and whole and retries.factor == 2
