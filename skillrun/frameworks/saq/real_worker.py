"""A real SAQ worker on the proof's private Redis, for the confirmation of a proof (see
probe/real.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from saq.job import Job
from saq.queue.redis import RedisQueue
from saq.worker import Worker as Polling

from ...probe.listed_worker import ListedWorker
from ...probe.redirecting import redirect_client
from ...probe.swap import swap
from ...probe.wrap import around
from .driver import Driver, accept_sockets

# Instead of the five seconds in which a swept job may end by itself.
_SHORT_S = 0.1


class Worker(ListedWorker[Driver]):
    """See probe/real.py. Whatever the application enqueues really is enqueued."""

    swept: asyncio.Event  # the first sweep is over

    def make_driver(self) -> Driver:
        logging.basicConfig(level=logging.INFO)
        kind: type[Driver] = type("Unhooked", (Driver,), {"capture": lambda _: None})
        return kind(self.bench.probe)

    def hook_library(self) -> None:
        def init(queue: Any, redis: Any, *args: Any, **kwargs: Any) -> None:
            redirect_client(redis, self.driver.redis)
            made(queue, redis, *args, **kwargs)

        def wait(job: Any) -> float:
            seconds = waits(job)
            return self.bench.cut(seconds) if seconds else seconds

        async def sweep(queue: Any, lock: int = 60, abort: float = _SHORT_S) -> Any:
            try:
                return await sweeps(queue, lock, _SHORT_S)
            finally:
                self.swept.set()

        async def process(worker: Any) -> bool:
            # A worker that starts sweeps at once, and takes a job that it has just begun to take
            # for stuck: then it is run twice. That is a chance of its own, which a confirmation of
            # something else does not want.
            await self.swept.wait()
            with self.bench.polling():
                return bool(await processes(worker))

        accept_sockets()
        made: Callable[..., None] = swap(RedisQueue.__init__, init)
        waits: Callable[..., float] = swap(Job.next_retry_delay, wait)
        sweeps: Callable[..., Any] = swap(RedisQueue.sweep, sweep)
        processes: Callable[..., Any] = swap(Polling.process, process)
        around(Polling, "_after_process", lambda *_: self.bench.delivering())

    def work(self) -> None:
        """As `saq module.settings -v` does."""
        worker: Any = Polling(**self.choose_settings())

        async def start() -> None:
            self.swept = asyncio.Event()
            await worker.queue.connect()
            await worker.start()

        self.driver.run_in_loop(start())
