"""The job as a coroutine function for arq: it decides itself what is run again, and keeps what is
given up.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from skillrun.frameworks.arq.clock import crontab
from skillrun.frameworks.arq.settings import find_pool
from skillrun.frameworks.arq.workers import MANNER
from skillrun.frameworks.common import awaiting
from skillrun.frameworks.common.callables.scaffold import left_out
from skillrun.frameworks.common.crontab import names_hours
from skillrun.frameworks.common.handlers import longest_wait, published
from skillrun.frameworks.common.listed_writing import (
    choose_worker,
    find_list,
    is_on,
    write_option,
)
from skillrun.frameworks.pieces import Entry, Facts, Module, Piece, Render, Symbol
from skillrun.frameworks.publishing import when_to_publish

if TYPE_CHECKING:
    from skillrun.repo.python import Project

MESSAGE = "kwargs"
AWAITS = True
TESTS = (
    "enqueued and run as arq's worker runs them, by its own list of functions; Redis and the waits"
    " are left out."
)
"""What the tests' docstring says of how they run the job."""

_MADE = ("func", "cron")
_DEATHS = 5  # of a worker, before arq gives a job up and calls nobody
_EXPIRES_S = 86_400.0  # arq/constants.py, expires_extra_ms
_OURS = ("ctx", "correlation_id", "redis", "stack")
# The first parameter of enqueue_job.
_TAKEN = ("function",)
_LIMITS = (
    "arq ends a run that outlasts the worker's job_timeout, or a job that kills its worker each"
    " time, without a row."
)


def read(project: Project, facts: Facts) -> dict[str, Any]:
    """What these templates need to know beyond `Facts`.

    `worker`: whether there are settings to add the job to, `inside` where they stand in the
    handler's own module;
    `functions` and `cron_jobs`: their lists; `pool`: how the publisher comes to Redis; `publisher`:
    that function,
    where it is written; of a clock, `tick` and `due`.
    """
    worker = choose_worker(project, MANNER, facts)
    clocked = facts.trigger != "event"
    # A tick of the clock publishes too.
    made: dict[str, Any] = {
        "worker": worker is not None,
        "publishes": True,
    }
    if worker is not None:
        names = ("functions", "cron_jobs") if clocked else ("functions",)
        made |= {
            "lists": {
                name: find_list(project, worker, name, facts.module, "arq", _MADE) for name in names
            },
            "functions": write_option(worker, "functions"),
            "settings": Symbol(
                worker.module.name, write_option(worker, ""), path=worker.module.path
            ),
            "inside": worker.module.path == facts.path,
            "pool": find_pool(project, facts, worker),
            "retries": is_on(project, worker, "retry_jobs"),
        }
    return {**made, **published(facts)}


def problems(facts: Facts) -> Iterator[str]:
    """What arq cannot do of what the spec asks for, a sentence each."""
    known = facts.facts
    if not known["worker"]:
        yield (
            "no settings of an arq worker were found: write class WorkerSettings with functions and"
            " redis_settings"
        )
    elif known["inside"]:
        yield (
            f"{facts.module} holds the worker's settings, which name their functions above where a"
            f" new one is written: write handler: {facts.package or 'package'}.tasks:{facts.name}"
        )
    elif known["pool"] is None:
        yield (
            "the worker's Redis is a pool of its own that nobody else can open: give the settings"
            " redis_settings"
        )
    elif facts.retries.bounded and not known["retries"]:
        yield "the worker's retry_jobs is False: arq runs nothing again there"
    if facts.dead_letter in ("queue", "framework"):
        yield (
            f"arq keeps no dead letters of its own: dead_letter.kind {facts.dead_letter} is to be"
            " table or none"
        )
    if facts.django:
        yield (
            "skillrun's templates for arq know no Django project, whose transactions are not"
            " asyncio's"
        )
    if sum(facts.retries.delays) >= _EXPIRES_S:
        yield (
            "a job of arq expires a day after it was due, before its last retry: shorten"
            " retry.backoff"
        )
    for field in facts.fields if facts.message == "kwargs" else ():
        if field.name in _OURS or field.name in _TAKEN:
            yield (
                f"arq or the handler takes {field.name} for itself: rename the field, or write"
                " message: payload"
            )
    yield from _clock_problems(facts)


def _clock_problems(facts: Facts) -> Iterator[str]:
    if facts.trigger == "event" or _write_crontab(facts) is not None:
        return
    if facts.trigger == "cron":
        yield f"arq has no cron that means {facts.schedule!r}"
    else:
        yield (
            "arq's cron names seconds, minutes and hours: trigger.every is to divide a minute in"
            " seconds, an hour in minutes, or a day in hours"
        )


def runs_need(facts: Facts, *, case: bool) -> tuple[Symbol | str, ...]:
    """What `runs.jinja` imports beyond the handler."""
    known = facts.facts
    sent: tuple[Symbol, ...] = ()
    if known["publisher"]:
        sent = (Symbol(facts.module, known["publisher"].name),)
    ticks: tuple[Symbol | str, ...] = ()
    if facts.trigger != "event" and not case:
        ticks = (known["tick"],)
    return ("import asyncio", "import arq", _by_name(known["settings"]), *sent, *ticks)


