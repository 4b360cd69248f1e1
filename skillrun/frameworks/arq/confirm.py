"""A real arq worker on the proof's private Redis, for the confirmation of a proof (see
proof/probe/real.py).
"""

from __future__ import annotations

import logging.config
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from arq.connections import ArqRedis  # type: ignore[import-not-found,unused-ignore]
from arq.logs import default_log_config  # type: ignore[import-not-found,unused-ignore]
from arq.utils import to_ms  # type: ignore[import-not-found,unused-ignore]
from arq.worker import Retry  # type: ignore[import-not-found,unused-ignore]
from arq.worker import Worker as Polling  # type: ignore[import-not-found,unused-ignore]

if TYPE_CHECKING:
    from skillrun.proof.probe.real import Bench


class Worker:
    """See proof/probe/real.py. The driver's hooks are in place: what the application enqueues
    really is enqueued.
    """

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    def boot(self, handler: str) -> Any:
        driver = self.driver = self.bench.driver.Driver(self.bench.probe)
        self._cut_waits()
        names: Any = sys.modules["_skillrun_probe.names"]
        names.set_up_django()
        driver.target = names.find(handler)[2]
        driver.prepare(handler)
        around: Any = sys.modules["_skillrun_probe.wrap"].around
        around(Polling, "_poll_iteration", lambda *_: self.bench.polling())
        around(Polling, "run_job", lambda *_: self.bench.delivering())
        return driver.function()

    def _cut_waits(self) -> None:
        """Whoever is made to wait is told; nobody sits through it."""
        swap: Any = sys.modules["_skillrun_probe.swap"].swap

        def init(error: Any, defer: Any = None) -> None:
            made(error, defer)
            if error.defer_score:
                error.defer_score = int(self.bench.cut(error.defer_score / 1000) * 1000)

        async def enqueue(pool: Any, function: str, *args: Any, **kwargs: Any) -> Any:
            until, by = kwargs.pop("_defer_until", None), kwargs.pop("_defer_by", None)
            wait = until.timestamp() - time.time() if until else (to_ms(by) or 0) / 1000
            if wait > 0:
                kwargs["_defer_by"] = self.bench.cut(wait)
            return await before(pool, function, *args, **kwargs)

        made: Callable[..., None] = swap(Retry.__init__, init)
        before: Callable[..., Any] = swap(ArqRedis.enqueue_job, enqueue)

    def publish(self, payload: Any) -> None:
        self.driver.publish(payload)

    def work(self) -> None:
        """As `arq module.WorkerSettings` does, for the queue that the job is in."""
        logging.config.dictConfig(default_log_config(False))
        settings = self.driver.settings
        queue = next((name for name in self.bench.queues if name in settings), next(iter(settings)))
        Polling(**settings[queue]).run()
