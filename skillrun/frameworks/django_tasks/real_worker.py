"""A real db_worker on the application's own database, for the confirmation of a proof (see
probe/real.py).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from ...probe.real import RealWorker
from ...probe.swap import swap_code
from ...probe.wrap import wrap_calls
from .driver import Driver


class Worker(RealWorker[Driver]):
    """See probe/real.py. The driver's hooks are in place: what the application enqueues is a
    row.
    """

    def boot(self, handler: str) -> Any:
        driver = self.driver = Driver(self.bench.probe)
        driver.prepare(handler)
        self._cut_waits()
        wrap_calls(
            driver.library.models.DBTaskResultQuerySet,
            "get_locked",
            lambda *_: self.bench.around_poll(),
        )
        wrap_calls(
            driver.library.worker.Worker, "run_task", lambda *_: self.bench.around_delivery()
        )
        return driver.function()

    def _cut_waits(self) -> None:
        """Whoever is made to wait is told; nobody sits through it."""
        timezone = importlib.import_module("django.utils.timezone")

        def made(backend: Any, task: Any, args: Any, kwargs: Any) -> Any:
            if task.run_after is not None:
                wait = max(0.0, (task.run_after - timezone.now()).total_seconds())
                task = task.using(
                    run_after=timezone.now() + timedelta(seconds=self.bench.cut_wait(wait))
                )
            return before(backend, task, args, kwargs)

        kind = self.driver.library.backend.DatabaseBackend
        before: Callable[..., Any] = swap_code(kind._task_to_db_task, made)

    def work(self) -> None:
        """As `manage.py db_worker --queue-name '*'` does."""
        command = importlib.import_module("django.core.management").call_command
        command("db_worker", queue_name="*", interval=0.2, startup_delay=False, reload=False)