def broker_needs(facts: Facts) -> tuple[Symbol | str, ...] | None:
    """What `over_broker.jinja` imports: the publisher, arq's own worker, and the settings."""
    known = facts.facts
    if not known["publisher"]:
        return None
    needed = (
        "import asyncio",
        "from dataclasses import replace",
        "from uuid import uuid4",
        "from arq import create_pool",
        "from arq.worker import Worker",
        "from redis.exceptions import RedisError",
    )
    sent = Symbol(facts.module, known["publisher"].name)
    return (*needed, sent, _by_name(known["settings"]), *map(_by_name, known["pool"].symbols))


def _by_name(symbol: Symbol | str) -> Symbol | str:
    """Imported by its name, not through its module."""
    if isinstance(symbol, Symbol):
        return Symbol(symbol.module, symbol.name)
    return symbol


def pieces(facts: Facts, render: Render) -> list[Piece]:
    """The handler with what ends its failures, its publisher and tick, and the worker's entries."""
    clocked = facts.trigger != "event"
    text = render(
        "handler.py.jinja",
        facts,
        needed=_list_needed(facts),
        attempts_name=_attempts_name(facts),
        wait=longest_wait(facts.retries, 'ctx["job_try"] - 1'),
        given=_list_parameters(facts),
        publisher=facts.facts["publisher"],
        pool=facts.facts["pool"],
        sent=_list_arguments(facts),
        publishing=when_to_publish(facts),
        limits=_LIMITS if facts.dead_letter == "table" else "",
        left_out=left_out(facts) if clocked else "",
        clocked=clocked,
        hours=_name_zone(facts),
        **awaiting.names(facts),
    )
    return [Module(facts.path, text), *_list_entries(facts)]


def _list_entries(facts: Facts) -> Iterator[Entry]:
    """The function in the worker's list, and the tick in its cron jobs."""
    bounded, lists = facts.retries.bounded, facts.facts["lists"]
    attempts = _attempts_name(facts) if bounded else None
    most = f"{attempts} + {_DEATHS}" if attempts else str(1 + _DEATHS)
    options = [f"max_tries={most}", *(["keep_result=0"] if facts.trigger != "event" else [])]
    yield lists["functions"].entry("func", facts.name, options, attempts)
    if facts.trigger != "event":
        yield lists["cron_jobs"].entry(
            "cron", facts.facts["tick"].name, _write_crontab(facts) or ()
        )


def _write_crontab(facts: Facts) -> list[str] | None:
    return crontab(facts.trigger, facts.schedule, facts.every_s)


def _name_zone(facts: Facts) -> str:
    """Whose hours the schedule means, where it names any."""
    if facts.trigger != "cron" or not facts.timezone or not names_hours(facts.schedule):
        return ""
    return (
        f"Its hours are those of {facts.timezone}: the timezone of the worker's settings has to"
        " say so."
    )


def _attempts_name(facts: Facts) -> str:
    return f"{facts.name.upper()}_ATTEMPTS"


def _list_needed(facts: Facts) -> list[Symbol | str]:
    needed: list[Symbol | str] = [
        "from typing import Any",
        facts.conventions.logger_import,
        *awaiting.needed(facts),
    ]
    needed += ["import asyncio"] if awaiting.blocks(facts) else []
    if facts.retries.bounded:
        needed += ["from arq import Retry", *facts.transient]
        needed += ["import random"] if facts.retries.jitter and facts.retries.kind != "none" else []
    if facts.facts["publisher"]:
        needed += ["from contextlib import AsyncExitStack", "from arq import create_pool"]
        needed += [
            "from arq.connections import ArqRedis",
            *map(_by_name, facts.facts["pool"].needed),
        ]
    if facts.trigger != "event":
        needed.append("from collections.abc import Iterable")
    return needed


def _list_parameters(facts: Facts) -> list[str]:
    """The handler's parameters: arq ends a call that lacks an argument without a record, so none
    must be given.
    """
    if facts.message == "payload":
        return ["payload: dict[str, Any]"]
    return [f"{field.name}: Any = None" for field in facts.fields]


def _list_arguments(facts: Facts) -> list[str]:
    """The arguments of enqueue_job. A tick sends what is due once more; arq leaves out an id that
    is in use.
    """
    fields = [f"{field.name}={field.name}" for field in facts.fields]
    given = ["payload"] if facts.message == "payload" else fields
    once = [f"_job_id={_job_id(facts)}"] if facts.trigger != "event" else []
    return [f'"{facts.name}"', *given, *once, "**more"]


def _job_id(facts: Facts) -> str:
    payload = facts.message == "payload"
    parts = []
    for key in facts.key:
        parts.append(f"{{payload.get('{key}')!r}}" if payload else f"{{{key}!r}}")
    return f'f"{facts.job}:{":".join(parts)}"'
