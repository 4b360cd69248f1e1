"""Calls whose function may be a coroutine."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable
from typing import Any


def finished(result: Any) -> Any:
    """What a call came to; a coroutine's, in an event loop of its own."""
    if not inspect.isawaitable(result):
        return result
    import asyncio

    return asyncio.run(_awaited(result))


async def _awaited(result: Awaitable[Any]) -> Any:
    return await result
