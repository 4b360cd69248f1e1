"""Huey in the repository's interpreter: its own messages, its worker's own loop, and no storage but
the proof's.

Runs in the zygote (see probe/main.py); standard library and Huey alone. A message
that was dequeued is nowhere else: whoever dies with it loses it. Locks, results and revocations,
which Huey keeps beside its queue, are files in the scratch folder: they outlive a killed process
and not a schedule.
"""

from __future__ import annotations

import contextlib
import copy
import datetime
import fcntl
import hashlib
import inspect
import logging
import os
import sys
import time
import types
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huey as library
import huey.api
import huey.consumer
import huey.utils
from huey.constants import EmptyData
from huey.storage import BaseStorage, MemoryStorage, RedisStorage

from ...probe.driver import Driver as BaseDriver
from ...probe.driver import Probe
from ...probe.facts import Facts
from ...probe.names import NotThere, find_beside_django
from ...probe.packing import pack_bytes, unpack_bytes
from ...probe.shapes import make_shape
from ...probe.starting import Importer, Ways
from ...probe.swap import replace_everywhere, swap

_DAY_MINUTES = 24 * 60
_BROKER_ERRORS = {
    "Redis": "redis.exceptions:ConnectionError",
    "Sqlite": "sqlite3:OperationalError",
    "Postgres": "psycopg:OperationalError",
}


