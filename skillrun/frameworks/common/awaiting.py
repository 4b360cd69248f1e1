"""What a coroutine function that a scaffold writes awaits, and what it leaves to a thread.

`attempt.jinja` holds the parts of such a handler that libraries share: one attempt, and what is
done with a job that is
given up.
"""

from __future__ import annotations

from typing import Any

from skillrun.frameworks.common.handlers import keys, settles
from skillrun.frameworks.pieces import Facts, Symbol


def awaits(facts: Facts) -> bool:
    """Whether an attempt is a coroutine function; where all that it calls blocks, it is left to a
    thread as a whole.
    """
    return once_awaits(facts) or any(effect.awaited for effect in facts.effects)


def once_awaits(facts: Facts) -> bool:
    """Whether the store's `once` is an asynchronous context manager."""
    return facts.store.kind != "receiver" and bool(facts.store.extras.get("awaited"))


def bury_awaits(facts: Facts) -> bool:
    """Whether its `bury` is a coroutine function; dead letters may be kept in another place than
    what is done.
    """
    letters = facts.store.extras.get("letters") or facts.store
    return facts.dead_letter == "table" and bool(letters.extras.get("awaited"))


def give_up_awaits(facts: Facts) -> bool:
    """Whether what ends a job is a coroutine function."""
    return bury_awaits(facts) or (settles(facts) and once_awaits(facts))


def names(facts: Facts, *, coroutine: bool = True) -> dict[str, Any]:
    """What `attempt.jinja` and `attempt_macros.jinja` go by.

    `coroutine`: the handler is a coroutine function; `keeps`: what ends a job writes somewhere.
    """
    return {
        "coroutine": coroutine,
        "awaits": awaits(facts),
        "once_awaits": once_awaits(facts),
        "bury_awaits": bury_awaits(facts),
        "give_up_awaits": give_up_awaits(facts),
        "settles": settles(facts),
        "keeps": settles(facts) or facts.dead_letter == "table",
        **keys(facts),
    }


def blocks(facts: Facts) -> bool:
    """Whether a coroutine function that makes an attempt, or ends a job, leaves anything to a
    thread.
    """
    remembers, buries = facts.store.kind != "receiver", facts.dead_letter == "table"
    store = (remembers and not once_awaits(facts)) or (buries and not bury_awaits(facts))
    return store or not awaits(facts) or not all(effect.awaited for effect in facts.effects)


def needed(facts: Facts) -> list[Symbol | str]:
    """What `attempt.jinja` imports: adapters, the store, what holds a transaction of it in a
    thread.
    """
    found: list[Symbol | str] = [*(effect.call for effect in facts.effects), facts.invalid]
    if awaits(facts) and facts.store.kind != "receiver" and not once_awaits(facts):
        found += ["from collections.abc import AsyncIterator"]
        found += ["from contextlib import AbstractContextManager, asynccontextmanager"]
    if facts.store.kind != "receiver" or facts.dead_letter == "table":
        found.append(Symbol(facts.store.module, "once", path=facts.store.path))
    return found
