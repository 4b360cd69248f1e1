"""arq in the repository's interpreter: real jobs in a private Redis, and the worker's own code
around the handler.

Runs in the zygote (see probe/main.py); standard library, redis and arq alone.
A message holds the job's definition and how often it was tried, so that any setting can put the job
into its own Redis.
A delivery goes through `Worker.main` (on_startup), `start_jobs` and `run_job`; its end is what
`finish_job` or
`finish_failed_job` left there. A worker has no child processes: a death is the worker's, and its
job is run again when
the job's in-progress key has run out. The loop and the worker live as long as the process, as a
real worker's do.
"""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any
from uuid import uuid4

from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.constants import (
    default_queue_name,
    in_progress_key_prefix,
    job_key_prefix,
    result_key_prefix,
    retry_key_prefix,
)
from arq.jobs import deserialize_job_raw, deserialize_result
from arq.utils import timestamp_ms, to_unix_ms
from arq.worker import Worker, func, get_kwargs

from ...probe.driver import Publish, seconds_left
from ...probe.facts import Facts
from ...probe.listed_driver import ListedDriver, do_nothing, lists_functions
from ...probe.packing import pack_bytes, unpack_bytes
from ...probe.redirecting import redirect_client
from ...probe.starting import Importer, Ways
from ...probe.swap import replace_calls

_OF_WORKERS = "workers' own"
_COPIES = 3  # of a message, delivered at once
_USUAL_MAX_JOBS = 10
_ON_KILL = (
    "the job of a worker that dies is run again once its in-progress key has run out, {wait:g} s after it was begun "
    "(the longest timeout of the worker's functions, and 10 s); each death uses up one of its {most} tries, and after "
    "the last one arq gives the job up without calling any function of the application"
)


class Begun(Exception):
    """The worker has started, and would look for jobs now."""


class InProcess(Worker):
    """arq's worker, as it is, except that it is handed its jobs, and tells what became of them at
    once.
    """

    message: dict[str, Any]
    until: float  # when the job's definition runs out
    told: Callable[..., Any]
    failed = 0  # jobs, before the one at hand

    async def begin_work(self) -> None:
        """Its connection and the application's on_startup."""
        try:
            await self.main()
        except Begun:
            pass

    async def _poll_iteration(self) -> None:
        raise Begun

    async def finish_job(self, job_id: str, finish: bool, *args: Any, **kwargs: Any) -> None:
        """What is left to do after it may bring nothing back."""
        await super().finish_job(job_id, finish, *args, **kwargs)
        if not finish:
            await self._tell_retry(job_id)
        else:
            self.told("acked", why="raised" if self.jobs_failed > self.failed else "")

    async def _tell_retry(self, job_id: str) -> None:
        """Its score says when; a run beside this one may have taken its definition away."""
        score = await self.pool.zscore(self.queue_name, job_id)
        if score is None or not await self.pool.exists(job_key_prefix + job_id):
            self.told(
                "lost",
                why="a run of the same job beside it has removed it: its retry finds nothing",
            )
            return
        tries = int(await self.pool.get(retry_key_prefix + job_id) or 0)
        delay = seconds_left((score - timestamp_ms()) / 1000)
        self.told(
            "requeued", delay=delay, message={**self.message, "tries": tries, "until": self.until}
        )

    async def finish_failed_job(self, job_id: str, result_data: Any) -> None:
        """Expired, unknown, or tried too often: no function of the application hears of it."""
        await super().finish_failed_job(job_id, result_data)
        result = ""
        if result_data:
            result = deserialize_result(result_data, deserializer=self.job_deserializer).result
        self.told("lost", why=f"arq gives it up without calling its function: {result}")


