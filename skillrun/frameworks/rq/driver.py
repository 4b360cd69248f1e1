"""RQ in the repository's interpreter: real jobs in a private Redis, and the worker's own code
around the handler.

Runs in the zygote (see probe/main.py); standard library, redis and RQ alone.
A message holds the job's whole hash, so that any setting can put the job into its own Redis. The
end of a delivery is
read from what RQ's worker did there. What becomes of a job whose process died is RQ's own code too:
the worker's
`monitor_work_horse` for a work horse, `StartedJobRegistry.cleanup` for a worker.
"""

from __future__ import annotations

import inspect
import logging
import os
import re
import signal
import sys
import time
import types
from collections.abc import Callable, Sequence
from typing import Any

import rq.utils
from redis import Redis
from redis.client import Pipeline
from redis.connection import (
    ConnectionPool,
    UnixDomainSocketConnection,
)
from rq import Queue, Worker
from rq.job import Job, JobStatus
from rq.utils import get_version, import_attribute
from rq.version import VERSION

from ...probe import ids
from ...probe.consuming import QueueWords
from ...probe.driver import Driver as BaseDriver
from ...probe.driver import Probe
from ...probe.facts import Facts
from ...probe.names import NotThere, check_version, find_beside_django
from ...probe.packing import pack_bytes, unpack_bytes
from ...probe.starting import Ways
from ...probe.swap import swap
from ...probe.wrap import around

HEARTBEAT_S, MAINTENANCE_S = 90.0, 600.0
OLDEST = (1, 14)  # before it messages are published in other ways
_COPIES = 3  # of a message, delivered at once
_HANDS_ON = "execution" in inspect.signature(Worker.perform_job).parameters
_PUBLISHES = ("_enqueue_async_job", "schedule_job", "_enqueue_rate_limited_job")
_PUBLISHED_ONCE = ("_enqueue_job", "schedule_job")  # before RQ 2
_ON_KILL = (
    "a work horse that dies is retried at once or after its interval, without on_failure; the job of a worker that "
    "dies is found by another one within 690 s, and on_failure is called; each counts as an attempt, and a job without "
    "retries left goes to the FailedJobRegistry"
)
_NOT_SAID = (
    "RQ's retries, callbacks and timeouts are said where a job is enqueued, and {handler} has no @job decorator: "
    "name that place, enqueue: {{call: module:function, args: {{...}}}}"
)


def quiet(kind: type) -> dict[str, Any]:
    """The options by which a connection of redis-py says nothing first: none before 5, others
    before 7.
    """
    known = {name for base in kind.__mro__ for name in inspect.signature(base).parameters}
    name = (
        {"driver_info": None} if "driver_info" in known else {"lib_name": None, "lib_version": None}
    )
    return {option: value for option, value in {"protocol": 2, **name}.items() if option in known}


class InProcess(Worker):
    """RQ's forking worker, as it is, except that this process is its work horse already."""

    def wait_for_horse(self) -> Any:
        """As waitpid says it of a process that was killed."""
        return os.getpid(), int(signal.SIGKILL), None

    def procline(self, message: str) -> None:
        """The process keeps its title."""

    def set_state(self, state: str, pipeline: Any = None) -> None:
        """Nobody asks for this worker: it leaves no record of itself."""

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """As `set_state`."""

    def work_on(self, job: Job, queue: Queue) -> None:
        """What a work horse does; RQ before 2 keeps no record of each execution."""
        execution = self.prepare_execution(job) if hasattr(self, "prepare_execution") else None
        self.perform_job(job, queue, *self._handed(execution))

    def horse_died(self, job: Job, queue: Queue) -> None:
        """What a worker does whose work horse was killed."""
        found = reversed(job.get_executions()) if hasattr(job, "get_executions") else ()
        self.monitor_work_horse(job, queue, *self._handed(next(iter(found), None)))

    def _handed(self, execution: Any) -> tuple[Any, ...]:
        """RQ 3 hands an execution on; in RQ 2 the worker holds it."""
        if _HANDS_ON:
            return (execution,)
        self.execution = execution
        return ()