class Driver(BaseDriver):
    """See probe/driver.py for what each method promises."""

    CONTROL = (
        "huey.exceptions.RetryTask",
        "huey.exceptions.CancelExecution",
        "huey.exceptions.TaskLockedException",
        "huey.exceptions.RateLimitExceeded",
    )
    LOGGERS = ("huey",)
    WAYS = Ways(
        entries=("huey.consumer:Consumer.run",),
        importers=(Importer("huey_consumer"), Importer("huey_consumer.py")),
        manage=("run_huey",),
    )

    def __init__(self, probe: Probe) -> None:
        super().__init__(probe)
        self.huey: Any = None
        self.task: Any = None
        self.call: Any = None  # what a publisher calls
        self.instances: list[Any] = []
        self.delivered: dict[str, Any] = {}
        self.current: Any = None  # the task that runs now
        self.signals: list[str] = []
        self.after: list[bytes] = []  # on_error tasks, for the next worker

    # -- the beginning

    def prepare_process(self) -> None:
        self._replace_storage()
        _follow_clock()

    def boot(self, handler: str) -> Facts:
        _, _, self.call = find_beside_django(handler)
        discover_tasks()
        self.task = find_wrapper(self.call)
        if self.task is None:
            raise NotThere(f"{handler} is no Huey task but {type(self.call).__name__}")
        self.huey = self.task.huey
        for instance in self.instances:
            instance._immediate = False
        return self.read_facts()

    def _replace_storage(self) -> None:
        """Before the repository is imported: making a Huey object may already write a file."""
        driver = self

        def create_storage(instance: Any) -> Any:
            driver.instances.append(instance)
            return Storage(driver, instance)

        swap(huey.api.Huey.create_storage, create_storage)

    def read_facts(self) -> Facts:
        kind = self.huey.storage_class
        name = kind.__name__ if isinstance(kind, type) else ""
        error = next(
            (error for part, error in _BROKER_ERRORS.items() if part in name), "ConnectionError"
        )
        on_kill = (
            "the next tick runs it again"
            if self.periodic
            else "a dequeued message is nowhere else: it is lost"
        )
        return Facts(
            library=f"huey {library.__version__}",
            redelivery_s=self._tick_s() if self.periodic else 1.0,
            ticks=self.periodic,
            lossy=not self.periodic,
            same_process=True,
            bounded_kills=True,
            max_attempts=self.task.task_class.default_retries + 1,
            on_kill=f"{on_kill}; a lock that the process held stays locked",
            broker_error=error,
        )

    @property
    def periodic(self) -> bool:
        """Whether Huey's scheduler enqueues it."""
        return issubclass(self.task.task_class, huey.api.PeriodicTask)

    def _tick_s(self) -> float:
        """Seconds between the next two ticks; a month or more counts as one."""
        ticks = self._ticks()
        first, second = next(ticks, None), next(ticks, None)
        return (second - first).total_seconds() if first and second else 31 * 86400.0

    def _ticks(self) -> Iterator[datetime.datetime]:
        task, now = (
            self.task.task_class(),
            self.huey._get_timestamp().replace(second=0, microsecond=0),
        )
        for minute in range(1, 63 * _DAY_MINUTES):
            moment = now + datetime.timedelta(minutes=minute)
            if task.validate_datetime(moment):
                yield moment

    def function(self) -> Any:
        return inspect.unwrap(self.task.func)

    def _shape(self) -> Any:
        """The function as a publisher sees it: Huey itself fills in the `task` of a context
        task.
        """
        function = self.function()
        if not self.task.context:
            return function
        parameters = inspect.signature(function).parameters
        kept = [parameter for name, parameter in parameters.items() if name != "task"]
        return make_shape(function, kept)

    # -- publishing

    def publish(self, payload: Any, like: dict[str, Any] | None = None) -> None:
        """`like`: the application's own message; what it calls on success or an error belongs to
        every message.
        """
        if self.periodic:
            self.huey.enqueue(self.task.task_class())
            return
        args, kwargs = self.probe.arguments(payload, self._shape())
        theirs = self.huey.deserialize_task(unpack_bytes(like["data"])) if like else None
        if theirs is None or not (theirs.on_error or theirs.on_complete):
            self.call(*args, **kwargs)
            return
        task = self.task.s(*args, **kwargs)
        swaps = list(zip(_given(self._shape(), theirs), _given(self._shape(), task), strict=False))
        task.on_error, task.on_complete = (
            _about(held, swaps) for held in (theirs.on_error, theirs.on_complete)
        )
        self.huey.enqueue(task)

    def sent(self, instance: Any, data: bytes) -> None:
        """What a publisher, a handler or Huey itself puts into the queue or the schedule."""
        task = instance.deserialize_task(data)
        if self._is_error_handler(task):
            self.after.append(data)
            return
        to_handler = instance is self.huey and type(task) is self.task.task_class
        message = {
            "data": pack_bytes(data),
            "id": uuid.uuid4().hex,
            "scheduled": task.eta is not None,
            "arguments": self.probe.bound(self._shape(), task.args, task.kwargs)
            if to_handler
            else None,
        }
        self.probe.publish(
            lambda: self._remember_retry(to_handler),
            message,
            to_handler=to_handler,
            delay=_seconds_until(task.eta, instance),
            label=instance._registry.task_to_string(type(task)),
        )

    def _is_error_handler(self, task: Any) -> bool:
        """Whether Huey publishes it because the running task failed: any worker runs it then."""
        wanted = self.current.on_error if self.current is not None else None
        return wanted is not None and self.probe.recorder.depth == 0 and wanted.id == task.id

    def _remember_retry(self, to_handler: bool) -> None:
        """Whoever dies after it has lost nothing."""
        if to_handler and self.delivered:
            self.huey.storage.put_data(f"retried:{self.delivered['id']}", b"1")

    # -- delivering

    def deliver(self, message: dict[str, Any]) -> None:
        self._start_worker()
        self.delivered = message
        data, timestamp = unpack_bytes(message["data"]), None
        if message["scheduled"]:
            data, timestamp = self._schedule(data)
        self.huey._signal.connect(self._hear)
        try:
            self._work(data, timestamp)
            ended = self.signals[-1:]
            while self.after:
                self._work(self.after.pop(0), None)
        except SystemExit:
            ended = []  # it ends the worker's thread, and nobody tries again
        self.probe.settle("acked", why="" if ended in (["complete"], ["retrying"]) else "raised")

    def _hear(self, signal: str, task: Any, *_: Any) -> None:
        """Huey's own signals tell how it went."""
        if signal == "executing":
            self.current = task
        if signal not in ("enqueued", "scheduled"):
            self.signals.append(signal)

    def _work(self, data: bytes, timestamp: datetime.datetime | None) -> None:
        """One round of Huey's own worker."""
        self.huey.storage.waiting.append(data)
        huey.consumer.Worker.loop(_Worker(self.huey), timestamp)

    def _schedule(self, data: bytes) -> tuple[bytes, datetime.datetime]:
        """Huey's scheduler enqueues a message when it is due; a worker may be late, but not
        early.
        """
        task = self.huey.deserialize_task(data)
        storage = self.huey.storage
        storage.hold = []
        try:
            self.huey.enqueue(task)
        finally:
            held, storage.hold = storage.hold, None
        return held[0], max(self.huey._get_timestamp(), task.eta)

    def _start_worker(self) -> None:
        """A worker's startup hooks, once. What they do to locks counts only where no other worker
        is at work.
        """
        storage = self.huey.storage
        if not self.huey._startup or storage.alive is not None:
            return
        storage.frozen = storage.others_alive()
        with self.probe.recorder.quiet():
            huey.consumer.Worker.initialize(_Worker(self.huey))
        storage.frozen = False

    def died(self, message: dict[str, Any], who: str) -> None:
        if self.huey.storage.has_data_for_key(f"retried:{message['id']}"):
            self.probe.settle("acked", why="its retry was in the queue already")
        elif self.periodic:
            data = pack_bytes(self.huey.serialize_task(self.task.task_class()))
            fresh = {**message, "data": data, "id": uuid.uuid4().hex, "scheduled": False}
            self.probe.settle("requeued", delay=self._tick_s(), message=fresh, why="the next tick")
        else:
            self.probe.settle("lost", why="it was in no queue any more")


