"""What the handlers that a scaffold writes have in common, whatever their library: waits, keys, how
they end.
"""

from __future__ import annotations

import re
from typing import Any

from skillrun.frameworks.layout import seconds
from skillrun.frameworks.pieces import Facts, Retries, Symbol


def longest_wait(retries: Retries, before: str) -> str:
    """Source of the longest wait before the next attempt, in seconds; `before` that of the number
    of those before.
    """
    base = seconds(retries.base_s)
    if retries.kind != "exponential":
        return base
    # As formatters write it.
    if re.fullmatch(r"[\w.]+", before):
        power = f"**{before}"
    else:
        power = f" ** ({before})"
    grown = f"{base} * {seconds(retries.factor)}{power}"
    if retries.cap_s is None:
        return grown
    return f"min({seconds(retries.cap_s)}, {grown})"


def published(facts: Facts) -> dict[str, Any]:
    """Where the job is published: `publisher`, the function that is written beside the handler,
    None where the repository has one elsewhere; of a clock, whose tick always has one, `tick` and
    `due` too.
    """
    beside = None
    if facts.enqueue.module == facts.module:
        beside = facts.enqueue
    if facts.trigger == "event":
        return {"publisher": beside}
    tick = Symbol(facts.module, f"tick_{facts.name}", exists=False, path=facts.path)
    own = Symbol(facts.module, f"enqueue_{facts.name}", exists=False, path=facts.path)
    return {"publisher": beside or own, "tick": tick, "due": f"due_{facts.name}"}


def settles(facts: Facts) -> bool:
    """Whether a job that is given up counts as handled: the next tick of its clock leaves it alone.

    Not so where the library keeps what failed: a mark would be there before that is, and a death
    between the two would lose the dead letter.
    """
    return (
        facts.trigger != "event"
        and facts.store.kind != "receiver"
        and facts.dead_letter != "framework"
    )


def keys(facts: Facts) -> dict[str, Any]:
    """What says which job it is, for the templates.

    `ids` are (label, source) of a log line where the fields are names, `message_ids` where they are
    those of a message;
    `handled` are the arguments of `once` for a message.
    """
    correlation = ("correlation_id", "correlation_id")
    return {
        "ids": [*((key, key) for key in facts.key), correlation],
        "message_ids": [*((key, f'message.get("{key}")') for key in facts.key), correlation],
        "handled": [f'message["{key}"]' for key in facts.key],
    }
