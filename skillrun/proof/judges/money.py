"""Whether an effect moves money: its name says so, or an amount is among its arguments."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from skillrun.proof.history import Event

if TYPE_CHECKING:
    from skillrun.contract.job import Effect

# Nothing else in the code says so but the name of what a call goes through.
MONEY_WORDS = re.compile(
    r"charg|refund|payout|payment|stripe|\bpay(?:s|_|$)|captur|withdraw|transfer|settle|debit"
    r"|credit_|invoice|purchase|place_order|bank",
    re.IGNORECASE,
)
# A mail about a payment pays nothing.
_TELLING = re.compile(
    r"mail|smtp|sms|notif|letter|push|slack|receipt|remind|announce|webhook|invoice", re.IGNORECASE
)
# A person reads it, and nothing else happens.
_MESSAGE = re.compile(
    r"(?:^|_)(?:e?mails?|smtp|sms|notifications?|reminders?|remind)"
    r"(?:_|$)"
    r"|(?:^|_)send_(?:letter|message|text)(?:_|$)",
    re.IGNORECASE,
)
_AMOUNT = re.compile(
    r"amount|cents|pence|price|total|fee|cost|money|balance"
    r"|(?:^|_)(?:eur|usd|gbp|net|gross|sum)(?:_|$)",
    re.IGNORECASE,
)


def read_amounts(call: Event) -> dict[str, str]:
    """Argument -> value, of the arguments of a call that are named as an amount."""
    plain = call["plain"] or {}
    return {name: value for name, value in plain.items() if _AMOUNT.search(name)}


def moves_money(effect: Effect, call: Event) -> bool:
    """Whether a second time costs money, as far as names can say."""
    words = f"{effect.name} {effect.call}"
    if _TELLING.search(words):
        return False
    return MONEY_WORDS.search(words) is not None or bool(read_amounts(call))


def only_tells(effect: Effect, calls: Iterable[Event]) -> bool:
    """Whether an effect is a message to a person and moves no money, as far as names and amounts
    can say. What its module is called says nothing: a `notifications` module may refund.
    """
    function = re.split(r"[.:]", effect.call)[-1]
    if MONEY_WORDS.search(f"{effect.name} {effect.call}") or any(map(read_amounts, calls)):
        return False
    return _MESSAGE.search(effect.name) is not None or _MESSAGE.search(function) is not None