# Options of `rq worker` and `manage.py rqworker` that have no value (rq/cli/cli.py, django_rq's rqworker.py).
_RQ_FLAGS = (
    *("-b", "--burst", "-v", "--verbose", "-q", "--quiet", "-s", "--with-scheduler", "-d"),
    *("--disable-job-desc-logging", "--disable-default-exception-handler", "--force-color"),
    *("--no-color", "--traceback", "--skip-checks"),
)


def _make_class(begun: Any) -> type[InProcess]:
    """The class of the worker that the repository begins: it may do more around a job."""
    kind = type(begun)
    if begun is None or issubclass(InProcess, kind):
        return InProcess
    return type(InProcess.__name__, (InProcess, kind), {})


class Driver(BaseDriver):
    """See probe/driver.py for what each method promises."""

    CONTROL: tuple[str, ...] = ()
    LOGGERS = ("rq.",)
    WAYS = Ways(
        entries=("rq.worker.base:BaseWorker.work", "rq.worker:Worker.work"),
        programs=(("rq", "rq.cli:main"), ("rqworker", "rq.cli:worker")),
        manage=("rqworker",),
        queues=(
            QueueWords("rq", "worker", flags=_RQ_FLAGS),
            QueueWords("manage.py", "rqworker", flags=_RQ_FLAGS),
        ),
    )

    def __init__(self, probe: Probe) -> None:
        check_version("RQ", VERSION, OLDEST)
        super().__init__(probe)
        self.url = str(probe.settings["redis"])
        self.options = quiet(UnixDomainSocketConnection)
        self.path = self._pool(0).connection_kwargs["path"]
        self.connections: dict[int, Any] = {}  # by database
        self.target: Any = None
        self.at_work: str | None = None  # the id of the job that the worker has
        self.wait = 0.0  # seconds until the worker's job comes again
        # Enqueued into a pipeline that was not sent yet.
        self.piped: list[tuple[Any, Queue, Job, float]] = []
        self._capture()

    def boot(self, handler: str) -> Facts:
        _, _, self.target = find_beside_django(handler)
        if not inspect.isroutine(self.target):
            raise NotThere(f"{handler} is no function but {type(self.target).__name__}")
        if not self.probe.settings.get("enqueue") and not hasattr(self.target, "delay"):
            raise NotThere(_NOT_SAID.format(handler=handler))
        self._warm()
        return Facts(
            library=f"rq {VERSION}",
            redelivery_s=HEARTBEAT_S + MAINTENANCE_S,
            acks_late=True,
            bounded_kills=True,
            victims_differ=True,
            counts_dead=True,
            one_by_id=True,
            redis_keys="rq:",
            ends_stuck=True,  # after 180 s where nothing else is said
            broker_error="redis.exceptions:ConnectionError",
            on_kill=_ON_KILL,
        )

    def function(self) -> Any:
        wrapped = inspect.unwrap(self.target)
        return getattr(wrapped, "__func__", wrapped)

    def _warm(self) -> None:
        """What RQ imports, compiles and asks on first use is there before the forks; no connection
        outlives this.
        """
        connection = self._connection(0)
        self.version = get_version(connection)
        there, said = set(connection.keys("*")), logging.root.manager.disable
        queue = Queue("warm", connection=connection)
        worker = self._worker(queue)
        logging.disable(logging.CRITICAL)
        for function in (_nothing, _failing):
            Job.create(function, id="warm", connection=connection, origin="warm").save()
            job = Job.fetch("warm", connection=connection)
            worker.work_on(job, queue)
        logging.disable(said)
        connection.delete(*set(connection.keys("*")) - there)
        connection.connection_pool.disconnect()

    # -- connections

    def _connection(self, db: int) -> Any:
        """The worker's own; a process that is forked connects anew, as redis-py has it."""
        if db not in self.connections:
            self.connections[db] = Redis(connection_pool=self._pool(db))
        return self.connections[db]

    def _pool(self, db: int) -> Any:
        """RESP2 and no name: nothing has to be said to the server before the first command."""
        return ConnectionPool.from_url(f"{self.url.partition('?')[0]}?db={db}", **self.options)

    def _redirect(self, connection: Any) -> None:
        """A queue of the repository's speaks to the private Redis, whatever its settings say."""
        if connection.connection_pool.connection_kwargs.get("path") != self.path:
            connection.connection_pool = self._pool(_db(connection))

    def _worker(self, queue: Queue) -> InProcess:
        begun = self.worker_begun.worker if self.worker_begun else None
        worker: Any = _make_class(begun)(
            [queue],
            name="proof",
            connection=queue.connection,
            prepare_for_work=False,
            job_class=queue.job_class,
            queue_class=type(queue),
            serializer=queue.serializer,
        )
        if begun is not None:
            worker._exc_handlers = begun._exc_handlers
            worker.disable_default_exception_handler = begun.disable_default_exception_handler
        worker.redis_server_version = self.version
        # Registries are cleaned when a worker died, see `died`, and not here.
        worker.last_cleaned_at = _now()
        made: InProcess = worker
        return made

    def _queue(self, message: dict[str, Any]) -> Queue:
        connection = self._connection(message["db"])
        setattr(connection, "__rq_redis_server_version", self.version)
        kinds = {name: import_attribute(path) for name, path in message["kinds"].items()}
        queue: Queue = kinds["queue"](
            message["queue"],
            connection=connection,
            job_class=kinds["job"],
            serializer=kinds["serializer"],
        )
        queue.redis_server_version = self.version
        return queue

    # -- publishing

    def _capture(self) -> None:
        """Every way into a queue or its schedule is a publish; what RQ does there with Redis is no
        boundary.
        """
        quiet = self.probe.recorder.quiet
        for name in _PUBLISHES if hasattr(Queue, _PUBLISHES[0]) else _PUBLISHED_ONCE:
            self._hook(vars(Queue).get(name))
        for owner, names in (
            (Queue, ("enqueue_job", "schedule_job", "enqueue_many")),
            (Job, ("refresh",)),
        ):
            for name in names:
                around(owner, name, lambda *_, **__: quiet())

        def init(queue: Queue, *args: Any, **kwargs: Any) -> None:
            made(queue, *args, **kwargs)
            self._redirect(queue.connection)

        def execute(pipeline: Any, *args: Any, **kwargs: Any) -> Any:
            return self._sent(pipeline, lambda: sent(pipeline, *args, **kwargs))

        made: Callable[..., None] = swap(Queue.__init__, init)
        sent: Callable[..., Any] = swap(Pipeline.execute, execute)

    def list_begun_queues(self, worker: Any) -> Sequence[str]:
        return tuple(worker.queue_names()) if isinstance(worker, Worker) else ()

    def list_default_queues(self) -> Sequence[str]:
        return ("default",)

    def _hook(self, function: Any) -> None:
        if not isinstance(function, types.FunctionType):
            return

        def publish(queue: Queue, job: Job, *args: Any, **kwargs: Any) -> Any:
            return self._published(
                queue, job, lambda: before(queue, job, *args, **kwargs), args, kwargs
            )

        before: Callable[..., Any] = swap(function, publish)

    def _published(
        self, queue: Queue, job: Job, send: Callable[[], Any], args: Any, kwargs: Any
    ) -> Any:
        """What the worker itself does with the job that it has is told at the end of the
        delivery.
        """
        recorder = self.probe.recorder
        due = next((value for value in args if hasattr(value, "timestamp")), None)
        delay = max(0.0, round(due.timestamp() - time.time(), 2)) if due else 0.0
        if not recorder.active or (job.id == self.at_work and recorder.depth == 0):
            self.wait = delay
            return send()
        if kwargs.get("pipeline") is not None:
            self.piped.append((kwargs["pipeline"], queue, job, delay))
            return send()
        return self._publish([(queue, job, delay)], send)

    def _sent(self, pipeline: Any, send: Callable[[], Any]) -> Any:
        """Jobs that were put into a pipeline are published together when it is sent."""
        mine = [item[1:] for item in self.piped if item[0] is pipeline]
        if not mine:
            return send()
        self.piped = [item for item in self.piped if item[0] is not pipeline]
        return self._publish(mine, send)

    def _publish(self, jobs: list[tuple[Queue, Job, float]], send: Callable[[], Any]) -> Any:
        """One sending for all of them."""
        message: dict[str, Any] = {}
        (queue, job, delay), *others = jobs

        def really() -> Any:
            result = send()
            message.update(self._message(queue, job))
            for other in others:
                self._also(*other)
            return result

        label = f"{job.func_name}"
        return self.probe.publish(
            really, message, to_handler=self._is_mine(job), delay=delay, label=label
        )

    def _also(self, queue: Queue, job: Job, delay: float) -> None:
        recorder = self.probe.recorder
        name, to_handler = f"{job.func_name}", self._is_mine(job)
        recorder.emit(
            "published",
            name=name,
            message=self._message(queue, job),
            to_handler=to_handler,
            delay=delay,
            label=name,
            in_handler=recorder.depth > 0,
            in_effect=recorder.effect_depth > 0,
            place=recorder.place(),
        )

    def _is_mine(self, job: Job) -> bool:
        try:
            function = job.func
        except Exception:
            return False
        return getattr(function, "__func__", function) is getattr(
            self.target, "__func__", self.target
        )

    def _message(self, queue: Queue, job: Job) -> dict[str, Any]:
        """Everything that another Redis needs to have this job."""
        kinds: dict[str, Any] = {
            "job": queue.job_class,
            "queue": type(queue),
            "serializer": queue.serializer,
        }
        bound = (
            self.probe.bound(self.function(), job.args, job.kwargs) if self._is_mine(job) else None
        )
        return {
            "id": job.id,
            "queue": queue.name,
            "db": _db(queue.connection),
            "kinds": {
                name: f"{kind.__module__}.{kind.__qualname__}" for name, kind in kinds.items()
            },
            "fields": {
                name: _encoded(value) for name, value in job.to_dict(include_result=False).items()
            },
            "until": time.time() + job.ttl if job.ttl and job.ttl > 0 else None,
            "arguments": bound,
        }

    def publish(self, payload: Any, like: dict[str, Any] | None = None) -> None:
        """As the application published `like`: with its retries, callbacks and timeouts."""
        args, kwargs = self.probe.arguments(payload, self.function())
        if like is None:
            self.target.delay(*args, **kwargs)
            return
        queue = self._queue(like)
        job = self._job(like, queue)
        if job.description == job.get_call_string():
            job.description = None
        old = ids.values(self.function(), job.args, job.kwargs)
        job.args, job.kwargs = tuple(args), kwargs
        job.description = job.description or job.get_call_string()
        new = ids.values(self.function(), args, kwargs)
        made = ids.like(like["id"], old, new)
        job.id = re.sub(r"[^\w-]", "_", made) if made != like["id"] else made
        if job.id == like["id"] and ids.are_distinct(
            old, new, self.probe.settings.get("key") or []
        ):
            raise ValueError(
                f"two distinct jobs have the same job_id {job.id}: the second replaces the first"
            )
        job.created_at = _now()
        queue.enqueue_job(job)

    def _job(self, message: dict[str, Any], queue: Queue) -> Job:
        """The job as a worker has it that took the message from the queue."""
        job: Job = queue.job_class(
            message["id"], connection=queue.connection, serializer=queue.serializer
        )
        job.restore(
            {name.encode(): unpack_bytes(value) for name, value in message["fields"].items()}
        )
        job.redis_server_version = self.version
        return job

    # -- delivering

    def deliver(self, message: dict[str, Any]) -> None:
        if message["until"] is not None and time.time() > message["until"]:
            self.probe.settle("lost", why="its ttl was over before a worker took it")
            return
        queue = self._queue(message)
        worker = self._worker(queue)
        job, queue = self._taken(worker, message, queue)
        self.at_work = job.id
        worker.work_on(job, queue)
        self._settle(job, queue, message)

    def _taken(self, worker: InProcess, message: dict[str, Any], queue: Queue) -> tuple[Job, Queue]:
        """As the worker takes it; of two copies at once, one may take what was brought for the
        other.
        """
        for _ in range(_COPIES):
            self._bring(message, queue)
            taken = worker.dequeue_job_and_maintain_ttl(None)
            if taken is not None:
                return taken
        raise LookupError(f"the job {message['id']} is not in its queue")

    def _bring(self, message: dict[str, Any], queue: Queue) -> None:
        """The job waits at the front of its queue, as it was published. A redelivery keeps what the
        handler noted.
        """
        connection, id_ = queue.connection, message["id"]
        key = queue.job_class.key_for(id_)
        fields = {name: unpack_bytes(value) for name, value in message["fields"].items()}
        with self.probe.recorder.quiet(), connection.pipeline(transaction=False) as pipeline:
            pipeline.hget(key, "meta")
            pipeline.delete(key)
            pipeline.hset(key, mapping=fields)
            pipeline.zrem(queue.scheduled_job_registry.key, id_)
            pipeline.lrem(queue.key, 0, id_)
            pipeline.lpush(queue.key, id_)
            meta = pipeline.execute()[0]
            if meta and message.get("redelivered"):
                connection.hset(key, "meta", meta)

    def _settle(self, job: Job, queue: Queue, message: dict[str, Any], waited: float = 0.0) -> None:
        """Says what RQ did with the job; `waited`: seconds that pass before it does so."""
        status = job.get_status(refresh=False)
        if status in (JobStatus.FAILED, JobStatus.STOPPED):
            self._failed(job, queue)
            return
        waits = status in (JobStatus.QUEUED, JobStatus.SCHEDULED)
        fields: Any = queue.connection.hgetall(queue.job_class.key_for(job.id)) if waits else {}
        if waits and not _is_repeat(fields, message):
            again = {name.decode(): pack_bytes(value) for name, value in fields.items()}
            self.probe.settle(
                "requeued", delay=waited + self.wait, message={**message, "fields": again}
            )
        else:
            self.probe.settle("acked")

    def _failed(self, job: Job, queue: Queue) -> None:
        """A failed job is kept for its failure_ttl; 0 keeps none."""
        kept: Any = queue.connection.zscore(queue.failed_job_registry.key, job.id)
        if kept is None or 0 <= kept <= time.time():
            self.probe.settle("lost", why="it failed, and its failure_ttl keeps nothing of it")
        else:
            self.probe.settle("dead", why="FailedJobRegistry")

    def died(self, message: dict[str, Any], who: str) -> None:
        queue = self._queue(message)
        self.at_work = message["id"]
        if who == "worker":
            wait = HEARTBEAT_S + MAINTENANCE_S
            queue.started_job_registry.cleanup(time.time() + wait)
            job = queue.job_class.fetch(
                message["id"], connection=queue.connection, serializer=queue.serializer
            )
            self._settle(job, queue, message, waited=wait)
            return
        job = self._job(message, queue)
        self._worker(queue).horse_died(job, queue)
        self._settle(job, queue, message)

    def rehearse(self) -> None:
        """The process has a connection of its own before its order comes."""
        self._connection(0).ping()

    def dead_letters(self) -> int | None:
        """What the failed registries of all queues hold."""
        connection = self._connection(0)
        return sum(
            int(connection.zcard(queue.failed_job_registry.key))
            for queue in Queue.all(connection=connection)
        )


def _now() -> Any:
    """The time as the worker takes it: without a time zone before RQ 2."""
    before = getattr(sys.modules[Worker.__module__], "utcnow", None)
    return (before or rq.utils.now)()


def _db(connection: Any) -> int:
    return int(connection.connection_pool.connection_kwargs.get("db") or 0)


def _is_repeat(fields: dict[bytes, bytes], message: dict[str, Any]) -> bool:
    """It succeeded and comes again because it was enqueued with `repeat`: the next time is another
    job.
    """
    before = message["fields"].get("repeats_left")
    return before is not None and fields.get(b"repeats_left") != unpack_bytes(before)


def _encoded(value: Any) -> str:
    """As redis-py sends a value."""
    data = value if isinstance(value, bytes) else str(getattr(value, "value", value)).encode()
    return pack_bytes(data)


def _nothing() -> None:
    """A job that is run once at boot."""


def _failing() -> None:
    """Another one."""
    raise LookupError
