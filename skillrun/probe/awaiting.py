"""Calls whose function may be a coroutine."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable
from typing import Any


def finish_call(result: Any) -> Any:
    """What a call came to; a coroutine's, in an event loop of its own."""
    if not inspect.isawaitable(result):
        return result
    import asyncio

    return asyncio.run(_await_result(result))


async def _await_result(result: Awaitable[Any]) -> Any:
    return await result
