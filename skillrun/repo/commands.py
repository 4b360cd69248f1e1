"""The lint, typecheck, test and build commands that a repository declares, and where; never a
guess.
"""

from __future__ import annotations

from dataclasses import dataclass

KINDS = ("lint", "typecheck", "test", "build")


@dataclass(frozen=True)
class CommandFact:
    """A declared command, run from the repository's root. `runs` is what it stands for, e.g. a
    recipe's lines.
    """

    command: str
    path: str
    line: int
    runs: str = ""


@dataclass(frozen=True)
class Commands:
    """What is declared; None: declared nowhere."""

    lint: CommandFact | None = None
    typecheck: CommandFact | None = None
    test: CommandFact | None = None
    build: CommandFact | None = None

    def known(self) -> dict[str, CommandFact]:
        """Kind -> fact, of those that are declared."""
        found = {}
        for kind in KINDS:
            if (fact := getattr(self, kind)) is not None:
                found[kind] = fact
        return found
