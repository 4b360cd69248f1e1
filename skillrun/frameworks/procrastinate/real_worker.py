"""A real Procrastinate worker on a private PostgreSQL, for the confirmation of a proof (see
probe/real.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from procrastinate import PsycopgConnector
from procrastinate.app import App
from procrastinate.manager import JobManager
from procrastinate.worker import Worker as Polling

from ...probe.real import RealWorker
from ...probe.swap import swap
from ...probe.wrap import around
from .driver import Driver, now

_NEVER_S = 3600.0


class Worker(RealWorker[Driver]):
    """See probe/real.py. Every app has the private PostgreSQL, and its schema is there."""

    def boot(self, handler: str) -> Any:
        driver = self.driver = Driver(self.bench.probe)
        self._replace_connectors()
        self._cut_waits()
        driver.prepare(handler)
        driver.find_recoveries()
        self.app = driver.app
        self.app.open()
        if not self.app.check_connection():
            self.app.schema_manager.apply_schema()
        around(Polling, "_fetch_and_process_jobs", lambda *_: self.bench.polling())
        around(Polling, "_process_job", self._delivering)
        return driver.function()

    def _delivering(self, worker: Any, context: Any) -> contextlib.AbstractContextManager[None]:
        mine = self.app.tasks.get(context.job.task_name) is self.driver.task
        return self.bench.delivering() if mine else contextlib.nullcontext()

    def _replace_connectors(self) -> None:
        def init(app: Any, **kwargs: Any) -> None:
            made(app, **{**kwargs, "connector": PsycopgConnector(conninfo=self.bench.broker)})
            self.driver.apps.append(app)

        made: Callable[..., None] = swap(App.__init__, init)

    def _cut_waits(self) -> None:
        """Whoever is made to wait is told; nobody sits through it."""

        def sooner(due: datetime | None) -> datetime | None:
            wait = (due - now()).total_seconds() if due is not None else 0.0
            return now() + timedelta(seconds=self.bench.cut(wait)) if wait > 0 else due

        async def retry(manager: Any, job_id: int, retry_at: datetime, **more: Any) -> None:
            await again(manager, job_id=job_id, retry_at=sooner(retry_at), **more)

        def query(manager: Any, jobs: Any) -> Any:
            return asks(
                manager, jobs=[job.evolve(scheduled_at=sooner(job.scheduled_at)) for job in jobs]
            )

        again: Callable[..., Any] = swap(JobManager.retry_job_by_id_async, retry)
        asks: Callable[..., Any] = swap(JobManager._defer_jobs_query_kwargs, query)

    def work(self) -> None:
        """As `procrastinate worker` does; of periodic tasks those alone that give jobs back, at
        their last tick.
        """
        logging.basicConfig(level=logging.INFO)
        registry = self.app.periodic_registry
        mine = {
            key: one
            for key, one in registry.periodic_tasks.items()
            if one in self.driver.recoveries
        }
        registry.periodic_tasks = mine
        self.app.periodic_defaults = {"max_delay": float("inf")}
        asyncio.run(self._work())

    async def _work(self) -> None:
        async with self.app.open_async():
            worker = self.app._worker(
                fetch_job_polling_interval=0.1, abort_job_polling_interval=_NEVER_S
            )
            await self.driver.as_elsewhere()
            await worker.run()
