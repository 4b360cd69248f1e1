"""A real Dramatiq worker on a private Redis, for the confirmation of a proof (see proof/probe/real.py)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import dramatiq
from dramatiq import cli

if TYPE_CHECKING:
    from skillrun.proof.probe.real import Bench

_ONLINE_MS = "5000"  # its main process waits so long for a worker that may have died of its first message
_ALWAYS = 1_000_000  # of a million commands: whoever asks Redis looks for dead workers as well


class Worker:
    """See proof/probe/real.py."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    def boot(self, handler: str) -> Any:
        driver = self.driver = self.bench.driver.Driver(self.bench.probe)
        names: Any = sys.modules["_skillrun_probe.names"]
        names.set_up_django()
        found = names.find(handler)[2]
        actor = found.__dict__.get("__actor__", found) if hasattr(found, "__dict__") else found
        if not isinstance(actor, dramatiq.Actor):
            raise SystemExit(f"{handler} is no Dramatiq actor")
        driver.actor, driver.broker = actor, actor.broker
        driver._declare_callbacks()
        driver._prepare()
        self.module = handler.partition(":")[0]
        self._redirect(actor.broker)
        self._hook_waits(type(actor.broker))
        actor.broker.add_middleware(_Middleware(self.bench))
        return driver.function()

    def _redirect(self, broker: Any) -> None:
        if self.bench.driver._kind(broker) != "redis":
            raise SystemExit(f"its broker is {self.bench.driver._kind(broker)}, and only Redis can be started here")
        pool = broker.client.connection_pool
        broker.client.connection_pool = type(pool).from_url(self.bench.broker)
        broker.maintenance_chance = _ALWAYS
        dramatiq.set_broker(broker)

    def _hook_waits(self, kind: Any) -> None:
        bench, driver = self.bench, self.driver

        def enqueue(broker: Any, message: Any, *, delay: int | None = None) -> Any:
            name, to_handler = str(message.actor_name), message.actor_name == driver.actor.actor_name
            if delay and to_handler:
                delay = round(bench.cut(delay / 1000) * 1000)
            return bench.probe.publish(lambda: before(broker, message, delay=delay), {}, to_handler=to_handler,
                                       delay=(delay or 0) / 1000, label=name)  # fmt: skip

        owner = next(base for base in kind.__mro__ if "enqueue" in vars(base))
        before = sys.modules["_skillrun_probe.swap"].swap(vars(owner)["enqueue"], enqueue)

    def publish(self, payload: Any) -> None:
        self.driver.publish(payload)

    def work(self) -> None:
        arguments = [self.module, "--processes", "1", "--threads", "1", "--worker-fork-timeout", _ONLINE_MS]
        command: Any = cli
        command.main(command.make_argument_parser().parse_args(arguments))


class _Middleware(dramatiq.Middleware):
    """Says when the worker is there, and when a message has passed through every other middleware."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    def after_worker_boot(self, broker: Any, worker: Any) -> None:
        self.bench.ready()

    def after_process_message(self, broker: Any, message: Any, *, result: Any = None, exception: Any = None) -> None:
        self.bench.over()

    after_skip_message = after_process_message
