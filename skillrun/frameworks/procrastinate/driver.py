"""Procrastinate in the repository's interpreter: its own worker around the handler, and its own
connector for tests.

Runs in the zygote (see probe/main.py); standard library and Procrastinate alone.
Every app has `testing.InMemoryConnector` instead of its own: what is deferred there is a publish,
and what the worker writes of a job that it ran is how the delivery settled. A worker has no child
processes: a death is the worker's, its job stays `doing`, and the application's own periodic task,
if it has any, gives it back. What several workers see of a job, its lock and whether it has ended,
are files in the scratch folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import importlib
import importlib.metadata
import inspect
import itertools
import json
import logging
import os
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

from procrastinate.app import App
from procrastinate.jobs import Status
from procrastinate.periodic import PeriodicDeferrer
from procrastinate.retry import RetryStrategy
from procrastinate.tasks import Task
from procrastinate.testing import InMemoryConnector

from ...probe import ids
from ...probe.async_driver import AsyncDriver
from ...probe.consuming import QueueWords
from ...probe.driver import Probe, Publish
from ...probe.facts import Facts
from ...probe.modules import whose_text
from ...probe.names import NotThere, check_version, find_beside_django
from ...probe.shapes import without_context
from ...probe.starting import Importer, Ways
from ...probe.swap import swap
from ...probe.wrap import skip

# The ones before have no heartbeats, or defer one job at a time.
OLDEST = (3, 2)
HEARTBEAT_S = 30.0  # without one for so long a worker counts as dead
# Seconds between two calls of what gives jobs back and is no periodic task.
_ELSEWHERE_S = 60.0
_LONG_AGO = timedelta(days=30)
_LOST = "its status stays `doing`: no periodic task of the application's calls get_stalled_jobs and retry_job"
_AGAIN = (
    "the job of a worker that dies stays `doing`, with its lock, until {what} gives it back: after {wait:g} s here; "
    "retry_job counts that as an attempt, and only an exception is held against the bound"
)
_GIVES_BACK = ("get_stalled_jobs", "retry_job", "retry_job_by_id", "retry_job_by_id_async")
_KEPT = ("id", "queue_name", "task_name", "priority", "lock", "queueing_lock", "args", "attempts")


def now() -> datetime:
    """In UTC, on the process's own clock."""
    return datetime.now(tz=timezone.utc)


class Store(InMemoryConnector):
    """An app's database: holds the job at hand, tells what is deferred, and what becomes of that
    job.
    """

    def __init__(self, driver: Driver, real: Any) -> None:
        super().__init__()
        self.driver, self.real = driver, real
        self.next: int | None = None  # the job that the worker fetches
        self.stalled: dict[str, Any] | None = None  # the job of a worker that died
        # No two processes make the same id.
        self.job_counter: Any = iter(lambda: uuid4().int % 10**9 + 1, 0)

    def __getattr__(self, name: str) -> Any:
        """What only the repository's own connector has."""
        if name.startswith("__") or "real" not in vars(self):
            raise AttributeError(name)
        return getattr(self.real, name)

    def as_json(self, value: Any) -> Any:
        """As PostgreSQL keeps arguments, through the application's own functions where it gave
        any.
        """
        dumps = getattr(self.real, "_json_dumps", None) or (
            lambda held: json.dumps(held, allow_nan=False)
        )
        return (getattr(self.real, "_json_loads", None) or json.loads)(dumps(value))

    # -- no coroutine of this connector ever waits: who calls it from plain code runs it in its own
    # thread

    def execute_query(self, query: str, **arguments: Any) -> None:
        _at_once(self.execute_query_async(query, **arguments))

    def execute_query_one(self, query: str, **arguments: Any) -> Any:
        return _at_once(self.execute_query_one_async(query, **arguments))

    def execute_query_all(self, query: str, **arguments: Any) -> Any:
        return _at_once(self.execute_query_all_async(query, **arguments))

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
        return self.driver.published(
            self, kept, lambda: _at_once(super(Store, self).defer_jobs_all(kept))
        )

    async def fetch_job_one(self, queues: Iterable[str] | None, worker_id: int) -> dict[str, Any]:
        row, self.next = self.jobs.get(self.next or 0), None
        if row is None:
            return {"id": None}
        row.update(status="doing", worker_id=worker_id)
        return row

    def hold(self, message: dict[str, Any]) -> dict[str, Any]:
        """The row of a message, as a worker fetches it next."""
        row = {**{name: message[name] for name in _KEPT}, "status": "todo"}
        due = message.get("scheduled_at")
        row.update(
            scheduled_at=datetime.fromisoformat(due) if due else None,
            abort_requested=False,
            worker_id=None,
        )
        self.next, self.jobs = row["id"], {one["id"]: one for one in (row, self.stalled) if one}
        self.events.setdefault(row["id"], [])
        return row

    # -- what becomes of a job

    async def finish_job_run(self, job_id: int, status: str, delete_job: bool) -> None:
        await super().finish_job_run(job_id=job_id, status=status, delete_job=delete_job)
        if job_id == self.driver.message.get("id"):
            self.driver.finished(status, delete_job)

    async def retry_job_run(
        self, job_id: int, retry_at: datetime, *args: Any, **changes: Any
    ) -> None:
        await super().retry_job_run(job_id, retry_at, *args, **changes)
        if job_id == self.driver.message.get("id"):
            self.driver.requeued(self.jobs[job_id], retry_at)


