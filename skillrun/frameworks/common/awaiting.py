"""What a job's attempt awaits, where its handler is a coroutine function: `attempt.jinja` is written by it."""

from __future__ import annotations

from skillrun.frameworks.pieces import Facts, Symbol


def awaits(facts: Facts) -> bool:
    """Whether an attempt is a coroutine function; where all that it calls blocks, it is left to a thread as a whole."""
    return once_awaits(facts) or any(effect.awaited for effect in facts.effects)


def once_awaits(facts: Facts) -> bool:
    """Whether the store's `once` is an asynchronous context manager."""
    return facts.store.kind != "receiver" and bool(facts.store.facts.get("awaited"))


def bury_awaits(facts: Facts) -> bool:
    """Whether its `bury` is a coroutine function; dead letters may be kept in another place than what is done."""
    letters = facts.store.facts.get("letters") or facts.store
    return facts.dead_letter == "table" and bool(letters.facts.get("awaited"))


def needed(facts: Facts) -> list[Symbol | str]:
    """What leads to threads and back."""
    found: list[Symbol | str] = []
    remembers, buries = facts.store.kind != "receiver", facts.dead_letter == "table"
    blocks = (remembers and not once_awaits(facts)) or (buries and not bury_awaits(facts))
    if blocks or not awaits(facts) or not all(effect.awaited for effect in facts.effects):
        found.append("import asyncio")
    if awaits(facts) and remembers and not once_awaits(facts):
        found += ["from collections.abc import AsyncIterator"]
        found += ["from contextlib import AbstractContextManager, asynccontextmanager"]
    return found
