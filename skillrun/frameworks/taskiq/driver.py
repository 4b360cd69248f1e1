"""taskiq in the repository's interpreter: its own messages, its worker's receiver, and no broker
but the proof's.

Runs in the zygote (see probe/main.py); standard library and taskiq alone. A
message is what the broker's formatter made of it. A delivery is `Receiver.callback`, so that
dependencies and middlewares have their say; what it acknowledges is done with. A broker that
acknowledges nothing has let go of a message when a worker has it. A retry is another message: one
that a middleware kicks, or that a scheduler kicks when it is due.
"""

from __future__ import annotations

import asyncio
import datetime
import functools
import importlib
import inspect
import logging
import sys
import types
import typing
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any

from taskiq import (
    AckableMessage,
    AsyncBroker,
    InMemoryBroker,
    ScheduleSource,
    TaskiqDepends,
    TaskiqScheduler,
)
from taskiq.brokers.shared_broker import AsyncSharedBroker
from taskiq.decor import AsyncTaskiqDecoratedTask
from taskiq.exceptions import NoResultError
from taskiq.kicker import AsyncKicker
from taskiq.message import TaskiqMessage
from taskiq.middlewares import SimpleRetryMiddleware, SmartRetryMiddleware
from taskiq.receiver import Receiver
from taskiq.result_backends.dummy import DummyResultBackend
from taskiq.schedule_sources import LabelScheduleSource
from taskiq.scheduler.scheduled_task import ScheduledTask

from ...probe import ids
from ...probe.async_driver import AsyncDriver
from ...probe.driver import Probe, Publish
from ...probe.facts import Facts
from ...probe.modules import whose_text
from ...probe.names import NotThere, check_version, find_beside_django
from ...probe.packing import pack_bytes, unpack_bytes
from ...probe.shapes import make_shape
from ...probe.starting import Importer, Ways
from ...probe.swap import swap

OLDEST = (0, 12)
_DEPENDENCY: type = type(TaskiqDepends())
# Labels that the library itself writes.
_OF_A_RUN = ("_retries", "schedule_id", "X-Taskiq-requeue")
# In a broker's code: how it comes to its messages.
_WORDS = (
    "xreadgroup",
    "xautoclaim",
    "add_listener",
)
_IN_MEMORY = "the queue is a worker's own memory: a job whose process dies is lost"
_UNACKED = "{name} acknowledges nothing: a job whose worker dies is lost"
_NEVER_CLAIMED = "{name} claims nothing that a dead worker did not acknowledge: its job is lost"
_EARLY = "acknowledged before it runs (ack_type when_received): a worker that dies loses it"
_STREAM = (
    "the message of a worker that dies stays pending, and is claimed by a worker when it was idle for {idle:g} s and "
    "another message has come after it: in a quiet stream it waits; no death counts as an attempt"
)
_ACKED = "a worker that dies gives the message back; that counts as no attempt"


def _find_other_broker(broker: Any) -> str | None:
    """The broker that a module makes where it does not make one for tests: a verdict about a queue in
    memory would say nothing of it.
    """
    if not isinstance(broker, InMemoryBroker):
        return None
    for module in list(sys.modules.values()):
        names = vars(module) if isinstance(module, types.ModuleType) else {}
        if not any(value is broker for value in list(names.values())):
            continue
        for value in list(names.values()):
            is_broker = isinstance(value, type) and issubclass(value, AsyncBroker)
            if is_broker and not issubclass(value, InMemoryBroker) and value is not AsyncBroker:
                return str(value.__name__)
    return None


class InProcess(Receiver):
    """taskiq's receiver, as it is, except that it remembers what the task came to."""

    result: Any = None

    async def run_task(self, *args: Any, **kwargs: Any) -> Any:
        """The result after all `on_error` of the middlewares."""
        self.result = await super().run_task(*args, **kwargs)
        return self.result


class Due(ScheduleSource):
    """A source whose schedules become messages at once, with the time that they wait for."""

    def __init__(self, driver: Driver, broker: AsyncBroker, source: Any) -> None:
        self.driver, self.broker, self.source = driver, broker, source

    async def get_schedules(self) -> list[ScheduledTask]:
        return []

    async def add_schedule(self, schedule: ScheduledTask) -> None:
        """What the scheduler will kick is published."""
        if type(self.source).add_schedule is ScheduleSource.add_schedule:
            # It raises NotImplementedError.
            await self.source.add_schedule(schedule)
        await self.driver.scheduled(self, schedule)


