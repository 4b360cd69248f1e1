"""Whether a call of an effect moves money: an amount is among its arguments."""

from __future__ import annotations

import re

from skillrun.proof.history import Event

_AMOUNT = re.compile(
    r"amount|cents|pence|price|total|fee|cost|money|balance"
    r"|(?:^|_)(?:eur|usd|gbp|net|gross|sum)(?:_|$)",
    re.IGNORECASE,
)


def read_amounts(call: Event) -> dict[str, str]:
    """Argument -> value, of the arguments of a call that are named as an amount."""
    plain = call["plain"] or {}
    return {name: value for name, value in plain.items() if _AMOUNT.search(name)}
