"""A real db_worker on the application's own database, for the confirmation of a proof (see
proof/probe/real.py).
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skillrun.proof.probe.real import Bench


class Worker:
    """See proof/probe/real.py. The driver's hooks are in place: what the application enqueues is a
    row.
    """

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    def boot(self, handler: str) -> Any:
        driver = self.driver = self.bench.driver.Driver(self.bench.probe)
        driver.prepare(handler)
        self._cut_waits()
        around: Any = sys.modules["_skillrun_probe.wrap"].around
        around(
            driver.library.models.DBTaskResultQuerySet,
            "get_locked",
            lambda *_: self.bench.polling(),
        )
        around(driver.library.worker.Worker, "run_task", lambda *_: self.bench.delivering())
        return driver.function()

    def _cut_waits(self) -> None:
        """Whoever is made to wait is told; nobody sits through it."""
        timezone = importlib.import_module("django.utils.timezone")

        def made(backend: Any, task: Any, args: Any, kwargs: Any) -> Any:
            if task.run_after is not None:
                wait = max(0.0, (task.run_after - timezone.now()).total_seconds())
                task = task.using(
                    run_after=timezone.now() + timedelta(seconds=self.bench.cut(wait))
                )
            return before(backend, task, args, kwargs)

        kind = self.driver.library.backend.DatabaseBackend
        before: Callable[..., Any] = sys.modules["_skillrun_probe.swap"].swap(
            kind._task_to_db_task, made
        )

    def publish(self, payload: Any) -> None:
        self.driver.publish(payload)

    def work(self) -> None:
        """As `manage.py db_worker --queue-name '*'` does."""
        command = importlib.import_module("django.core.management").call_command
        command("db_worker", queue_name="*", interval=0.2, startup_delay=False, reload=False)
