"""Dramatiq 2 in the repository's interpreter: real messages, the worker's own threads' code, and no
broker.

Runs in the zygote (see probe/main.py); standard library and Dramatiq alone. A
message goes through `ConsumerThread.handle_message` and `WorkerThread.process_message`, so that
every middleware of the repository has its say; neither thread is started, since in virtual time
nothing waits. Messages to the actors that the handler's options name (`on_failure`, `on_success`,
`on_retry_exhausted`), and what a middleware sends after the handler, belong to the job and are
delivered too: a dead letter is often written there.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import logging
import math
import os
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from queue import PriorityQueue
from typing import Any

import dramatiq
from dramatiq.broker import Broker, MessageProxy
from dramatiq.common import current_millis, dq_name
from dramatiq.message import Message
from dramatiq.middleware import Retries
from dramatiq.results import Results
from dramatiq.results.backends import StubBackend
from dramatiq.worker import _ConsumerThread as ConsumerThread
from dramatiq.worker import _WorkerThread as WorkerThread

from ...probe.beside import run_in_thread
from ...probe.consuming import QueueWords
from ...probe.driver import Driver as BaseDriver
from ...probe.driver import Probe
from ...probe.facts import Facts
from ...probe.names import NotThere, find_beside_django
from ...probe.packing import pack_bytes, unpack_bytes
from ...probe.starting import Importer, Ways
from ...probe.swap import swap_code

_QUEUES = ("-Q", "--queues")  # of a worker's command line
_CALLBACKS = ("on_failure", "on_success", "on_retry_exhausted")
_THREADS = re.compile(r"\s(?:-t|--threads)[ =](\d+)")  # of a worker's command line
_TIME_LIMIT = "dramatiq.middleware:TimeLimitExceeded"
_HEARTBEAT_TIMEOUT_MS = 60_000  # dramatiq.brokers.redis.DEFAULT_HEARTBEAT_TIMEOUT


class Driver(BaseDriver):
    """See probe/driver.py for what each method promises."""

    CONTROL = ("dramatiq.errors.Retry", "dramatiq.errors.RateLimitExceeded")
    LOGGERS = ("dramatiq.", "pika.", "apscheduler.")
    WAYS = Ways(
        entries=("dramatiq.worker:Worker.start",),
        importers=(Importer("dramatiq"), Importer("dramatiq-gevent")),
        # A worker that is given none takes from the queues of all actors that it imports.
        queues=(
            QueueWords("dramatiq", "", options=_QUEUES),
            QueueWords("dramatiq-gevent", "", options=_QUEUES),
            QueueWords("manage.py", "rundramatiq", options=_QUEUES),
        ),
    )

    def __init__(self, probe: Probe) -> None:
        super().__init__(probe)
        self.actor: Any = None
        self.delivering = False
        probe.recorder.deliver_in_thread = self._deliver_beside
        self.moved: list[Message[Any]] | None = (
            None  # takes what the consumer moves from the delay queue
        )

    def prepare_process(self) -> None:
        # As `dramatiq` begins a worker process (dramatiq/cli.py).
        logging.basicConfig(level=logging.INFO)

    def boot(self, handler: str) -> Facts:
        _, _, found = find_beside_django(handler)
        if hasattr(found, "__dict__"):
            found = found.__dict__.get("__actor__", found)
        if not isinstance(found, dramatiq.Actor):
            raise NotThere(f"{handler} is no Dramatiq actor but {type(found).__name__}")
        self.actor = found
        self.broker = found.broker
        self._declare_callbacks()
        self._cut_results_and_timers()
        for owner in _find_enqueuers(Broker):
            self._hook_enqueuing(owner)
        return self.read_facts()

    def _declare_callbacks(self) -> None:
        """The worker imports every module of actors; here, those beside the handler's that a
        callback may be in.
        """
        for name in self._name_callbacks({}):
            for module in _modules_beside(self.function().__module__, name):
                if name not in self.broker.actors:
                    importlib.import_module(module)

    def _cut_results_and_timers(self) -> None:
        """No result leaves the process, and no timer thread waits for time to pass."""
        for middleware in self.broker.middleware:
            if isinstance(middleware, Results):
                middleware.backend = StubBackend()

    def read_facts(self) -> Facts:
        kind = name_broker(self.broker)
        broker_error = "dramatiq.errors:ConnectionClosed"
        if kind == "redis":
            broker_error = "redis.exceptions:ConnectionError"
        shared = ""
        if self._has_several_threads():
            shared = "threads"
        limit_error = ""
        if self._has_middleware("TimeLimit"):
            limit_error = _TIME_LIMIT
        return Facts(
            library=f"dramatiq {dramatiq.__version__}",
            redelivery_s=self._redelivery_s(kind),
            acks_late=True,
            same_process=True,
            shared=shared,
            bounded_kills=False,
            max_attempts=self._max_attempts(),
            on_kill=self._on_kill(kind),
            broker_error=broker_error,
            counts_dead=not self._sends_dead_letters(),
            spread=2.0,
            ends_stuck=self._can_end_a_wait(),
            limit_error=limit_error,
        )

    def _can_end_a_wait(self) -> bool:
        """Whether a time limit ends a job that waits. TimeLimit throws its exception into the
        thread, which meets it at its next line: a call of the system that waits comes to none, and
        only a coroutine that awaits does.
        """
        is_limited = self.actor.options.get("time_limit") != math.inf
        is_awaited = inspect.iscoroutinefunction(self.function())
        return self._has_middleware("TimeLimit") and is_limited and is_awaited

    def _has_several_threads(self) -> bool:
        """Whether a worker runs two jobs of this actor at once in threads of its own. It has eight
        of them where its command says nothing; asynchronous actors share one.
        """
        if inspect.iscoroutinefunction(self.function()):
            return False
        for words in self.probe.settings.get("starts") or ():
            found = _THREADS.search(" ".join(words))
            if words[0].endswith("dramatiq") and found is not None and int(found[1]) == 1:
                return False
        return True

    def _deliver_beside(self, message: dict[str, Any]) -> None:
        """Delivers a message in another thread of the same process."""
        run_in_thread(self.probe.recorder, functools.partial(self.deliver, message))

    def _has_middleware(self, name: str) -> bool:
        """Whether the broker has a middleware of this class."""
        return any(type(one).__name__ == name for one in self.broker.middleware)

    def _sends_dead_letters(self) -> bool:
        """Whether dead letters go to another actor, as the spec names it or its queue; else they
        are in Dramatiq's own dead-letter queue.
        """
        where = self.probe.settings.get("queue")
        if where is None:
            return False
        for actor in self.broker.actors.values():
            if actor is not self.actor and where in (actor.actor_name, self._find_own_queue(actor)):
                return True
        return False

    def _find_own_queue(self, actor: Any) -> str | None:
        """The queue of an actor; None where it is the handler's as well."""
        if actor.queue_name != self.actor.queue_name:
            return str(actor.queue_name)
        return None

    def _redelivery_s(self, kind: str) -> float:
        """Seconds after which a dead worker's messages are given back: Redis does so after the
        heartbeat timeout, RabbitMQ at once.
        """
        if kind == "rabbitmq":
            return 1.0
        timeout_ms = getattr(self.broker, "heartbeat_timeout", _HEARTBEAT_TIMEOUT_MS)
        return float(timeout_ms) / 1000

    def _on_kill(self, kind: str) -> str:
        """What a report says of a worker process that dies."""
        when = "once its connection is gone"
        if kind != "rabbitmq":
            when = f"after {self._redelivery_s(kind):g} s"
        words = (
            f"a worker process that dies gives its messages back {when}; that counts as no attempt"
        )
        if kind == "stub":
            return f"{words} (a StubBroker is taken for a RedisBroker)"
        return words

    def _max_attempts(self) -> int | None:
        """How often a job is tried, as the middleware `Retries` counts; None where nothing limits
        it, or a function of the application decides.
        """
        retries = _find_retries(self.broker)
        if retries is None:
            return 1  # a failure is acknowledged
        options = self.actor.options
        if options.get("retry_when", retries.retry_when) is not None:
            return None
        most = options.get("max_retries", retries.max_retries)
        if most is None:
            return None
        return int(most) + 1

    def function(self) -> Any:
        run = self.actor.fn
        is_function = isinstance(run, types.FunctionType | types.MethodType)
        if not is_function and hasattr(run, "perform"):
            run = run.perform  # dramatiq.GenericActor
        # A method is bound to its object, also below the decorators.
        below_decorators = inspect.unwrap(getattr(run, "__func__", run))
        return getattr(below_decorators, "__func__", below_decorators)

    # -- publishing

    def _hook_enqueuing(self, owner: type[Broker]) -> None:
        """Stops every message to any broker, and reports it encoded as it would be sent."""
        driver = self

        def enqueue(broker: Any, message: Any, *, delay: int | None = None) -> Any:
            if driver.moved is not None:
                driver.moved.append(message)
            message = _stamp_message(message, broker, delay)
            broker.emit_before("enqueue", message, delay)
            data = message.encode()
            if driver.moved is None:
                driver._publish_message(message, data, delay)
            broker.emit_after("enqueue", message, delay)
            return message

        swap_code(vars(owner)["enqueue"], enqueue)

    def _publish_message(self, message: Any, data: bytes, delay: int | None) -> None:
        """Reports a message that is put into a queue. `delay`: in milliseconds."""
        name, recorder = str(message.actor_name), self.probe.recorder
        to_handler = name == self.actor.actor_name
        queue = None
        if message.queue_name != self.actor.queue_name:
            queue = message.queue_name
        arguments = None
        own_queue = {}
        if to_handler:
            own_queue["queue_name"] = message.queue_name
            arguments = self.probe.bind_arguments(self.function(), message.args, message.kwargs)
        # Outside of the handler and of its effects a middleware of the worker sends.
        is_by_middleware = self.delivering and not recorder.depth and not recorder.effect_depth
        is_callback = is_by_middleware or name in self._name_callbacks(message.options)
        self.probe.publish(
            lambda: None,
            {"data": pack_bytes(data), "queue": queue, "arguments": arguments, **own_queue},
            to_handler=to_handler,
            delay=(delay or 0) / 1000,
            label=name,
            callback=is_callback and not to_handler,
        )

    def _name_callbacks(self, options: dict[str, Any]) -> set[str]:
        """The actors that the handler's options name, or `options`, those of its message."""
        named = set()
        for held in (self.actor.options, options):
            for option in _CALLBACKS:
                if isinstance(held.get(option), str):
                    named.add(held[option])
        return named

    def publish(self, payload: Any, like: dict[str, Any] | None = None) -> None:
        args, kwargs = self.probe.make_arguments(payload, self.function())
        self.actor.send_with_options(args=tuple(args), kwargs=kwargs)

    # -- delivering

    def deliver(self, message: dict[str, Any]) -> None:
        settled, self.delivering = _Settled(self.probe), True
        proxy = MessageProxy(Message.decode(unpack_bytes(message["data"])))
        with self._make_worker(settled, proxy.queue_name) as (consumer, worker):
            work = self._take_message(consumer, proxy)
            if work is not None:
                settled.telling = True
                worker.process_message(work)
        if not settled.telling or not settled.how:
            self.probe.settle(settled.how or "lost")

    def callback(self, message: dict[str, Any]) -> None:
        """One delivery to an actor that the handler's options name; its boundaries have that
        actor's name.
        """
        actor = Message.decode(unpack_bytes(message["data"])).actor_name
        self.probe.recorder.prefix = re.sub(r"[^\w-]", "-", actor) + "."
        self.deliver(message)

    def _take_message(self, consumer: ConsumerThread, proxy: MessageProxy) -> MessageProxy | None:
        """A message on its way from the broker to a worker thread, out of the delay queue where it
        was in one.
        """
        if isinstance(proxy.options.get("eta"), int | float):
            proxy.options["eta"] = min(proxy.options["eta"], current_millis())
        consumer.handle_message(proxy)
        if not consumer.delay_queue.empty():
            self.moved = []
            consumer.handle_delayed_messages()
            moved, self.moved = self.moved, None
            settled: Any = consumer.consumer
            settled.how = ""
            consumer.handle_message(MessageProxy(Message.decode(moved[0].encode())))
        if consumer.work_queue.empty():
            return None
        return _unwrap_message(consumer.work_queue.get_nowait())

    @contextlib.contextmanager
    def _make_worker(
        self, settled: _Settled, queue: str
    ) -> Iterator[tuple[ConsumerThread, WorkerThread]]:
        """A consumer and a worker thread of one worker, after its boot; neither runs by itself."""
        work: PriorityQueue[Any] = PriorityQueue()
        consumer = ConsumerThread(
            broker=self.broker, queue_name=queue, prefetch=1, work_queue=work, worker_timeout=1000
        )
        consumer.consumer = settled  # type: ignore[assignment]
        worker = WorkerThread(
            broker=self.broker, consumers=_Every(consumer), work_queue=work, worker_timeout=1000
        )
        with self.probe.recorder.quiet():
            self._boot_worker(worker)
        yield consumer, worker

    def _boot_worker(self, worker: WorkerThread) -> None:
        """What the middlewares of the repository do when a worker starts, and the event loop of
        asynchronous actors.

        Those of libraries start threads that wait (TimeLimit, Prometheus): time is virtual here,
        they would never end.
        """
        booted = []
        for middleware in self.broker.middleware:
            kind = type(middleware)
            if kind.__name__ == "AsyncIO" or self._is_of_repository(kind):
                booted.append(middleware)
        for middleware in booted:
            middleware.after_process_boot(self.broker)
            middleware.before_worker_boot(self.broker, worker)  # type: ignore[arg-type]
            middleware.after_worker_boot(self.broker, worker)  # type: ignore[arg-type]
            middleware.after_worker_thread_boot(self.broker, worker)

    def _is_of_repository(self, kind: type) -> bool:
        """Whether a class is defined in the repository, and not in an environment below it."""
        file = str(getattr(sys.modules.get(kind.__module__), "__file__", ""))
        if "site-packages" in file:
            return False
        return os.path.realpath(file).startswith(self.probe.recorder.root)

    def died(self, message: dict[str, Any], who: str) -> None:
        """Every process of a worker may die: `who` makes no difference, and `Retries` does not know
        of it.
        """
        self.probe.settle("requeued", delay=self._redelivery_s(name_broker(self.broker)))


