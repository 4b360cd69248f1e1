"""A real Huey consumer on a SQLite file, for the confirmation of a proof (see
probe/real.py).
"""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Callable, Iterator
from typing import Any

import huey.api
import huey.consumer
import huey.storage

from ...probe.names import find_beside_django
from ...probe.real import Bench, RealWorker
from ...probe.swap import swap_code
from ...probe.wrap import wrap_calls
from .driver import Driver, discover_tasks, find_wrapper


class Worker(RealWorker[Driver]):
    """See probe/real.py."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self.instances: list[Any] = []

    def boot(self, handler: str) -> Any:
        self._replace_storage()
        driver = self.driver = Driver(self.bench.probe)
        driver.call = find_beside_django(handler)[2]
        discover_tasks()
        driver.task = find_wrapper(driver.call)
        if driver.task is None:
            raise SystemExit(f"{handler} is no Huey task")
        driver.huey = driver.task.huey
        for instance in self.instances:
            instance._immediate = False
        self._hook_publishes()
        wrap_calls(
            huey.consumer.Worker, "initialize", lambda *_: self._tell_after(self.bench.tell_ready)
        )
        wrap_calls(huey.api.Huey, "execute", lambda *_: self._tell_after(self.bench.tell_over))
        return driver.function()

    def _replace_storage(self) -> None:
        """Before the repository is imported. What the storage does is not the handler's doing."""
        kind = huey.storage.SqliteStorage
        for owner in kind.__mro__[:-1]:
            for name in [name for name in vars(owner) if not name.startswith("__")]:
                wrap_calls(owner, name, lambda *_, **__: self.bench.recorder.quiet())

        def create_storage(instance: Any) -> Any:
            self.instances.append(instance)
            return kind(name=instance.name, filename=self.bench.broker)

        swap_code(huey.api.Huey.create_storage, create_storage)

    def _hook_publishes(self) -> None:
        enqueue: Callable[..., Any] = swap_code(
            huey.api.Huey.enqueue,
            lambda instance, task: self._send_task(instance, task, lambda: enqueue(instance, task)),
        )
        schedule: Callable[..., Any] = swap_code(
            huey.api.Huey.add_schedule,
            lambda instance, task: self._send_task(
                instance, self._cut_wait(instance, task), lambda: schedule(instance, task)
            ),
        )

    def _cut_wait(self, instance: Any, task: Any) -> Any:
        """A task that waits has its time in itself."""
        if task.eta is not None:
            now = instance._get_timestamp()
            task.eta = now + datetime.timedelta(
                seconds=self.bench.cut_wait((task.eta - now).total_seconds())
            )
        return task

    def _send_task(self, instance: Any, task: Any, send: Callable[[], Any]) -> Any:
        # A chord or a group has no id: its tasks come one by one.
        if not hasattr(task, "id"):
            return send()
        mine = instance is self.driver.huey and type(task) is self.driver.task.task_class
        label = instance._registry.task_to_string(type(task))
        return self.bench.probe.publish(send, {}, to_handler=mine, delay=0.0, label=label)

    @contextlib.contextmanager
    def _tell_after(self, tell: Callable[[], None]) -> Iterator[None]:
        try:
            yield
        finally:
            tell()

    def work(self) -> None:
        options = {"workers": 1, "worker_type": "process", "periodic": False, "max_delay": 0.2}
        self.driver.huey.create_consumer(**options).run()