class Driver(AsyncDriver):
    """See probe/driver.py for what each method promises."""

    CONTROL = ("taskiq.exceptions.NoResultError", "taskiq.exceptions.TaskRejectedError")
    LOGGERS = ("taskiq.",)
    WAYS = Ways(importers=(Importer("taskiq", command="worker"),))

    def __init__(self, probe: Probe) -> None:
        check_version("taskiq", version("taskiq"), OLDEST)
        super().__init__(probe)
        self.brokers: list[Any] = []
        self.sources: list[Any] = []  # of all schedulers
        self.unread = True  # not all modules that may have a scheduler are imported
        self.task: Any = None
        self.broker: Any = None
        self.begun = False
        self.kicked: list[bytes] | None = None  # takes what a scheduler would kick
        self.retried = self.settled = False
        self._capture()

    def prepare_process(self) -> None:
        logging.basicConfig(level=logging.INFO)

    def boot(self, handler: str) -> Facts:
        self.prepare(handler)
        for broker in self.brokers:
            if not isinstance(broker, InMemoryBroker):
                broker.result_backend = DummyResultBackend()
        self.receiver = InProcess(self.broker, ThreadPoolExecutor(), max_async_tasks=100)
        self._warm()
        return self.read_facts()

    def prepare(self, handler: str) -> None:
        """Finds the task and its broker. Raises NotThere."""
        _, _, found = find_beside_django(handler)
        task = found if isinstance(found, AsyncTaskiqDecoratedTask) else self._registered(found)
        if task is None:
            raise NotThere(f"{handler} is no taskiq task but {type(found).__name__}")
        self.task, self.broker = task, task.broker
        if isinstance(task.broker, AsyncSharedBroker):
            self._import_where(b"default_broker(")
            self.broker = task.broker._default_broker
        if self.broker is None:
            raise NotThere(
                f"{handler} is a shared task, and async_shared_broker has no default broker"
            )
        other = _find_other_broker(self.broker)
        if other is not None:
            raise NotThere(
                f"{handler}: with proof.env its broker is an InMemoryBroker, which loses what its process"
                f" holds, and its module has {other} too: give proof.env what the worker has, e.g."
                ' services: [redis], and "{redis}" as the address'
            )
        self.takes = _without_dependencies(task.original_func)
        if any(getattr(one, "schedule_source", None) for one in self.broker.middlewares):
            # A process, and often a module, of its own.
            self.unread = not self._import_where(b"Scheduler(")

    def _registered(self, found: Any) -> Any:
        """`broker.register_task(f)` leaves `f` as it is."""
        tasks = (task for broker in self.brokers for task in broker.get_all_tasks().values())
        return next((task for task in tasks if task.original_func is found), None)

    def _import_where(self, word: bytes) -> bool:
        """Imports the modules of the repository that have the word in them; whether all of them
        could be imported.
        """
        file = inspect.getsourcefile(self.task.original_func) or self.probe.recorder.root
        broken = False
        for name in whose_text(lambda text: word in text, self.probe.recorder.root, file):
            try:
                importlib.import_module(name)
            except (Exception, SystemExit):
                broken = True
        return not broken

    def read_facts(self) -> Facts:
        labels = self.task.labels
        redis = type(self.broker).__module__.startswith("taskiq_redis")
        return Facts(
            library=f"taskiq {version('taskiq')}",
            redelivery_s=self.redelivery_s,
            same_process=True,
            acks_late=not self._is_early(labels),
            bounded_kills=not self._comes_back(labels),
            max_attempts=self._most(),
            on_kill=self._on_kill(),
            broker_error="redis.exceptions:ConnectionError" if redis else "ConnectionError",
        )

    def _most(self) -> int:
        """`max_retries` counts runs: `retries < max_retries`, where the first failure makes it
        one.
        """
        labels, most = self.task.labels, 1
        for one in self.broker.middlewares:
            if isinstance(one, (SimpleRetryMiddleware, SmartRetryMiddleware)):
                asked = str(labels.get("retry_on_error", one.default_retry_label)).lower() == "true"
                most = max(
                    most, int(labels.get("max_retries", one.default_retry_count)) if asked else 1
                )
        return most

    @property
    def redelivery_s(self) -> float:
        """Seconds until the message of a dead worker may be claimed; other brokers see its
        connection go.
        """
        return float(getattr(self.broker, "idle_timeout", 1000)) / 1000

    def _on_kill(self) -> str:
        if isinstance(self.broker, InMemoryBroker):
            return _IN_MEMORY
        name = type(self.broker).__name__
        if not self._gives_back:
            return (_NEVER_CLAIMED if self._acknowledges else _UNACKED).format(name=name)
        if self._is_early(self.task.labels):
            return _EARLY
        return (
            _STREAM.format(idle=self.redelivery_s)
            if hasattr(self.broker, "idle_timeout")
            else _ACKED
        )

    @functools.cached_property
    def _acknowledges(self) -> bool:
        """Whether its messages can be acknowledged: then its own code makes such messages."""
        return any(_names(function, "AckableMessage") for function in _functions(type(self.broker)))

    @functools.cached_property
    def _gives_back(self) -> bool:
        """Whether the message of a worker that died is delivered again. Redis streams: by who
        claims what is pending (`XAUTOCLAIM`), and the brokers for a cluster and for sentinels do
        not. PostgreSQL: a NOTIFY is sent once.
        """
        functions = list(_functions(type(self.broker)))
        reads, claims, hears = (any(_names(one, word) for one in functions) for word in _WORDS)
        return self._acknowledges and (claims or not reads) and not hears

    def _is_early(self, labels: dict[str, Any]) -> bool:
        return (
            str(getattr(labels.get("ack_type"), "value", labels.get("ack_type"))).lower()
            == "when_received"
        )

    def _comes_back(self, labels: dict[str, Any]) -> bool:
        """Whether the message of a worker that dies is delivered again."""
        return self._gives_back and not self._is_early(labels)

    def function(self) -> Any:
        return inspect.unwrap(self.task.original_func)

    def _warm(self) -> None:
        """What is compiled on first use is compiled before the forks."""
        message = TaskiqMessage(
            task_id="", task_name="", labels={}, labels_types={}, args=[], kwargs={}
        )
        self.broker.formatter.loads(self.broker.formatter.dumps(message).message).parse_labels()

    # -- publishing

    def _capture(self) -> None:
        """Whatever a broker would send, and whatever is put into a schedule, is a publish; nothing
        connects.
        """

        def init(broker: Any, *args: Any, **kwargs: Any) -> None:
            made(broker, *args, **kwargs)
            self.brokers.append(broker)
            broker.kick = functools.partial(self._kick, broker)
            if not isinstance(broker, InMemoryBroker):
                broker.startup = functools.partial(AsyncBroker.startup, broker)
                broker.shutdown = functools.partial(AsyncBroker.shutdown, broker)

        def scheduler(one: Any, broker: Any, sources: Any, *args: Any, **kwargs: Any) -> None:
            makes(one, broker, sources, *args, **kwargs)
            self.sources += sources

        async def schedule(kicker: Any, source: Any, *args: Any, **kwargs: Any) -> Any:
            if not self.probe.recorder.watching:
                return await by_time(kicker, source, *args, **kwargs)
            created = await by_time(kicker, Due(self, kicker.broker, source), *args, **kwargs)
            created.source = source
            return created

        made: Callable[..., None] = swap(AsyncBroker.__init__, init)
        makes: Callable[..., None] = swap(TaskiqScheduler.__init__, scheduler)
        by_time: Callable[..., Any] = swap(AsyncKicker.schedule_by_time, schedule)

    async def _kick(self, broker: Any, message: Any) -> None:
        """A message of the application's, or of a middleware."""
        if self.kicked is not None:
            self.kicked.append(message.message)
        elif self.probe.recorder.watching:
            delay = _delay(broker, message.labels)
            self._published(broker, message.message, delay, self._is_read(broker, message.labels))

    async def scheduled(self, due: Due, schedule: ScheduledTask) -> None:
        """What `TaskiqScheduler.on_ready` will kick when the time has come."""
        self.kicked = []
        try:
            with self.probe.recorder.quiet():
                stand_in: Any = types.SimpleNamespace(broker=due.broker)
                await TaskiqScheduler.on_ready(stand_in, due, schedule)
            (data,) = self.kicked
        finally:
            self.kicked = None
        read = self._is_read(due.broker, schedule.labels) and self._has_scheduler(due.source)
        self._published(due.broker, data, _seconds_until(schedule.time), read)

    def _published(self, broker: Any, data: bytes, delay: float, read: bool) -> None:
        sent = broker.formatter.loads(data)
        mine = read and sent.task_name == self.task.task_name
        message = {
            "data": pack_bytes(data),
            "id": sent.task_id,
            "early": self._is_early(sent.labels),
            "arguments": self.probe.bound(self.takes, sent.args, sent.kwargs) if mine else None,
        }
        one = Publish(sent.task_name, mine, message, delay)
        with self.probe.publishing(one):
            if mine and self.begun and not self._gives_back and not self.settled:
                # The message is gone, and its retry is there: nothing is lost any more.
                self._settle("acked")
        self.retried = self.retried or mine

    def _is_read(self, broker: Any, labels: dict[str, Any]) -> bool:
        """Whether any broker of the application listens where the message goes."""
        queue = labels.get("queue_name") or getattr(broker, "queue_name", None)
        read = {
            name
            for one in self.brokers
            for name in (getattr(one, "queue_name", None), *_more_streams(one))
        }
        return queue in read or not isinstance(queue, str)

    def _has_scheduler(self, source: Any) -> bool:
        """Whether one kicks what is put into a source; another object of its class may stand for
        it.
        """
        return self.unread or any(type(one) is type(source) for one in self.sources)

    def publish(self, payload: Any, like: dict[str, Any] | None = None) -> None:
        """As the application published `like`: with its labels, and an id that is made as its id
        is.
        """
        self.run_in_loop(self._publish(payload, like))

    async def _publish(self, payload: Any, like: dict[str, Any] | None) -> None:
        args, kwargs = self.probe.arguments(payload, self.takes)
        kicker = self.task.kicker()
        if like is not None:
            theirs = self.broker.formatter.loads(unpack_bytes(like["data"]))
            theirs.parse_labels()
            old, new = (
                ids.values(self.takes, theirs.args, theirs.kwargs),
                ids.values(self.takes, args, kwargs),
            )
            id_ = ids.like(like["id"], old, new)
            # Taskiq's own have none.
            kicker = kicker.with_task_id(id_ if "-" in like["id"] else id_.replace("-", ""))
            kicker.with_labels(
                **{name: value for name, value in theirs.labels.items() if name not in _OF_A_RUN}
            )
        elif (self.probe.settings.get("trigger") or {}).get("type") in ("cron", "poller"):
            return await self._tick(kicker, args, kwargs)
        await kicker.kiq(*args, **kwargs)
        return None

    async def _tick(self, kicker: Any, args: Any, kwargs: dict[str, Any]) -> None:
        """What the scheduler kicks for the first schedule in the task's labels; the payload's
        arguments go first.
        """
        source = LabelScheduleSource(self.task.broker)
        with self.probe.recorder.quiet():
            await source.startup()
        mine = [one for one in source.schedules.values() if one.task_name == self.task.task_name]
        if not mine:
            await kicker.kiq(*args, **kwargs)
            return
        mine[0].args, mine[0].kwargs = (
            (args, kwargs) if args or kwargs else (mine[0].args, mine[0].kwargs)
        )
        await TaskiqScheduler.on_ready(types.SimpleNamespace(broker=self.broker), source, mine[0])  # type: ignore[arg-type]

    # -- delivering

    def deliver(self, message: dict[str, Any]) -> None:
        self.run_in_loop(self._deliver(message))

    async def _deliver(self, message: dict[str, Any]) -> None:
        self.retried = self.settled = False
        self.receiver.result = None
        await self._begin()
        others = asyncio.all_tasks()
        data = unpack_bytes(message["data"])
        ack = functools.partial(self._acked, message)
        try:
            await self.receiver.callback(
                AckableMessage(data=data, ack=ack) if self._acknowledges else data
            )
        except Exception as error:  # out of a middleware: nobody acknowledges the message
            self._unacknowledged(message, f"{type(error).__name__} out of a middleware")
        else:
            self._ended(message)
        await self.wait_for_others(others)

    async def _begin(self) -> None:
        """This process's worker starts: events, middlewares."""
        if self.begun:
            return
        self.begun = self.broker.is_worker_process = True
        said = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        try:
            with self.probe.recorder.quiet():
                await self.broker.startup()
        finally:
            logging.disable(said)

    def _acked(self, message: dict[str, Any]) -> None:
        """The broker has let go of it, whatever is still to be done; before the run that is said by
        `died`.
        """
        if not message["early"] and not self.settled:
            self._settle("acked")

    def _ended(self, message: dict[str, Any]) -> None:
        if self.settled:
            return
        # With ack_type manual the handler does it, and here nobody did.
        if self._acknowledges and not message["early"]:
            self._unacknowledged(message, "the handler did not acknowledge it")
        else:
            self._settle("acked")

    def _unacknowledged(self, message: dict[str, Any], why: str) -> None:
        if self.settled:
            return
        if self._gives_back and not message["early"]:
            self._settle("requeued", delay=self.redelivery_s, message=message, why=why)
        else:
            self._settle("lost", why=why)

    def _settle(self, how: str, why: str = "", **more: Any) -> None:
        self.settled = True
        self.probe.settle(how, why=why or self._why(), **more)

    def _why(self) -> str:
        """How the task ended, as far as it has."""
        result = self.receiver.result
        if result is None or not result.is_err or self.retried:
            return ""
        return "ignored" if isinstance(result.error, NoResultError) else "raised"

    def died(self, message: dict[str, Any], who: str) -> None:
        """Nothing of taskiq's runs then: what the broker still has pending comes again."""
        if self._gives_back and not message["early"]:
            self.probe.settle("requeued", delay=self.redelivery_s, message=message)
        else:
            self.probe.settle("lost", why="it was in no queue any more")


