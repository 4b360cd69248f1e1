"""The job as a function for Django Q2: it schedules itself again where an error may pass, and keeps
what is given up.

Django Q2's own retry takes every error for one that may pass, always after the same wait, and
counts by a setting of the whole cluster. So each message says `ack_failure`, and what is run again
is the handler's to say.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from skillrun.frameworks.common.callables.scaffold import given_up, left_out
from skillrun.frameworks.common.crontab import names_hours, read_fields
from skillrun.frameworks.common.handlers import keys, longest_wait, settles
from skillrun.frameworks.django_q2.cluster import read_cluster
from skillrun.frameworks.django_q2.sends import OPTIONS, SCHEDULE_OPTIONS
from skillrun.frameworks.pieces import Facts, Module, NewFile, Piece, Render, Symbol
from skillrun.frameworks.publishing import IN_TRANSACTION, when_to_publish
from skillrun.repo.manifests import read_manifests
from skillrun.repo.python import is_known

if TYPE_CHECKING:
    from skillrun.repo.python import Project

MESSAGE = "kwargs"
AWAITS = False
TESTS = (
    "worked on by Django Q2's own scheduler, worker and monitor; the queue and the waits are left"
    " out."
)
"""What the tests' docstring says of how they run the job."""

_NO_CLUSTER = "the settings have no Q_CLUSTER: name there the broker that the jobs go over"
_NO_DJANGO = "Django Q2 lives in a Django project, and no settings with INSTALLED_APPS were found"
# Names that the handler's module has for itself.
_USED = {"async_task", "more", "schedule", "timedelta", "timezone", "transaction", "uuid"}
_UNBOUNDED = (
    "a failed task that the admin queues again would be run for ever: Q_CLUSTER is to have"
    " max_attempts, or dead_letter.kind is to be table, which leaves no failed task"
)
# `Schedule.minutes` is a SmallInteger.
_MOST_MINUTES = 32_768
_LOOKS = "A wait ends when the cluster's scheduler looks, which it does every 30 s."
_GIVEN_BACK = (
    "After the death of a worker it comes again when the cluster's retry is over, each time."
)
_POPPED = "The cluster's broker gives nothing back: a worker that dies takes the job with it."


def read(project: Project, facts: Facts) -> dict[str, Any]:
    """What these templates need to know beyond `Facts`.

    - `cluster`: whether there is a Q_CLUSTER, and `broker`, its broker
    - `sync`: whether its jobs may run where they are queued, as in development; the tests have them
      queued
    - `within`: a job's row is one of the application's own database, and so of the open transaction
    - `bounded`: whether the cluster ends at some time what fails without `ack_failure`, as the
      admin queues it again
    - `enqueue`: the function that queues the job
    - of a clock: `tick` and `due`, and whether `croniter`, which Django Q2 reads cron expressions
      with, is installed
    """
    cluster = read_cluster(project, facts.use)
    is_bounded = cluster.broker == "redis"
    for name in ("max_attempts", "ack_failures"):
        bound = cluster.value(name)
        if not is_known(bound) or bound:
            is_bounded = True
    is_default_database = cluster.broker == "orm" and cluster.value("orm") == "default"
    # What is run again is said where it is queued: this function is always written beside the
    # handler.
    enqueue = f"enqueue_{facts.name}"
    if facts.enqueue.module == facts.module:
        enqueue = facts.enqueue.name
    known: dict[str, Any] = {
        "cluster": cluster.place is not None,
        "broker": cluster.broker,
        "sync": cluster.value("sync") is not False,
        "within": is_default_database and not _is_routed(project),
        "bounded": is_bounded,
        "enqueue": enqueue,
        "publishes": True,  # a tick of the clock publishes too
    }
    if facts.trigger != "event":
        known["croniter"] = _has_croniter(project)
        known["tick"] = Symbol(facts.module, f"tick_{facts.name}", exists=False, path=facts.path)
        known["due"] = f"due_{facts.name}"
    return known


def _has_croniter(project: Project) -> bool:
    """Whether the repository depends on croniter, or on `django-q2[croniter]`."""
    for dependency in read_manifests(project.tree).find("croniter", "django-q2", "django-q"):
        if dependency.name == "croniter" or "croniter" in dependency.extras:
            return True
    return False


