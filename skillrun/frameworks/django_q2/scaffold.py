"""The job as a function for Django Q2: it schedules itself again where an error may pass, and keeps what is given up.

Django Q2's own retry takes every error for one that may pass, always after the same wait, and counts by a setting of
the whole cluster. So each message says `ack_failure`, and what is run again is the handler's to say.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from skillrun.frameworks.django_q2.cluster import read_cluster
from skillrun.frameworks.django_q2.sites import OPTIONS, SCHEDULE_OPTIONS
from skillrun.frameworks.layout import seconds
from skillrun.frameworks.pieces import Facts, Module, Piece, Render, Symbol
from skillrun.frameworks.publishing import when_to_publish

if TYPE_CHECKING:
    from skillrun.repo.python import Project

MESSAGE = "kwargs"
AWAITS = False
TESTS = "worked on by Django Q2's own scheduler, worker and monitor; the queue and the waits are left out."
"""What the tests' docstring says of how they run the job."""

_NO_CLUSTER = "the settings have no Q_CLUSTER: name there the broker that the jobs go over"
_NO_DJANGO = "Django Q2 lives in a Django project, and no settings with INSTALLED_APPS were found"
_GIVEN_BACK = "After the death of a worker it comes again when the cluster's retry is over, each time."
_POPPED = "The cluster's broker gives nothing back: a worker that dies takes the job with it."


def read(project: Project, facts: Facts) -> dict[str, Any]:
    """What these templates need to know beyond `Facts`: `broker` of Q_CLUSTER, and the function that queues the job."""
    cluster = read_cluster(project, facts.use)
    return {
        "cluster": cluster.place is not None,
        "broker": cluster.broker,
        # What is run again is said where it is queued: this function is always written beside the handler.
        "enqueue": facts.enqueue.name if facts.enqueue.module == facts.module else f"enqueue_{facts.name}",
    }


def problems(facts: Facts) -> Iterator[str]:
    """What Django Q2 cannot do of what the spec asks for, a sentence each."""
    if not facts.django:
        yield _NO_DJANGO
    elif not facts.facts["cluster"]:
        yield _NO_CLUSTER
    if facts.dead_letter == "queue":
        yield "Django Q2 has no queue of dead letters: dead_letter.kind queue is to be table, framework or none"
    for field in facts.fields if facts.message == "kwargs" else ():
        if field.name in OPTIONS | SCHEDULE_OPTIONS:
            yield f"Django Q2 takes {field.name} for itself: rename the field, or write message: payload"
    if facts.trigger != "event":
        yield "skillrun's templates for Django Q2 know events alone"


def runs_need(facts: Facts, *, case: bool) -> tuple[Symbol | str, ...]:
    """What `runs.jinja` imports beyond the handler."""
    return (
        "from datetime import timedelta", "from multiprocessing import Value", "from pydoc import locate",
        "from queue import SimpleQueue", "from unittest.mock import patch", "from django.utils import timezone",
        "from django_q.brokers import Broker", "from django_q.models import Schedule",
        "from django_q.monitor import monitor", "from django_q.scheduler import scheduler",
        "from django_q.signing import SignedPackage", "from django_q.worker import worker",
        Symbol(facts.module, facts.facts["enqueue"]),
    )  # fmt: skip


def broker_needs(facts: Facts) -> None:
    """The broker is the application's own database."""


def pieces(facts: Facts, render: Render) -> list[Piece]:
    """The handler with what ends its failures, and its publisher."""
    raises = facts.dead_letter != "table"  # a failed Task is what is left then
    limits = _GIVEN_BACK if facts.facts["broker"] != "redis" else _POPPED
    text = render(
        "handler.py.jinja", facts, needed=_needed(facts), attempts_name=f"{facts.name.upper()}_ATTEMPTS",
        given=_given(facts), sent=_sent(facts), wait=_wait(facts), raises=raises, limits=limits,
        publishing=when_to_publish(facts),
        ids=[*((key, key) for key in facts.key), ("correlation_id", "correlation_id")],
        message_ids=[*((key, f'message.get("{key}")') for key in facts.key), ("correlation_id", "correlation_id")],
    )  # fmt: skip
    return [Module(facts.path, text)]


def _needed(facts: Facts) -> list[Symbol | str]:
    needed: list[Symbol | str] = [
        "from typing import Any", "import uuid", facts.conventions.logger_import, "from django.db import transaction",
        "from django_q.tasks import async_task", *(effect.call for effect in facts.effects), facts.invalid,
    ]  # fmt: skip
    if facts.retries.bounded:
        needed += ["from django_q.tasks import schedule", *facts.transient]
        if facts.retries.kind != "none":
            needed += ["from datetime import timedelta", "from django.utils import timezone"]
            needed += ["import random"] if facts.retries.jitter else []
    if facts.store.kind != "receiver" or facts.dead_letter == "table":
        needed.append(Symbol(facts.store.module, "once", path=facts.store.path))
    return needed


def _given(facts: Facts) -> list[str]:
    """The handler's parameters: a call that lacks one would be given up without a record, so none must be given."""
    fields = ["payload: Any"] if facts.message == "payload" else [f"{field.name}: Any" for field in facts.fields]
    counted = ["attempt: int = 1"] if facts.retries.bounded else []
    return [*(f"{field} = None" for field in fields), *counted, "correlation_id: str | None = None"]


def _sent(facts: Facts) -> list[str]:
    """What `async_task` and `schedule` are given of a message."""
    fields = [f"{field.name}={field.name}" for field in facts.fields]
    given = ["payload"] if facts.message == "payload" else fields
    return [f'"{facts.module}.{facts.name}"', *given]


def _wait(facts: Facts) -> str:
    """Source of the longest wait before the next attempt, by the number of this one."""
    retries = facts.retries
    base = seconds(retries.base_s)
    if retries.kind != "exponential":
        return base
    grown = f"{base} * {seconds(retries.factor)} ** (attempt - 1)"
    return grown if retries.cap_s is None else f"min({seconds(retries.cap_s)}, {grown})"
