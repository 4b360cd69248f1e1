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
import re
import time
import types
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

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
from ...probe.consuming import QueueWords, TimerWords
from ...probe.driver import Driver as BaseDriver
from ...probe.driver import Probe, Publish, seconds_left
from ...probe.facts import Facts
from ...probe.logs import say_nothing
from ...probe.names import NotThere, check_version, find_beside_django
from ...probe.packing import pack_bytes, unpack_bytes
from ...probe.starting import Ways
from ...probe.swap import replace_calls
from ...probe.wrap import wrap_calls
from .driver_worker import InProcess, make_worker, read_time

HEARTBEAT_S, MAINTENANCE_S = 90.0, 600.0
OLDEST = (1, 14)  # before it messages are published in other ways
_COPIES = 3  # of a message, delivered at once
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


def list_quiet_options(kind: type) -> dict[str, Any]:
    """The options by which a connection of redis-py says nothing first: none before 5, others
    before 7.
    """
    known = {name for base in kind.__mro__ for name in inspect.signature(base).parameters}
    if "driver_info" in known:
        name = {"driver_info": None}
    else:
        name = {"lib_name": None, "lib_version": None}
    found = {}
    for option, value in {"protocol": 2, **name}.items():
        if option in known:
            found[option] = value
    return found


# Options of `rq worker` and `manage.py rqworker` that have no value (rq/cli/cli.py, django_rq's
# rqworker.py).
_RQ_FLAGS = (
    *("-b", "--burst", "-v", "--verbose", "-q", "--quiet", "-s", "--with-scheduler", "-d"),
    *("--disable-job-desc-logging", "--disable-default-exception-handler", "--force-color"),
    *("--no-color", "--traceback", "--skip-checks"),
)
# Without it nobody brings a job whose wait is over, and no retry that has one.
_WITH_SCHEDULER = ("-s", "--with-scheduler")


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
        timers=(
            TimerWords("rq", "worker", _WITH_SCHEDULER),
            TimerWords("manage.py", "rqworker", _WITH_SCHEDULER),
            TimerWords("rqscheduler"),
            TimerWords("manage.py", "rqscheduler"),
        ),
        timer_code=("with_scheduler", "RQScheduler"),
    )

    def __init__(self, probe: Probe) -> None:
        check_version("RQ", VERSION, OLDEST)
        super().__init__(probe)
        self.url = str(probe.settings["redis"])
        self.options = list_quiet_options(UnixDomainSocketConnection)
        self.path = self._make_pool(0).connection_kwargs["path"]
        self.connections: dict[int, Any] = {}  # by database
        self.target: Any = None
        self.at_work: str | None = None  # the id of the job that the worker has
        self.wait = 0.0  # seconds until the worker's job comes again
        # Enqueued into a pipeline that was not sent yet.
        self.piped: list[tuple[Any, Queue, Job, float]] = []
        self._hook_publishing()

    def boot(self, handler: str) -> Facts:
        _, _, self.target = find_beside_django(handler)
        if not inspect.isroutine(self.target):
            raise NotThere(f"{handler} is no function but {type(self.target).__name__}")
        if not self.probe.settings.get("enqueue") and not hasattr(self.target, "delay"):
            raise NotThere(_NOT_SAID.format(handler=handler))
        self._run_once()
        return Facts(
            library=f"rq {VERSION}",
            redelivery_s=HEARTBEAT_S + MAINTENANCE_S,
            acks_late=True,
            bounded_kills=True,
            victims_differ=True,
            counts_dead=True,
            one_by_id=True,
            redis_keys="rq:",
            timed=("delay",),
            ends_stuck=True,  # after 180 s where nothing else is said
            limit_error="rq.timeouts:JobTimeoutException",
            broker_error="redis.exceptions:ConnectionError",
            on_kill=_ON_KILL,
        )

    def function(self) -> Any:
        wrapped = inspect.unwrap(self.target)
        return getattr(wrapped, "__func__", wrapped)

    def _run_once(self) -> None:
        """What RQ imports, compiles and asks on first use is there before the forks; no connection
        outlives this.
        """
        connection = self._open_connection(0)
        self.version = get_version(connection)
        there = set(connection.keys("*"))
        queue = Queue("warm", connection=connection)
        worker = self._make_worker(queue)
        with say_nothing():
            for function in (_do_nothing, _fail_always):
                Job.create(function, id="warm", connection=connection, origin="warm").save()
                job = Job.fetch("warm", connection=connection)
                worker.work_on(job, queue)
        connection.delete(*set(connection.keys("*")) - there)
        connection.connection_pool.disconnect()

    # -- connections

    def _open_connection(self, db: int) -> Any:
        """The worker's own; a process that is forked connects anew, as redis-py has it."""
        if db not in self.connections:
            self.connections[db] = Redis(connection_pool=self._make_pool(db))
        return self.connections[db]

    def _make_pool(self, db: int) -> Any:
        """RESP2 and no name: nothing has to be said to the server before the first command."""
        return ConnectionPool.from_url(f"{self.url.partition('?')[0]}?db={db}", **self.options)

    def _redirect_connection(self, connection: Any) -> None:
        """A queue of the repository's speaks to the private Redis, whatever its settings say."""
        if connection.connection_pool.connection_kwargs.get("path") != self.path:
            connection.connection_pool = self._make_pool(_read_database(connection))

    def _make_worker(self, queue: Queue) -> InProcess:
        begun = None
        if self.worker_begun:
            begun = self.worker_begun.worker
        return make_worker(begun, queue, self.version)

    def _open_queue(self, message: dict[str, Any]) -> Queue:
        connection = self._open_connection(message["db"])
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

    def _hook_publishing(self) -> None:
        """Every way into a queue or its schedule is a publish; what RQ does there with Redis is no
        boundary.
        """
        for name in _list_publishing():
            self._hook_publish(vars(Queue).get(name))
        for name in ("enqueue_job", "schedule_job", "enqueue_many"):
            wrap_calls(Queue, name, self._say_no_boundary)
        wrap_calls(Job, "refresh", self._say_no_boundary)

        @replace_calls(Queue.__init__)
        def init(make: Any, queue: Queue, *args: Any, **kwargs: Any) -> None:
            make(queue, *args, **kwargs)
            self._redirect_connection(queue.connection)

        @replace_calls(Pipeline.execute)
        def execute(send: Any, pipeline: Any, *args: Any, **kwargs: Any) -> Any:
            return self._publish_piped(pipeline, lambda: send(pipeline, *args, **kwargs))

    def _say_no_boundary(self, *_: Any, **__: Any) -> AbstractContextManager[None]:
        return self.probe.recorder.quiet()

    def list_begun_queues(self, worker: Any) -> Sequence[str]:
        return tuple(worker.queue_names()) if isinstance(worker, Worker) else ()

    def list_default_queues(self) -> Sequence[str]:
        return ("default",)

    def _hook_publish(self, function: Any) -> None:
        """A function that this version of RQ may not have."""
        if not isinstance(function, types.FunctionType):
            return

        @replace_calls(function)
        def publish(send: Any, queue: Queue, job: Job, *args: Any, **kwargs: Any) -> Any:
            return self._publish_job(
                queue, job, lambda: send(queue, job, *args, **kwargs), args, kwargs
            )

    def _publish_job(
        self, queue: Queue, job: Job, send: Callable[[], Any], args: Any, kwargs: Any
    ) -> Any:
        """Sends a job to its queue, and tells the recorder that it was published."""
        delay = _read_delay(args)
        if self._is_sent_by_worker(job):
            # That is told at the end of the delivery, with what became of the job.
            self.wait = delay
        elif kwargs.get("pipeline") is not None:
            # It is published when the pipeline is executed: see `_publish_piped`.
            self.piped.append((kwargs["pipeline"], queue, job, delay))
        else:
            return self._publish_together([(queue, job, delay)], send)
        return send()

    def _is_sent_by_worker(self, job: Job) -> bool:
        """Whether the worker puts back the job that it has, as for a retry: no code of the
        application's is between the two.
        """
        recorder = self.probe.recorder
        is_at_work = job.id == self.at_work and recorder.depth == 0
        return not recorder.is_delivery or is_at_work

    def _publish_piped(self, pipeline: Any, send: Callable[[], Any]) -> Any:
        """Jobs that were put into a pipeline are published together when it is sent."""
        mine = [item[1:] for item in self.piped if item[0] is pipeline]
        if not mine:
            return send()
        self.piped = [item for item in self.piped if item[0] is not pipeline]
        return self._publish_together(mine, send)

    def _publish_together(
        self, jobs: list[tuple[Queue, Job, float]], send: Callable[[], Any]
    ) -> Any:
        """One sending for all of them."""
        message: dict[str, Any] = {}
        (queue, job, delay), *others = jobs

        def really() -> Any:
            result = send()
            message.update(self._make_message(queue, job))
            for other_queue, other, wait in others:
                sent = self._make_message(other_queue, other)
                self.probe.tell_publish(
                    Publish(f"{other.func_name}", self._is_mine(other), sent, wait)
                )
            return result

        label = f"{job.func_name}"
        return self.probe.publish(
            really, message, to_handler=self._is_mine(job), delay=delay, label=label
        )

    def _is_mine(self, job: Job) -> bool:
        try:
            function = job.func
        except Exception:
            return False
        return getattr(function, "__func__", function) is getattr(
            self.target, "__func__", self.target
        )

    def _make_message(self, queue: Queue, job: Job) -> dict[str, Any]:
        """Everything that another Redis needs to have this job."""
        kinds: dict[str, Any] = {
            "job": queue.job_class,
            "queue": type(queue),
            "serializer": queue.serializer,
        }
        bound = None
        if self._is_mine(job):
            bound = self.probe.bind_arguments(self.function(), job.args, job.kwargs)
        until = None
        if job.ttl and job.ttl > 0:
            until = time.time() + job.ttl
        fields = job.to_dict(include_result=False)
        return {
            "id": job.id,
            "queue": queue.name,
            "db": _read_database(queue.connection),
            "kinds": {name: _spell_path(kind) for name, kind in kinds.items()},
            "fields": {name: _encode_value(value) for name, value in fields.items()},
            "until": until,
            "arguments": bound,
        }

    def publish(self, payload: Any, like: dict[str, Any] | None = None) -> None:
        """As the application published `like`: with its retries, callbacks and timeouts."""
        args, kwargs = self.probe.make_arguments(payload, self.function())
        if like is None:
            self.target.delay(*args, **kwargs)
            return
        queue = self._open_queue(like)
        job = self._restore_job(like, queue)
        if job.description == job.get_call_string():
            job.description = None
        old = ids.read_values(self.function(), job.args, job.kwargs)
        job.args, job.kwargs = tuple(args), kwargs
        job.description = job.description or job.get_call_string()
        new = ids.read_values(self.function(), args, kwargs)
        made = ids.make_similar_id(like["id"], old, new)
        if made != like["id"]:
            job.id = re.sub(r"[^\w-]", "_", made)
        else:
            job.id = made
        if job.id == like["id"] and ids.are_distinct(old, new, self.probe.settings):
            raise ValueError(
                f"two distinct jobs have the same job_id {job.id}: the second replaces the first"
            )
        job.created_at = read_time()
        queue.enqueue_job(job)

    def _restore_job(self, message: dict[str, Any], queue: Queue) -> Job:
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
        queue = self._open_queue(message)
        worker = self._make_worker(queue)
        job, queue = self._take_job(worker, message, queue)
        self.at_work = job.id
        # -1 is RQ's word for no limit, and an alarm of 0 s never rings.
        if job.timeout is not None and int(job.timeout) <= 0:
            self.probe.tell_no_limit()
        worker.work_on(job, queue)
        self._tell_end(job, queue, message)

    def _take_job(
        self, worker: InProcess, message: dict[str, Any], queue: Queue
    ) -> tuple[Job, Queue]:
        """As the worker takes it; of two copies at once, one may take what was brought for the
        other.
        """
        for _ in range(_COPIES):
            self._bring_job(message, queue)
            taken = worker.dequeue_job_and_maintain_ttl(None)
            if taken is not None:
                return taken
        raise LookupError(f"the job {message['id']} is not in its queue")

    def _bring_job(self, message: dict[str, Any], queue: Queue) -> None:
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

    def _tell_end(
        self, job: Job, queue: Queue, message: dict[str, Any], waited: float = 0.0
    ) -> None:
        """Says what RQ did with the job; `waited`: seconds that pass before it does so."""
        status = job.get_status(refresh=False)
        if status in (JobStatus.FAILED, JobStatus.STOPPED):
            self._tell_failure(job, queue)
            return
        waits = status in (JobStatus.QUEUED, JobStatus.SCHEDULED)
        fields: Any = {}
        if waits:
            fields = queue.connection.hgetall(queue.job_class.key_for(job.id))
        if waits and not _is_repeat(fields, message):
            again = {name.decode(): pack_bytes(value) for name, value in fields.items()}
            self.probe.settle(
                "requeued", delay=waited + self.wait, message={**message, "fields": again}
            )
        else:
            self.probe.settle("acked")

    def _tell_failure(self, job: Job, queue: Queue) -> None:
        """A failed job is kept for its failure_ttl; 0 keeps none."""
        kept: Any = queue.connection.zscore(queue.failed_job_registry.key, job.id)
        if kept is None or 0 <= kept <= time.time():
            self.probe.settle("lost", why="it failed, and its failure_ttl keeps nothing of it")
        else:
            self.probe.settle("dead", why="FailedJobRegistry")

    def died(self, message: dict[str, Any], who: str) -> None:
        queue = self._open_queue(message)
        self.at_work = message["id"]
        if who == "worker":
            wait = HEARTBEAT_S + MAINTENANCE_S
            queue.started_job_registry.cleanup(time.time() + wait)
            job = queue.job_class.fetch(
                message["id"], connection=queue.connection, serializer=queue.serializer
            )
            self._tell_end(job, queue, message, waited=wait)
            return
        job = self._restore_job(message, queue)
        self._make_worker(queue).horse_died(job, queue)
        self._tell_end(job, queue, message)

    def rehearse(self) -> None:
        """The process has a connection of its own before its order comes."""
        self._open_connection(0).ping()

    def dead_letters(self) -> int | None:
        """What the failed registries of all queues hold."""
        connection = self._open_connection(0)
        return sum(
            int(connection.zcard(queue.failed_job_registry.key))
            for queue in Queue.all(connection=connection)
        )


