"""The job as a Huey task: a receiver of SIGNAL_ERROR decides what is tried again, and keeps what is
given up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from skillrun.frameworks.common.callables.scaffold import left_out
from skillrun.frameworks.common.crontab import both_days, every_fields, read_fields
from skillrun.frameworks.common.handlers import longest_wait, settles
from skillrun.frameworks.common.importing import imports
from skillrun.frameworks.layout import call, source
from skillrun.frameworks.pieces import Facts, Module, Piece, Render, Symbol
from skillrun.frameworks.publishing import publishes_on_commit
from skillrun.repo.places import is_aside

if TYPE_CHECKING:
    from skillrun.repo.python import Project

MESSAGE = "kwargs"
AWAITS = False
TESTS = "run by Huey itself in this process: retries are real, only the waiting is left out."
"""What the tests' docstring says of how they run the job."""

_KINDS = ("Redis", "PriorityRedis", "RedisExpire", "PriorityRedisExpire")
_TAKEN = (
    "id",
    "eta",
    "delay",
    "retries",
    "retry_delay",
    "retry_backoff",
    "priority",
    "expires",
    "timeout",
)
_REDIS = tuple(f"{kind}{part}" for kind in _KINDS for part in ("Huey", "Storage"))
_CONSUMER = re.compile(r"huey_consumer(?:\.py)?\b(?P<rest>.*)")
# Among the arguments of a consumer, what is neither an option nor a path.
_OBJECT = re.compile(r"(?<![\w/.-])[A-Za-z_]\w*(?:[.:]\w+)+(?![\w/])")
_OURS = ("task", "correlation_id")


def read(project: Project, facts: Facts) -> dict[str, Any]:
    """What these templates need to know beyond `Facts`: `tick` and `due` of a clock, `redis`, and
    `django`.

    `redis`: the tasks go over it. `django`: the decorators are those of huey.contrib.djhuey; what
    the settings call
    HUEY may be a dict.
    """
    django = _uses_djhuey(project, facts)
    tick = Symbol(facts.module, f"tick_{facts.name}", exists=False, path=facts.path)
    return {
        "django": django,
        "tick": tick,
        "due": f"due_{facts.name}",
        "unloaded": _explain_unloaded(project, facts, django),
        "redis": any(_is_mentioned(project, name) for name in _REDIS),
    }


def _uses_djhuey(project: Project, facts: Facts) -> bool:
    for path in facts.use.task_modules:
        module = project.module(path)
        if module is not None and "huey.contrib.djhuey" in module.text:
            return True
    return False


def _is_mentioned(project: Project, word: str) -> bool:
    return not all(map(is_aside, project.tree.search(word)))


def _explain_unloaded(project: Project, facts: Facts, django: bool) -> str:
    """Why no consumer would load the handler's module; "" where one does, or where none is seen to
    be started.
    """
    if facts.path in facts.use.task_modules:
        return ""
    if django:
        if facts.module.rpartition(".")[2] == "tasks":
            return ""
        said = "run_huey loads the module tasks of each app, and no other"
        return f"{said}: write handler: {facts.package or 'app'}.tasks:{facts.name}"
    paths = _list_started(project, facts)
    if not paths or any(imports(project, path, facts.path) for path in paths):
        return ""
    known = ", ".join(map(project.import_name, facts.use.task_modules))
    return (
        f"the consumer loads {paths[0]}, which does not import {facts.module}: write a handler in"
        f" {known or 'a module that it loads'}"
    )


def _list_started(project: Project, facts: Facts) -> list[str]:
    """The files of the Huey objects that consumers are started with."""
    found = []
    for place in facts.use.evidence:
        for name in _consumer_objects(place.text):
            path = project.locate(name.rpartition(".")[0])
            if path:
                found.append(path)
    return found


def _consumer_objects(line: str) -> list[str]:
    """The Huey object that a command line starts a consumer with: "shop.tasks.huey"."""
    command = _CONSUMER.search(line)
    if command:
        return [name.replace(":", ".") for name in _OBJECT.findall(command["rest"])[:1]]
    return []


def _find_app(facts: Facts) -> Symbol | None:
    """The Huey object; None where Django's decorators stand for it."""
    if facts.of_library["django"]:
        return None
    return facts.app


def problems(facts: Facts) -> Iterator[str]:
    """What Huey cannot do of what the spec asks for, a sentence each."""
    if facts.app is None and not facts.of_library["django"]:
        yield "no Huey object was found that a module could import"
    if facts.of_library["unloaded"]:
        yield facts.of_library["unloaded"]
    if facts.dead_letter in ("queue", "framework"):
        yield (
            f"Huey keeps no dead letters of its own: dead_letter.kind {facts.dead_letter} is to be"
            " table or none"
        )
    if facts.message == "kwargs":
        for field in facts.fields:
            if field.name in _TAKEN or field.name in _OURS:
                yield (
                    f"Huey takes the argument {field.name} for itself: rename the field, or write"
                    " message: payload"
                )
    yield from _clock_problems(facts)


def _clock_problems(facts: Facts) -> Iterator[str]:
    fields = _read_fields_of_trigger(facts)
    if facts.trigger == "cron" and (fields is None or both_days(fields)):
        yield f"Huey has no crontab that means {facts.schedule!r}"
    if facts.trigger == "poller" and fields is None:
        yield (
            "Huey's clock ticks by the minute: trigger.every is to divide an hour in minutes, or a"
            " day in hours"
        )
    if facts.trigger == "cron" and facts.timezone not in (None, "UTC", "Etc/UTC"):
        yield (
            "Huey's crontab knows no time zone but UTC: write the schedule in it, not in"
            f" {facts.timezone}"
        )


