"""The state of a job from the rows that its tests saw: which tables it changes, and how they are
asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from skillrun.skills.job_worker.drafting.failing import is_dead_letter

if TYPE_CHECKING:
    from skillrun.proof.fixtures.seen import DeliverySeen, Seen, StoreSeen, Table

# No two runs write the same: whether something is there is all that can be compared.
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")
_RANDOM = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OF_TIME = re.compile(r"date|time", re.IGNORECASE)


def find_store(deliveries: Iterable[DeliverySeen]) -> str | None:
    """The name of the database that the job writes; else of the only one that is there."""
    names: dict[str, None] = {}
    for delivery in deliveries:
        for store, _ in delivery.list_changed():
            return store.name
        names |= dict.fromkeys(store.name for store in delivery.before)
    return next(iter(names)) if len(names) == 1 else None


def write_state(deliveries: Iterable[DeliverySeen], store: str) -> dict[str, str]:
    """Name -> query, of each table whose rows a delivery has changed."""
    found: dict[str, str] = {}
    for delivery in deliveries:
        known = {one.name: one for one in delivery.before}
        for after, table in delivery.list_changed():
            if after.name == store and not is_dead_letter(table):
                was = known[store].tables.get(table) if store in known else None
                found.setdefault(table, _write_query(table, after.tables[table], was))
    return found


def _write_query(name: str, table: Table, was: Table | None) -> str:
    gained = was is None or len(table.rows) > len(was.rows)
    counts = sum(is_key for _, _, is_key in table.columns) == 1 and len(table.columns) > 1
    asked = []
    for number, (column, kind, is_key) in enumerate(table.columns):
        values = [row[number] for row in table.rows]
        # A number that the database gives counts tries that were rolled back, too.
        if is_key and counts and gained and kind.upper() == "INTEGER":
            continue
        quoted = f'"{column}"' if not column.isidentifier() else column
        asked.append(f"{quoted} is not null" if _is_volatile(kind, values) else quoted)
    order = ", ".join(str(number + 1) for number in range(len(asked)))
    return f"select {', '.join(asked)} from {name} order by {order}"


def _is_volatile(kind: str, values: list[object]) -> bool:
    if _OF_TIME.search(kind):
        return True
    texts = [value for value in values if isinstance(value, str)]
    return any(_TIME.match(text) or _RANDOM.fullmatch(text) for text in texts)


def find_dead_letters(seen: Seen) -> str | None:
    """The table of given up jobs that some test has filled. Each test may have a database of its
    own.
    """
    from skillrun.proof.fixtures.seen import find_changed

    for delivery in seen.deliveries:
        changed: list[tuple[StoreSeen, str]] = list(delivery.list_changed())
        test = seen.tests.get(delivery.test)
        if test is not None:
            changed += find_changed(delivery.before, test.stores)
        for _, table in changed:
            if is_dead_letter(table):
                return table
    return None
