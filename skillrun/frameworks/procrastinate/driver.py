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
import importlib
import importlib.metadata
import inspect
import logging
import time
import weakref
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from procrastinate.app import App
from procrastinate.jobs import Status
from procrastinate.periodic import PeriodicDeferrer
from procrastinate.retry import RetryStrategy
from procrastinate.tasks import Task
from procrastinate.testing import InMemoryConnector

from ...probe import ids
from ...probe.async_driver import AsyncDriver
from ...probe.consuming import QueueWords
from ...probe.driver import Probe, Publish, seconds_left
from ...probe.facts import Facts
from ...probe.logs import say_nothing
from ...probe.modules import whose_text
from ...probe.names import NotThere, check_version, find_beside_django
from ...probe.shapes import without_context
from ...probe.starting import Importer, Ways
from ...probe.swap import replace_calls
from ...probe.wrap import skip_calls
from .driver_files import JobFiles
from .driver_recovery import LOST, Recovery, make_tick
from .driver_storage import KEPT, Store, as_message, find_database, run_at_once, utc_now

# The ones before have no heartbeats, or defer one job at a time.
OLDEST = (3, 2)
_LONG_AGO = timedelta(days=30)


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
        self.recovery: Any = None  # who gives back stalled jobs
        self.workers: dict[int, Any] = {}  # of this process, by app
        self.message: dict[str, Any] = {}  # that is delivered
        self.connection: Any = None  # whose transaction a publish belongs to
        # Connection -> rows that its transaction takes along.
        self.carried: Any = weakref.WeakKeyDictionary()
        probe.recorder.carries, probe.recorder.ended = (
            self.carried.__contains__,
            self._end_transaction,
        )
        self.works = False  # this process is a worker
        self.after_s = 0.0  # a death, until whoever gives jobs back comes
        self.settled = False

    def prepare_process(self) -> None:
        self._replace_connectors()
        # As its command line does.
        logging.getLogger("procrastinate").setLevel(logging.INFO)

    def boot(self, handler: str) -> Facts:
        self.prepare(handler)
        self.find_recovery()
        self._run_once()
        return Facts(
            library=f"procrastinate {self.version}",
            redelivery_s=self.recovery.delay_s(),
            acks_late=True,
            bounded_kills=self.recovery.is_bounded,
            max_attempts=self._read_max_attempts(),
            same_process=True,
            counts_dead=True,
            keeps_rows=True,
            broker_error="procrastinate.exceptions:ConnectorException",
            on_kill=self.recovery.describe(),
        )

    def _read_max_attempts(self) -> int | None:
        """None where it is not bounded, or a strategy of the application's own decides."""
        strategy: Any = self.task.retry_strategy
        if strategy is None:
            return 1
        most = None
        if type(strategy) is RetryStrategy:
            most = strategy.max_attempts
        if most:
            return most + 1
        return None

    def prepare(self, handler: str) -> None:
        """Finds the task and its app. Raises NotThere."""
        # A module may start a worker when it is imported.
        skip_calls(App, "run_worker")
        skip_calls(App, "run_worker_async")
        _, _, found = find_beside_django(handler)
        self._import_apps(found)
        if isinstance(found, Task):
            self.task = found
        else:
            self.task = self._task_of(found)
        if self.task is None:
            raise NotThere(f"{handler} is no Procrastinate task but {type(found).__name__}")
        self.app = app = self.task.blueprint
        if not isinstance(app, App):
            raise NotThere(
                f"{handler} belongs to a blueprint, and no app was found that has its tasks"
            )
        self.app.perform_import_paths()
        self.takes = self.function()
        if self.task.pass_context:
            self.takes = without_context(self.takes)

    def function(self) -> Any:
        return inspect.unwrap(self.task.func)

    def _import_apps(self, found: Any) -> None:
        """A blueprint knows its app once the app's module was imported."""
        if isinstance(found, Task) and isinstance(found.blueprint, App):
            return
        function = inspect.unwrap(found.func if isinstance(found, Task) else found)
        file = None
        if inspect.isfunction(function):
            file = inspect.getsourcefile(function)
        for name in whose_text(
            _makes_app, self.probe.recorder.root, file or self.probe.recorder.root
        ):
            with contextlib.suppress(Exception, SystemExit):
                importlib.import_module(name)

    def _task_of(self, function: Any) -> Any:
        """Of a function that was registered by a call."""
        known = (task for app in self.apps for task in app.tasks.values())
        if callable(function):
            wanted = inspect.unwrap(function)
        else:
            wanted = function
        return next((task for task in known if inspect.unwrap(task.func) is wanted), None)

    def _replace_connectors(self) -> None:
        """Every app's, from its beginning; `replace_connector` puts no other in its place."""

        @replace_calls(App.__init__)
        def init(make: Any, app: Any, **kwargs: Any) -> None:
            make(app, **kwargs)
            app.connector = app.job_manager.connector = self._make_store(kwargs["connector"])
            self.apps.append(app)

        @contextlib.contextmanager
        def stays(app: Any, connector: Any) -> Iterator[Any]:
            yield app

        setattr(App, "replace_connector", stays)  # noqa: B010

    def _make_store(self, real: Any) -> Store:
        """Of one app. The apps of one database have the same tables, each by a connector of its
        own, which may write and read arguments in its own way.
        """
        if isinstance(real, Store):
            return real
        # What a command or a sweep makes for itself, once the job's own app is known, looks at the
        # same tables.
        if self.app is not None:
            return Store(self, real, self.app.connector)
        place = find_database(real)
        for app in self.apps:
            if place is not None and find_database(app.connector.real) == place:
                return Store(self, real, app.connector)
        return Store(self, real)

    def find_reader(self, store: Store) -> Store:
        """The one by which a worker reads what a store takes in: the job's own app's, where it has
        the same tables.
        """
        if self.app is None or not store.has_tables_of(self.app.connector):
            return store
        reader: Store = self.app.connector
        return reader

    def find_recovery(self) -> None:
        """Once the task and its app are known."""
        self.recovery = Recovery(self.app, self.task, self.probe.recorder.root)

    def _run_once(self) -> None:
        """What the library imports and compiles on first use is there before the forks."""
        # A store of its own: no job of it is anybody's.
        known, self.app = self.app, None
        app = App(connector=InMemoryConnector())
        self.app = known
        app.task(name="warm")(_do_nothing)
        message: dict[str, Any] = dict.fromkeys(KEPT)
        message.update(id=1, task_name="warm", priority=0, args={}, attempts=0)
        with say_nothing():
            self.run_in_loop(self._run_worker_once(app, message))
        self.close_loop()
        self.apps = [one for one in self.apps if one is not app]
        self.workers.clear()

    # -- publishing

    @contextlib.contextmanager
    def in_transaction(self, connection: Any) -> Iterator[None]:
        """What is deferred inside is published when the connection's transaction commits."""
        self.connection = _find_raw(connection)
        try:
            yield
        finally:
            self.connection = None

    def tell_published(
        self, store: Store, jobs: list[Any], insert: Callable[[], list[Any]]
    ) -> list[Any]:
        """Jobs are deferred, in one statement; their rows."""
        recorder = self.probe.recorder
        if not recorder.is_delivery:
            return insert()
        connection = self.connection or self._of_django(store)
        if connection is not None:
            rows = insert()
            self.carried.setdefault(connection, []).extend((store, row) for row in rows)
            return rows
        name, queue = jobs[0].task_name, jobs[0].queue_name
        one = Publish(name, self._is_mine(store, name, queue))
        with self.probe.around_publish(one):
            rows = insert()
            for row in rows[1:]:
                self._tell_publish(store, row)
            first = self._make_publish(store, rows[0])
            one.message, one.delay = first.message, first.delay
        return rows

    def _end_transaction(self, connection: Any, what: str) -> None:
        """Rows of a transaction are there with its commit."""
        rows = self.carried.pop(connection, [])
        if what == "commit":
            for store, row in rows:
                self._tell_publish(store, row)

    def _tell_publish(self, store: Store, row: dict[str, Any]) -> None:
        self.probe.tell_publish(self._make_publish(store, row))

    def _make_publish(self, store: Store, row: dict[str, Any]) -> Publish:
        mine = self._is_mine(store, row["task_name"], row["queue_name"])
        message = as_message(row)
        message["arguments"] = None
        if mine:
            message["arguments"] = self.probe.bind_arguments(self.takes, (), row["args"])
        delay = 0.0
        if row["scheduled_at"]:
            delay = seconds_left(row["scheduled_at"] - utc_now())
        return Publish(row["task_name"], mine, message, delay)

    def _is_mine(self, store: Store, task: str, queue: str) -> bool:
        """It is the handler's, and a worker of this app that is started without options reads its
        queue.
        """
        queues = self.app.worker_defaults.get("queues")
        read = queues is None or queue in queues
        is_there = read and store.has_tables_of(self.app.connector)
        return is_there and self.app.tasks.get(task) is self.task

    def _of_django(self, store: Store) -> Any:
        """Django's connection, while it is in a transaction: its jobs are rows of that. A worker
        has another one.
        """
        if self.works or type(store.real).__name__ != "DjangoConnector":
            return None
        connection = store.real.connection
        if connection.in_atomic_block or not connection.get_autocommit():
            return connection.connection
        return None

    def publish(self, payload: Any, like: dict[str, Any] | None = None) -> None:
        """As the application published `like`: into its queue, with locks that are made as its
        locks are.
        """
        args, named = self.probe.make_arguments(payload, self.takes)
        # A job has no arguments by position.
        kwargs = dict(zip(inspect.signature(self.takes).parameters, args, strict=False))
        kwargs.update(named)
        periodic = self._find_schedule()
        if periodic is not None and like is None:
            self._defer_tick(periodic, 1)
        elif periodic is not None and like is not None and "timestamp" in like["args"]:
            self._defer_tick(periodic, 2)
        elif like is None:
            self.task.configure().defer(**kwargs)
        else:
            self.task.configure(**self._make_options(like, kwargs)).defer(**kwargs)

    def _make_options(self, like: dict[str, Any], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The queue and the priority of another message, and locks that are made as its locks."""
        options = {"queue": like["queue_name"], "priority": like["priority"]}
        old = ids.read_values(self.takes, (), like["args"])
        new = ids.read_values(self.takes, (), kwargs)
        for name in ("lock", "queueing_lock"):
            if like[name]:
                options[name] = ids.make_similar_id(like[name], old, new)
        return options

    def _find_schedule(self) -> Any:
        """The handler's, where a tick is what the spec means."""
        if not self.is_clocked():
            return None
        periodics = self.app.periodic_registry.periodic_tasks.values()
        return next((one for one in periodics if one.task is self.task), None)

    def _defer_tick(self, periodic: Any, number: int) -> None:
        """What the deferrer does at the next tick, or the one after it."""
        moment = time.time()
        for _ in range(number):
            moment = periodic.croniter.get_next(ret_type=float, start_time=moment)
        deferrer = PeriodicDeferrer(self.app.periodic_registry)
        run_at_once(deferrer.defer_jobs([(periodic, round(moment))]))

    # -- delivering

    def deliver(self, message: dict[str, Any]) -> None:
        self.works, self.message = True, message
        self.settled, self.after_s = False, 0.0
        self.app.connector.stalled = None
        with self._hold_lock(message):
            with self.probe.recorder.quiet():
                self.job_files.write(message["id"], "doing")
            self.run_in_loop(self._deliver_in_loop(message))

    async def _deliver_in_loop(self, message: dict[str, Any]) -> None:
        others = asyncio.all_tasks()
        await self._run_worker_once(self.app, message)
        await self.wait_for_others(others)

    async def _run_worker_once(self, app: Any, message: dict[str, Any]) -> None:
        """A worker fetches this job, and runs it."""
        worker = self.workers.get(id(app))
        if worker is None:
            await app.open_async()
            worker = self.workers[id(app)] = app._worker(wait=False, install_signal_handlers=False)
            worker.worker_id = await app.job_manager.register_worker()
        app.connector.hold(message)
        await worker._fetch_and_process_jobs()
        await asyncio.gather(*worker._running_jobs)

    def tell_finished(self, status: str, deleted: bool) -> None:
        """The worker writes how the job ended: what the job of a worker that was slow has come to
        is not changed.
        """
        if self._was_over():
            return
        with self.probe.recorder.quiet():
            self.job_files.write(self.message["id"], "over")
        if status == Status.SUCCEEDED.value:
            self._tell_end("acked")
        elif status != Status.FAILED.value:
            self._tell_end("acked", why="raised")
        elif deleted:
            self._tell_end("lost", why="it failed, and delete_jobs keeps nothing of it")
        else:
            self._tell_end("dead", why="its status is `failed`")

    def tell_requeued(self, row: dict[str, Any], retry_at: datetime) -> None:
        """The worker gives the job back, to be run again."""
        if not self._was_over():
            message = {**self.message, **as_message(row)}
            delay = self.after_s + seconds_left(retry_at - utc_now())
            self._tell_end("requeued", delay=delay, message=message)

    def _tell_end(self, how: str, **more: Any) -> None:
        self.settled = True
        self.probe.settle(how, **more)

    @property
    def job_files(self) -> JobFiles:
        """Of this schedule, which has a scratch folder of its own."""
        return JobFiles(self.probe.settings["scratch"])

    def _was_over(self) -> bool:
        """A run beside this one has ended the job: PostgreSQL refuses what this one says of it."""
        with self.probe.recorder.quiet():
            is_over = self.job_files.read(self.message["id"]) == "over"
        if is_over:
            self._tell_end("acked", why="a run beside it has ended the job already")
        return is_over

    @contextlib.contextmanager
    def _hold_lock(self, message: dict[str, Any]) -> Iterator[None]:
        """No two jobs with the same lock run at once."""
        if not message["lock"]:
            yield
            return
        with self.probe.recorder.quiet():
            lock = self.job_files.take_lock(message["lock"], message["id"])
        with lock:
            yield

    # -- after a death

    def died(self, message: dict[str, Any], who: str) -> None:
        self.works, self.message = True, message
        if not self.recovery.is_there:
            self.probe.settle("lost", why=LOST)
            return
        if self._was_over():
            return
        self.after_s = self.recovery.delay_s()
        with say_nothing(), self.probe.recorder.quiet():
            self.run_in_loop(self._give_back(message))

    async def _give_back(self, message: dict[str, Any]) -> None:
        """The application's own code finds the job of a worker that has been silent for long."""
        store = self.app.connector
        row = store.hold(message)
        row.update(status="doing", worker_id=0)
        store.workers[0] = utc_now() - _LONG_AGO
        store.stalled = row
        store.events[row["id"]] = [{"type": "started", "at": utc_now() - _LONG_AGO}]
        for periodic in self.recovery.periodics:
            await self._run_worker_once(self.app, make_tick(periodic))
        await self.give_back_elsewhere()
        if not self.settled:
            why = f"{self.recovery.name} has run, and its status stays `doing`"
            self.probe.settle("lost", why=why)

    async def give_back_elsewhere(self) -> None:
        """What code that no worker runs is taken to do."""
        if self.recovery.elsewhere:
            for job in await self.app.job_manager.get_stalled_jobs():
                await self.app.job_manager.retry_job(job)


def _makes_app(text: bytes) -> bool:
    return b"procrastinate" in text and (b"add_tasks_from" in text or b"App(" in text)


def _find_raw(connection: Any) -> Any:
    """The driver's connection, also below SQLAlchemy's; None where each of its statements is
    committed at once.
    """
    pooled = getattr(connection, "connection", None)
    raw = getattr(pooled, "dbapi_connection", None) or connection
    idle = int(getattr(getattr(raw, "info", None), "transaction_status", 1)) == 0
    if idle and getattr(raw, "autocommit", False) is True:
        return None
    return raw


async def _do_nothing() -> None:
    """A job that is run once at boot."""