def _find_retries(broker: Broker) -> Retries | None:
    """The middleware that tries failed jobs again; None where the broker has none."""
    for middleware in broker.middleware:
        if isinstance(middleware, Retries):
            return middleware
    return None


class _Settled:
    """Stands for the broker's consumer: what the worker told it, at once: what dies afterwards
    brings nothing back.
    """

    def __init__(self, probe: Probe) -> None:
        self.probe, self.how, self.telling = probe, "", False

    def ack(self, message: MessageProxy) -> None:
        self._tell_end("acked")

    def nack(self, message: MessageProxy) -> None:
        self._tell_end("dead")

    def _tell_end(self, how: str) -> None:
        self.how = how
        if self.telling:
            self.probe.settle(how)


class _Every(dict[str, ConsumerThread]):
    """The worker's consumers by queue: one for all."""

    def __init__(self, consumer: ConsumerThread) -> None:
        super().__init__()
        self.consumer = consumer

    def __missing__(self, queue: str) -> ConsumerThread:
        return self.consumer


def _unwrap_message(item: Any) -> MessageProxy:
    """What a worker's queue holds, in Dramatiq 2 and before."""
    message: MessageProxy
    if isinstance(item, tuple):
        message = item[-1]
    else:
        message = item.message
    return message


def _stamp_message(message: Any, broker: Broker, delay: int | None) -> Any:
    """The message as the library's own brokers change it on its way out."""
    options: dict[str, Any] = {}
    if name_broker(broker) == "redis":
        options["redis_message_id"] = message.message_id
    if delay is None:
        return message.copy(options=options)
    options["eta"] = current_millis() + delay
    return message.copy(queue_name=dq_name(message.queue_name), options=options)


def name_broker(broker: Broker) -> str:
    """redis | rabbitmq | stub, else the class's own name."""
    names = []
    for kind in type(broker).__mro__:
        if kind.__module__.startswith("dramatiq.brokers."):
            names.append(kind.__module__.rpartition(".")[2])
    if names:
        return names[0]
    return type(broker).__name__


def _find_enqueuers(kind: type[Broker]) -> Iterator[type[Broker]]:
    """The classes of brokers nearest to the base that have a way of their own to send."""
    for broker in kind.__subclasses__():
        if isinstance(vars(broker).get("enqueue"), types.FunctionType):
            yield broker
        else:
            yield from _find_enqueuers(broker)


def _modules_beside(module: str, word: str) -> Iterator[str]:
    """The modules of the same package whose text has the word in it."""
    file, package = getattr(sys.modules.get(module), "__file__", None), module.rpartition(".")[0]
    if not file:
        return
    for path in sorted(Path(file).parent.glob("*.py")):
        name = f"{package}.{path.stem}".lstrip(".")
        if (
            name not in sys.modules
            and path.stem != "__main__"
            and re.search(rf"\b{re.escape(word)}\b", path.read_text("utf-8", "replace"))
        ):
            yield name