def _list_needed(facts: Facts, app: Symbol | None) -> list[Symbol | str]:
    """What the module of the handler imports; `app`: the Huey object, where it is no Django's."""
    needed: list[Symbol | str] = [
        "from typing import Any",
        facts.conventions.logger_import,
        "from huey.api import Task",
        "from huey.signals import SIGNAL_ERROR",
        *(effect.call for effect in facts.effects),
        *facts.transient,
        facts.invalid,
    ]
    if publishes_on_commit(facts):
        needed += ["from django.db import transaction"]
    if app is not None:
        # By name, as tasks are written.
        needed.append(Symbol(app.module, app.name))
    else:
        needed.append("from huey.contrib.djhuey import db_task, signal")
    if facts.trigger != "event":
        needed += ["from collections.abc import Iterable", "from huey import crontab"]
        if app is None:
            needed += ["from huey.contrib.djhuey import db_periodic_task"]
    if facts.store.kind != "receiver" or facts.dead_letter == "table":
        needed.append(Symbol(facts.store.module, "once", path=facts.store.path))
    if facts.retries.bounded and facts.retries.jitter:
        needed.append("import random")
    return needed


def pieces(facts: Facts, render: Render) -> list[Piece]:
    """The handler, the receiver that decides about a failed attempt, and the publisher."""
    app = _find_app(facts)
    clocked = facts.trigger != "event"
    owner = ""
    if app is not None:
        owner = f"{app.name}."
    periodic = "db_periodic_task"
    if owner:
        periodic = f"{owner}periodic_task"
    text = render(
        "handler.py.jinja",
        facts,
        needed=_list_needed(facts, app),
        own=_own_waits(facts),
        wait=longest_wait(facts.retries, f"{facts.retries.max_attempts - 1} - task.retries"),
        decorator=f"{owner}task" if owner else "db_task",
        signal=f"{owner}signal",
        ids=[*((key, key) for key in facts.key), ("correlation_id", "correlation_id or task.id")],
        message_ids=[
            *((key, f'message.get("{key}")') for key in facts.key),
            ("correlation_id", "correlation_id"),
            ("reason", "error"),
        ],
        sent=[*_list_arguments(facts), "**more"],
        tick=call(f"@{periodic}", [_write_crontab(facts)]) if clocked else "",
        key=_write_key(facts),
        left_out=left_out(facts),
        settles=settles(facts),
        handled=[f'message["{key}"]' for key in facts.key],
        publishing=_explain_publishing(clocked=clocked),
    )
    return [Module(facts.path, text)]


def broker_needs(facts: Facts) -> tuple[Symbol | str, ...] | None:
    """What `over_broker.jinja` imports beside the handler; None where the tasks do not go over
    Redis.
    """
    if not facts.of_library["redis"]:
        return None
    beside: tuple[Symbol, ...] = ()
    if facts.enqueue.module == facts.module:
        beside = (Symbol(facts.module, facts.enqueue.name),)
    needed = ("from uuid import uuid4", "from redis.exceptions import RedisError")
    return (*needed, Symbol(facts.module, facts.name), *beside)


def runs_need(facts: Facts, *, case: bool) -> tuple[Symbol | str, ...]:
    """The module of the tick, where a clock starts the job."""
    if facts.trigger != "event" and not case:
        return (facts.of_library["tick"],)
    return ()


def _read_fields_of_trigger(facts: Facts) -> dict[str, str] | None:
    """The fields of Huey's crontab; None where it has none that means the trigger."""
    if facts.trigger == "cron":
        return read_fields(facts.schedule or "")
    return every_fields(facts.every_s or 60.0)


def _write_crontab(facts: Facts) -> str:
    """Its minute is written always: it would be any."""
    given = []
    for name, text in (_read_fields_of_trigger(facts) or {}).items():
        if text != "*" or name == "minute":
            given.append(f"{name}={source(text)}")
    return f"crontab({', '.join(given)})"


def _explain_publishing(*, clocked: bool) -> str:
    """When to call the publisher, and what Huey does not do."""
    again = "it is lost until it is published again"
    if clocked:
        again = "the next tick publishes it again"
    return (
        "Call it after the commit of what it is about: a consumer may be faster than a commit. "
        f"Huey acknowledges nothing: where a consumer is killed at its work, {again}."
    )


def _write_key(facts: Facts) -> str:
    """Source of what tells the jobs of two payloads apart."""
    parts = [f'payload.get("{name}")' for name in facts.key]
    if len(parts) == 1:
        return parts[0]
    return f"({', '.join(parts)})"


def _list_arguments(facts: Facts) -> list[str]:
    """The arguments of a call that publishes."""
    if facts.message == "payload":
        return ["payload"]
    return [f"{field.name}={field.name}" for field in facts.fields]


def _own_waits(facts: Facts) -> bool:
    """Whether Huey's own options can say the waits: they know neither a cap nor jitter."""
    retries = facts.retries
    if retries.jitter:
        return False
    grown = [retries.base_s * retries.factor**n for n in range(retries.max_attempts - 1)]
    return retries.kind in ("none", "fixed") or list(retries.delays) == grown
