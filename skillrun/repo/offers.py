"""One declared command among several for the same purpose, and which of them counts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from skillrun.repo.commands import CommandFact


class Source(IntEnum):
    """Where a command is declared, the most deliberate place first."""

    MAKE = 0
    RUNNER = 1  # nox, tox, poe, pdm, hatch, taskipy, Pipfile
    SCRIPT = 2  # a file in scripts/ or beside it
    PACKAGE_JSON = 3  # of a JavaScript project
    CI = 4
    TOLD_BY_LINES = 5  # a recipe whose name says nothing, and whose lines are for one purpose
    SIDE_PACKAGE = 6  # a package.json beside another language
    INSIDE = 7  # part of a command that is declared for something else
    PRE_COMMIT = 8
    NOTES = 9  # AGENTS.md, CONTRIBUTING.md and the like


@dataclass(frozen=True)
class Offer:
    """`fit` is 0 for the plainest name; the smaller `order`, the better."""

    kind: str
    fact: CommandFact
    source: Source
    fit: int = 0

    @property
    def order(self) -> tuple[int, int, int, str, int]:
        """Sort key: source, fit, depth, path, line."""
        return (self.source, self.fit, self.fact.path.count("/"), self.fact.path, self.fact.line)
