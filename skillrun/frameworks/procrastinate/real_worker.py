"""A real Procrastinate worker on a private PostgreSQL, for the confirmation of a proof (see
probe/real.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import datetime, timedelta
from typing import Any

from procrastinate import PsycopgConnector
from procrastinate.app import App
from procrastinate.manager import JobManager
from procrastinate.worker import Worker as Polling

from ...probe.real import RealWorker
from ...probe.swap import replace_calls
from ...probe.wrap import wrap_calls
from .driver import Driver
from .driver_storage import utc_now

_NEVER_S = 3600.0


class Worker(RealWorker[Driver]):
    """See probe/real.py. Every app has the private PostgreSQL, and its schema is there."""

    def boot(self, handler: str) -> Any:
        driver = self.driver = Driver(self.bench.probe)
        self._replace_connectors()
        self._cut_waits()
        driver.prepare(handler)
        driver.find_recovery()
        self.app = driver.app
        self.app.open()
        if not self.app.check_connection():
            self.app.schema_manager.apply_schema()
        wrap_calls(Polling, "_fetch_and_process_jobs", lambda *_: self.bench.around_poll())
        wrap_calls(Polling, "_process_job", self._tell_delivery)
        return driver.function()

    def _tell_delivery(self, worker: Any, context: Any) -> contextlib.AbstractContextManager[None]:
        mine = self.app.tasks.get(context.job.task_name) is self.driver.task
        if mine:
            return self.bench.around_delivery()
        return contextlib.nullcontext()

    def _replace_connectors(self) -> None:
        @replace_calls(App.__init__)
        def init(make: Any, app: Any, **kwargs: Any) -> None:
            make(app, **{**kwargs, "connector": PsycopgConnector(conninfo=self.bench.broker)})
            self.driver.apps.append(app)

    def _cut_waits(self) -> None:
        """Whoever is made to wait is told; nobody sits through it."""

        def sooner(due: datetime | None) -> datetime | None:
            wait = 0.0
            if due is not None:
                wait = (due - utc_now()).total_seconds()
            if wait > 0:
                return utc_now() + timedelta(seconds=self.bench.cut_wait(wait))
            return due

        @replace_calls(JobManager.retry_job_by_id_async)
        async def retry(
            again: Any, manager: Any, job_id: int, retry_at: datetime, **more: Any
        ) -> None:
            await again(manager, job_id=job_id, retry_at=sooner(retry_at), **more)

        @replace_calls(JobManager._defer_jobs_query_kwargs)
        def query(ask: Any, manager: Any, jobs: Any) -> Any:
            return ask(
                manager, jobs=[job.evolve(scheduled_at=sooner(job.scheduled_at)) for job in jobs]
            )

    def work(self) -> None:
        """As `procrastinate worker` does; of periodic tasks those alone that give jobs back, at
        their last tick.
        """
        logging.basicConfig(level=logging.INFO)
        registry = self.app.periodic_registry
        mine = {}
        for key, one in registry.periodic_tasks.items():
            if one in self.driver.recovery.periodics:
                mine[key] = one
        registry.periodic_tasks = mine
        self.app.periodic_defaults = {"max_delay": float("inf")}
        asyncio.run(self._work_in_loop())

    async def _work_in_loop(self) -> None:
        async with self.app.open_async():
            worker = self.app._worker(
                fetch_job_polling_interval=0.1, abort_job_polling_interval=_NEVER_S
            )
            await self.driver.give_back_elsewhere()
            await worker.run()
