"""The job as a coroutine function for arq: it decides itself what is run again, and keeps what is
given up.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from skillrun.frameworks.arq.clock import crontab
from skillrun.frameworks.arq.settings import find_pool
from skillrun.frameworks.arq.workers import MANNER
from skillrun.frameworks.common.listed_scaffold import DEATHS, ListedWriter, name_attempts
from skillrun.frameworks.common.listed_writing import is_on, split_imports
from skillrun.frameworks.pieces import Facts, Symbol

if TYPE_CHECKING:
    from skillrun.frameworks.common.listed import Worker
    from skillrun.repo.python import Project

_EXPIRES_S = 86_400.0  # arq/constants.py, expires_extra_ms


class ArqWriter(ListedWriter):
    """See `JobWriter`."""

    TITLE, ARTICLE = "arq", "an"
    MANNER = MANNER
    MADE: ClassVar = {"functions": "func", "cron_jobs": "cron"}
    NO_SETTINGS = "class WorkerSettings with functions and redis_settings"
    UNREACHED = (
        "the worker's Redis is a pool of its own that nobody else can open: give the settings"
        " redis_settings"
    )
    # `function` is the first parameter of enqueue_job.
    TAKEN = frozenset({"ctx", "correlation_id", "redis", "stack", "function"})
    LIMITS = (
        "arq ends a run that outlasts the worker's job_timeout, or a job that kills its worker each"
        " time, without a row."
    )
    ZONE, KEY, PAYLOAD = "the timezone", "_job_id", "payload"
    CONTEXT, TARGET = "ctx: dict[str, Any]", "redis: ArqRedis | None = None"
    TRIED, COUNTED = 'ctx["job_try"]', "arq's max_tries is more: it counts deaths too"
    OF_PUBLISHER = (
        "from contextlib import AsyncExitStack",
        "from arq import create_pool",
        "from arq.connections import ArqRedis",
    )
    OF_TEST = "import arq"
    OF_BROKER = (
        "from dataclasses import replace",
        "from arq import create_pool",
        "from arq.worker import Worker",
    )

    def find_queue(self, project: Project, facts: Facts, worker: Worker) -> dict[str, Any]:
        """`pool`: how the publisher comes to Redis; `retries`: the worker runs things again."""
        pool = find_pool(project, worker)
        retries = is_on(project, worker, "retry_jobs")
        if pool is None:
            return {"reached": False, "retries": retries}
        made = {"reached": True, "pool": pool, "retries": retries}
        return {**made, **split_imports(project, worker, pool.imported, facts.path)}

    def list_limits(self, facts: Facts) -> Iterator[str]:
        if facts.retries.bounded and not facts.of_library.get("retries", True):
            yield "the worker's retry_jobs is False: arq runs nothing again there"
        if sum(facts.retries.delays) >= _EXPIRES_S:
            yield (
                "a job of arq expires a day after it was due, before its last retry: shorten"
                " retry.backoff"
            )

    def write_clock(self, facts: Facts) -> list[str] | None:
        return crontab(facts.trigger, facts.schedule, facts.every_s)

    def list_options(self, facts: Facts) -> list[str]:
        first = None
        if facts.retries.bounded:
            first = name_attempts(facts)
        options = [f"max_tries={first} + {DEATHS}" if first else f"max_tries={1 + DEATHS}"]
        if facts.trigger != "event":
            options.append("keep_result=0")
        return options

    def broker_needs(self, facts: Facts) -> tuple[Symbol | str, ...] | None:
        needed = super().broker_needs(facts)
        if needed is None:
            return None
        return (*needed, *map(_by_name, facts.of_library["pool"].symbols))

    def _list_imports(self, facts: Facts) -> list[Symbol | str]:
        needed = super()._list_imports(facts)
        if facts.retries.bounded:
            return ["from arq import Retry", *needed]
        return needed


def _by_name(symbol: Symbol | str) -> Symbol | str:
    """Imported by its name, not through its module."""
    if isinstance(symbol, Symbol):
        return Symbol(symbol.module, symbol.name)
    return symbol


WRITER = ArqWriter()
