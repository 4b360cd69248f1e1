"""The job as a Huey task: a receiver of SIGNAL_ERROR decides what is tried again, and keeps what is given up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from skillrun.frameworks.pieces import Facts, Module, Piece, Render, Symbol

if TYPE_CHECKING:
    from skillrun.repo.python import Project

MESSAGE = "kwargs"
TESTS = "run by Huey itself in this process: retries are real, only the waiting is left out."
"""What the tests' docstring says of how they run the job."""

_TAKEN = ("id", "eta", "delay", "retries", "retry_delay", "retry_backoff", "priority", "expires", "timeout")
_OURS = ("task", "correlation_id")


def read(project: Project, facts: Facts) -> dict[str, Any]:
    """What these templates need to know beyond `Facts`: `django`, the decorators are those of huey.contrib.djhuey."""
    texts = [module.text for path in facts.use.task_modules if (module := project.module(path)) is not None]
    django = facts.app is None and any("huey.contrib.djhuey" in text for text in texts)
    return {"django": django}


def problems(facts: Facts) -> Iterator[str]:
    """What Huey cannot do of what the spec asks for, a sentence each."""
    if facts.app is None and not facts.facts["django"]:
        yield "no Huey object was found that a module could import"
    if facts.dead_letter in ("queue", "framework"):
        yield f"Huey keeps no dead letters of its own: dead_letter.kind {facts.dead_letter} is to be table or none"
    names = [field.name for field in facts.fields] if facts.message == "kwargs" else []
    for name in names:
        if name in _TAKEN or name in _OURS:
            yield f"Huey takes the argument {name} for itself: rename the field, or write message: payload"


def runs_need(facts: Facts) -> tuple[Symbol | str, ...]:
    """Nothing: Huey's own task is run."""
    return ()


def pieces(facts: Facts, render: Render) -> list[Piece]:
    """The handler, the receiver that decides about a failed attempt, and the publisher."""
    needed: list[Symbol | str] = [
        "from typing import Any", facts.conventions.logger_import, "from huey.api import Task",
        "from huey.signals import SIGNAL_ERROR", *(effect.call for effect in facts.effects), *facts.transient,
        facts.invalid,
    ]  # fmt: skip
    if facts.app is not None:
        needed.append(Symbol(facts.app.module, facts.app.name))  # by name, as tasks are written
    else:
        needed.append("from huey.contrib.djhuey import db_task, signal")
    if facts.store.kind != "receiver" or facts.dead_letter == "table":
        needed.append(Symbol(facts.store.module, "once", path=facts.store.path))
    if facts.retries.bounded and facts.retries.jitter:
        needed.append("import random")
    owner = f"{facts.app.name}." if facts.app is not None else ""
    text = render(
        "handler.py.jinja", facts, needed=needed, own=_own_waits(facts), wait=_wait(facts),
        decorator=f"{owner}task" if owner else "db_task", signal=f"{owner}signal",
        ids=[*((key, key) for key in facts.key), ("correlation_id", "correlation_id or task.id")],
        message_ids=[
            *((key, f'message.get("{key}")') for key in facts.key),
            ("correlation_id", "correlation_id"), ("reason", "error"),
        ],
        sent=[*_sent(facts), "**more"],
        publishing="Call it after the commit of what it is about: a consumer may be faster than a commit. "
        "Huey acknowledges nothing: what a killed consumer was at is lost until it is published again.",
    )  # fmt: skip
    return [Module(facts.path, text)]


def _sent(facts: Facts) -> list[str]:
    """The arguments of a call that publishes."""
    return ["payload"] if facts.message == "payload" else [f"{field.name}={field.name}" for field in facts.fields]


def _own_waits(facts: Facts) -> bool:
    """Whether Huey's own options can say the waits: they know neither a cap nor jitter."""
    retries = facts.retries
    if retries.jitter:
        return False
    grown = [retries.base_s * retries.factor**n for n in range(retries.max_attempts - 1)]
    return retries.kind in ("none", "fixed") or list(retries.delays) == grown


def _wait(facts: Facts) -> str:
    """Source of the longest wait before the next attempt, by the retries that `task` has left."""
    from skillrun.scaffold.words import seconds

    retries = facts.retries
    base = seconds(retries.base_s)
    if retries.kind != "exponential":
        return base
    grown = f"{base} * {seconds(retries.factor)} ** ({retries.max_attempts - 1} - task.retries)"
    return grown if retries.cap_s is None else f"min({seconds(retries.cap_s)}, {grown})"
