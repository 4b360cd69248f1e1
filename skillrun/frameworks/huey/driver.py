"""Huey in the repository's interpreter: its own messages, its worker's own loop, and no storage but
the proof's.

Runs in the zygote (see probe/main.py); standard library and Huey alone. A message
that was dequeued is nowhere else: whoever dies with it loses it. What Huey keeps beside its queue
lies in files (`driver_storage.py`).
"""

from __future__ import annotations

import copy
import datetime
import inspect
import logging
import os
import sys
import types
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import huey as library
import huey.api
import huey.consumer
import huey.utils

from ...probe.driver import Driver as BaseDriver
from ...probe.driver import Probe
from ...probe.facts import Facts
from ...probe.names import NotThere, find_beside_django
from ...probe.packing import pack_bytes, unpack_bytes
from ...probe.shapes import make_shape
from ...probe.starting import Importer, Ways
from ...probe.swap import replace_everywhere, swap_code
from .driver_storage import Storage

_DAY_MINUTES = 24 * 60
_BROKER_ERRORS = {
    "Redis": "redis.exceptions:ConnectionError",
    "Sqlite": "sqlite3:OperationalError",
    "Postgres": "psycopg:OperationalError",
}
# What begins a consumer, on a command line.
_CONSUMERS = frozenset(("huey_consumer", "huey_consumer.py", "run_huey"))


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

        def create_storage(instance: Any) -> Any:
            self.instances.append(instance)
            return Storage(self.probe, instance, self.tell_sent)

        swap_code(huey.api.Huey.create_storage, create_storage)

    def read_facts(self) -> Facts:
        on_kill = "a dequeued message is nowhere else: it is lost"
        redelivery_s = 1.0
        if self.is_periodic:
            on_kill = "the next tick runs it again"
            redelivery_s = self._tick_s()
        return Facts(
            library=f"huey {library.__version__}",
            redelivery_s=redelivery_s,
            ticks=self.is_periodic,
            lossy=not self.is_periodic,
            same_process=True,
            bounded_kills=True,
            max_attempts=self.task.task_class.default_retries + 1,
            on_kill=f"{on_kill}; a lock that the process held stays locked",
            scheduled=self._list_scheduled(),
            broker_error=self._name_broker_error(),
        )

    def _list_scheduled(self) -> tuple[str, ...] | None:
        """The functions of periodic tasks that are enqueued: those of the modules that a consumer
        imports, where one of the consumers has its scheduler. None where no command line led to
        one.
        """
        if self.worker_begun is None:
            return None
        starts = self.probe.settings["starts"]
        consumers = [words for words in starts if not _CONSUMERS.isdisjoint(_name_programs(words))]
        if consumers and all(map(_has_no_scheduler, consumers)):
            return ()
        return tuple(map(_name_function, self.huey._registry._periodic_tasks))

    def _name_broker_error(self) -> str:
        """What the storage's client raises when it cannot be reached."""
        name = getattr(self.huey.storage_class, "__name__", "")
        for part, error in _BROKER_ERRORS.items():
            if part in name:
                return error
        return "ConnectionError"

    @property
    def is_periodic(self) -> bool:
        """Whether Huey's scheduler enqueues it."""
        return issubclass(self.task.task_class, huey.api.PeriodicTask)

    def _tick_s(self) -> float:
        """Seconds between the next two ticks; a month or more counts as one."""
        ticks = self._list_ticks()
        first, second = next(ticks, None), next(ticks, None)
        if first and second:
            return (second - first).total_seconds()
        return 31 * 86400.0

    def _list_ticks(self) -> Iterator[datetime.datetime]:
        """The minutes at which the schedule is due, from now on."""
        task = self.task.task_class()
        now = self.huey._get_timestamp().replace(second=0, microsecond=0)
        for minute in range(1, 63 * _DAY_MINUTES):
            moment = now + datetime.timedelta(minutes=minute)
            if task.validate_datetime(moment):
                yield moment

    def function(self) -> Any:
        return inspect.unwrap(self.task.func)

    def _shape_for_publisher(self) -> Any:
        """The function as a publisher sees it: Huey itself fills in the `task` of a context
        task.
        """
        function = self.function()
        if not self.task.context:
            return function
        parameters = inspect.signature(function).parameters
        kept = []
        for name, parameter in parameters.items():
            if name != "task":
                kept.append(parameter)
        return make_shape(function, kept)

    # -- publishing

    def publish(self, payload: Any, like: dict[str, Any] | None = None) -> None:
        """`like`: the application's own message; what it calls on success or an error belongs to
        every message.
        """
        if self.is_periodic:
            self.huey.enqueue(self.task.task_class())
            return
        args, kwargs = self.probe.make_arguments(payload, self._shape_for_publisher())
        theirs = None
        if like:
            theirs = self.huey.deserialize_task(unpack_bytes(like["data"]))
        if theirs is None or not (theirs.on_error or theirs.on_complete):
            self.call(*args, **kwargs)
            return
        task = self.task.s(*args, **kwargs)
        shape = self._shape_for_publisher()
        swaps = list(zip(_list_given(shape, theirs), _list_given(shape, task), strict=False))
        task.on_error = _copy_about(theirs.on_error, swaps)
        task.on_complete = _copy_about(theirs.on_complete, swaps)
        self.huey.enqueue(task)

    def tell_sent(self, instance: Any, data: bytes) -> None:
        """What a publisher, a handler or Huey itself puts into the queue or the schedule."""
        task = instance.deserialize_task(data)
        if self._is_error_handler(task):
            self.after.append(data)
            return
        to_handler = instance is self.huey and type(task) is self.task.task_class
        arguments = None
        if to_handler:
            arguments = self.probe.bind_arguments(
                self._shape_for_publisher(), task.args, task.kwargs
            )
        message = {
            "data": pack_bytes(data),
            "id": uuid.uuid4().hex,
            "scheduled": task.eta is not None,
            "arguments": arguments,
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
        wanted = None
        if self.current is not None:
            wanted = self.current.on_error
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
            data, timestamp = self._run_scheduler(data)
        self.huey._signal.connect(self._hear_signal)
        try:
            self._run_worker_once(data, timestamp)
            ended = self.signals[-1:]
            while self.after:
                self._run_worker_once(self.after.pop(0), None)
        except SystemExit:
            ended = []  # it ends the worker's thread, and nobody tries again
        why = "raised"
        if ended in (["complete"], ["retrying"]):
            why = ""
        self.probe.settle("acked", why=why)

    def _hear_signal(self, signal: str, task: Any, *_: Any) -> None:
        """Huey's own signals tell how it went."""
        if signal == "executing":
            self.current = task
        if signal not in ("enqueued", "scheduled"):
            self.signals.append(signal)

    def _run_worker_once(self, data: bytes, timestamp: datetime.datetime | None) -> None:
        """One round of Huey's own worker."""
        self.huey.storage.waiting.append(data)
        huey.consumer.Worker.loop(_Worker(self.huey), timestamp)

    def _run_scheduler(self, data: bytes) -> tuple[bytes, datetime.datetime]:
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
        elif self.is_periodic:
            data = pack_bytes(self.huey.serialize_task(self.task.task_class()))
            fresh = {**message, "data": data, "id": uuid.uuid4().hex, "scheduled": False}
            self.probe.settle("requeued", delay=self._tick_s(), message=fresh, why="the next tick")
        else:
            self.probe.settle("lost", why="it was in no queue any more")


def _list_given(shape: Any, task: Any) -> list[Any]:
    """A task's arguments in the order of its parameters."""
    try:
        bound = inspect.signature(shape).bind_partial(*task.args, **task.kwargs)
    except TypeError:
        return [*task.args, *task.kwargs.values()]
    return list(bound.arguments.values())


def _copy_about(callback: Any, swaps: list[tuple[Any, Any]]) -> Any:
    """A callback of another message, about this one: what it was given of that one's arguments is
    this one's.
    """
    if callback is None:
        return None

    def replace(value: Any) -> Any:
        for old, new in swaps:
            if old == value:
                return new
        return value

    made = copy.copy(callback)
    made.args = tuple(map(replace, callback.args))
    made.kwargs = {name: replace(value) for name, value in callback.kwargs.items()}
    return made


class _Worker:
    """What `Worker.loop` and `Worker.initialize` need of a worker; nobody waits."""

    delay = default_delay = 0.0
    task_count, max_tasks = 0, None
    _logger = logging.getLogger("huey.consumer.Worker")

    def __init__(self, instance: Any) -> None:
        self.huey = instance

    def sleep(self) -> None: ...


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
    if eta is None:
        return 0.0
    left: float = (eta - instance._get_timestamp()).total_seconds()
    return max(0.0, left)


def _name_programs(words: Sequence[str]) -> set[str]:
    """The words of a command line without their folders."""
    return set(map(os.path.basename, words))


def _has_no_scheduler(words: Sequence[str]) -> bool:
    """Whether a consumer's command line has it enqueue no periodic tasks."""
    return not {"-n", "--no-periodic"}.isdisjoint(words)


def _name_function(task_class: Any) -> str:
    """The function of a task, "shop.tasks:tick". A class has the name that the task was given; the
    function is held by the method that Huey makes for it.
    """
    name, execute = task_class.__name__, task_class.execute
    for free, cell in zip(execute.__code__.co_freevars, execute.__closure__ or (), strict=True):
        if free == "func":
            name = getattr(cell.cell_contents, "__name__", name)
    return f"{task_class.__module__}:{name}"
