"""SAQ in the repository's interpreter: real jobs in a private Redis, and the worker's own code
around the handler.

Runs in the zygote (see probe/main.py); standard library, redis and saq alone. A message holds the
whole job, so that any setting can put it into its own Redis. A delivery is `Worker.process`, whose
queue hands it that job; its end is what `Queue.retry` or `Queue.finish` left there. A worker has no
child processes: a death is the worker's, and another one's sweep takes its job from the active
list. The loop and the worker live as long as the process, as a real worker's do.
"""

from __future__ import annotations

import asyncio
import base64
import importlib.metadata
import inspect
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

from saq.job import CronJob, Job, Status, get_default_job_key
from saq.queue.base import Queue
from saq.queue.redis import RedisQueue
from saq.worker import Worker

from ...probe.driver import Probe, Publish
from ...probe.facts import Facts
from ...probe.listed_driver import ListedDriver, keep_arguments
from ...probe.names import NotThere
from ...probe.redirecting import redirect_client
from ...probe.swap import swap
from ...probe.wrap import tell_after

TIMEOUT_S = 10.0  # of a job for which nobody says another
# A sweep asks a job that may be alive to end, and waits so long for it (`RedisQueue.sweep`).
ABORT_S = 5.0
_ON_KILL = (
    "the job of a worker that dies is run again by another one's sweep, once its timeout (10 s"
    " unless who enqueues it says another) is over and at most {sweep:g} s after that; each death"
    " uses up an attempt, and a job without retries left, or without a timeout, is not run again"
    " and nobody is told"
)
_OWN_KEY = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# What another job of the same kind has too; the rest of a job is its own history.
_OPTIONS = (
    *("function", "timeout", "heartbeat", "retries", "ttl", "retry_delay", "retry_backoff"),
    *("priority", "group_key", "meta"),
)


