"""A real RQ worker on the proof's private Redis, for the confirmation of a proof (see
probe/real.py).
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

from redis import Redis
from rq import Queue
from rq import Worker as Forking

from ...probe.names import find_beside_django, find_object
from ...probe.real import Bench, RealWorker
from ...probe.swap import swap_code
from ...probe.wrap import wrap_calls
from .driver import Driver

_UTC = datetime.timezone.utc  # the target may be older than datetime.UTC


class Worker(RealWorker[Driver]):
    """See probe/real.py."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self.seen: list[Queue] = []

    def boot(self, handler: str) -> Any:
        self._hook_queues()
        # Hooks nothing: its methods are wanted.
        driver = self.driver = object.__new__(Driver)
        driver.probe = self.bench.probe
        driver.target = find_beside_django(handler)[2]
        self._hook_worker()
        return driver.function()

    # -- publishing

    def _hook_queues(self) -> None:
        """Every queue speaks to the private Redis; whoever waits is told."""
        made: Callable[..., None] = swap_code(
            Queue.__init__, lambda queue, *a, **k: self._redirect_queue(made, queue, a, k)
        )
        schedule: Callable[..., Any] = swap_code(
            Queue.schedule_job,
            lambda queue, job, due, *a, **k: self._send_job(
                job, lambda: schedule(queue, job, self._cut_due(due), *a, **k)
            ),
        )
        enqueue: Callable[..., Any] = swap_code(
            Queue._enqueue_async_job,
            lambda queue, job, *a, **k: self._send_job(job, lambda: enqueue(queue, job, *a, **k)),
        )

    def _redirect_queue(
        self, before: Callable[..., None], queue: Queue, args: Any, kwargs: Any
    ) -> None:
        before(queue, *args, **kwargs)
        pool: Any = queue.connection.connection_pool
        path = self.bench.broker.partition("://")[2].partition("?")[0]
        if pool.connection_kwargs.get("path") != path:
            queue.connection.connection_pool = type(pool).from_url(self.bench.broker)
        self.seen.append(queue)

    def _cut_due(self, due: datetime.datetime) -> datetime.datetime:
        now = datetime.datetime.now(_UTC)
        wait = (due.astimezone(_UTC) - now).total_seconds()
        return now + datetime.timedelta(seconds=self.bench.cut_wait(wait))

    def _send_job(self, job: Any, send: Callable[[], Any]) -> Any:
        """What the handler publishes is a boundary; what the worker itself puts back is none."""
        if not self.bench.recorder.depth:
            return send()
        mine = self.driver._is_mine(job)
        return self.bench.probe.publish(
            send, {}, to_handler=mine, delay=0.0, label=f"{job.func_name}"
        )

    def publish(self, payload: Any) -> None:
        if not hasattr(self.driver.target, "delay"):
            raise SystemExit(
                "RQ's retries and callbacks are said where a job is enqueued: that is enqueue.call"
            )
        self.driver.publish(payload)

    # -- working

    def _hook_worker(self) -> None:
        for name, context in (
            ("dequeue_job_and_maintain_ttl", self.bench.around_poll),
            ("perform_job", self.bench.around_delivery),
        ):
            owner = next(kind for kind in Forking.__mro__ if name in vars(kind))
            wrap_calls(owner, name, lambda *_, context=context, **__: context())

    def work(self) -> None:
        """With the queue as the application makes it: its serialiser and its classes of jobs."""
        if self.bench.config["settings"]["enqueue"]:
            find_object(self.bench.config["settings"]["enqueue"])
        connection = Redis.from_url(self.bench.broker)
        known = {queue.name: queue for queue in self.seen}
        queues = [
            known.get(name) or Queue(name, connection=connection) for name in self.bench.queues
        ]
        kinds = queues[0]
        worker = Forking(
            queues,
            connection=connection,
            job_class=kinds.job_class,
            queue_class=type(kinds),
            serializer=kinds.serializer,
        )
        worker.work(with_scheduler=True)