def _given(shape: Any, task: Any) -> list[Any]:
    """A task's arguments in the order of its parameters."""
    try:
        return list(
            inspect.signature(shape).bind_partial(*task.args, **task.kwargs).arguments.values()
        )
    except TypeError:
        return [*task.args, *task.kwargs.values()]


def _about(callback: Any, swaps: list[tuple[Any, Any]]) -> Any:
    """A callback of another message, about this one: what it was given of that one's arguments is
    this one's.
    """
    if callback is None:
        return None
    swapped: Any = lambda value: next((new for old, new in swaps if old == value), value)  # noqa: E731
    made = copy.copy(callback)
    made.args = tuple(map(swapped, callback.args))
    made.kwargs = {name: swapped(value) for name, value in callback.kwargs.items()}
    return made


class _Worker:
    """What `Worker.loop` and `Worker.initialize` need of a worker; nobody waits."""

    delay = default_delay = 0.0
    task_count, max_tasks = 0, None
    _logger = logging.getLogger("huey.consumer.Worker")

    def __init__(self, instance: Any) -> None:
        self.huey = instance

    def sleep(self) -> None: ...


class Storage(BaseStorage):
    """Gives the driver what is enqueued, and keeps the rest in files that other processes of the
    proof see.
    """

    blocking = True

    def __init__(self, driver: Driver, instance: Any) -> None:
        super().__init__(instance.name)
        self.driver, self.huey = driver, instance
        self.waiting: list[bytes] = []
        self.hold: list[bytes] | None = None
        self.frozen = False
        name = hashlib.sha256(str(instance.name).encode()).hexdigest()[:16]
        self.folder = Path(driver.probe.settings["scratch"]) / ".huey" / name
        self.real: Any = None
        self.alive: Any = None  # the file that tells other workers of this one, once it has begun

    def __getattr__(self, name: str) -> Any:
        """What only the repository's own storage has, such as its connection."""
        if name.startswith("__") or "huey" not in vars(self):
            raise AttributeError(name)
        if self.real is None:
            self.real = self.huey.get_storage(**self.huey.storage_kwargs)
        return getattr(self.real, name)

    # -- the queue

    def enqueue(self, data: bytes, priority: float | None = None) -> None:
        if self.hold is not None:
            self.hold.append(data)
        else:
            self.driver.sent(self.huey, data)

    def add_to_schedule(self, data: bytes, ts: datetime.datetime, *_: Any) -> None:
        self.driver.sent(self.huey, data)

    def dequeue(self) -> bytes | None:
        return self.waiting.pop(0) if self.waiting else None

    def queue_size(self) -> int:
        return len(self.waiting)

    def enqueued_items(self, limit: int | None = None) -> list[bytes]:
        return self.waiting[:limit]

    def flush_queue(self) -> None:
        self.waiting.clear()

    def read_schedule(self, ts: datetime.datetime) -> list[bytes]:
        return []

    def schedule_size(self) -> int:
        return 0

    def scheduled_items(self, limit: int | None = None) -> list[bytes]:
        return []

    def flush_schedule(self) -> None: ...

    # -- locks, results, revocations: a file each, "until when|value"

    @contextlib.contextmanager
    def file(self, key: Any) -> Iterator[Path]:
        """The file of a key, while no other process has any. The library's work, not the
        handler's.
        """
        name = key if isinstance(key, bytes) else str(key).encode()
        with self.driver.probe.recorder.quiet():
            self.folder.mkdir(parents=True, exist_ok=True)
            with open(self.folder / "mutex", "ab") as mutex:
                fcntl.flock(mutex, fcntl.LOCK_EX)
                yield self.folder / hashlib.sha256(name).hexdigest()

    def put_data(self, key: Any, value: bytes, is_result: bool = False) -> None:
        with self.file(key) as path:
            _write(path, value)

    def peek_data(self, key: Any) -> Any:
        with self.file(key) as path:
            return _read(path)

    def pop_data(self, key: Any) -> Any:
        with self.file(key) as path:
            found = _read(path)
            if not self.frozen:
                path.unlink(missing_ok=True)
            return found

    def has_data_for_key(self, key: Any) -> bool:
        return self.peek_data(key) is not EmptyData

    def put_if_empty(self, key: Any, value: bytes, ttl: float | None = None) -> bool:
        ttl = self._ttl(ttl)
        with self.file(key) as path:
            if _read(path) is not EmptyData:
                return False
            _write(path, value, ttl)
            return True

    def _ttl(self, ttl: float | None) -> float | None:
        """As the repository's own storage: Redis forgets in time, memory never, and the others
        refuse.
        """
        kind = self.huey.storage_class
        if ttl is None or not isinstance(kind, type) or issubclass(kind, RedisStorage):
            return ttl
        if issubclass(kind, MemoryStorage):
            return None
        raise NotImplementedError("ttl is not supported by this storage.")

    def incr(self, key: Any, amount: int = 1) -> int:
        with self.file(f"counter:{key}") as path:
            found = _read(path)
            count = (0 if found is EmptyData else int(found)) + amount
            _write(path, str(count).encode())
            return count

    def delete_counter(self, key: Any) -> None:
        self.pop_data(f"counter:{key}")

    def result_store_size(self) -> int:
        return 0

    def result_items(self) -> dict[str, bytes]:
        return {}

    def flush_results(self) -> None: ...

    def flush_counters(self) -> None: ...

    def others_alive(self) -> bool:
        """Whether another delivery is at work; from now on this one is, until its process ends."""
        with self.file("alive") as path:
            others = any(_is_locked(other) for other in path.parent.glob("alive.*"))
            self.alive = open(path.with_name(f"alive.{os.getpid()}"), "ab")
            fcntl.lockf(self.alive, fcntl.LOCK_EX)
            return others