class Driver(ListedDriver):
    """See probe/driver.py for what each method promises."""

    LIBRARY = "saq"
    OLDEST = (0, 22)  # the ones before have no queues of their own kinds
    WORKER = Worker
    STARTS = ("start",)
    HINTS = (b"queue",)
    NOT_LISTED = (
        "no settings of a SAQ worker were found whose functions or cron_jobs have {handler} in"
        " them{why}"
    )
    # How SAQ ends a job that has used up its timeout, or that was aborted.
    CONTROL = ("asyncio.exceptions.CancelledError",)
    LOGGERS = ("saq",)

    def __init__(self, probe: Probe) -> None:
        self.message: dict[str, Any] | None = None  # what is being delivered
        self.waited = 0.0  # seconds that pass before the library does something with the message
        self.delay = 0.0  # what it then has its retry wait for
        super().__init__(probe, importlib.metadata.version("saq"))

    def read_facts(self) -> Facts:
        sweep = self._find_sweep(next(iter(self.settings.values())))
        return self.make_facts(
            redelivery_s=TIMEOUT_S + sweep + ABORT_S,
            # By the job's timeout; what runs in a thread cannot be cancelled.
            ends_stuck=inspect.iscoroutinefunction(self.function()),
            on_kill=_ON_KILL.format(sweep=sweep + ABORT_S),
        )

    def prepare(self, handler: str) -> None:
        if not inspect.isroutine(self.target):
            raise NotThere(f"{handler} is no function but {type(self.target).__name__}")
        self.find_settings(handler)

    # -- the worker's settings

    def read_settings(self, module: Any, value: Any) -> dict[str, Any] | None:
        """What `saq module.name` may be given: a dictionary, or a function that makes one."""
        if inspect.isfunction(value) and _may_make_settings(module, value):
            value = value()
        if isinstance(value, dict) and ("functions" in value or "cron_jobs" in value):
            return value
        return None

    def list_functions(self, settings: dict[str, Any]) -> Iterator[Any]:
        for _, function in _functions_of(settings):
            yield function

    def keep_settings(self, settings: dict[str, Any], handler: str) -> None:
        """As `saq.worker.start` takes them: without a queue it makes one. Raises NotThere for a
        queue that is not in Redis.
        """
        queue = settings.get("queue") or Queue.from_url("redis://localhost")
        if not isinstance(queue, RedisQueue):
            kind = type(queue).__name__
            raise NotThere(
                f"{handler} is run from a {kind}: the proof knows SAQ's RedisQueue alone"
            )
        self.settings.setdefault(queue.name, {**settings, "queue": queue})

    def _find_names(self, queue: str) -> list[str]:
        """By which a job of that queue means the handler."""
        functions = _functions_of(self.settings.get(queue, {}))
        return [name for name, function in functions if self.is_mine(function)]

    def _find_sweep(self, settings: dict[str, Any]) -> float:
        """Seconds between two looks for jobs that are stuck."""
        return float((settings.get("timers") or {}).get("sweep", 60))

    def _find_redelivery(self, queue: str, job: Any) -> float | None:
        """Seconds until a sweep gives the job of a dead worker back; None where none ever does."""
        stuck = [seconds for seconds in (job.timeout, job.heartbeat) if seconds]
        settings = self.settings.get(queue, {})
        return min(stuck) + self._find_sweep(settings) + ABORT_S if stuck else None

    async def run_nothing(self) -> None:
        self.settled = True
        queue: Any = Queue.from_url("redis://localhost", name="warm")
        self.message = {"id": "warm"}
        await queue.enqueue(_nothing.__name__, key="warm")
        found = await queue.job("warm")
        self.message = {"id": found.id, "job": _encode(queue, found)}
        worker: Any = Worker(queue, [_nothing])
        await worker.process()
        self.message = None
        await queue.redis.delete(*await queue.redis.keys("saq:warm:*"), found.id)
        await queue.redis.connection_pool.disconnect()

    # -- publishing

    def capture(self) -> None:
        """Every job that is enqueued is a publish; every queue speaks to the private Redis, hands
        its worker the job that is delivered, and tells what became of it.
        """

        def init(queue: Any, redis: Any, *args: Any, **kwargs: Any) -> None:
            # First, since its pubsub takes over the pool.
            redirect_client(redis, self.redis)
            made(queue, redis, *args, **kwargs)

        def wait(job: Any) -> float:
            self.delay = waits(job)
            return self.delay

        accept_sockets()
        made: Callable[..., None] = swap(RedisQueue.__init__, init)
        self.watch_sending(RedisQueue._enqueue, self._enqueue)
        keep_arguments(Worker)
        waits: Callable[..., float] = swap(Job.next_retry_delay, wait)
        tell_after(Queue.retry, self._tell_retry)
        tell_after(Queue.finish, self._tell_end)
        swap(RedisQueue.dequeue, self._hand_over)

    async def _enqueue(self, send: Any, queue: Any, job: Any) -> Any:
        """A job whose key is in use is not enqueued at all: then nothing is published."""
        with self.probe.recorder.quiet():
            waits = await queue.redis.zscore(queue._incomplete, job.id) is not None
            if waits or await queue.redis.exists(job.abort_id):
                return await send(queue, job)
        mine = job.function in self._find_names(queue.name)
        message = {"id": job.id, "queue": queue.name, "job": _encode(queue, job)}
        message["redelivery_s"] = self._find_redelivery(queue.name, job) if mine else None
        given = job.kwargs or {}
        message["arguments"] = self.probe.bound(self.takes, (), given) if mine else None
        delay = max(0.0, round(job.scheduled - time.time(), 2)) if job.scheduled else 0.0
        with self.probe.publishing(Publish(job.function, mine, message, delay)) as _:
            return await send(queue, job)

    async def publish_payload(self, payload: Any, like: dict[str, Any] | None) -> None:
        args, kwargs = self.probe.arguments(payload, self.takes)
        names = list(inspect.signature(self.takes).parameters)
        given = {**dict(zip(names, args)), **kwargs}
        queue = self.settings[like["queue"] if like else next(iter(self.settings))]["queue"]
        if like is None:
            options = self._find_options(queue.name)
        else:
            theirs = queue.deserialize(_decode(like))
            # Where another job has the same key, it is refused.
            key = self.find_like_key(theirs.key, "key", ((), theirs.kwargs or {}), ((), given))
            options = {**{name: getattr(theirs, name) for name in _OPTIONS}, "key": key}
        job = Job(**options, kwargs=given)
        with self.probe.recorder.quiet():
            # Whoever enqueues the job once more does so when the one before has ended.
            id_ = queue.job_id(job.key)
            await queue.redis.zrem(queue._incomplete, id_)
            await queue.redis.lrem(queue._queued, 0, id_)
            await queue.redis.delete(job.abort_id)
        await queue.enqueue(job)

    def _find_options(self, name: str) -> dict[str, Any]:
        """Those of the cron job where the spec says cron, as `Worker.schedule` gives them."""
        for cron in self.settings[name].get("cron_jobs") or ():
            if self.is_mine(cron.function) and self.is_clocked():
                function = cron.function.__qualname__
                key = f"cron:{function}" if cron.unique else get_default_job_key()
                given = {k: getattr(cron, k) for k in ("timeout", "heartbeat", "retries", "ttl")}
                said = {k: value for k, value in given.items() if value is not None}
                return {"function": function, "key": key, **said}
        return {"function": self._find_names(name)[0]}

    def make_key(self, key: str, old: dict[str, str], new: dict[str, str]) -> str:
        if key.startswith("cron:"):
            return key
        # A key that SAQ made itself is a UUID of another kind than most ids.
        if _OWN_KEY.fullmatch(key):
            return get_default_job_key()
        return super().make_key(key, old, new)

    # -- delivering

    async def deliver_message(self, message: dict[str, Any]) -> None:
        worker = await self.find_worker(message["queue"])
        self._begin(message)
        others = asyncio.all_tasks()
        why = "it ends in neither a retry nor an end"
        try:
            await worker.process()
        except Exception as error:  # as where the job's result cannot be written
            why = f"{type(error).__name__} where its end is written: {error}"
        if not self.settled:  # it is still in the active list
            await self._sweep_job(message, why)
        await self.wait_for_others(others)

    def _begin(self, message: dict[str, Any]) -> None:
        self.message, self.settled, self.waited = message, False, 0.0

    async def begin_worker(self, queue: str) -> Any:
        worker: Any = Worker(**self.settings[queue])
        await worker.queue.connect()
        for function in worker.startup or ():
            await function(worker.context)
        return worker

    async def _hand_over(self, queue: Any, *args: Any, **kwargs: Any) -> Any:
        """The job that is delivered, moved to the active list as any job that is taken."""
        assert self.message is not None
        id_ = self.message["id"]
        async with queue.redis.pipeline(transaction=True) as pipeline:
            pipeline.lrem(queue._queued, 0, id_)
            pipeline.lrem(queue._active, 0, id_)
            pipeline.rpush(queue._active, id_)
            pipeline.zadd(queue._incomplete, {id_: 0})
            pipeline.set(id_, _decode(self.message))
            await pipeline.execute()
        return await queue._get_job_by_id(id_)

    def _is_at_work(self, job: Any) -> bool:
        return self.message is not None and job.id == self.message["id"] and not self.settled

    def _tell_retry(self, queue: Any, job: Any, error: Any) -> None:
        if self._is_at_work(job):
            assert self.message is not None
            message = {**self.message, "job": _encode(queue, job)}
            self.settle("requeued", delay=self.waited + self.delay, message=message)

    def _tell_end(self, queue: Any, job: Any, status: Any, **_: Any) -> None:
        """What has failed stays for a while as a record of its ttl: nobody finds it there later."""
        if not self._is_at_work(job):
            return
        if status == Status.ABORTED:
            self.settle("lost", why=f"SAQ gives it up without calling its function: {job.error}")
        else:
            self.settle("acked", why="raised" if status == Status.FAILED else "")

    def died(self, message: dict[str, Any], who: str) -> None:
        """Another worker's sweep finds the job in the active list."""
        self._begin(message)
        self.run_in_loop(self._sweep_job(message, "its worker died"))

    async def _sweep_job(self, message: dict[str, Any], why: str) -> None:
        """As `RedisQueue.sweep` does with a job that is stuck, when it is."""
        settings = self.settings[message["queue"]]
        queue = settings["queue"]
        job = await queue._get_job_by_id(message["id"]) or queue.deserialize(_decode(message))
        wait = self._find_redelivery(queue.name, job)
        if wait is None:
            self.settle("lost", why=f"{why}; without a timeout no sweep takes it for stuck")
            return
        self.waited = wait
        error = queue.swept_error_message
        await queue.abort(job, error=error)
        if job.retryable:
            await queue.retry(job, error=error)
        else:
            await queue.finish(job, Status.ABORTED, error=error)


