"""A real Celery worker on a private Redis, for the confirmation of a proof (see
probe/real.py).
"""

from __future__ import annotations

import datetime
from typing import Any

from celery import Task, _state, current_app, signals
from kombu.messaging import Producer

from ...probe.real import RealWorker
from ...probe.swap import swap_code
from .driver import Driver, change_settings, find_task, read_delay

_UTC = datetime.timezone.utc  # the target may be older than datetime.UTC
_OPTIONS = (
    "worker",
    "--pool",
    "prefork",
    "--concurrency",
    "1",
    "--loglevel",
    "INFO",
    "--without-gossip",
    "--without-mingle",
    "--without-heartbeat",
)


class Worker(RealWorker[Driver]):
    """See probe/real.py."""

    def boot(self, handler: str) -> Any:
        found = find_task(handler)
        if not isinstance(found, Task):
            raise SystemExit(f"{handler} is no Celery task")
        self.app = found.app or current_app._get_current_object()
        self._redirect_messages()
        # Of the driver only what finds the handler's own function is used: it is not booted.
        self.driver = Driver(self.bench.probe)
        self.driver.app = self.app
        self.driver.task = self.app.tasks[found.name]
        self._hook_waits()
        signals.task_postrun.connect(lambda **_: self.bench.tell_over(), weak=False)
        signals.worker_ready.connect(lambda **_: self.bench.tell_ready(), weak=False)
        return self.driver.function()

    def _redirect_messages(self) -> None:
        """Every message of every app goes to the private broker; no result leaves the process."""
        for app in (*_state._get_active_apps(), self.app):
            change_settings(
                app, broker_url=self.bench.broker, broker_read_url=None, broker_write_url=None
            )
        change_settings(self.app, result_backend="cache+memory://", task_always_eager=False)
        self.app.finalize(auto=True)

    def _hook_waits(self) -> None:
        """Reports every publish, and cuts the waits of messages to the handler."""
        name = self.driver.task.name

        def publish(producer: Any, body: Any, *args: Any, **kwargs: Any) -> Any:
            headers = kwargs.get("headers") or {}
            to_handler = headers.get("task") == name
            if to_handler and headers.get("eta"):
                kwargs["headers"] = {**headers, "eta": self._cut_eta(headers)}
            label = str(headers.get("task") or kwargs.get("routing_key") or "message")
            return self.bench.probe.publish(
                lambda: before(producer, body, *args, **kwargs),
                {},
                to_handler=to_handler,
                delay=0.0,
                label=label,
            )

        before = swap_code(Producer.publish, publish)

    def _cut_eta(self, headers: dict[str, Any]) -> str:
        """The time at which a message comes here that waits for as long as its headers say."""
        wait = self.bench.cut_wait(read_delay(headers))
        return (datetime.datetime.now(_UTC) + datetime.timedelta(seconds=wait)).isoformat()

    def work(self) -> None:
        words = [*_OPTIONS]
        if self.bench.queues:
            words += ["--queues", ",".join(self.bench.queues)]
        self.app.worker_main(words)