def _is_routed(project: Project) -> bool:
    """Whether settings send some models to another database."""
    return any("DATABASE_ROUTERS" in module.text for module in project.settings_modules())


def problems(facts: Facts) -> Iterator[str]:
    """What Django Q2 cannot do of what the spec asks for, a sentence each."""
    if not facts.django:
        yield _NO_DJANGO
    elif not facts.of_library["cluster"]:
        yield _NO_CLUSTER
    elif facts.dead_letter != "table" and not facts.of_library["bounded"]:
        yield _UNBOUNDED
    if facts.dead_letter == "queue":
        yield (
            "Django Q2 has no queue of dead letters: dead_letter.kind queue is to be table,"
            " framework or none"
        )
    if facts.message == "kwargs":
        for field in facts.fields:
            if field.name in OPTIONS | SCHEDULE_OPTIONS:
                yield (
                    f"Django Q2 takes {field.name} for itself: rename the field, or write message:"
                    " payload"
                )
    for name in sorted({field.name for field in facts.fields} & _USED):
        yield f"the handler has a use of its own for the name {name}: rename the field"
    yield from _clock_problems(facts)


def _clock_problems(facts: Facts) -> Iterator[str]:
    """What Django Q2's clock cannot do of the spec's."""
    if facts.trigger == "cron" and read_fields(facts.schedule or "") is None:
        yield f"Django Q2 has no cron expression that means {facts.schedule!r}"
    if facts.trigger == "cron" and not facts.of_library["croniter"]:
        yield "Django Q2 reads no cron expression without croniter: depend on django-q2[croniter]"
    if facts.trigger == "poller" and _whole_minutes(facts) is None:
        yield "Django Q2's clock ticks by the minute: trigger.every is to be whole minutes"


def _whole_minutes(facts: Facts) -> int | None:
    """Between two ticks of a poller; None where they are no whole minutes that a SmallInteger
    holds.
    """
    minutes = (facts.every_s or 60.0) / 60
    if minutes.is_integer() and 0 < minutes < _MOST_MINUTES:
        return int(minutes)
    return None


def runs_need(facts: Facts, *, case: bool) -> tuple[Symbol | str, ...]:
    """What `runs.jinja` imports beyond the handler."""
    ticks: tuple[Symbol, ...] = ()
    if facts.trigger != "event":
        ticks = (facts.of_library["tick"],)
    return (
        "from datetime import timedelta",
        "from multiprocessing import Value",
        "from pydoc import locate",
        "from queue import SimpleQueue",
        "from unittest.mock import patch",
        "from django.utils import timezone",
        "from django_q.brokers import Broker",
        "from django_q.models import Schedule",
        "from django_q.cluster import monitor, scheduler, worker",
        "from django_q.signing import SignedPackage",
        Symbol(facts.module, facts.of_library["enqueue"]),
        *ticks,
    )


def broker_needs(facts: Facts) -> tuple[Symbol | str, ...] | None:
    """What `over_broker.jinja` imports; None where the broker is not Redis but the application's
    own database.
    """
    if facts.of_library["broker"] != "redis":
        return None
    conf: tuple[str, ...] = ()
    if facts.of_library["sync"]:
        conf = ("from django_q.conf import Conf",)
    return (
        "from multiprocessing import Value",
        "from queue import SimpleQueue",
        "from threading import Event",
        "from unittest.mock import patch",
        "from uuid import uuid4",
        "from django_q.brokers import get_broker",
        "from django_q.cluster import monitor, pusher, worker",
        "from redis.exceptions import RedisError",
        *conf,
        Symbol(facts.module, facts.of_library["enqueue"]),
    )


