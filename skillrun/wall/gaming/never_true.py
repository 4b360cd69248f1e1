"""Conditions of a query that are never true, whatever rows there are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlglot.expressions import Expression

# A year, a month, a day or a time of one: two of one length have one order, whatever the type and
# the collation of their column.
_DATE = re.compile(
    r"\d{4}(-(0\d|1[0-2])(-[0-3]\d([ T]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?)?)?)?", re.ASCII
)
_WORD = re.compile(r"[a-z]{3,}")
# Of these, two texts may be one value of their column: `true` and `yes`.
_SEVERAL_NAMES = re.compile(r"true?|yes|fals?e?|off|inf(inity)?|nan|now|today|tomorrow|yesterday")
# What a text is while numbers are reckoned with.
_TEXT = "'"


def is_never_true(condition: Expression) -> bool:
    """Whether no row can fulfil a condition, as far as its text tells."""
    from sqlglot import exp
    from sqlglot.optimizer.simplify import simplify

    if any(map(_takes_either_order, condition.find_all(exp.Between))):
        return False
    # sqlglot would compare texts by their letters, which a database need not do.
    return _is_never_true(simplify(condition.transform(_hold_text)))


def _takes_either_order(between: Any) -> bool:
    """`between symmetric 10 and 5`."""
    return bool(between.args.get("symmetric"))


def _hold_text(node: Any) -> Any:
    from sqlglot import exp

    if isinstance(node, exp.Literal) and node.is_string:
        return exp.Placeholder(this=f"{_TEXT}{node.this}")
    return node


def _is_never_true(condition: Any) -> bool:
    from sqlglot import exp

    while isinstance(condition, exp.Paren):
        condition = condition.this
    if isinstance(condition, exp.Or):
        return all(_is_never_true(part) for part in condition.flatten())
    parts = [condition]
    if isinstance(condition, exp.And):
        parts = list(condition.flatten())
    return any(_is_impossible(part) for part in parts) or _exclude_each_other(parts)


def _is_impossible(part: Any) -> bool:
    """Whether one comparison is never true: `0`, `a <> a`, `a = null`, `a in ()`."""
    from sqlglot import exp

    if isinstance(part, exp.Null) or read_number(part) == 0:
        return True
    if isinstance(part, exp.Boolean):
        return not part.this
    if isinstance(part, exp.Not):
        # Nobody knows whether a value is none of a list with an unknown one.
        return isinstance(part.this, exp.In) and any(map(_is_null, part.this.expressions))
    if isinstance(part, exp.In):
        is_written_out = not any(part.args.get(name) for name in ("query", "unnest", "field"))
        return is_written_out and all(map(_is_null, part.expressions))
    compares = isinstance(part, exp.EQ | exp.NEQ | exp.LT | exp.GT | exp.LTE | exp.GTE | exp.Like)
    if compares and (_is_null(part.left) or _is_null(part.right)):
        return True
    if isinstance(part, exp.EQ) and isinstance(part.left, exp.Placeholder):
        return isinstance(part.right, exp.Placeholder) and part.left.name != part.right.name
    is_strict = isinstance(part, exp.NEQ | exp.LT | exp.GT)
    return is_strict and bool(part.left.sql() == part.right.sql())


def _is_null(node: Any) -> bool:
    from sqlglot import exp

    return isinstance(node, exp.Null)


# A value, and whether it is left out itself.
Bound = tuple[float | str, bool]


def _exclude_each_other(parts: list[Any]) -> bool:
    """`a = 1 and a = 2`, `a > 5 and a < 3`, `length(a) < 0`."""
    from sqlglot import exp

    bounds: dict[str, list[tuple[str, Bound]]] = {}
    equal: dict[str, set[str]] = {}
    for part in parts:
        if not isinstance(part, exp.Binary):
            continue
        value = _read_literal(part.right)
        if value is None:
            continue
        found = bounds.setdefault(part.left.sql(), [])
        if isinstance(part.left, exp.Length | exp.Abs | exp.Count):
            found.append(("low", (0.0, False)))
        found += _list_bounds(part, value)
        if isinstance(part, exp.EQ) and isinstance(value, str):
            equal.setdefault(part.left.sql(), set()).add(value)
    leaves_nothing = any(_leaves_nothing(found) for found in bounds.values())
    return leaves_nothing or any(map(_are_different, equal.values()))


def _list_bounds(part: Any, value: float | str) -> list[tuple[str, Bound]]:
    from sqlglot import exp

    sides = {
        exp.EQ: (("low", False), ("high", False)),
        exp.GT: (("low", True),),
        exp.GTE: (("low", False),),
        exp.LT: (("high", True),),
        exp.LTE: (("high", False),),
    }
    found: list[tuple[str, Bound]] = []
    for side, is_left_out in sides.get(type(part), ()):
        found.append((side, (value, is_left_out)))
    return found


def _leaves_nothing(bounds: list[tuple[str, Bound]]) -> bool:
    lows = [bound for side, bound in bounds if side == "low"]
    highs = [bound for side, bound in bounds if side == "high"]
    return any(_is_empty(low, high) for low in lows for high in highs)


def _is_empty(lowest: Bound, highest: Bound) -> bool:
    """Whether nothing lies between: `id > 5 and id < 3`."""
    (low, leaves_low), (high, leaves_high) = lowest, highest
    if low == high:
        return leaves_low or leaves_high
    if isinstance(low, str) or isinstance(high, str):
        return _are_in_order(str(high), str(low))
    return low > high


def _are_in_order(first: str, second: str) -> bool:
    """Whether one text is before the other for every database: both are dates of one form."""
    are_dates = _DATE.fullmatch(first) and _DATE.fullmatch(second)
    return bool(are_dates) and len(first) == len(second) and first < second


def _are_different(texts: set[str]) -> bool:
    """Whether no value equals all of the texts. `1` and `1.0` are one number, `Paid` and `paid` one
    word of some columns.
    """
    words = set(map(_fold_word, texts))
    return len(words) > 1 and all(map(_names_one_value, words))


def _fold_word(text: str) -> str:
    return text.lower().replace("_", "")


def _names_one_value(word: str) -> bool:
    return bool(_WORD.fullmatch(word)) and not _SEVERAL_NAMES.fullmatch(word)


def _read_literal(node: Any) -> float | str | None:
    """A number or text; `date '2024-01-31'` is its text."""
    from sqlglot import exp

    if isinstance(node, exp.Cast):
        text = _read_literal(node.this)
        is_day = isinstance(text, str) and _DATE.fullmatch(text) and len(text) == len("2024-01-31")
        return text if is_day else None
    if isinstance(node, exp.Placeholder) and str(node.this).startswith(_TEXT):
        return str(node.this).removeprefix(_TEXT)
    return read_number(node)


def read_number(node: Expression | None) -> float | None:
    """The number that a node is, signed; None where it is none."""
    from sqlglot import exp

    if isinstance(node, exp.Neg):
        inner = read_number(node.this)
        if inner is None:
            return None
        return -inner
    if isinstance(node, exp.Literal) and not node.is_string:
        try:
            return float(node.this)
        except ValueError:
            return None
    return None
