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
from collections.abc import Callable
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
from ...probe.driver import Probe, Publish, seconds_left
from ...probe.facts import Facts
from ...probe.logs import say_nothing
from ...probe.modules import whose_text
from ...probe.names import NotThere, check_version, find_beside_django
from ...probe.packing import pack_bytes, unpack_bytes
from ...probe.shapes import make_shape
from ...probe.starting import Importer, Ways
from ...probe.swap import replace_calls
from .driver_broker import BrokerCode, is_early

OLDEST = (0, 12)
_DEPENDENCY: type = type(TaskiqDepends())
# Labels that the library itself writes.
_OF_A_RUN = ("_retries", "schedule_id", "X-Taskiq-requeue")
_TASKS = 100  # at a time, where the worker's command says nothing


def _find_other_broker(broker: Any) -> str | None:
    """The broker that a module makes where it does not make one for tests: a verdict about a queue
    in memory would say nothing of it.
    """
    if not isinstance(broker, InMemoryBroker):
        return None
    for module in list(sys.modules.values()):
        names = {}
        if isinstance(module, types.ModuleType):
            names = vars(module)
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
        await self.driver.tell_scheduled(self, schedule)


class Driver(AsyncDriver):
    """See probe/driver.py for what each method promises."""

    CONTROL = ("taskiq.exceptions.NoResultError", "taskiq.exceptions.TaskRejectedError")
    LOGGERS = ("taskiq.",)
    WAYS = Ways(importers=(Importer("taskiq", command="worker"),))
    OF_DELIVERY = ("retried", "settled", "result")

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
        self._hook_publishing()

    def prepare_process(self) -> None:
        logging.basicConfig(level=logging.INFO)

    def boot(self, handler: str) -> Facts:
        self.prepare(handler)
        for broker in self.brokers:
            if not isinstance(broker, InMemoryBroker):
                broker.result_backend = DummyResultBackend()
        self.receiver = InProcess(self.broker, ThreadPoolExecutor(), max_async_tasks=_TASKS)
        self._compile_formatter()
        return self.read_facts()

    def prepare(self, handler: str) -> None:
        """Finds the task and its broker. Raises NotThere."""
        _, _, found = find_beside_django(handler)
        if isinstance(found, AsyncTaskiqDecoratedTask):
            task = found
        else:
            task = self._find_registered(found)
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
        self._refuse_memory(handler)
        self.code = BrokerCode(self.broker)
        self.takes = _without_dependencies(task.original_func)
        if any(getattr(one, "schedule_source", None) for one in self.broker.middlewares):
            # A process, and often a module, of its own.
            self.unread = not self._import_where(b"Scheduler(")

    def _refuse_memory(self, handler: str) -> None:
        """A verdict about a queue in memory would say nothing of the one that the worker has."""
        other = _find_other_broker(self.broker)
        if other is not None:
            raise NotThere(
                f"{handler}: with proof.env its broker is an InMemoryBroker, which loses what its process"
                f" holds, and its module has {other} too: give proof.env what the worker has, e.g."
                ' services: [redis], and "{redis}" as the address'
            )

    def _find_registered(self, found: Any) -> Any:
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
        broker_error = "ConnectionError"
        if type(self.broker).__module__.startswith("taskiq_redis"):
            broker_error = "redis.exceptions:ConnectionError"
        return Facts(
            library=f"taskiq {version('taskiq')}",
            redelivery_s=self.code.redelivery_s,
            same_process=True,
            shared=self.share_loop(_TASKS),
            acks_late=not is_early(labels),
            bounded_kills=not self.code.comes_back(labels),
            max_attempts=self._read_max_attempts(),
            on_kill=self.code.describe_death(labels),
            broker_error=broker_error,
        )

    def _read_max_attempts(self) -> int:
        """`max_retries` counts runs: `retries < max_retries`, where the first failure makes it
        one.
        """
        labels, most = self.task.labels, 1
        for one in self.broker.middlewares:
            if not isinstance(one, (SimpleRetryMiddleware, SmartRetryMiddleware)):
                continue
            asked = labels.get("retry_on_error", one.default_retry_label)
            if str(asked).lower() == "true":
                most = max(most, int(labels.get("max_retries", one.default_retry_count)))
        return most

    def function(self) -> Any:
        return inspect.unwrap(self.task.original_func)

    def _compile_formatter(self) -> None:
        """What is compiled on first use is compiled before the forks."""
        message = TaskiqMessage(
            task_id="", task_name="", labels={}, labels_types={}, args=[], kwargs={}
        )
        self.broker.formatter.loads(self.broker.formatter.dumps(message).message).parse_labels()

    # -- publishing

    def _hook_publishing(self) -> None:
        """Whatever a broker would send, and whatever is put into a schedule, is a publish; nothing
        connects.
        """

        @replace_calls(AsyncBroker.__init__)
        def init(make: Any, broker: Any, *args: Any, **kwargs: Any) -> None:
            make(broker, *args, **kwargs)
            self.brokers.append(broker)
            broker.kick = functools.partial(self._take_kick, broker)
            if not isinstance(broker, InMemoryBroker):
                broker.startup = functools.partial(AsyncBroker.startup, broker)
                broker.shutdown = functools.partial(AsyncBroker.shutdown, broker)

        @replace_calls(TaskiqScheduler.__init__)
        def scheduler(
            make: Any, one: Any, broker: Any, sources: Any, *args: Any, **kwargs: Any
        ) -> None:
            make(one, broker, sources, *args, **kwargs)
            self.sources += sources

        @replace_calls(AsyncKicker.schedule_by_time)
        async def schedule(
            by_time: Any, kicker: Any, source: Any, *args: Any, **kwargs: Any
        ) -> Any:
            if not self.probe.recorder.is_listening:
                return await by_time(kicker, source, *args, **kwargs)
            created = await by_time(kicker, Due(self, kicker.broker, source), *args, **kwargs)
            created.source = source
            return created

    async def _take_kick(self, broker: Any, message: Any) -> None:
        """A message of the application's, or of a middleware."""
        if self.kicked is not None:
            self.kicked.append(message.message)
        elif self.probe.recorder.is_listening:
            delay = BrokerCode(broker).read_delay(message.labels)
            self._publish_data(
                broker, message.message, delay, self._is_read(broker, message.labels)
            )

    async def tell_scheduled(self, due: Due, schedule: ScheduledTask) -> None:
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
        self._publish_data(due.broker, data, _seconds_until(schedule.time), read)

    def _publish_data(self, broker: Any, data: bytes, delay: float, read: bool) -> None:
        sent = broker.formatter.loads(data)
        mine = read and sent.task_name == self.task.task_name
        arguments = None
        if mine:
            arguments = self.probe.bind_arguments(self.takes, sent.args, sent.kwargs)
        message = {
            "data": pack_bytes(data),
            "id": sent.task_id,
            "early": is_early(sent.labels),
            "arguments": arguments,
        }
        one = Publish(sent.task_name, mine, message, delay)
        with self.probe.around_publish(one):
            if mine and self.begun and not self.code.gives_back and not self.settled:
                # The message is gone, and its retry is there: nothing is lost any more.
                self._tell_end("acked")
        self.retried = self.retried or mine

    def _is_read(self, broker: Any, labels: dict[str, Any]) -> bool:
        """Whether any broker of the application listens where the message goes."""
        queue = labels.get("queue_name") or getattr(broker, "queue_name", None)
        if not isinstance(queue, str):
            return True
        for one in self.brokers:
            more = getattr(one, "additional_streams", None) or ()
            if queue == getattr(one, "queue_name", None) or queue in more:
                return True
        return False

    def _has_scheduler(self, source: Any) -> bool:
        """Whether one kicks what is put into a source; another object of its class, that is made
        with the same texts and numbers, stands for it.
        """
        if self.unread:
            return True
        wanted = _describe_source(source)
        return any(_describe_source(one) == wanted for one in self.sources)

    def publish(self, payload: Any, like: dict[str, Any] | None = None) -> None:
        """As the application published `like`: with its labels, and an id that is made as its id
        is.
        """
        self.run_in_loop(self._publish_in_loop(payload, like))

    async def _publish_in_loop(self, payload: Any, like: dict[str, Any] | None) -> None:
        args, kwargs = self.probe.make_arguments(payload, self.takes)
        if like is not None:
            await self._make_kicker(like, args, kwargs).kiq(*args, **kwargs)
        elif self.is_clocked():
            await self._kick_tick(self.task.kicker(), args, kwargs)
        else:
            await self.task.kicker().kiq(*args, **kwargs)

    def _make_kicker(self, like: dict[str, Any], args: Any, kwargs: dict[str, Any]) -> Any:
        """With the labels of another message, and an id that is made as its id is."""
        theirs = self.broker.formatter.loads(unpack_bytes(like["data"]))
        theirs.parse_labels()
        old = ids.read_values(self.takes, theirs.args, theirs.kwargs)
        id_ = ids.make_similar_id(like["id"], old, ids.read_values(self.takes, args, kwargs))
        # Taskiq's own ids have none.
        if "-" not in like["id"]:
            id_ = id_.replace("-", "")
        labels = {}
        for name in theirs.labels:
            if name not in _OF_A_RUN:
                labels[name] = theirs.labels[name]
        return self.task.kicker().with_task_id(id_).with_labels(**labels)

    async def _kick_tick(self, kicker: Any, args: Any, kwargs: dict[str, Any]) -> None:
        """What the scheduler kicks for the first schedule in the task's labels; the payload's
        arguments go first.
        """
        source = LabelScheduleSource(self.task.broker)
        with self.probe.recorder.quiet():
            await source.startup()
        mine = []
        for one in source.schedules.values():
            if one.task_name == self.task.task_name:
                mine.append(one)
        if not mine:
            await kicker.kiq(*args, **kwargs)
            return
        first = mine[0]
        if args or kwargs:
            first.args, first.kwargs = args, kwargs
        stand_in: Any = types.SimpleNamespace(broker=self.broker)
        await TaskiqScheduler.on_ready(stand_in, source, first)

    # -- delivering

    @property
    def result(self) -> Any:
        """How the latest delivery ended, as the receiver has it."""
        return self.receiver.result

    @result.setter
    def result(self, result: Any) -> None:
        self.receiver.result = result

    def deliver(self, message: dict[str, Any]) -> None:
        self.run_in_loop(self.deliver_in_loop(message))

    async def deliver_in_loop(self, message: dict[str, Any]) -> None:
        self.retried = self.settled = False
        self.receiver.result = None
        await self._begin_worker()
        others = asyncio.all_tasks()
        data = unpack_bytes(message["data"])
        brought: Any = data
        if self.code.can_acknowledge:
            brought = AckableMessage(
                data=data, ack=functools.partial(self._take_acknowledgement, message)
            )
        try:
            await self.receiver.callback(brought)
        except Exception as error:  # out of a middleware: nobody acknowledges the message
            self._tell_unacknowledged(message, f"{type(error).__name__} out of a middleware")
        else:
            self._tell_of_ended(message)
        await self.wait_for_others(others)

    async def _begin_worker(self) -> None:
        """This process's worker starts: events, middlewares."""
        if self.begun:
            return
        self.begun = self.broker.is_worker_process = True
        with say_nothing(), self.probe.recorder.quiet():
            await self.broker.startup()

    def _take_acknowledgement(self, message: dict[str, Any]) -> None:
        """The broker has let go of it, whatever is still to be done; before the run that is said by
        `died`.
        """
        if not message["early"] and not self.settled:
            self._tell_end("acked")

    def _tell_of_ended(self, message: dict[str, Any]) -> None:
        if self.settled:
            return
        # With ack_type manual the handler does it, and here nobody did.
        if self.code.can_acknowledge and not message["early"]:
            self._tell_unacknowledged(message, "the handler did not acknowledge it")
        else:
            self._tell_end("acked")

    def _tell_unacknowledged(self, message: dict[str, Any], why: str) -> None:
        if self.settled:
            return
        if self.code.gives_back and not message["early"]:
            self._tell_end("requeued", delay=self.code.redelivery_s, message=message, why=why)
        else:
            self._tell_end("lost", why=why)

    def _tell_end(self, how: str, why: str = "", **more: Any) -> None:
        self.settled = True
        self.probe.settle(how, why=why or self._say_how_it_ended(), **more)

    def _say_how_it_ended(self) -> str:
        """How the task ended, as far as it has."""
        result = self.receiver.result
        if result is None or not result.is_err or self.retried:
            return ""
        if isinstance(result.error, NoResultError):
            return "ignored"
        return "raised"

    def died(self, message: dict[str, Any], who: str) -> None:
        """Nothing of taskiq's runs then: what the broker still has pending comes again."""
        if self.code.gives_back and not message["early"]:
            self.probe.settle("requeued", delay=self.code.redelivery_s, message=message)
        else:
            self.probe.settle("lost", why="it was in no queue any more")


def _describe_source(source: Any) -> tuple[type, dict[str, Any]]:
    """A schedule source's class, and what tells two of them apart, such as the prefix of its keys.
    What changes while it is at work, a flag, is left out.
    """
    told = {}
    for name, value in vars(source).items():
        if isinstance(value, (str, int, float)) and not isinstance(value, bool):
            told[name] = value
    return type(source), told


def _seconds_until(when: datetime.datetime | None) -> float:
    """From the process's own clock; a time without a zone is UTC's."""
    if when is None:
        return 0.0
    zone = when.tzinfo or datetime.timezone.utc
    return seconds_left(when.replace(tzinfo=zone) - datetime.datetime.now(zone))


def _without_dependencies(function: Any) -> Callable[..., None]:
    """Has the task's parameters but for those that `TaskiqDepends` fills."""
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except Exception:
        hints = {}
    kept = []
    for one in inspect.signature(function).parameters.values():
        if not _is_dependency(one, hints.get(one.name)):
            kept.append(one)
    return make_shape(function, kept)


def _is_dependency(parameter: inspect.Parameter, hint: Any) -> bool:
    return any(
        isinstance(one, _DEPENDENCY)
        for one in (parameter.default, *getattr(hint, "__metadata__", ()))
    )