def pieces(facts: Facts, render: Render) -> list[Piece]:
    """The handler with what ends its failures, its publisher and tick, and the migration that
    schedules that.
    """
    clocked = facts.trigger != "event"
    limits = _GIVEN_BACK
    if facts.of_library["broker"] == "redis":
        limits = _POPPED
    if facts.retries.bounded:
        limits = f"{_LOOKS} {limits}"
    publishing = when_to_publish(facts)
    if facts.of_library["within"]:
        publishing = IN_TRANSACTION
    left_out_words = ""
    if clocked:
        left_out_words = _left_out(facts)
    text = render(
        "handler.py.jinja",
        facts,
        needed=_list_needed(facts),
        attempts_name=f"{facts.name.upper()}_ATTEMPTS",
        given=_list_parameters(facts),
        sent=_list_arguments(facts),
        # What is given up leaves a failed Task, unless a table keeps it.
        raises=facts.dead_letter != "table",
        limits=limits,
        clocked=clocked,
        wait=longest_wait(facts.retries, "attempt - 1"),
        publishing=publishing,
        settles=settles(facts),
        left_out=left_out_words,
        **keys(facts),
    )
    written: list[Piece] = [Module(facts.path, text)]
    if clocked:
        written += _write_schedule(facts, render)
    return written


def _write_schedule(facts: Facts, render: Render) -> Iterator[Piece]:
    """The migration that adds the row of Schedule; nothing where it is there."""
    migration = facts.store.extras["schedule"]
    if migration is None:
        return
    for path in migration.packages:
        yield NewFile(path, "")
    needed = ["from typing import Any", "from django.db import migrations"]
    if facts.trigger == "cron":
        needed += ["from datetime import datetime", "from croniter import croniter"]
        needed += ["from django_q.utils import localtime"]
    text = render(
        "schedule.py.jinja",
        facts,
        needed=needed,
        migration=migration,
        minutes=_whole_minutes(facts),
        hours=_name_zone(facts),
    )
    yield NewFile(migration.path, text)


def _name_zone(facts: Facts) -> str:
    """Whose hours the schedule means, where it names any."""
    if facts.trigger != "cron" or not facts.timezone or not names_hours(facts.schedule):
        return ""
    return f"Its hours are those of {facts.timezone}: TIME_ZONE of the settings has to say so."


def _left_out(facts: Facts) -> str:
    """What `due` need not list, and what becomes of what it lists twice."""
    leaves = left_out(facts)
    if not settles(facts):
        ended = given_up(facts)
        if facts.dead_letter == "framework":
            ended = "has a failed Task"
        leaves = f"It leaves out what is done, and what {ended}: each tick would queue it again."
    return (
        f"{leaves} What an earlier tick has queued may be under way: queued again, it is done once."
    )


def _list_needed(facts: Facts) -> list[Symbol | str]:
    """What the handler's module imports."""
    needed: list[Symbol | str] = [
        "from typing import Any",
        "import uuid",
        facts.conventions.logger_import,
        "from django_q.tasks import async_task",
        *(effect.call for effect in facts.effects),
        facts.invalid,
    ]
    if not facts.of_library["within"]:
        needed.append("from django.db import transaction")
    if facts.retries.bounded:
        needed += ["from django_q.tasks import schedule", *facts.transient]
        if facts.retries.kind != "none":
            needed += ["from datetime import timedelta", "from django.utils import timezone"]
            if facts.retries.jitter:
                needed += ["import random"]
    if facts.trigger != "event":
        needed.append("from collections.abc import Iterable")
    if facts.store.kind != "receiver" or facts.dead_letter == "table":
        needed.append(Symbol(facts.store.module, "once", path=facts.store.path))
    return needed


def _list_parameters(facts: Facts) -> list[str]:
    """The handler's parameters: a call that lacks one would be given up without a record, so none
    must be given.
    """
    names = [field.name for field in facts.fields]
    if facts.message == "payload":
        names = ["payload"]
    parameters = [f"{name}: Any = None" for name in names]
    if facts.retries.bounded:
        parameters.append("attempt: int = 1")
    return [*parameters, "correlation_id: str | None = None"]


def _list_arguments(facts: Facts) -> list[str]:
    """What `async_task` and `schedule` are given of a message."""
    arguments = [f"{field.name}={field.name}" for field in facts.fields]
    if facts.message == "payload":
        arguments = ["payload"]
    return [f'"{facts.module}.{facts.name}"', *arguments]
