"""What changed in the stores of a proof, asked of the stores themselves: a trigger, a cascade, a
definition and a raw socket change them too, and no statement of the handler names that.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from skillrun.frameworks.registry import features_of

# Schedules with these are looked into: each does what no other family does. All of them would
# double the time for what the statements of the handler say already.
WATCHED = frozenset(("once", "alone", "redeliver", "exhaustion", "permanent", "poison"))


@dataclass(frozen=True)
class Contents:
    """What a store holds. `definitions`: (kind, name, table that it belongs to) -> its text."""

    tables: Mapping[str, str] = field(default_factory=dict)  # table -> digest of its rows
    definitions: Mapping[tuple[str, str, str], str] = field(default_factory=dict)


class Watched(Protocol):
    """A store that says what it holds."""

    def contents(self) -> Contents:
        """All of it. Raises an exception where it cannot be told."""


@dataclass(frozen=True)
class Change:
    """`what`: written, created, dropped, altered. `table`: what the changed thing belongs to."""

    store: str
    kind: str
    name: str
    what: str
    table: str

    @property
    def words(self) -> str:
        """What a person is told."""
        if self.what == "written":
            return f"the {self.kind} {self.name} is written but no query of proof.state reads it"
        return f"the {self.kind} {self.name} is {self.what}, and no query of proof.state shows it"


class StoreWatch:
    """Compares stores with what they were when it was made; what the publisher writes is left
    out.
    """

    def __init__(self, stores: Mapping[str, Watched]) -> None:
        self.stores = stores
        self.changes: set[Change] = set()
        self.before = self._read()

    def look(self) -> None:
        """Everything that changed until now counts."""
        now = self._read()
        for name, contents in now.items():
            self.changes |= set(find_changes(name, self.before[name], contents))
        self.before = now

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """What changes meanwhile does not count."""
        self.look()
        yield
        self.before = self._read()

    def _read(self) -> dict[str, Contents]:
        return {name: store.contents() for name, store in self.stores.items()}


def find_changes(store: str, before: Contents, after: Contents) -> Iterator[Change]:
    """Rows count in tables that are there before and after; the others are made or dropped."""
    for name in before.tables.keys() & after.tables.keys():
        if before.tables[name] != after.tables[name]:
            yield Change(store, "table", name, "written", name)
    old, new = before.definitions, after.definitions
    for thing in old.keys() | new.keys():
        if old.get(thing) == new.get(thing):
            continue
        what = "altered"
        if thing not in old:
            what = "created"
        elif thing not in new:
            what = "dropped"
        kind, name, table = thing
        yield Change(store, kind, name, what, table)


# -- what is nobody's doing

_OF_ALL = r"django_migrations"


def is_kept_by_library(change: Change, driver: str | None) -> bool:
    """Whether it is a table, or belongs to one, or a key that the job library itself keeps: its own
    code writes these around each delivery.
    """
    own = features_of(driver)
    if change.kind == "key":
        return bool(own.keys) and re.fullmatch(own.keys, change.name, re.DOTALL) is not None
    return re.fullmatch(f"(?:{own.tables or _OF_ALL}|{_OF_ALL})", change.table) is not None


_PARTS = ("table", "index", "sequence")


def may_publish(driver: str | None) -> bool:
    """Whether the job library may speak to Redis' subscribers by itself: a result is there."""
    return bool(features_of(driver).keys)


def unshown(changes: Sequence[Change], read: set[str], driver: str | None) -> Iterator[Change]:
    """Those that no state query would show. `read`: the tables that the queries read."""
    own = {
        change.table for change in changes if change.what == "created" and _is_read(change, read)
    }
    for change in changes:
        if is_kept_by_library(change, driver):
            continue
        if change.what == "written" and _is_read(change, read):
            continue
        # A table that a delivery makes for itself, and what belongs to it: its rows are read.
        if change.what == "created" and change.table in own and change.kind in _PARTS:
            continue
        yield change


def _is_read(change: Change, read: set[str]) -> bool:
    return change.kind == "table" and change.table.rpartition(".")[2] in read
