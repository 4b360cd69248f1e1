"""Rows that a varied payload works on: those of the first example, with the payload's own value in
the key's column.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from skillrun.proof.jobs import get_field
from skillrun.proof.rows import Rows, Table, open_rows
from skillrun.proof.varied import name_varied_field

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec

_MOST_ROWS = 20  # of one table for one payload
# What such a column holds names one row and no other, whether or not the schema says so.
_UNIQUE_WORDS = "uuid|guid|token|key|hash|digest|slug|ref|reference|external|number|code|sku"
_UNIQUE_NAME = re.compile(rf"(?:^|_)(?:{_UNIQUE_WORDS})(?:_|$)")
_UNIQUE_TEXT = re.compile(
    r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}|[0-9a-f]{16,}", re.I
)


class Numbered(Protocol):
    """Rows whose numbers are known."""

    def highest(self, table: Table, column: str) -> int:
        """The highest number in a column; 0 for none."""


def clone_rows(
    store: Any, spec: JobSpec, payloads: Mapping[int, Any]
) -> dict[int, tuple[str, ...]]:
    """Job -> the values that its rows have from the example's. No entry: the example has no rows by
    that field.
    """
    first = spec.examples[0] if spec.examples else None
    found: dict[int, tuple[str, ...]] = {}
    with open_rows(store) as rows:
        if rows is None:
            return found
        tables = rows.tables()
        for job, payload in payloads.items():
            field = name_varied_field(spec, payload)
            if field is None:
                continue
            old, new = get_field(first, field), get_field(payload, field)
            copied = dict.fromkeys(_clone_example(rows, tables, field, old, new))
            if copied:
                found[job] = tuple(copied)
    return found


def _clone_example(
    rows: Rows, tables: list[Table], field: str, old: Any, new: Any
) -> Iterator[str]:
    for table in tables:
        for column in table.columns:
            if not holds_field(table, column, field):
                continue
            for row in rows.select(table, column, old)[:_MOST_ROWS]:
                values = dict(zip(table.columns, row, strict=True))
                yield from _copy_row(rows, table, values, column, new)


def holds_field(table: Table, column: str, field: str) -> bool:
    """Whether a column may hold what a field names: `order_id` is `order_id` anywhere, and `id` in
    `orders`.
    """
    parts = field.lower().replace("_", "").split(".")
    last, name = parts[-1], column.lower().replace("_", "")
    stem = last.removesuffix("id") or last
    if name in (last, f"{stem}id"):
        return True
    if table.primary != (column,):
        return False
    # `order.id`, and `shop_orders` as Django names it.
    parent = parts[-2] if len(parts) > 1 else stem
    mine = table.name.lower().rpartition("_")[2]
    return stem in mine or parent in mine or mine.rstrip("s") in stem


def _copy_row(
    rows: Rows, table: Table, row: dict[str, Any], column: str, new: Any
) -> Iterator[str]:
    """Adds one row; gives what it has in common with the one that it is a copy of."""
    made, fresh = change_copy(rows, table, row, {column: new})
    if not rows.insert(table, made):
        return
    for name, value in made.items():
        if name != column and name not in fresh and value not in (None, ""):
            yield str(value)
    yield ""  # it was copied, whatever it holds


def change_copy(
    rows: Numbered, table: Table, row: Mapping[str, Any], changes: Mapping[str, Any]
) -> tuple[dict[str, Any], set[str]]:
    """(the copy with these values, the other columns in which it had to differ)."""
    made = {**row, **changes}
    if table.numbered is not None and table.numbered not in changes:
        del made[table.numbered]
    fresh = set[str]()
    salt = ", ".join(map(str, changes.values()))
    for name in made:
        if name not in changes and must_differ(table, name, made[name]):
            fresh.add(name)
    for name in fresh:
        made[name] = _make_fresh(rows, table, name, row[name], salt)
    return made, fresh


def must_differ(table: Table, name: str, value: Any) -> bool:
    """Whether two rows cannot have the same value, or would be taken for one by it."""
    if value is None:
        return False
    if name in table.unique:
        return True
    if not isinstance(value, str):
        return False
    is_named_so = _UNIQUE_NAME.search(name.lower()) is not None
    return is_named_so or _UNIQUE_TEXT.fullmatch(value) is not None


def _make_fresh(rows: Numbered, table: Table, name: str, value: Any, new: Any) -> Any:
    """Another value of the same kind: of a text that looks like a number in base 16, another such
    number.
    """
    text = str(value)
    if text.isdigit():  # also where a database gives its numbers as texts
        return rows.highest(table, name) + 1
    if _UNIQUE_TEXT.fullmatch(text):
        return write_other_digits(text, new)
    return f"{text}-{new}"


def write_other_digits(text: str, salt: Any) -> str:
    """A text of the same length in base 16, with its dashes where they are; a salt gives the same
    each time.
    """
    import hashlib

    digits = iter(hashlib.sha256(f"{text}{salt}".encode()).hexdigest() * 4)
    written = []
    for letter in text:
        if letter == "-":
            written.append("-")
        else:
            written.append(next(digits))
    return "".join(written)