class Driver(ListedDriver):
    """See probe/driver.py for what each method promises."""

    LIBRARY = "arq"
    # The ones before want a redis-py and a pydantic of their time.
    OLDEST = (0, 25)
    WORKER = Worker
    SENDING = staticmethod(ArqRedis.enqueue_job)
    HINTS = (b"redis_settings", b"WorkerSettings")
    USUAL_NAME = "WorkerSettings"
    WAYS = Ways(
        entries=("arq.worker:Worker.run", "arq.worker:Worker.async_run"),
        importers=(Importer("arq"),),
    )
    REFUSED = "{handler} is no coroutine function, and arq runs nothing else"
    ESCAPED = "{kind} out of a hook ends the worker"
    # CancelledError is how arq ends a job that has used up its timeout.
    CONTROL = (
        "arq.worker.Retry",
        "arq.worker.RetryJob",
        "asyncio.exceptions.CancelledError",
    )
    LOGGERS = ("arq.",)

    def prepare_process(self) -> None:
        # As the command line of its worker does.
        logging.getLogger("arq").setLevel(logging.INFO)

    def read_facts(self) -> Facts:
        most = self._find_most_tries(self.looked_at, self._find_name(self.looked_at))
        self.redelivery_s = float(self.looked_at.in_progress_timeout_s)
        return self.make_facts(
            redelivery_s=self.redelivery_s,
            max_attempts=most,
            shared=self.share_loop(self._most_at_once()),
            on_kill=_ON_KILL.format(wait=self.redelivery_s, most=most),
        )

    def can_run(self) -> bool:
        return inspect.iscoroutinefunction(self.function())

    def _most_at_once(self) -> int:
        """Jobs of one worker; it keeps the number under that name since arq 0.26 alone."""
        settings = next(iter(self.settings.values()))
        return int(settings.get("max_jobs", _USUAL_MAX_JOBS))

    def prepare(self, handler: str) -> None:
        """And its names there, with one such worker."""
        super().prepare(handler)
        self.looked_at = self._make_looked_at()

    # -- the worker's settings

    def read_settings(self, module: Any, value: Any) -> dict[str, Any] | None:
        """What `arq module.Name` may be given: a class or a dictionary. Inherited attributes do not
        count (arq.worker.get_kwargs).
        """
        if not inspect.isclass(value) and not isinstance(value, dict):
            return None
        kwargs: dict[str, Any] = get_kwargs(value)  # type: ignore[arg-type,unused-ignore]
        if lists_functions(kwargs):
            return kwargs
        return None

    def list_functions(self, settings: dict[str, Any]) -> Iterator[tuple[str, Any]]:
        """They may be named by their import paths."""
        try:
            functions = [func(one) for one in settings.get("functions") or ()]
        # Anything may be called so that stands in a module beside the settings of a worker.
        except Exception:
            return
        for one in (*functions, *(settings.get("cron_jobs") or ())):
            yield one.name, one.coroutine

    def keep_settings(self, settings: dict[str, Any], handler: str) -> None:
        queue = str(settings.get("queue_name") or default_queue_name)
        self.settings.setdefault(queue, settings)

    def _make_looked_at(self) -> InProcess:
        """A worker that connects to nothing."""

        async def make() -> InProcess:
            return InProcess(**self._made_with(next(iter(self.settings.values()))))

        worker: InProcess = self.run_in_loop(make())
        self.close_loop()
        return worker

    def _find_name(self, worker: InProcess) -> str:
        """Of several, the cron job where the spec says cron, else the function."""
        scheduled = self.is_clocked()
        return min(
            self.find_names(next(iter(self.settings))),
            key=lambda name: (hasattr(worker.functions[name], "next_run") != scheduled, name),
        )

    async def run_nothing(self) -> None:
        worker = InProcess(
            [do_nothing], redis_settings=RedisSettings(), queue_name="warm", handle_signals=False
        )
        worker.told = lambda *_, **__: None
        await worker.begin_work()
        await worker.pool.enqueue_job(do_nothing.__name__, _queue_name="warm", _job_id="warm")
        await worker.start_jobs([b"warm"])
        await worker.tasks["warm"]
        await worker.pool.delete(result_key_prefix + "warm")
        await worker.pool.connection_pool.disconnect()

    def _find_database(self, queue: str) -> int:
        """Of the worker that reads a queue: what is enqueued into another one it never sees."""
        settings = self.settings[queue]
        if settings.get("redis_pool") is not None:
            return _read_database(settings["redis_pool"])
        return int((settings.get("redis_settings") or RedisSettings()).database)

    def _made_with(self, settings: dict[str, Any]) -> dict[str, Any]:
        return {**settings, "handle_signals": False, "burst": False}

    def _find_most_tries(self, worker: InProcess, name: str) -> int:
        own = worker.functions[name].max_tries
        return int(worker.max_tries if own is None else own)

    # -- publishing

    def redirect_clients(self) -> None:
        @replace_calls(ArqRedis.__init__)
        def init(make: Any, pool: Any, *args: Any, **kwargs: Any) -> None:
            make(pool, *args, **kwargs)
            redirect_client(pool, self.redis)

    async def send_job(self, send: Any, pool: Any, function: str, *args: Any, **kwargs: Any) -> Any:
        """A job whose id is in use is not enqueued at all: then nothing is published."""
        id_ = kwargs["_job_id"] = kwargs.get("_job_id") or uuid4().hex
        with self.probe.recorder.quiet():
            if await pool.exists(job_key_prefix + id_, result_key_prefix + id_):
                return await send(pool, function, *args, **kwargs)
        queue = kwargs.get("_queue_name") or pool.default_queue_name
        is_listed = function in self.find_names(queue)
        mine = is_listed and _read_database(pool) == self._find_database(queue)
        message: dict[str, Any] = {
            "id": id_,
            "function": function,
            "queue": queue,
            "tries": 0,
            "until": None,
        }
        given = {}
        for name, value in kwargs.items():
            if name not in _OPTIONS:
                given[name] = value
        if mine:
            message["arguments"] = self.probe.bind_arguments(self.takes, args, given)
        else:
            message["arguments"] = None
        one = Publish(function, mine, message)
        with self.probe.around_publish(one):
            job = await send(pool, function, *args, **kwargs)
            data, left = await pool.get(job_key_prefix + id_), await pool.pttl(job_key_prefix + id_)
            score = await pool.zscore(queue, id_)
            if job is None or data is None or score is None:
                # Somebody else enqueued it at the same moment.
                one.to_handler = False
                return job
            message |= {"data": pack_bytes(data), "lives_s": left / 1000}
            one.delay = seconds_left((score - timestamp_ms()) / 1000)
        return job

    async def publish_message(
        self, args: Any, kwargs: dict[str, Any], like: dict[str, Any] | None
    ) -> None:
        """Under the name that `like` was published by, into its queue, with an id that is made as
        its id is.
        """
        with self.probe.recorder.quiet():
            name, queue, options = await self._as_published(args, kwargs, like)
            settings = self.settings[queue]
            pool = await create_pool(
                settings.get("redis_settings"), job_serializer=settings.get("job_serializer")
            )
            id_ = options.get("_job_id")
            # Its result is forgotten: whoever enqueues the job once more does so later.
            if id_:
                await pool.delete(job_key_prefix + id_, result_key_prefix + id_)
        await pool.enqueue_job(name, *args, _queue_name=queue, **options, **kwargs)

    async def _as_published(
        self, args: Any, kwargs: dict[str, Any], like: dict[str, Any] | None
    ) -> tuple[str, str, dict[str, Any]]:
        """(function, queue, options of enqueue_job)."""
        queue, settings = next(iter(self.settings.items()))
        worker = InProcess(**self._made_with(settings))
        name = self._find_name(worker)
        if like is None or (
            like["function"] == name and hasattr(worker.functions[name], "next_run")
        ):
            return name, queue, _of_tick(worker, name, 1 if like is None else 2)
        deserialize = self.settings[like["queue"]].get("job_deserializer")
        _, old_args, old_kwargs, *_ = deserialize_job_raw(
            unpack_bytes(like["data"]), deserializer=deserialize
        )
        theirs = (old_args, old_kwargs)
        id_ = self.find_like_key(like["id"], "_job_id", theirs, (args, kwargs))
        return like["function"], like["queue"], {"_job_id": id_, "_expires": like["lives_s"]}

    # -- delivering

    def keep_delivery(self) -> dict[str, Any]:
        of_worker = {}
        for queue, worker in self.workers.items():
            of_worker[queue] = (worker.message, worker.failed, worker.until)
        return {**super().keep_delivery(), _OF_WORKERS: of_worker}

    def restore_delivery(self, kept: dict[str, Any]) -> None:
        for queue, of_worker in kept.pop(_OF_WORKERS).items():
            worker = self.workers[queue]
            worker.message, _, worker.until = of_worker
            # Those that failed meanwhile were others.
            worker.failed = worker.jobs_failed
        super().restore_delivery(kept)

    async def run_delivery(self, worker: InProcess, message: dict[str, Any]) -> None:
        worker.message, worker.failed = message, worker.jobs_failed
        await (await self._take_message(worker, message))

    async def begin_worker(self, queue: str) -> InProcess:
        worker = InProcess(**self._made_with(self.settings[queue]))
        worker.told = self.settle
        await worker.begin_work()
        return worker

    async def _take_message(self, worker: InProcess, message: dict[str, Any]) -> Any:
        """As the worker takes it; of two copies at once, one may have begun what was brought for
        the other.
        """
        for _ in range(_COPIES):
            await self._bring_message(worker, message)
            await worker.start_jobs([message["id"].encode()])
            task = worker.tasks.pop(message["id"], None)
            if task is not None:
                return task
        raise LookupError(f"the job {message['id']} is not in its queue")

    async def _bring_message(self, worker: InProcess, message: dict[str, Any]) -> None:
        """The job is due; nobody has it in progress any more. Its definition lives as long as it
        did.
        """
        id_, now = message["id"], time.time()
        worker.until = message["until"] or now + message["lives_s"]
        left = round((worker.until - now) * 1000)
        async with worker.pool.pipeline(transaction=True) as pipeline:
            pipeline.delete(in_progress_key_prefix + id_, job_key_prefix + id_)
            if left > 0:
                pipeline.set(job_key_prefix + id_, unpack_bytes(message["data"]), px=left)
            pipeline.set(retry_key_prefix + id_, message["tries"])
            pipeline.zadd(worker.queue_name, {id_: timestamp_ms()})
            await pipeline.execute()

    async def lose_worker(self, message: dict[str, Any], why: str) -> None:
        """Another worker takes it when the in-progress key is gone; `run_job` counts each
        beginning.
        """
        again = self._once_more(message)
        self.settle("requeued", delay=self.redelivery_s, message=again, why=why)

    def _once_more(self, message: dict[str, Any]) -> dict[str, Any]:
        until = message["until"] or time.time() + message["lives_s"]
        return {**message, "tries": message["tries"] + 1, "until": until}


_OPTIONS = frozenset(
    ("_job_id", "_queue_name", "_defer_until", "_defer_by", "_expires", "_job_try")
)


def _read_database(pool: Any) -> int:
    return int(pool.connection_pool.connection_kwargs.get("db") or 0)


def _of_tick(worker: InProcess, name: str, number: int) -> dict[str, Any]:
    """The id that arq gives the next tick of a cron job, or the second next one, as in
    `Worker.run_cron`.
    """
    job: Any = worker.functions[name]
    if not hasattr(job, "next_run"):
        return {}
    job.next_run = datetime.now(tz=getattr(worker, "timezone", None))
    for _ in range(number):
        job.calculate_next(job.next_run)
    if job.job_id or not job.unique:
        return {"_job_id": job.job_id}
    return {"_job_id": f"{name}:{to_unix_ms(job.next_run)}"}
