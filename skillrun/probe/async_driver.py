"""The base of drivers whose library works in an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine
from typing import Any

from .driver import Driver, Probe

_LEFT_S = 5.0  # for what a handler started and did not wait for


class AsyncDriver(Driver):
    """The loop lives as long as the process, as a real worker's does: what one delivery leaves in
    it goes on in the next one.
    """

    def __init__(self, probe: Probe) -> None:
        super().__init__(probe)
        self.loop: asyncio.AbstractEventLoop | None = None

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
