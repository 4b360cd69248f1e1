"""What is read for certain of a job in another language: its attempts, its waits, what becomes of
it when it has failed, and who publishes it inside a transaction.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.interface import Backoff
from skillrun.repo.uses import Place

if TYPE_CHECKING:
    from skillrun.repo.tree import Tree


# "5", "1_000"
_COUNT = re.compile(r"0|[1-9][0-9_]*")
# Nobody tries a job so often; with more, sums of waits would take long.
MOST_TRIES = 10_000


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
    which no spec has a word for: `least_s` is how long its `retries` wait in all, at least.
    """

    backoff: Backoff | None
    place: Place | None
    retries: int = 0
    least_s: float = 0.0
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


def read_count(text: str) -> int | None:
    """The number that "5" or "1_000" stands for; None for one in another notation (`0x5`, and
    `010`, which is octal), and for one that no job is tried by.
    """
    if not _COUNT.fullmatch(text):
        return None
    digits = text.replace("_", "")
    # Its length first: a repository may have a number of any length.
    if len(digits) > len(str(MOST_TRIES)) or int(digits) > MOST_TRIES:
        return None
    return int(digits)


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