class Driver(AsyncDriver):
    """See probe/driver.py for what each method promises."""

    CONTROL = ("procrastinate.exceptions.JobAborted", "asyncio.exceptions.CancelledError")
    LOGGERS = ("procrastinate",)
    WAYS = Ways(
        entries=("procrastinate.app:App.run_worker", "procrastinate.app:App.run_worker_async"),
        importers=(Importer("procrastinate", options=("-a", "--app")),),
        queues=(QueueWords("procrastinate", "worker", options=("-q", "--queues")),),
    )

    def __init__(self, probe: Probe) -> None:
        self.version = importlib.metadata.version("procrastinate")
        check_version("Procrastinate", self.version, OLDEST)
        super().__init__(probe)
        self.task: Any = None
        self.app: Any = None
        self.apps: list[Any] = []
        self.recoveries: list[Any] = []  # periodic tasks that give back stalled jobs
        self.elsewhere = ""  # the module that does, where no periodic task comes to it
        self.workers: dict[int, Any] = {}  # of this process, by app
        self.message: dict[str, Any] = {}  # that is delivered
        self.connection: Any = None  # whose transaction a publish belongs to
        # Connection -> rows that its transaction takes along.
        self.carried: Any = weakref.WeakKeyDictionary()
        probe.recorder.carries, probe.recorder.ended = self.carried.__contains__, self._ended
        self.works = False  # this process is a worker
        self.after_s = 0.0  # a death, until whoever gives jobs back comes
        self.settled = False

    def prepare_process(self) -> None:
        self._replace_connectors()
        # As its command line does.
        logging.getLogger("procrastinate").setLevel(logging.INFO)

    def boot(self, handler: str) -> Facts:
        self.prepare(handler)
        self.find_recoveries()
        self._warm()
        bounded = all(_mentions(one.task.func, "attempts") for one in self.recoveries)
        return Facts(
            library=f"procrastinate {self.version}",
            redelivery_s=self.redelivery_s(),
            acks_late=True,
            bounded_kills=bounded and not self.elsewhere,
            max_attempts=self._read_max_attempts(),
            same_process=True,
            counts_dead=True,
            keeps_rows=True,
            broker_error="procrastinate.exceptions:ConnectorException",
            on_kill=self._on_kill(),
        )

    def _read_max_attempts(self) -> int | None:
        """None where it is not bounded, or a strategy of the application's own decides."""
        strategy: Any = self.task.retry_strategy
        if strategy is None:
            return 1
        most = strategy.max_attempts if type(strategy) is RetryStrategy else None
        return most + 1 if most else None

    def prepare(self, handler: str) -> None:
        """Finds the task and its app. Raises NotThere."""
        # A module may start a worker when it is imported.
        for name in (
            "run_worker",
            "run_worker_async",
        ):
            skip(App, name)
        _, _, found = find_beside_django(handler)
        self._import_apps(found)
        self.task = found if isinstance(found, Task) else self._task_of(found)
        if self.task is None:
            raise NotThere(f"{handler} is no Procrastinate task but {type(found).__name__}")
        self.app = app = self.task.blueprint
        if not isinstance(app, App):
            raise NotThere(
                f"{handler} belongs to a blueprint, and no app was found that has its tasks"
            )
        self.app.perform_import_paths()
        function = self.function()
        self.takes = without_context(function) if self.task.pass_context else function

    def function(self) -> Any:
        return inspect.unwrap(self.task.func)

    def _import_apps(self, found: Any) -> None:
        """A blueprint knows its app once the app's module was imported."""
        if isinstance(found, Task) and isinstance(found.blueprint, App):
            return
        function = inspect.unwrap(found.func if isinstance(found, Task) else found)
        file = inspect.getsourcefile(function) if inspect.isfunction(function) else None
        for name in whose_text(
            _makes_app, self.probe.recorder.root, file or self.probe.recorder.root
        ):
            with contextlib.suppress(Exception, SystemExit):
                importlib.import_module(name)

    def _task_of(self, function: Any) -> Any:
        """Of a function that was registered by a call."""
        known = (task for app in self.apps for task in app.tasks.values())
        wanted = inspect.unwrap(function) if callable(function) else function
        return next((task for task in known if inspect.unwrap(task.func) is wanted), None)

    def _replace_connectors(self) -> None:
        """Every app's, from its beginning; `replace_connector` puts no other in its place."""

        def init(app: Any, **kwargs: Any) -> None:
            made(app, **kwargs)
            # What a command or a sweep makes for itself, once the job's own app is known, looks at
            # the same tables.
            store = getattr(self.app, "connector", None) or Store(self, kwargs["connector"])
            app.connector = app.job_manager.connector = store
            self.apps.append(app)

        @contextlib.contextmanager
        def stays(app: Any, connector: Any) -> Iterator[Any]:
            yield app

        made: Callable[..., None] = swap(App.__init__, init)
        setattr(App, "replace_connector", stays)  # noqa: B010

    # -- who gives a job back

    def find_recoveries(self) -> None:
        periodics = self.app.periodic_registry.periodic_tasks.values()
        others = (one for one in periodics if one.task is not self.task)
        self.recoveries = [
            one for one in others if any(_mentions(one.task.func, word) for word in _GIVES_BACK)
        ]
        if self.recoveries:
            return
        near = self.function().__code__.co_filename
        self.elsewhere = next(whose_text(_gives_back, self.probe.recorder.root, near), "")

    def redelivery_s(self) -> float:
        """After a death: the heartbeat's time, and what is left of the period, at most."""
        if self.recoveries:
            return HEARTBEAT_S + min(map(_period_s, self.recoveries))
        return HEARTBEAT_S + _ELSEWHERE_S

    def _on_kill(self) -> str:
        if not self.recoveries and not self.elsewhere:
            return f"the job of a worker that dies is lost: {_LOST}"
        what = (
            self.recoveries[0].task.name
            if self.recoveries
            else f"{self.elsewhere}, which is taken to be run,"
        )
        return _AGAIN.format(what=what, wait=self.redelivery_s())

    def _warm(self) -> None:
        """What the library imports and compiles on first use is there before the forks."""
        said = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        # A store of its own: no job of it is anybody's.
        known, self.app = self.app, None
        app = App(connector=InMemoryConnector())
        self.app = known
        app.task(name="warm")(_nothing)
        message: dict[str, Any] = {
            **dict.fromkeys(_KEPT),
            "id": 1,
            "task_name": "warm",
            "priority": 0,
        }
        self.run_in_loop(self._work(app, {**message, "args": {}, "attempts": 0}))
        logging.disable(said)
        self.close_loop()
        self.apps = [one for one in self.apps if one is not app]
        self.workers.clear()

    # -- publishing

    @contextlib.contextmanager
    def in_transaction(self, connection: Any) -> Iterator[None]:
        """What is deferred inside is published when the connection's transaction commits."""
        self.connection = _raw(connection)
        try:
            yield
        finally:
            self.connection = None

    def published(
        self, store: Store, jobs: list[Any], insert: Callable[[], list[Any]]
    ) -> list[Any]:
        """Jobs are deferred, in one statement; their rows."""
        recorder = self.probe.recorder
        if not recorder.active:
            return insert()
        connection = self.connection or self._of_django(store)
        if connection is not None:
            rows = insert()
            self.carried.setdefault(connection, []).extend((store, row) for row in rows)
            return rows
        name, queue = jobs[0].task_name, jobs[0].queue_name
        one = Publish(name, self._is_mine(store, name, queue))
        with self.probe.publishing(one):
            rows = insert()
            for row in rows[1:]:
                self._tell(store, row)
            first = self._make_publish(store, rows[0])
            one.message, one.delay = first.message, first.delay
        return rows

    def _ended(self, connection: Any, what: str) -> None:
        """Rows of a transaction are there with its commit."""
        rows = self.carried.pop(connection, [])
        for store, row in rows if what == "commit" else ():
            self._tell(store, row)

    def _tell(self, store: Store, row: dict[str, Any]) -> None:
        recorder, one = self.probe.recorder, self._make_publish(store, row)
        recorder.emit(
            "published",
            name=one.label,
            in_handler=recorder.depth > 0,
            in_effect=recorder.effect_depth > 0,
            place=recorder.place(),
            **vars(one),
        )

    def _make_publish(self, store: Store, row: dict[str, Any]) -> Publish:
        mine = self._is_mine(store, row["task_name"], row["queue_name"])
        message = _message(row)
        message["arguments"] = self.probe.bound(self.takes, (), row["args"]) if mine else None
        due = row["scheduled_at"]
        delay = max(0.0, round((due - now()).total_seconds(), 2)) if due else 0.0
        return Publish(row["task_name"], mine, message, delay)

    def _is_mine(self, store: Store, task: str, queue: str) -> bool:
        """It is the handler's, and a worker of this app that is started without options reads its
        queue.
        """
        queues = self.app.worker_defaults.get("queues")
        read = queues is None or queue in queues
        return read and store is self.app.connector and self.app.tasks.get(task) is self.task

    def _of_django(self, store: Store) -> Any:
        """Django's connection, while it is in a transaction: its jobs are rows of that. A worker
        has another one.
        """
        if self.works or type(store.real).__name__ != "DjangoConnector":
            return None
        connection = store.real.connection
        return (
            connection.connection
            if connection.in_atomic_block or not connection.get_autocommit()
            else None
        )

    def publish(self, payload: Any, like: dict[str, Any] | None = None) -> None:
        """As the application published `like`: into its queue, with locks that are made as its
        locks are.
        """
        args, kwargs = self.probe.arguments(payload, self.takes)
        kwargs = {
            **dict(zip(inspect.signature(self.takes).parameters, args, strict=False)),
            **kwargs,
        }
        periodic = self._periodic()
        if periodic is not None and (like is None or "timestamp" in like["args"]):
            self._tick(periodic, 1 if like is None else 2)
            return
        options: dict[str, Any] = {}
        if like is not None:
            old, new = ids.values(self.takes, (), like["args"]), ids.values(self.takes, (), kwargs)
            options = {"queue": like["queue_name"], "priority": like["priority"]}
            locks = {name: like[name] for name in ("lock", "queueing_lock") if like[name]}
            options.update({name: ids.like(lock, old, new) for name, lock in locks.items()})
        self.task.configure(**options).defer(**kwargs)

    def _periodic(self) -> Any:
        """The handler's schedule, where a tick is what the spec means."""
        if (self.probe.settings.get("trigger") or {}).get("type") not in ("cron", "poller"):
            return None
        periodics = self.app.periodic_registry.periodic_tasks.values()
        return next((one for one in periodics if one.task is self.task), None)

    def _tick(self, periodic: Any, number: int) -> None:
        """What the deferrer does at the next tick, or the one after it."""
        moment = time.time()
        for _ in range(number):
            moment = periodic.croniter.get_next(ret_type=float, start_time=moment)
        _at_once(
            PeriodicDeferrer(self.app.periodic_registry).defer_jobs([(periodic, round(moment))])
        )

    # -- delivering

    def deliver(self, message: dict[str, Any]) -> None:
        self.works, self.message, self.settled, self.after_s = True, message, False, 0.0
        self.app.connector.stalled = None
        with self._locked(message):
            self._write(message["id"], "doing")
            self.run_in_loop(self._deliver(message))

    async def _deliver(self, message: dict[str, Any]) -> None:
        others = asyncio.all_tasks()
        await self._work(self.app, message)
        await self.wait_for_others(others)

    async def _work(self, app: Any, message: dict[str, Any]) -> None:
        """A worker fetches this job, and runs it."""
        worker = self.workers.get(id(app))
        if worker is None:
            await app.open_async()
            worker = self.workers[id(app)] = app._worker(wait=False, install_signal_handlers=False)
            worker.worker_id = await app.job_manager.register_worker()
        app.connector.hold(message)
        await worker._fetch_and_process_jobs()
        await asyncio.gather(*worker._running_jobs)

    def finished(self, status: str, deleted: bool) -> None:
        """The worker writes how the job ended: what the job of a worker that was slow has come to
        is not changed.
        """
        if self._was_over():
            return
        self._write(self.message["id"], "over")
        if status == Status.SUCCEEDED.value:
            self._settle("acked")
        elif status != Status.FAILED.value:
            self._settle("acked", why="raised")
        elif deleted:
            self._settle("lost", why="it failed, and delete_jobs keeps nothing of it")
        else:
            self._settle("dead", why="its status is `failed`")

    def requeued(self, row: dict[str, Any], retry_at: datetime) -> None:
        """The worker gives the job back, to be run again."""
        if not self._was_over():
            delay = max(0.0, round((retry_at - now()).total_seconds(), 2))
            message = {**self.message, **_message(row)}
            self._settle("requeued", delay=self.after_s + delay, message=message)

    def _settle(self, how: str, **more: Any) -> None:
        self.settled = True
        self.probe.settle(how, **more)

    def _was_over(self) -> bool:
        """A run beside this one has ended the job: PostgreSQL refuses what this one says of it."""
        over = self._read(self.message["id"]) == "over"
        if over:
            self._settle("acked", why="a run beside it has ended the job already")
        return over

    # -- after a death

    def died(self, message: dict[str, Any], who: str) -> None:
        self.works, self.message = True, message
        if not self.recoveries and not self.elsewhere:
            self.probe.settle("lost", why=_LOST)
            return
        if self._was_over():
            return
        self.after_s = self.redelivery_s()
        said = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        try:
            with self.probe.recorder.quiet():
                self.run_in_loop(self._give_back(message))
        finally:
            logging.disable(said)

    async def _give_back(self, message: dict[str, Any]) -> None:
        """The application's own code finds the job of a worker that has been silent for long."""
        store = self.app.connector
        row = store.hold(message)
        row.update(status="doing", worker_id=0)
        store.workers[0] = now() - _LONG_AGO
        store.stalled, store.events[row["id"]] = row, [{"type": "started", "at": now() - _LONG_AGO}]
        for periodic in self.recoveries:
            await self._work(self.app, _job_of(periodic))
        await self.as_elsewhere()
        if not self.settled:
            self.probe.settle("lost", why=f"{self._who()} has run, and its status stays `doing`")

    async def as_elsewhere(self) -> None:
        """What code that no worker runs is taken to do."""
        for job in await self.app.job_manager.get_stalled_jobs() if self.elsewhere else ():
            await self.app.job_manager.retry_job(job)

    def _who(self) -> str:
        return str(self.recoveries[0].task.name) if self.recoveries else self.elsewhere

    # -- what several workers see: files in the scratch folder

    @contextlib.contextmanager
    def _locked(self, message: dict[str, Any]) -> Iterator[None]:
        """No two jobs with the same lock run at once; a job that was given back has it from its own
        slow worker.
        """
        if not message["lock"]:
            yield
            return
        turn = 0
        with self.probe.recorder.quiet():
            while True:
                file = open(self._file(f"lock {turn} {message['lock']}"), "a+")
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError:
                    file.seek(0)
                    if file.read() == str(message["id"]):
                        turn += 1
                        continue
                    fcntl.flock(file, fcntl.LOCK_EX)
                    break
            file.truncate(0)
            file.write(str(message["id"]))
            file.flush()
        try:
            yield
        finally:
            file.close()

    def _write(self, id_: int, text: str) -> None:
        with self.probe.recorder.quiet(), open(self._file(f"job {id_}"), "w") as file:
            file.write(text)

    def _read(self, id_: int) -> str:
        with self.probe.recorder.quiet(), contextlib.suppress(FileNotFoundError):
            with open(self._file(f"job {id_}")) as file:
                return file.read()
        return ""

    def _file(self, name: str) -> str:
        folder = os.path.join(self.probe.settings["scratch"], ".procrastinate")
        os.makedirs(folder, exist_ok=True)
        return os.path.join(folder, hashlib.sha256(name.encode()).hexdigest()[:16])


