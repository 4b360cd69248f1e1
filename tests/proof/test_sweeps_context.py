"""A sweep gets the worker's context only where it asks for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from skillrun.probe.listed_driver import _takes_context


async def cron(ctx: dict[str, Any]) -> None: ...
async def named_otherwise(worker: dict[str, Any]) -> None: ...
async def by_hand_too(ctx: dict[str, Any] | None = None) -> None: ...
async def relay(redis: object | None = None) -> None: ...
def bounded(limit: int = 50) -> None: ...
def plain() -> None: ...


@pytest.mark.parametrize("sweep", [cron, named_otherwise, by_hand_too])
def test_a_cron_function_gets_it(sweep: Callable[..., Any]) -> None:
    assert _takes_context(sweep)


@pytest.mark.parametrize("sweep", [relay, bounded, plain])
def test_what_needs_no_argument_gets_none(sweep: Callable[..., Any]) -> None:
    assert not _takes_context(sweep)
