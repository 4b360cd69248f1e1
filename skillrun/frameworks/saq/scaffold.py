"""The job as a coroutine function for SAQ: it decides itself what is run again and when, and keeps
what is given up.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from skillrun.frameworks.common import awaiting
from skillrun.frameworks.common.callables.scaffold import left_out
from skillrun.frameworks.common.crontab import names_hours
from skillrun.frameworks.common.handlers import longest_wait, published
from skillrun.frameworks.common.listed_writing import (
    choose_worker,
    find_list,
    leads_back,
    name_owner,
    write_found,
    write_option,
)
from skillrun.frameworks.pieces import Entry, Facts, Module, Piece, Render, Symbol
from skillrun.frameworks.publishing import when_to_publish
from skillrun.frameworks.saq.sends import JOB_FIELDS
from skillrun.frameworks.saq.workers import MANNER

if TYPE_CHECKING:
    from skillrun.frameworks.common.listed import Worker
    from skillrun.repo.python import Project

MESSAGE = "kwargs"
AWAITS = True
TESTS = (
    "enqueued and run as SAQ's worker runs them, by its own list of functions; Redis and the waits"
    " are left out."
)
"""What the tests' docstring says of how they run the job."""

_DEATHS = 5  # of a worker, before SAQ gives a job up and calls nobody
_OURS = frozenset({"ctx", "correlation_id", "target"})
_LIMITS = (
    "SAQ ends a job whose last run outlasts its timeout, or that kills its worker each time,"
    " without a row."
)


def read(project: Project, facts: Facts) -> dict[str, Any]:
    """What these templates need to know beyond `Facts`.

    `worker`: whether there are settings to add the job to, `inside` where they stand in the
    handler's own module; `lists`: their lists; `functions`: the expression of one; `queue`: that of
    the queue, with what is imported for it at the top or `within` the publisher; `publisher`: that
    function, where it is written; of a clock, `tick` and `due`.
    """
    worker = choose_worker(project, MANNER, facts)
    made: dict[str, Any] = {"worker": worker is not None, "publishes": True}
    if worker is not None:
        names = ("functions", "cron_jobs") if facts.trigger != "event" else ("functions",)
        lists = {
            name: find_list(project, worker, name, facts.module, "saq", ("CronJob",))
            for name in names
        }
        made |= {
            "lists": lists,
            "functions": write_option(worker, "functions"),
            "settings": Symbol(worker.module.name, write_option(worker, "")),
            "inside": worker.module.path == facts.path,
            **_find_queue(project, facts, worker),
        }
    return {**made, **published(facts)}


def _find_queue(project: Project, facts: Facts, worker: Worker) -> dict[str, Any]:
    """How the handler's module comes to the worker's queue."""
    found = worker.option("queue")
    own = Symbol(worker.module.name, name_owner(worker) or "", path=worker.module.path)
    if found is None:
        return {"queue": None}
    text, symbol = write_found(project, worker, found, own)
    if symbol is None:
        return {"queue": None}
    if leads_back(project, worker, symbol, facts.path):
        return {"queue": text, "within": f"from {symbol.module} import {symbol.name}"}
    return {"queue": text, "needed": Symbol(symbol.module, symbol.name)}


def problems(facts: Facts) -> Iterator[str]:
    """What SAQ cannot do of what the spec asks for, a sentence each."""
    known = facts.facts
    if not known["worker"]:
        yield (
            "no settings of a SAQ worker were found: write settings = {'queue': queue,"
            " 'functions': []} in a module"
        )
    elif known["inside"]:
        yield (
            f"{facts.module} holds the worker's settings, which name their functions above where a"
            f" new one is written: write handler: {facts.package or 'package'}.tasks:{facts.name}"
        )
    elif known["queue"] is None:
        yield "the worker's settings name no queue that a module could import: give them a queue"
    if facts.dead_letter in ("queue", "framework"):
        yield (
            f"SAQ keeps no dead letters of its own: dead_letter.kind {facts.dead_letter} is to be"
            " table or none"
        )
    if facts.django:
        yield (
            "skillrun's templates for SAQ know no Django project, whose transactions are not"
            " asyncio's"
        )
    for field in facts.fields if facts.message == "kwargs" else ():
        if field.name in _OURS | JOB_FIELDS:
            yield (
                f"SAQ or the handler takes {field.name} for itself: rename the field, or write"
                " message: payload"
            )
    if facts.trigger == "poller" and _find_cron(facts) is None:
        yield (
            "SAQ's cron names seconds, minutes and hours: trigger.every is to divide a minute in"
            " seconds, an hour in minutes, or a day in hours"
        )