def _makes_app(text: bytes) -> bool:
    return b"procrastinate" in text and (b"add_tasks_from" in text or b"App(" in text)


def _gives_back(text: bytes) -> bool:
    """Code that a person, or cron, starts: a periodic task that no worker imports never runs."""
    return (
        b"retry_job" in text
        and (b"get_stalled_jobs" in text or b"doing" in text)
        and b".periodic(" not in text
    )


def _at_once(work: Any) -> Any:
    """What a coroutine returns that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as stop:
        return stop.value
    raise RuntimeError("a connector in memory has waited")


def _raw(connection: Any) -> Any:
    """The driver's connection, also below SQLAlchemy's; None where each of its statements is
    committed at once.
    """
    pooled = getattr(connection, "connection", None)
    raw = getattr(pooled, "dbapi_connection", None) or connection
    idle = int(getattr(getattr(raw, "info", None), "transaction_status", 1)) == 0
    return None if idle and getattr(raw, "autocommit", False) is True else raw


def _message(row: dict[str, Any]) -> dict[str, Any]:
    """What a job's row is in a message."""
    due = row["scheduled_at"]
    return {**{name: row[name] for name in _KEPT}, "scheduled_at": due.isoformat() if due else None}


def _names_in(code: Any) -> set[str]:
    inner = (const for const in code.co_consts if hasattr(const, "co_names"))
    return set(code.co_names).union(*map(_names_in, inner))


