"""What is read for certain of a job in another language: its attempts, its waits, what becomes of
it when it has failed, and who publishes it inside a transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.interface import Backoff
from skillrun.repo.uses import Place

if TYPE_CHECKING:
    from skillrun.repo.tree import Tree


@dataclass(frozen=True)
class NotUnderstood:
    """Why something was not read, as a clause; `place` is what was not followed."""

    because: str
    place: Place | None = None


@dataclass(frozen=True)
class Attempts:
    """How often a job is tried at most; the first try counts."""

    most: int
    place: Place | None  # None: the library's default


@dataclass(frozen=True)
class Waits:
    """The wait before each retry. `backoff` is None where the library has a manner of its own,
    which no spec has a word for; `shortest` are its seconds.
    """

    backoff: Backoff | None
    place: Place | None
    shortest: tuple[float, ...] = ()
    words: str = ""


@dataclass(frozen=True)
class Failed:
    """Whether the library keeps a job that has failed for good, where an operator finds it."""

    is_kept: bool
    words: str
    place: Place | None


@dataclass(frozen=True)
class JobOptions:
    """What was read of one job, each part for certain or not at all."""

    library: str  # its title
    attempts: Attempts | NotUnderstood
    waits: Waits | NotUnderstood
    failed: Failed | NotUnderstood
    # What is wrong or worth knowing of uniqueness and of publishers.
    of_uniqueness: tuple[Finding, ...] = ()
    of_publishers: tuple[Finding, ...] = ()


def find_at(place: Place, severity: Severity, rule: str, message: str, hint: str) -> Finding:
    """A finding at a place of the code."""
    return Finding(rule, severity, message, place.path, place.line, hint)


@dataclass(frozen=True)
class NamedHandler:
    """The handler as the spec names it: where it is defined, and the words of its name, the last
    one first.
    """

    place: Place
    words: Sequence[str] = field(default_factory=tuple)


ReadOptions = Callable[["Tree", NamedHandler], JobOptions]
"""What a library's reader is."""
