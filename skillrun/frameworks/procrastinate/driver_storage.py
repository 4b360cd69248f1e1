"""A database in memory for Procrastinate: its own connector for tests, which tells what is deferred
and what becomes of the job that a worker has.

Runs in the zygote, beside the driver.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import datetime, timezone
from typing import Any, Protocol
from uuid import uuid4

from procrastinate.testing import InMemoryConnector

# What of a job's row is in its message.
KEPT = ("id", "queue_name", "task_name", "priority", "lock", "queueing_lock", "args", "attempts")


# What of a connector in memory is rows, and not its own.
_TABLES = ("jobs", "events", "workers", "job_counter", "periodic_defers")
# What of a connection's words says which tables it sees.
_PLACE = ("service", "host", "hostaddr", "port", "dbname", "options")


def find_database(connector: Any) -> tuple[tuple[str, str], ...] | None:
    """The words that say which database a connector of the application's reaches; None where it is
    given none: the environment decides then, or a pool that somebody opens later.
    """
    arguments = getattr(connector, "_pool_args", None)
    if not isinstance(arguments, dict):
        return None
    try:
        words = {**arguments, **_parse_words(arguments), **(arguments.get("kwargs") or {})}
    except Exception:  # psycopg's own, for what is no connection string, among others
        return None
    place = tuple((word, str(words[word])) for word in _PLACE if words.get(word))
    return place or None


def _parse_words(arguments: dict[str, Any]) -> dict[str, Any]:
    """Of a connection string."""
    text = arguments.get("conninfo") or arguments.get("dsn") or ""
    if not text:
        return {}
    from psycopg.conninfo import conninfo_to_dict

    return dict(conninfo_to_dict(text))


def utc_now() -> datetime:
    """In UTC, on the process's own clock."""
    return datetime.now(tz=timezone.utc)


def as_message(row: dict[str, Any]) -> dict[str, Any]:
    """What a job's row is in a message."""
    message = {name: row[name] for name in KEPT}
    message["scheduled_at"] = None
    if row["scheduled_at"]:
        message["scheduled_at"] = row["scheduled_at"].isoformat()
    return message


class Told(Protocol):
    """Who is told of the store, as the driver is."""

    message: dict[str, Any]  # that is delivered

    def in_transaction(self, connection: Any) -> AbstractContextManager[None]: ...

    def find_reader(self, store: Store) -> Store: ...

    def tell_published(
        self, store: Store, jobs: list[Any], insert: Callable[[], list[Any]]
    ) -> list[Any]: ...

    def tell_finished(self, status: str, deleted: bool) -> None: ...

    def tell_requeued(self, row: dict[str, Any], retry_at: datetime) -> None: ...


class Store(InMemoryConnector):
    """An app's database: holds the job at hand, tells what is deferred, and what becomes of that
    job. `beside`: another app's, in whose tables this one looks by a connector of its own.
    """

    def __init__(self, driver: Told, real: Any, beside: Store | None = None) -> None:
        super().__init__()
        self.driver, self.real = driver, real
        self.next: int | None = None  # the job that the worker fetches
        self.stalled: dict[str, Any] | None = None  # the job of a worker that died
        # No two processes make the same id.
        self.job_counter: Any = iter(lambda: uuid4().int % 10**9 + 1, 0)
        if beside is not None:
            for name in _TABLES:
                setattr(self, name, getattr(beside, name))

    def has_tables_of(self, other: Store) -> bool:
        """Whether both look in the same tables."""
        return self.jobs is other.jobs

    def __getattr__(self, name: str) -> Any:
        """What only the repository's own connector has."""
        if name.startswith("__") or "real" not in vars(self):
            raise AttributeError(name)
        return getattr(self.real, name)

    def as_json(self, value: Any) -> Any:
        """As a worker reads the arguments that this app gives PostgreSQL: each through the
        functions of its own connector, where it was given any.
        """
        dumps = getattr(self.real, "_json_dumps", None) or _dump_strictly
        reader = self.driver.find_reader(self)
        loads = getattr(reader.real, "_json_loads", None) or json.loads
        return loads(dumps(value))

    # -- no coroutine of this connector ever waits: who calls it from plain code runs it in its own
    # thread

    def execute_query(self, query: str, **arguments: Any) -> None:
        run_at_once(self.execute_query_async(query, **arguments))

    def execute_query_one(self, query: str, **arguments: Any) -> Any:
        return run_at_once(self.execute_query_one_async(query, **arguments))

    def execute_query_all(self, query: str, **arguments: Any) -> Any:
        return run_at_once(self.execute_query_all_async(query, **arguments))

    def execute_query_all_with_connection(
        self, connection: Any, query: str, **arguments: Any
    ) -> Any:
        with self.driver.in_transaction(connection):
            return self.execute_query_all(query, **arguments)

    async def execute_query_all_async_with_connection(
        self, connection: Any, query: str, **arguments: Any
    ) -> Any:
        with self.driver.in_transaction(connection):
            return await self.execute_query_all_async(query, **arguments)

    # -- the queue

    async def defer_jobs_all(self, jobs: list[Any]) -> Any:
        """One statement for all of them."""
        kept = [job._replace(args=self.as_json(job.args)) for job in jobs]
        return self.driver.tell_published(
            self, kept, lambda: run_at_once(super(Store, self).defer_jobs_all(kept))
        )

    async def fetch_job_one(self, queues: Iterable[str] | None, worker_id: int) -> dict[str, Any]:
        row, self.next = self.jobs.get(self.next or 0), None
        if row is None:
            return {"id": None}
        row.update(status="doing", worker_id=worker_id)
        return row

    def hold(self, message: dict[str, Any]) -> dict[str, Any]:
        """The row of a message, as a worker fetches it next."""
        row: dict[str, Any] = {name: message[name] for name in KEPT}
        row.update(status="todo", scheduled_at=None, abort_requested=False, worker_id=None)
        if message.get("scheduled_at"):
            row["scheduled_at"] = datetime.fromisoformat(message["scheduled_at"])
        self.next = row["id"]
        # Other apps have the same table.
        self.jobs.clear()
        self.jobs[row["id"]] = row
        if self.stalled:
            self.jobs[self.stalled["id"]] = self.stalled
        self.events.setdefault(row["id"], [])
        return row

    # -- what becomes of a job

    async def finish_job_run(self, job_id: int, status: str, delete_job: bool) -> None:
        await super().finish_job_run(job_id=job_id, status=status, delete_job=delete_job)
        if job_id == self.driver.message.get("id"):
            self.driver.tell_finished(status, delete_job)

    async def retry_job_run(
        self, job_id: int, retry_at: datetime, *args: Any, **changes: Any
    ) -> None:
        await super().retry_job_run(job_id, retry_at, *args, **changes)
        if job_id == self.driver.message.get("id"):
            self.driver.tell_requeued(self.jobs[job_id], retry_at)


def run_at_once(work: Any) -> Any:
    """What a coroutine returns that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as stop:
        return stop.value
    raise RuntimeError("a connector in memory has waited")


def _dump_strictly(value: Any) -> str:
    return json.dumps(value, allow_nan=False)
