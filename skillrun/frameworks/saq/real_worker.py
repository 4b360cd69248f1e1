"""A real SAQ worker on the proof's private Redis, for the confirmation of a proof (see
probe/real.py).
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from saq.job import Job
from saq.queue.redis import RedisQueue
from saq.worker import Worker as Polling

from ...probe.listed_worker import ListedWorker
from ...probe.swap import replace_calls
from ...probe.wrap import wrap_calls
from .driver import Driver

# Instead of the five seconds in which a swept job may end by itself.
_SHORT_S = 0.1


class Worker(ListedWorker[Driver]):
    """See probe/real.py."""

    DRIVER = Driver
    CAPTURES = False  # they would hand the worker no job but the driver's
    swept: asyncio.Event  # the first sweep is over

    def hook_library(self) -> None:
        logging.basicConfig(level=logging.INFO)

        @replace_calls(Job.next_retry_delay)
        def wait(before: Any, job: Any) -> float:
            seconds = before(job)
            return self.bench.cut_wait(seconds) if seconds else seconds

        @replace_calls(RedisQueue.sweep)
        async def sweep(before: Any, queue: Any, lock: int = 60, abort: float = _SHORT_S) -> Any:
            try:
                return await before(queue, lock, _SHORT_S)
            finally:
                self.swept.set()

        @replace_calls(Polling.process)
        async def process(before: Any, worker: Any) -> bool:
            # A worker that starts sweeps at once, and takes a job that it has just begun to take
            # for stuck: then it is run twice. That is a chance of its own, which a confirmation of
            # something else does not want.
            await self.swept.wait()
            with self.bench.around_poll():
                return bool(await before(worker))

        wrap_calls(Polling, "_after_process", lambda *_: self.bench.around_delivery())

    def work(self) -> None:
        """As `saq module.settings -v` does."""
        worker: Any = Polling(**self.choose_settings())

        async def start() -> None:
            self.swept = asyncio.Event()
            await worker.queue.connect()
            await worker.start()

        self.driver.run_in_loop(start())