def _find_cron(facts: Facts) -> str | None:
    """A schedule as croniter reads it, with a sixth field for seconds."""
    if facts.trigger == "cron":
        return facts.schedule
    every = facts.every_s or 60.0
    for size, form in ((60, "* * * * * */{}"), (3600, "*/{} * * * *"), (86400, "0 */{} * * *")):
        unit = {60: 1, 3600: 60, 86400: 3600}[size]
        if every < size:
            return form.format(int(every // unit)) if every % unit == size % every == 0 else None
    return "0 0 * * *" if every == 86400 else None


def runs_need(facts: Facts, *, case: bool) -> tuple[Symbol | str, ...]:
    """What `runs.jinja` imports beyond the handler."""
    known = facts.facts
    sent = (Symbol(facts.module, known["publisher"].name),) if known["publisher"] else ()
    ticks = (known["tick"],) if facts.trigger != "event" and not case else ()
    return ("import asyncio", "from saq import Job", known["settings"], *sent, *ticks)


def broker_needs(facts: Facts) -> tuple[Symbol | str, ...] | None:
    """What `over_broker.jinja` imports: the publisher, SAQ's own worker, and the settings."""
    known = facts.facts
    if not known["publisher"]:
        return None
    needed = (
        "import asyncio",
        "from uuid import uuid4",
        "from redis.exceptions import RedisError",
        "from saq import Worker",
        "from saq.queue.redis import RedisQueue",
    )
    return (*needed, Symbol(facts.module, known["publisher"].name), known["settings"])


def pieces(facts: Facts, render: Render) -> list[Piece]:
    """The handler with what ends its failures, its publisher and tick, and the worker's entries."""
    clocked = facts.trigger != "event"
    text = render(
        "handler.py.jinja",
        facts,
        needed=_list_needed(facts),
        attempts_name=_name_attempts(facts),
        wait=longest_wait(facts.retries, "job.attempts - 1"),
        given=_list_given(facts),
        publisher=facts.facts["publisher"],
        queue=facts.facts["queue"],
        within=facts.facts.get("within"),
        sent=_list_sent(facts),
        publishing=when_to_publish(facts),
        limits=_LIMITS if facts.dead_letter == "table" else "",
        left_out=left_out(facts) if clocked else "",
        clocked=clocked,
        hours=_say_hours(facts),
        **awaiting.names(facts),
    )
    return [Module(facts.path, text), *_list_entries(facts)]


def _list_entries(facts: Facts) -> Iterator[Entry]:
    """The function in the worker's list, and the tick in its cron jobs."""
    lists = facts.facts["lists"]
    yield lists["functions"].entry("", facts.name, [])
    if facts.trigger != "event":
        cron = f'cron="{_find_cron(facts)}"'
        yield lists["cron_jobs"].entry("CronJob", facts.facts["tick"].name, [cron])


def _say_hours(facts: Facts) -> str:
    """Whose hours the schedule means, where it names any."""
    if facts.trigger != "cron" or not facts.timezone or not names_hours(facts.schedule):
        return ""
    return (
        f"Its hours are those of {facts.timezone}: cron_tz of the worker's settings has to say so."
    )


def _name_attempts(facts: Facts) -> str:
    return f"{facts.name.upper()}_ATTEMPTS"


def _list_needed(facts: Facts) -> list[Symbol | str]:
    needed: list[Symbol | str] = [
        "from typing import Any",
        "from saq.types import Context",
        facts.conventions.logger_import,
        *awaiting.needed(facts),
    ]
    needed += ["import asyncio"] if awaiting.blocks(facts) else []
    needed += [facts.facts["needed"]] if facts.facts.get("needed") else []
    if facts.retries.bounded:
        needed += facts.transient
        needed += ["import random"] if facts.retries.jitter and facts.retries.kind != "none" else []
    needed += ["from saq import Queue"] if facts.facts["publisher"] else []
    needed += ["from collections.abc import Iterable"] if facts.trigger != "event" else []
    return needed


def _list_given(facts: Facts) -> list[str]:
    """The handler's parameters: a call that lacks an argument leaves no record, so none must be
    given.
    """
    if facts.message == "payload":
        return ["payload: dict[str, Any]"]
    return [f"{field.name}: Any = None" for field in facts.fields]


def _list_sent(facts: Facts) -> list[str]:
    """The arguments of enqueue. A tick sends what is due once more; SAQ leaves out a key that is in
    use.
    """
    fields = [f"{field.name}={field.name}" for field in facts.fields]
    given = ["payload=payload"] if facts.message == "payload" else fields
    once = [f"key={_write_key(facts)}"] if facts.trigger != "event" else []
    # A death uses up an attempt: some are left for the dead letter.
    first = _name_attempts(facts) if facts.retries.bounded else "1"
    return [
        f'"{facts.name}"',
        *given,
        *once,
        f"retries={first} + {_DEATHS}",
        "timeout=60",
        "**more",
    ]


def _write_key(facts: Facts) -> str:
    payload = facts.message == "payload"
    parts = [f"{{payload.get('{key}')!r}}" if payload else f"{{{key}!r}}" for key in facts.key]
    return f'f"{facts.job}:{":".join(parts)}"'
