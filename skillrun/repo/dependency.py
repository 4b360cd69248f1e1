"""One declared dependency, and how its name and its line are found."""

from __future__ import annotations

import re
from dataclasses import dataclass

from skillrun.repo.places import is_aside

_MAIN_GROUPS = frozenset(
    {"main", "default", "base", "prod", "production", "deploy", "server", "worker", "app"}
)


@dataclass(frozen=True)
class Dependency:
    """One declared dependency. `name` is normalised ("django-celery-beat")."""

    name: str
    path: str
    line: int  # 1-based
    text: str
    group: str = ""  # "" is what always comes along; else a group, or "extra:<name>"
    extras: tuple[str, ...] = ()

    @property
    def main(self) -> bool:
        """Comes along when the project itself is installed, in a path that is part of the
        project.
        """
        return (not self.group or self.group.lower() in _MAIN_GROUPS) and not is_aside(self.path)


def normalise_name(name: str) -> str:
    """A distribution name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


class Lines:
    """Finds the line of a value that a parser gave without its place."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()
        self._next: dict[str, int] = {}

    def of(self, needle: str) -> int:
        """The next line that holds the needle and is no comment; 1 where there is none."""
        start = self._next.get(needle, 0)
        for number in range(start, len(self._lines)):
            if needle in self._lines[number] and not self._lines[number].lstrip().startswith("#"):
                self._next[needle] = number + 1
                return number + 1
        return 1
