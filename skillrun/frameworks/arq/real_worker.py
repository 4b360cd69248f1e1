"""A real arq worker on the proof's private Redis, for the confirmation of a proof (see
probe/real.py).
"""

from __future__ import annotations

import logging.config
import time
from collections.abc import Callable
from typing import Any

from arq.connections import ArqRedis
from arq.logs import default_log_config
from arq.utils import to_ms
from arq.worker import Retry
from arq.worker import Worker as Polling

from ...probe.listed_worker import ListedWorker
from ...probe.swap import swap_code
from ...probe.wrap import wrap_calls
from .driver import Driver


class Worker(ListedWorker[Driver]):
    """See probe/real.py."""

    DRIVER = Driver

    def hook_library(self) -> None:
        def init(error: Any, defer: Any = None) -> None:
            made(error, defer)
            if error.defer_score:
                error.defer_score = int(self.bench.cut_wait(error.defer_score / 1000) * 1000)

        async def enqueue(pool: Any, function: str, *args: Any, **kwargs: Any) -> Any:
            until, by = kwargs.pop("_defer_until", None), kwargs.pop("_defer_by", None)
            if until:
                wait = until.timestamp() - time.time()
            else:
                wait = (to_ms(by) or 0) / 1000
            if wait > 0:
                kwargs["_defer_by"] = self.bench.cut_wait(wait)
            return await before(pool, function, *args, **kwargs)

        made: Callable[..., None] = swap_code(Retry.__init__, init)
        before: Callable[..., Any] = swap_code(ArqRedis.enqueue_job, enqueue)
        wrap_calls(Polling, "_poll_iteration", lambda *_: self.bench.around_poll())
        wrap_calls(Polling, "run_job", lambda *_: self.bench.around_delivery())

    def work(self) -> None:
        """As `arq module.WorkerSettings` does."""
        logging.config.dictConfig(default_log_config(False))
        Polling(**self.choose_settings()).run()