def _mentions(function: Any, word: str, deep: int = 3) -> bool:
    """Its code has the word, or that of a function or task which it names."""
    function = inspect.unwrap(function.func if isinstance(function, Task) else function)
    if not inspect.isfunction(function):
        return False
    names = _names_in(function.__code__)
    held = [value for value in map(function.__globals__.get, names) if value is not None]
    held += [
        getattr(value, name, None) for value in held if inspect.ismodule(value) for name in names
    ]
    called = (value for value in held if inspect.isfunction(value) or isinstance(value, Task))
    return word in names or (deep > 0 and any(_mentions(value, word, deep - 1) for value in called))


def _period_s(periodic: Any) -> float:
    """The longest wait between its next ticks, in seconds."""
    ticks = [time.time()]
    for _ in range(8):
        ticks.append(periodic.croniter.get_next(ret_type=float, start_time=ticks[-1]))
    return float(max(later - tick for tick, later in itertools.pairwise(ticks[1:])))


def _job_of(periodic: Any) -> dict[str, Any]:
    """A tick of a periodic task, as the deferrer makes it."""
    task, given = periodic.task, periodic.configure_kwargs.get("task_kwargs") or {}
    message: dict[str, Any] = {
        **dict.fromkeys(_KEPT),
        "id": 1,
        "queue_name": task.queue,
        "task_name": task.name,
    }
    return {
        **message,
        "priority": 0,
        "args": {**given, "timestamp": int(time.time())},
        "attempts": 0,
    }


async def _nothing() -> None:
    """A job that is run once at boot."""
