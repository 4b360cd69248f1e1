"""What would be changed in a repository: planned and shown before anything is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skillrun.core.verdict import Finding


@dataclass(frozen=True)
class Change:
    """A file before and after, as text; before None: it does not exist. The path is relative to the
    repository.
    """

    path: str
    before: str | None
    after: str


@dataclass(frozen=True)
class Kept:
    """Something that is there already, was written or edited by somebody, and is left as it is."""

    path: str
    line: int
    name: str  # of the definition, or the file itself
    diff: str  # unified, from what is there to what would have been written


@dataclass(frozen=True)
class Plan:
    """All or nothing: the changes are written together, or none of them."""

    changes: tuple[Change, ...] = ()
    kept: tuple[Kept, ...] = ()
    missing: tuple[Finding, ...] = ()  # what has to be decided first; then there are no changes
    notes: tuple[str, ...] = ()  # what a person should know of the result, a sentence each
    # The repository's commands that the changed Python files go through afterwards.
    formatters: tuple[str, ...] = ()
