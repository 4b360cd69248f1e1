"""A real taskiq worker, and its scheduler beside it, on a private Redis: for the confirmation of a
proof.

See probe/real.py. The process manager of the command line is left out: it would start another
child, no more.
"""

from __future__ import annotations

import asyncio
import contextvars
import datetime
import functools
import logging
from collections.abc import Callable
from typing import Any

from taskiq import AsyncBroker, TaskiqScheduler
from taskiq.api import run_scheduler_task
from taskiq.cli.worker.args import WorkerArgs
from taskiq.cli.worker.run import start_listen
from taskiq.kicker import AsyncKicker
from taskiq.receiver import Receiver
from taskiq_redis import ListRedisScheduleSource, RedisAsyncResultBackend, RedisScheduleSource
from taskiq_redis.redis_broker import BaseRedisBroker

from ...probe.driver import Publish
from ...probe.real import Bench, RealWorker
from ...probe.swap import swap_code
from ...probe.wrap import wrap_calls
from .driver import Driver

# The scheduler looks into its sources; by itself it does so once a minute.
_EVERY = datetime.timedelta(seconds=1)
# What runs here is the scheduler's doing.
_SCHEDULER = contextvars.ContextVar("_SCHEDULER", default=False)


class Worker(RealWorker[Driver]):
    """See probe/real.py."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self.schedulers: list[TaskiqScheduler] = []

    def boot(self, handler: str) -> Any:
        logging.basicConfig(level=logging.INFO)
        kind = type("Unhooked", (Driver,), {"_capture": lambda _: None})
        driver = self.driver = kind(self.bench.probe)
        for library in (
            BaseRedisBroker,
            ListRedisScheduleSource,
            RedisScheduleSource,
            RedisAsyncResultBackend,
        ):
            self._redirect_broker(library)
        self._hook_sending()
        driver.prepare(handler)
        self.module = handler.partition(":")[0]
        if not isinstance(driver.broker, BaseRedisBroker):
            raise SystemExit(
                f"its broker is {type(driver.broker).__name__}, and only one on Redis can be started here"
            )
        asyncio.run(self._begin_group())
        return driver.function()

    def _redirect_broker(self, kind: Any) -> None:
        """Whatever its URL says, it speaks to the private Redis."""

        def init(made: Any, *args: Any, **kwargs: Any) -> None:
            kwargs = {
                name: value for name, value in kwargs.items() if name not in ("url", "redis_url")
            }
            before(made, self.bench.broker, *args[1:], **kwargs)

        before: Callable[..., None] = swap_code(kind.__init__, init)

    async def _begin_group(self) -> None:
        """A consumer group begins with what comes after it: it is there before anything is
        published.
        """
        for broker in self.driver.brokers:
            if hasattr(broker, "_declare_consumer_group"):
                await broker._declare_consumer_group()
                await broker.connection_pool.disconnect()

    # -- sending

    def _hook_sending(self) -> None:
        def init(broker: Any, *args: Any, **kwargs: Any) -> None:
            made(broker, *args, **kwargs)
            self.driver.brokers.append(broker)
            broker.kick = functools.partial(self._send_kick, broker)

        def scheduler(one: Any, broker: Any, sources: Any, *args: Any, **kwargs: Any) -> None:
            makes(one, broker, sources, *args, **kwargs)
            self.driver.sources += sources
            self.schedulers.append(one)

        async def schedule(
            kicker: Any, source: Any, time: datetime.datetime, *args: Any, **kwargs: Any
        ) -> Any:
            now = datetime.datetime.now(time.tzinfo or datetime.timezone.utc)
            wait = self.bench.cut_wait((time.replace(tzinfo=now.tzinfo) - now).total_seconds())
            mine = kicker.task_name == self.driver.task.task_name
            one = Publish(kicker.task_name, mine, delay=wait)
            with self.bench.probe.around_publish(one):
                return await by_time(
                    kicker, source, now + datetime.timedelta(seconds=wait), *args, **kwargs
                )

        made: Callable[..., None] = swap_code(AsyncBroker.__init__, init)
        makes: Callable[..., None] = swap_code(TaskiqScheduler.__init__, scheduler)
        by_time: Callable[..., Any] = swap_code(AsyncKicker.schedule_by_time, schedule)

    async def _send_kick(self, broker: Any, message: Any) -> None:
        if _SCHEDULER.get():
            await type(broker).kick(broker, message)
            return
        mine = message.task_name == self.driver.task.task_name
        one = Publish(message.task_name, mine)
        with self.bench.probe.around_publish(one):
            await type(broker).kick(broker, message)

    # -- working

    def work(self) -> None:
        """As `taskiq worker module:broker module` does in each of its children."""
        wrap_calls(Receiver, "prefetcher", lambda *_, **__: self.bench.around_poll())
        wrap_calls(Receiver, "callback", lambda *_, **__: self.bench.around_delivery())
        listen: Callable[..., Any] = swap_code(
            Receiver.listen, lambda *args: self._run_scheduler_beside(listen(*args))
        )
        start_listen(WorkerArgs(broker=self.driver.broker, modules=[self.module]))

    async def _run_scheduler_beside(self, listening: Any) -> None:
        """`taskiq scheduler` is a process of its own; here it shares the worker's loop, and dies
        with it.
        """
        _SCHEDULER.set(True)
        tasks = [
            asyncio.ensure_future(run_scheduler_task(one, interval=_EVERY))
            for one in self.schedulers
        ]
        _SCHEDULER.set(False)
        await listening
        for task in tasks:
            task.cancel()