def _read_database(connection: Any) -> int:
    return int(connection.connection_pool.connection_kwargs.get("db") or 0)


def _list_publishing() -> tuple[str, ...]:
    """The methods of this version of RQ by which a job comes into a queue or its schedule."""
    if hasattr(Queue, _PUBLISHES[0]):
        return _PUBLISHES
    return _PUBLISHED_ONCE


def _spell_path(kind: Any) -> str:
    """As `import_attribute` reads it."""
    return f"{kind.__module__}.{kind.__qualname__}"


def _is_repeat(fields: dict[bytes, bytes], message: dict[str, Any]) -> bool:
    """It succeeded and comes again because it was enqueued with `repeat`: the next time is another
    job.
    """
    before = message["fields"].get("repeats_left")
    return before is not None and fields.get(b"repeats_left") != unpack_bytes(before)


def _encode_value(value: Any) -> str:
    """As redis-py sends a value."""
    if isinstance(value, bytes):
        data = value
    else:
        data = str(getattr(value, "value", value)).encode()
    return pack_bytes(data)


def _do_nothing() -> None:
    """A job that is run once at boot."""


def _fail_always() -> None:
    """Another one."""
    raise LookupError


def _read_delay(args: Sequence[Any]) -> float:
    """Seconds until the time among the arguments of `schedule_job`; 0 where there is none."""
    for value in args:
        if hasattr(value, "timestamp"):
            return seconds_left(value.timestamp() - time.time())
    return 0.0
