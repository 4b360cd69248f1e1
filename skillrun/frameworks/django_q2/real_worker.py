"""A real cluster of Django Q2 on the application's SQLite file, for the confirmation of a proof
(see probe/real.py).
"""

from __future__ import annotations

import datetime
import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ...probe.real import RealWorker
from ...probe.wrap import wrap_calls
from .driver import Driver


class Worker(RealWorker[Driver]):
    """See probe/real.py. Two times are not waited for: a lock after a death, and the
    scheduler's next look.
    """

    def boot(self, handler: str) -> Any:
        driver = self.driver = Driver(self.bench.probe)
        driver.prepare(handler)
        if not driver.orm:
            raise SystemExit("a real worker of Django Q2 is confirmed on its ORM broker")
        driver.conf.WORKERS = 1
        self._hook_cluster()
        driver.db.connections.close_all()
        return driver.function()

    def _hook_cluster(self) -> None:
        driver, load = self.driver, importlib.import_module
        orm, status = load("django_q.brokers.orm"), load("django_q.status")
        wrap_calls(orm.ORM, "dequeue", lambda *_: self.bench.around_poll())
        wrap_calls(driver.cluster.Sentinel, "start", lambda *_: self._watch_sentinel())
        wrap_calls(driver.cluster.Sentinel, "reincarnate", lambda *_: self._after_death())
        wrap_calls(status.Stat, "save", lambda *_: self._hurry_scheduler())
        signals = load("django.db.models.signals")
        signals.pre_save.connect(self._cut_schedule, sender=driver.models.Schedule, weak=False)
        load("django_q.signals").post_execute.connect(self._after_result, weak=False)

    @contextmanager
    def _watch_sentinel(self) -> Iterator[None]:
        """Whoever kills the worker kills the sentinel: it alone begins processes anew, and the
        cluster ends with it.
        """
        self.bench.recorder.worker = os.getpid()
        yield

    @contextmanager
    def _after_death(self) -> Iterator[None]:
        """In the sentinel. What a dead process had is taken again when its lock is over."""
        yield
        self._lock_for(0.0)

    def _lock_for(self, seconds: float) -> None:
        with self.bench.recorder.quiet():
            self.driver._list_rows().update(
                lock=self.driver.now() + datetime.timedelta(seconds=seconds)
            )

    def _after_result(self, task: Any, **_: Any) -> None:
        """In the monitor, after the acknowledgement, if there is one; else it waits until its lock
        is over.
        """
        with self.bench.recorder.quiet():
            row = next(
                (row for row in self.driver._list_rows() if row.task_id() == task["id"]), None
            )
        if row is not None:
            self._lock_for(self.bench.cut_wait((row.lock - self.driver.now()).total_seconds()))
        self.bench.tell_over()

    @contextmanager
    def _hurry_scheduler(self) -> Iterator[None]:
        """The sentinel saves its state at each turn, and calls the scheduler every 30 s."""
        yield
        with self.bench.recorder.quiet():
            self.driver.cluster.scheduler(self.driver.broker)

    def _cut_schedule(self, instance: Any, **_: Any) -> None:
        """A new row that waits is told, and waits less."""
        row, now = instance, self.driver.now()
        wait = 0.0
        if row._state.adding and row.next_run:
            wait = (row.next_run - now).total_seconds()
        if wait > 0:
            row.next_run = now + datetime.timedelta(seconds=self.bench.cut_wait(wait))

    def work(self) -> None:
        """As `manage.py qcluster` does, for the queue that the job is in."""
        queue: Callable[..., Any] = importlib.import_module("django_q.brokers").get_broker
        self.driver.cluster.Cluster(queue(next(iter(self.bench.queues), None))).start()
