"""The job as a coroutine function for SAQ: it decides itself what is run again and when, and keeps
what is given up.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from skillrun.frameworks.common import listed_scaffold
from skillrun.frameworks.common.listed_scaffold import DEATHS, NO_SUCH_CLOCK, Words, name_attempts
from skillrun.frameworks.common.listed_writing import leads_back, name_owner, write_found
from skillrun.frameworks.pieces import Entry, Facts, Piece, Render, Symbol
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

WORDS = Words(
    manner=MANNER,
    title="SAQ",
    article="a",
    made=("CronJob",),
    no_settings="settings = {'queue': queue, 'functions': []} in a module",
    unreached="the worker's settings name no queue that a module could import: give them a queue",
    taken=JOB_FIELDS | {"ctx", "correlation_id", "target"},
    limits=(
        "SAQ ends a job whose last run outlasts its timeout, or that kills its worker each time,"
        " without a row."
    ),
    zone="cron_tz",
    key="key",
    tried="job.attempts",
    counted="SAQ's retries are more: they count deaths too",
)


def read(project: Project, facts: Facts) -> dict[str, Any]:
    """Beside what `read_worker` finds: `queue`, the expression of the queue, with what is imported
    for it at the top (`needed`) or `within` the publisher.
    """
    worker, made = listed_scaffold.read_worker(project, facts, WORDS)
    if worker is None:
        return made
    return {**made, **_find_queue(project, facts, worker)}


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
    reaches = facts.facts.get("queue") is not None
    yield from listed_scaffold.find_problems(facts, WORDS, reaches_queue=reaches)
    if facts.trigger == "poller" and _find_cron(facts) is None:
        yield f"SAQ{NO_SUCH_CLOCK}"


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
    return listed_scaffold.list_test_needs(facts, "from saq import Job", case=case)


def broker_needs(facts: Facts) -> tuple[Symbol | str, ...] | None:
    """What `over_broker.jinja` imports."""
    return listed_scaffold.list_broker_needs(
        facts, "from saq import Worker", "from saq.queue.redis import RedisQueue"
    )


def pieces(facts: Facts, render: Render) -> list[Piece]:
    """The handler with what ends its failures, its publisher and tick, and the worker's entries."""
    first = name_attempts(facts) if facts.retries.bounded else "1"
    options = (f"retries={first} + {DEATHS}", "timeout=60")
    handler = listed_scaffold.render_handler(
        facts,
        render,
        WORDS,
        _list_needed(facts),
        queue=facts.facts["queue"],
        within=facts.facts.get("within"),
        sent=listed_scaffold.list_arguments(facts, WORDS, "payload=payload", *options),
    )
    return [handler, *_list_entries(facts)]


def _list_needed(facts: Facts) -> list[Symbol | str]:
    needed: list[Symbol | str] = ["from saq.types import Context"]
    if facts.facts.get("needed"):
        needed.append(facts.facts["needed"])
    if facts.facts["publisher"]:
        needed.append("from saq import Queue")
    return needed


def _list_entries(facts: Facts) -> Iterator[Entry]:
    """The function in the worker's list, and the tick in its cron jobs."""
    lists = facts.facts["lists"]
    yield lists["functions"].entry("", facts.name, [])
    if facts.trigger != "event":
        cron = f'cron="{_find_cron(facts)}"'
        yield lists["cron_jobs"].entry("CronJob", facts.facts["tick"].name, [cron])
