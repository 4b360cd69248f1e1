"""Conditions of a query that are never true, whatever rows there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from sqlglot.expressions import Expression


def is_never_true(condition: Expression) -> bool:
    """Whether no row can fulfil a condition, as far as its text tells."""
    from sqlglot.optimizer.simplify import simplify

    return _is_never_true(simplify(condition.copy()))


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
    return any(_leaves_nothing(found) for found in bounds.values())


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
    """Whether nothing lies between: `id > 5 and id < 3`. Texts are compared with texts alone."""
    (low, leaves_low), (high, leaves_high) = lowest, highest
    if type(low) is not type(high):
        return False
    if low == high:
        return leaves_low or leaves_high
    # Both are texts, or both numbers, which mypy does not know.
    return bool(cast("Any", low) > high)


def _read_literal(node: Any) -> float | str | None:
    from sqlglot import exp

    if isinstance(node, exp.Literal) and node.is_string:
        return str(node.this)
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
