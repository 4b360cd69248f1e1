"""The state that the application's own call finds where it has something to do.

A fixture serves the handler and the call that publishes it. Often its rows are past that call
already: the order stands there as placed, the call changes nothing, and a worker that is faster
than its commit finds nothing missing. Such a row is given another value, which counts where the
call by itself sets the row back to what it was.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from skillrun.proof.history import Event, outlasts_process
from skillrun.proof.rivals import Contents, is_word, names_a_row
from skillrun.proof.rows import Table, open_rows
from skillrun.proof.undone import Undone

# A call is run for each guess, and a proof has to end within minutes.
MOST_GUESSES = 16
_FLAGS = {"0": "1", "1": "0", "true": "false", "false": "true", "t": "f", "f": "t"}


@dataclass(frozen=True)
class Guess:
    """A value that a column of all rows may have had before the call."""

    table: Table
    column: str
    value: Any


def list_tables_of(events: Iterable[Event]) -> list[str]:
    """The tables that a process read or wrote, in order."""
    found: dict[str, None] = {}  # as an ordered set
    for event in events:
        if event.kind == "at" and event["kind"] == "sql" and event["table"]:
            found[str(event["table"]).lower()] = None
    return list(found)


def list_columns(table: Table) -> list[str]:
    """Those that name neither the row itself nor another one."""
    own = (*table.primary, *table.unique)
    return [name for name in table.columns if name not in own and not names_a_row(name)]


def list_values(rows: Iterable[Mapping[str, Any]], column: str, words: Iterable[str]) -> list[Any]:
    """What a column may have held before: another word of its kind, the other value of a flag,
    nothing at all. `words`: those that the application's code has for it.
    """
    found = dict.fromkeys(words)
    flags: list[Any] = []
    held = Counter(map(operator.itemgetter(column), rows))
    for value, times in held.items():
        # A name or an address that each row has for itself is no word of a kind.
        if is_word(value) and len(held) < held.total() and times < held.total():
            found[value] = None
        flag = _find_other_flag(value)
        if flag is not None:
            flags.append(flag)
    return [*found, *flags, None]


def _find_other_flag(value: Any) -> Any:
    if isinstance(value, int) and value in (0, 1):
        return 1 - value
    # PostgreSQL's rows come as text.
    if isinstance(value, str):
        return _FLAGS.get(value)
    return None


def put_guess(store: Any, guess: Guess, contents: Contents) -> list[Undone]:
    """Gives the column of each row the guessed value, where the database takes it."""
    found: list[Undone] = []
    for row in contents.get(guess.table.name, {}).values():
        done = row[guess.column]
        if done is None or done == guess.value:
            continue
        where = {name: row[name] for name in guess.table.primary}
        found.append(Undone(guess.table, where, guess.column, guess.value, done))
    return put_undone(store, found)


def put_undone(store: Any, undone: Iterable[Undone]) -> list[Undone]:
    """Those that the database took."""
    with open_rows(store) as rows:
        if rows is None:
            return []
        taken: list[Undone] = []
        for one in undone:
            if rows.put(one.table, one.where, one.column, one.value):
                taken.append(one)
        return taken


def find_early_publishes(events: Iterable[Event]) -> Iterator[Event]:
    """Publishes of the job after which the same call still writes something that lasts: a worker
    that is faster finds it missing.
    """
    waiting: list[Event] = []
    for event in events:
        if event["kind"] == "publish" and event["to_handler"] and event["when"] == "after":
            waiting.append(event)
        elif outlasts_process(event):
            yield from waiting
            waiting = []


def find_uncommitted(events: Iterable[Event]) -> tuple[Event, bool] | None:
    """The first publish of the job that stands within an open transaction, and whether that
    transaction writes anything: told by the connections themselves.
    """
    published: Event | None = None
    stores: dict[str, bool] = {}  # with an open transaction -> it has written
    for event in events:
        store = str(event["store"])
        if event["kind"] in ("commit", "rollback"):
            if event["when"] == "before" and published is not None and store in stores:
                return published, stores[store]
            stores.pop(store, None)
        elif event["kind"] == "sql" and event["open"]:
            stores[store] = stores.get(store, False) or event["verb"] != "select"
        elif event["kind"] == "publish" and event["to_handler"] and stores:
            published = published or event
    if published is not None and stores:
        return published, any(stores.values())
    return None
