"""SAQ in the repository's interpreter: real jobs in a private Redis, and the worker's own code
around the handler.

Runs in the zygote (see probe/main.py); standard library, redis and saq alone. A message holds the
whole job, so that any setting can put it into its own Redis. A delivery is `Worker.process`, whose
queue hands it that job; its end is what `Queue.retry` or `Queue.finish` left there. A worker has no
child processes: a death is the worker's, and another one's sweep takes its job from the active
list. The loop and the worker live as long as the process, as a real worker's do.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterator
from typing import Any

from saq.job import CronJob, Job, Status, get_default_job_key
from saq.queue.base import Queue
from saq.queue.redis import RedisQueue
from saq.worker import Worker

from ...probe.driver import Publish, seconds_left
from ...probe.facts import Facts
from ...probe.ids import name_arguments
from ...probe.listed_driver import ListedDriver, do_nothing, lists_functions, may_make_settings
from ...probe.names import NotThere
from ...probe.packing import pack_bytes, unpack_bytes
from ...probe.redirecting import redirect_client
from ...probe.starting import Importer, Ways
from ...probe.swap import replace_calls, swap_code
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
    SENDING = staticmethod(RedisQueue._enqueue)
    HINTS = (b"queue",)
    WAYS = Ways(entries=("saq.worker:Worker.start",), importers=(Importer("saq"),))
    REFUSED = "{handler} is no function but {kind}"
    ESCAPED = "{kind} where its end is written: {error}"
    # How SAQ ends a job that has used up its timeout, or that was aborted.
    CONTROL = ("asyncio.exceptions.CancelledError",)
    LOGGERS = ("saq",)

    def read_facts(self) -> Facts:
        settings = next(iter(self.settings.values()))
        sweep = self._find_sweep(settings)
        return self.make_facts(
            redelivery_s=TIMEOUT_S + sweep + ABORT_S,
            # By the job's timeout; what runs in a thread cannot be cancelled.
            ends_stuck=inspect.iscoroutinefunction(self.function()),
            shared=self.share_loop(settings.get("concurrency") or 10),
            on_kill=_ON_KILL.format(sweep=sweep + ABORT_S),
        )

    def can_run(self) -> bool:
        return inspect.isroutine(self.target)

    # -- the worker's settings

    def read_settings(self, module: Any, value: Any) -> dict[str, Any] | None:
        """What `saq module.name` may be given: a dictionary, or a function that makes one."""
        if inspect.isfunction(value) and may_make_settings(module, value):
            value = value()
        if isinstance(value, dict) and lists_functions(value):
            return value
        return None

    def list_functions(self, settings: dict[str, Any]) -> Iterator[tuple[str, Any]]:
        """Yields (name, function) of each function, as `Worker` registers them."""
        for entry in settings.get("functions") or ():
            if isinstance(entry, tuple):
                yield entry
            else:
                yield getattr(entry, "__qualname__", ""), entry
        for cron in settings.get("cron_jobs") or ():
            if isinstance(cron, CronJob):
                yield cron.function.__qualname__, cron.function

    def keep_settings(self, settings: dict[str, Any], handler: str) -> None:
        """Keeps settings under the name of their queue; without a queue one is made, as
        `saq.worker.start` does. Raises NotThere for a queue that is not in Redis.
        """
        queue = settings.get("queue") or Queue.from_url("redis://localhost")
        if not isinstance(queue, RedisQueue):
            known = "the proof knows SAQ's RedisQueue alone"
            raise NotThere(f"{handler} is run from a {type(queue).__name__}: {known}")
        self.settings.setdefault(queue.name, {**settings, "queue": queue})

    def _find_sweep(self, settings: dict[str, Any]) -> float:
        """Seconds between two looks for jobs that are stuck."""
        return float((settings.get("timers") or {}).get("sweep", 60))

    def _find_redelivery(self, queue: str, job: Any) -> float | None:
        """Seconds until a sweep gives the job of a dead worker back; None where none ever does."""
        limits: list[float] = list(filter(None, (job.timeout, job.heartbeat)))
        if not limits:
            return None
        return min(limits) + self._find_sweep(self.settings.get(queue, {})) + ABORT_S

    async def run_nothing(self) -> None:
        # What SAQ and Redis's client make on first use is made once, before the forks.
        queue: Any = Queue.from_url("redis://localhost", name="warm")
        await queue.enqueue(do_nothing.__name__, key="warm")
        found = await queue.job("warm")
        self.message = {"id": found.id, "job": pack_bytes(queue.serialize(found))}
        worker: Any = Worker(queue, [do_nothing])
        await worker.process()
        await queue.redis.delete(*await queue.redis.keys("saq:warm:*"), found.id)
        await queue.redis.connection_pool.disconnect()

    # -- publishing

    def redirect_clients(self) -> None:
        @replace_calls(RedisQueue.__init__)
        def init(make: Any, queue: Any, redis: Any, *args: Any, **kwargs: Any) -> None:
            # First, since its pubsub takes over the pool.
            redirect_client(redis, self.redis)
            make(queue, redis, *args, **kwargs)

        # SAQ looks at the scheme of an address for the kind of queue, and knows none of a socket,
        # which the proof's own Redis has.
        @replace_calls(Queue.from_url)
        def from_url(make: Any, url: str, **kwargs: Any) -> Any:
            if url.startswith("unix:"):
                return RedisQueue.from_url(url, **kwargs)
            return make(url, **kwargs)

    def capture_publishes(self) -> None:
        """Besides, a queue hands its worker the job that is delivered, and what becomes of it is
        reported.
        """

        @replace_calls(Job.next_retry_delay)
        def wait(before: Any, job: Any) -> float:
            self.delay = before(job)
            return self.delay

        super().capture_publishes()
        tell_after(Queue.retry, self._tell_retry)
        tell_after(Queue.finish, self._tell_end)
        swap_code(RedisQueue.dequeue, self._hand_over)

    async def send_job(self, send: Any, queue: Any, job: Any) -> Any:
        """Reports a job that `send` puts into a queue. One whose key is in use is not enqueued at
        all: then nothing is published.
        """
        with self.probe.recorder.quiet():
            waits = await queue.redis.zscore(queue._incomplete, job.id) is not None
            if waits or await queue.redis.exists(job.abort_id):
                return await send(queue, job)
        to_handler = job.function in self.find_names(queue.name)
        message = {"id": job.id, "queue": queue.name, "job": pack_bytes(queue.serialize(job))}
        message["redelivery_s"] = message["arguments"] = None
        if to_handler:
            message["redelivery_s"] = self._find_redelivery(queue.name, job)
            message["arguments"] = self.probe.bind_arguments(self.takes, (), job.kwargs or {})
        delay = seconds_left(job.scheduled - time.time())
        with self.probe.around_publish(Publish(job.function, to_handler, message, delay)):
            return await send(queue, job)

    async def publish_message(
        self, args: Any, kwargs: dict[str, Any], like: dict[str, Any] | None
    ) -> None:
        given = name_arguments(self.takes, args, kwargs)
        name = next(iter(self.settings))
        if like:
            name = like["queue"]
        queue = self.settings[name]["queue"]
        if like is None:
            options = self._find_options(queue.name)
        else:
            theirs = queue.deserialize(unpack_bytes(like["job"]))
            # Where another job has the same key, it is refused.
            key = self.find_like_key(theirs.key, "key", ((), theirs.kwargs or {}), ((), given))
            options = {**{option: getattr(theirs, option) for option in _OPTIONS}, "key": key}
        job = Job(**options, kwargs=given)
        with self.probe.recorder.quiet():
            # Whoever enqueues the job once more does so when the one before has ended.
            id_ = queue.job_id(job.key)
            await queue.redis.zrem(queue._incomplete, id_)
            await queue.redis.lrem(queue._queued, 0, id_)
            await queue.redis.delete(job.abort_id)
        await queue.enqueue(job)

    def _find_options(self, name: str) -> dict[str, Any]:
        """The options of a job in the queue `name`: those of the cron job where the spec says cron,
        as `Worker.schedule` gives them, else the function alone.
        """
        for cron in self.settings[name].get("cron_jobs") or ():
            if self.is_mine(cron.function) and self.is_clocked():
                return _read_cron_options(cron)
        return {"function": self.find_names(name)[0]}

    # -- delivering

    async def run_delivery(self, worker: Any, message: dict[str, Any]) -> None:
        self.waited = 0.0
        await worker.process()

    async def begin_worker(self, queue: str) -> Any:
        worker: Any = Worker(**self.settings[queue])
        await worker.queue.connect()
        for function in worker.startup or ():
            await function(worker.context)
        return worker

    async def _hand_over(self, queue: Any, *args: Any, **kwargs: Any) -> Any:
        """Gives the worker the job that is delivered, moved to the active list as any job that is
        taken.
        """
        id_ = self.message["id"]
        async with queue.redis.pipeline(transaction=True) as pipeline:
            pipeline.lrem(queue._queued, 0, id_)
            pipeline.lrem(queue._active, 0, id_)
            pipeline.rpush(queue._active, id_)
            pipeline.zadd(queue._incomplete, {id_: 0})
            pipeline.set(id_, unpack_bytes(self.message["job"]))
            await pipeline.execute()
        return self.tell_limit(await queue._get_job_by_id(id_))

    def _is_at_work(self, job: Any) -> bool:
        """Whether a job is the one that is delivered, and nothing was reported of its end."""
        return not self.settled and job.id == self.message["id"]

    def _tell_retry(self, queue: Any, job: Any, error: Any) -> None:
        if self._is_at_work(job):
            message = {**self.message, "job": pack_bytes(queue.serialize(job))}
            self.settle("requeued", delay=self.waited + self.delay, message=message)

    def _tell_end(self, queue: Any, job: Any, status: Any, **_: Any) -> None:
        """Reports how a job ended. One that has failed is acknowledged: its record stays for the
        ttl of a result alone, and nobody finds it there later.
        """
        if not self._is_at_work(job):
            return
        if status == Status.ABORTED:
            self.settle("lost", why=f"SAQ gives it up without calling its function: {job.error}")
        elif status == Status.FAILED:
            self.settle("acked", why="raised")
        else:
            self.settle("acked", why="")

    async def lose_worker(self, message: dict[str, Any], why: str) -> None:
        """Does with a job in the active list what `RedisQueue.sweep` of another worker does once
        the job is stuck.
        """
        settings = self.settings[message["queue"]]
        queue = settings["queue"]
        job = await queue._get_job_by_id(message["id"]) or queue.deserialize(
            unpack_bytes(message["job"])
        )
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


def _read_cron_options(cron: Any) -> dict[str, Any]:
    """The options of a job that SAQ makes of a cron job, without those that it leaves open."""
    options = {"function": cron.function.__qualname__, "key": get_default_job_key()}
    if cron.unique:
        options["key"] = f"cron:{options['function']}"
    for option in ("timeout", "heartbeat", "retries", "ttl"):
        if getattr(cron, option) is not None:
            options[option] = getattr(cron, option)
    return options
