"""A real Dramatiq worker on a private Redis, for the confirmation of a proof (see
probe/real.py).
"""

from __future__ import annotations

import threading
from typing import Any

import dramatiq
from dramatiq import cli

from ...probe.names import find_beside_django
from ...probe.real import Bench, RealWorker
from ...probe.swap import swap_code
from .driver import Driver, name_broker

_ONLINE_MS = (
    "5000"  # its main process waits so long for a worker that may have died of its first message
)
# Of a million commands: whoever asks Redis looks for dead workers as well.
_ALWAYS = 1_000_000


class Worker(RealWorker[Driver]):
    """See probe/real.py."""

    def boot(self, handler: str) -> Any:
        driver = self.driver = Driver(self.bench.probe)
        found = find_beside_django(handler)[2]
        if hasattr(found, "__dict__"):
            actor = found.__dict__.get("__actor__", found)
        else:
            actor = found
        if not isinstance(actor, dramatiq.Actor):
            raise SystemExit(f"{handler} is no Dramatiq actor")
        driver.actor, driver.broker = actor, actor.broker
        driver._declare_callbacks()
        driver._cut_results_and_timers()
        self.module = handler.partition(":")[0]
        self._redirect_broker(actor.broker)
        self._hook_waits(type(actor.broker))
        self.middleware = _Middleware(self.bench)
        actor.broker.add_middleware(self.middleware)
        return driver.function()

    def _redirect_broker(self, broker: Any) -> None:
        if name_broker(broker) != "redis":
            raise SystemExit(
                f"its broker is {name_broker(broker)}, and only Redis can be started here"
            )
        pool = broker.client.connection_pool
        broker.client.connection_pool = type(pool).from_url(self.bench.broker)
        broker.maintenance_chance = _ALWAYS
        dramatiq.set_broker(broker)

    def _hook_waits(self, kind: Any) -> None:
        bench, driver = self.bench, self.driver

        def enqueue(broker: Any, message: Any, *, delay: int | None = None) -> Any:
            name = str(message.actor_name)
            to_handler = message.actor_name == driver.actor.actor_name
            if delay and to_handler:
                delay = round(bench.cut_wait(delay / 1000) * 1000)
            return bench.probe.publish(
                lambda: before(broker, message, delay=delay),
                {},
                to_handler=to_handler,
                delay=(delay or 0) / 1000,
                label=name,
            )

        owner = next(base for base in kind.__mro__ if "enqueue" in vars(base))
        before = swap_code(vars(owner)["enqueue"], enqueue)

    def work(self) -> None:
        arguments = [
            self.module,
            "--processes",
            "1",
            "--threads",
            "1",
            "--worker-fork-timeout",
            _ONLINE_MS,
        ]
        command: Any = cli
        run, middleware = command.worker_process, self.middleware
        command.worker_process = lambda *rest: run(*rest[:-1], _Online(rest[-1], middleware))
        command.main(command.make_argument_parser().parse_args(arguments))


class _Middleware(dramatiq.Middleware):
    """Says when the worker is there, and when a message has passed through every other middleware.

    No message is processed before the main process knows of the worker: one that dies while it
    tells holds a lock that the main process waits for, and for ever.
    """

    def __init__(self, bench: Bench) -> None:
        self.bench, self.online = bench, threading.Event()

    def before_process_message(self, broker: Any, message: Any) -> None:
        self.online.wait()

    def after_process_message(
        self, broker: Any, message: Any, *, result: Any = None, exception: Any = None
    ) -> None:
        self.bench.tell_over()

    after_skip_message = after_process_message


class _Online:
    """The event that the main process waits for."""

    def __init__(self, event: Any, middleware: _Middleware) -> None:
        self.event, self.middleware = event, middleware

    def set(self) -> None:
        self.event.set()
        self.middleware.bench.tell_ready()
        self.middleware.online.set()