def _write(path: Path, value: bytes, ttl: float | None = None) -> None:
    until = b"" if ttl is None else str(time.time() + ttl).encode()
    path.write_bytes(until + b"|" + value)


def _read(path: Path) -> Any:
    """The value, or EmptyData where there is none or its time is over."""
    try:
        until, _, value = path.read_bytes().partition(b"|")
    except FileNotFoundError:
        return EmptyData
    return EmptyData if until and float(until) <= time.time() else value


def _is_locked(path: Path) -> bool:
    """Whether another process holds a file; a lock ends with the process, before skillrun hears of
    its end.
    """
    with open(path, "ab") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def find_wrapper(found: Any) -> Any:
    """The task behind an object: itself, or what a wrapper around it (Django's `on_commit_task`)
    holds.
    """
    if isinstance(found, huey.api.TaskWrapper):
        return found
    if not isinstance(found, types.FunctionType):
        return None
    cells = [cell.cell_contents for cell in found.__closure__ or ()]
    return next((held for held in cells if isinstance(held, huey.api.TaskWrapper)), None)


def _follow_clock() -> None:
    """Huey holds `utcnow` since its import, out of reach for a clock that is moved."""
    replace_everywhere(huey.utils, "utcnow", lambda: datetime.datetime.utcnow())


def discover_tasks() -> None:
    """As `manage.py run_huey` does, after Django is set up."""
    if "django" in sys.modules and os.environ.get("DJANGO_SETTINGS_MODULE"):
        from django.utils.module_loading import autodiscover_modules

        autodiscover_modules("tasks")


def _seconds_until(eta: datetime.datetime | None, instance: Any) -> float:
    """From the process's own clock; 0.0 without an eta."""
    return 0.0 if eta is None else max(0.0, (eta - instance._get_timestamp()).total_seconds())