def _functions(kind: type) -> Iterator[Any]:
    """Of a broker's class and its bases, up to taskiq's own."""
    for base in kind.__mro__[: kind.__mro__.index(AsyncBroker)]:
        yield from (value for value in vars(base).values() if isinstance(value, types.FunctionType))


def _names(function: Any, word: str) -> bool:
    """Whether a function's code names something."""
    codes = [function.__code__]
    while codes:
        code = codes.pop()
        if word in code.co_names or word in code.co_consts:
            return True
        codes += [one for one in code.co_consts if isinstance(one, types.CodeType)]
    return False


def _delay(broker: Any, labels: dict[str, Any]) -> float:
    """The label `delay`, where the broker reads it: those of taskiq-redis, ZeroMQ and memory do
    not.
    """
    if "delay" not in labels or not any(
        _names(function, "delay") for function in _functions(type(broker))
    ):
        return 0.0
    return max(0.0, float(labels["delay"] or 0.0))


def _more_streams(broker: Any) -> tuple[str, ...]:
    return tuple(getattr(broker, "additional_streams", None) or ())


def _seconds_until(when: datetime.datetime | None) -> float:
    """From the process's own clock; a time without a zone is UTC's."""
    if when is None:
        return 0.0
    zone = when.tzinfo or datetime.timezone.utc
    return max(
        0.0, round((when.replace(tzinfo=zone) - datetime.datetime.now(zone)).total_seconds(), 2)
    )


def _without_dependencies(function: Any) -> Callable[..., None]:
    """Has the task's parameters but for those that `TaskiqDepends` fills."""

    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except Exception:
        hints = {}
    kept = [
        one
        for one in inspect.signature(function).parameters.values()
        if not _is_dependency(one, hints.get(one.name))
    ]
    return make_shape(function, kept)


def _is_dependency(parameter: inspect.Parameter, hint: Any) -> bool:
    return any(
        isinstance(one, _DEPENDENCY)
        for one in (parameter.default, *getattr(hint, "__metadata__", ()))
    )