def accept_sockets() -> None:
    """SAQ looks at the scheme of an address for the kind of queue, and knows none of a socket,
    which the proof's own Redis has.
    """

    def make(url: str, **kwargs: Any) -> Any:
        return (
            RedisQueue.from_url(url, **kwargs) if url.startswith("unix:") else makes(url, **kwargs)
        )

    makes: Callable[..., Any] = swap(Queue.from_url, make)


def _may_make_settings(module: Any, function: Any) -> bool:
    """`def settings(): return {"functions": [...]}`: nothing else is called."""
    if function.__module__ != module.__name__ or inspect.signature(function).parameters:
        return False
    return "'functions'" in repr(function.__code__.co_consts)


def _functions_of(settings: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """(name, function) as `Worker` registers them."""
    for one in settings.get("functions") or ():
        name, function = one if isinstance(one, tuple) else (getattr(one, "__qualname__", ""), one)
        yield name, function
    for cron in settings.get("cron_jobs") or ():
        if isinstance(cron, CronJob):
            yield cron.function.__qualname__, cron.function


def _encode(queue: Any, job: Any) -> str:
    """As it stands in Redis, for JSON."""
    data = queue.serialize(job)
    return base64.b64encode(data.encode() if isinstance(data, str) else data).decode()


def _decode(message: dict[str, Any]) -> bytes:
    return base64.b64decode(message["job"])


async def _nothing(ctx: dict[str, Any]) -> None:
    """A job that is run once at boot."""
