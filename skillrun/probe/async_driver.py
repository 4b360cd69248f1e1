"""The base of drivers whose library works in an event loop."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Collection, Coroutine
from typing import Any

from .beside import PATIENCE_S, Progress
from .driver import Driver, Probe
from .recorder import BESIDE, FIRST

_LEFT_S = 5.0  # for what a handler started and did not wait for


class AsyncDriver(Driver):
    """The loop lives as long as the process, as a real worker's does: what one delivery leaves in
    it goes on in the next one.
    """

    # Names of the attributes that say what the delivery at hand is, and how it ended.
    OF_DELIVERY: tuple[str, ...] = ()

    def __init__(self, probe: Probe) -> None:
        super().__init__(probe)
        self.loop: asyncio.AbstractEventLoop | None = None
        probe.recorder.deliver_in_loop = self.deliver_beside

    async def deliver_in_loop(self, message: dict[str, Any]) -> None:
        """Runs one delivery in the running loop; reports `settled`."""
        raise NotImplementedError

    async def deliver_beside(self, message: dict[str, Any]) -> None:
        """Another job's delivery, to its end, while the one at hand awaits something. Where it
        needs what that one holds, both are given up: nothing can be said of them.
        """
        recorder = self.probe.recorder
        kept = self.keep_delivery()
        # Nothing of what the handler at hand has bound to its own context is known to the other.
        context = contextvars.Context()
        context.run(recorder.begin_beside)
        recorder.turn = BESIDE
        task = context.run(asyncio.ensure_future, self.deliver_in_loop(message))
        progress = Progress(recorder)
        while not task.done():
            progress.end_if_stuck()
            await asyncio.wait({task}, timeout=PATIENCE_S)
        recorder.turn = FIRST
        self.restore_delivery(kept)
        task.result()

    def keep_delivery(self) -> dict[str, Any]:
        """What is known of the delivery at hand."""
        return {name: getattr(self, name) for name in self.OF_DELIVERY}

    def restore_delivery(self, kept: dict[str, Any]) -> None:
        """Takes up again what `keep_delivery` has given."""
        for name, value in kept.items():
            setattr(self, name, value)

    def share_loop(self, most: int) -> str:
        """`Facts.shared` of a worker that runs so many jobs at a time."""
        if most > 1 and inspect.iscoroutinefunction(self.function()):
            return "loop"
        return ""

    def run_in_loop(self, work: Coroutine[Any, Any, Any]) -> Any:
        """What a coroutine comes to."""
        if self.loop is None:
            self.loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self.loop)
        return self.loop.run_until_complete(work)

    def close_loop(self) -> None:
        """Before the forks: no thread and no descriptor of a loop is inherited."""
        if self.loop is None:
            return
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        asyncio.set_event_loop(None)
        self.loop = None

    def rehearse(self) -> None:
        """The process has a loop of its own before its order comes."""
        self.run_in_loop(asyncio.sleep(0))

    async def wait_for_others(self, known: Collection[asyncio.Task[Any]]) -> None:
        """For the tasks of this loop that are not known: a worker goes on, and so do they."""
        left = asyncio.all_tasks() - set(known)
        if left:
            await asyncio.wait(left, timeout=_LEFT_S)
