"""The job as a coroutine function for SAQ: it decides itself what is run again and when, and keeps
what is given up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from skillrun.frameworks.common.crontab import write_croniter
from skillrun.frameworks.common.listed_scaffold import DEATHS, ListedWriter, name_attempts
from skillrun.frameworks.common.listed_writing import name_owner, split_imports, write_found
from skillrun.frameworks.pieces import Facts, Symbol
from skillrun.frameworks.saq.words import JOB_FIELDS, MANNER

if TYPE_CHECKING:
    from skillrun.frameworks.common.listed import Worker
    from skillrun.repo.python import Project


class SaqWriter(ListedWriter):
    """See `JobWriter`."""

    TITLE, ARTICLE = "SAQ", "a"
    MANNER = MANNER
    MADE: ClassVar = {"functions": "", "cron_jobs": "CronJob"}
    NO_SETTINGS = "settings = {'queue': queue, 'functions': []} in a module"
    UNREACHED = "the worker's settings name no queue that a module could import: give them a queue"
    TAKEN = JOB_FIELDS | {"ctx", "correlation_id", "target"}
    LIMITS = (
        "SAQ ends a job whose last run outlasts its timeout, or that kills its worker each time,"
        " without a row."
    )
    ZONE, KEY, PAYLOAD = "cron_tz", "key", "payload=payload"
    CONTEXT, TARGET = "ctx: Context", "target: Queue | None = None"
    TRIED, COUNTED = "job.attempts", "SAQ's retries are more: they count deaths too"
    OF_HANDLER = ("from saq.types import Context",)
    OF_PUBLISHER = ("from saq import Queue",)
    OF_TEST = "from saq import Job"
    OF_BROKER = ("from saq import Worker", "from saq.queue.redis import RedisQueue")

    def find_queue(self, project: Project, facts: Facts, worker: Worker) -> dict[str, Any]:
        """`queue` is its expression."""
        found = worker.option("queue")
        own = Symbol(worker.module.name, name_owner(worker) or "", path=worker.module.path)
        text, symbol = write_found(project, worker, found, own) if found else ("", None)
        if symbol is None:
            return {"reached": False}
        made = {"reached": True, "queue": text}
        return {**made, **split_imports(project, worker, [symbol], facts.path)}

    def list_sent(self, facts: Facts) -> tuple[str, ...]:
        first = name_attempts(facts) if facts.retries.bounded else "1"
        return (f"retries={first} + {DEATHS}", "timeout=60")

    def write_clock(self, facts: Facts) -> list[str] | None:
        cron = write_croniter(facts.trigger, facts.schedule, facts.every_s)
        return [f'cron="{cron}"'] if cron else None


WRITER = SaqWriter()
