"""The job as a coroutine function for arq: it decides itself what is run again, and keeps what is
given up.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from skillrun.frameworks.arq.clock import crontab
from skillrun.frameworks.arq.settings import find_pool
from skillrun.frameworks.arq.workers import MANNER
from skillrun.frameworks.common import listed_scaffold
from skillrun.frameworks.common.listed_scaffold import DEATHS, NO_SUCH_CLOCK, Words, name_attempts
from skillrun.frameworks.common.listed_writing import is_on
from skillrun.frameworks.pieces import Entry, Facts, Piece, Render, Symbol

if TYPE_CHECKING:
    from skillrun.repo.python import Project

MESSAGE = "kwargs"
AWAITS = True
TESTS = (
    "enqueued and run as arq's worker runs them, by its own list of functions; Redis and the waits"
    " are left out."
)
"""What the tests' docstring says of how they run the job."""

_EXPIRES_S = 86_400.0  # arq/constants.py, expires_extra_ms
WORDS = Words(
    manner=MANNER,
    title="arq",
    article="an",
    made=("func", "cron"),
    no_settings="class WorkerSettings with functions and redis_settings",
    unreached=(
        "the worker's Redis is a pool of its own that nobody else can open: give the settings"
        " redis_settings"
    ),
    # `function` is the first parameter of enqueue_job.
    taken=frozenset({"ctx", "correlation_id", "redis", "stack", "function"}),
    limits=(
        "arq ends a run that outlasts the worker's job_timeout, or a job that kills its worker each"
        " time, without a row."
    ),
    zone="the timezone",
    key="_job_id",
    tried='ctx["job_try"]',
    counted="arq's max_tries is more: it counts deaths too",
)


def read(project: Project, facts: Facts) -> dict[str, Any]:
    """Beside what `read_worker` finds: `pool`, how the publisher comes to Redis, and whether the
    worker runs anything again (`retries`).
    """
    worker, made = listed_scaffold.read_worker(project, facts, WORDS)
    if worker is None:
        return made
    pool = find_pool(project, facts, worker)
    return {**made, "pool": pool, "retries": is_on(project, worker, "retry_jobs")}


def problems(facts: Facts) -> Iterator[str]:
    """What arq cannot do of what the spec asks for, a sentence each."""
    known = facts.facts
    reaches = known.get("pool") is not None
    yield from listed_scaffold.find_problems(facts, WORDS, reaches_queue=reaches)
    if facts.retries.bounded and not known.get("retries", True):
        yield "the worker's retry_jobs is False: arq runs nothing again there"
    if sum(facts.retries.delays) >= _EXPIRES_S:
        yield (
            "a job of arq expires a day after it was due, before its last retry: shorten"
            " retry.backoff"
        )
    if facts.trigger != "event" and _write_crontab(facts) is None:
        is_cron = facts.trigger == "cron"
        yield f"arq has no cron that means {facts.schedule!r}" if is_cron else f"arq{NO_SUCH_CLOCK}"


def runs_need(facts: Facts, *, case: bool) -> tuple[Symbol | str, ...]:
    """What `runs.jinja` imports beyond the handler."""
    return listed_scaffold.list_test_needs(facts, "import arq", case=case)


def broker_needs(facts: Facts) -> tuple[Symbol | str, ...] | None:
    """What `over_broker.jinja` imports."""
    needed = listed_scaffold.list_broker_needs(
        facts,
        "from dataclasses import replace",
        "from arq import create_pool",
        "from arq.worker import Worker",
    )
    if needed is None:
        return None
    return (*needed, *map(_by_name, facts.facts["pool"].symbols))


def _by_name(symbol: Symbol | str) -> Symbol | str:
    """Imported by its name, not through its module."""
    if isinstance(symbol, Symbol):
        return Symbol(symbol.module, symbol.name)
    return symbol


def pieces(facts: Facts, render: Render) -> list[Piece]:
    """The handler with what ends its failures, its publisher and tick, and the worker's entries."""
    handler = listed_scaffold.render_handler(
        facts,
        render,
        WORDS,
        _list_needed(facts),
        pool=facts.facts["pool"],
        sent=listed_scaffold.list_arguments(facts, WORDS, "payload"),
    )
    return [handler, *_list_entries(facts)]


def _list_entries(facts: Facts) -> Iterator[Entry]:
    """The function in the worker's list, and the tick in its cron jobs."""
    lists = facts.facts["lists"]
    attempts = name_attempts(facts) if facts.retries.bounded else None
    most = f"{attempts} + {DEATHS}" if attempts else str(1 + DEATHS)
    options = [f"max_tries={most}"]
    if facts.trigger != "event":
        options.append("keep_result=0")
    yield lists["functions"].entry("func", facts.name, options, attempts)
    if facts.trigger != "event":
        crons = _write_crontab(facts) or ()
        yield lists["cron_jobs"].entry("cron", facts.facts["tick"].name, crons)


def _write_crontab(facts: Facts) -> list[str] | None:
    return crontab(facts.trigger, facts.schedule, facts.every_s)


def _list_needed(facts: Facts) -> list[Symbol | str]:
    needed: list[Symbol | str] = ["from arq import Retry"] if facts.retries.bounded else []
    if facts.facts["publisher"]:
        needed += ["from contextlib import AsyncExitStack", "from arq import create_pool"]
        needed.append("from arq.connections import ArqRedis")
        needed += map(_by_name, facts.facts["pool"].needed)
    return needed
