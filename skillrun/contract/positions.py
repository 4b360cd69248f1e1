"""A document whose values know their lines, and what is wrong with one that cannot be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# A document may be small to write and huge to read.
MAX_DEPTH = 50
MAX_NODES = 20_000

Path = tuple[str | int, ...]


class YamlProblem(Exception):
    """A text that cannot be read: `line` is 1-based, `what` says what is wrong, `hint` what to
    do.
    """

    def __init__(self, line: int, what: str, hint: str) -> None:
        super().__init__(f"{line}: {what}")
        self.line = line
        self.what = what
        self.hint = hint


@dataclass(frozen=True)
class Document:
    """A value with the line of each of its parts, and the places where YAML reads something else
    than people mean.
    """

    value: Any
    lines: dict[Path, int]  # path -> 1-based line of the key, or of the list item
    traps: dict[Path, str] = field(default_factory=dict)  # path -> what happened and what to do
    # Path -> the text of a scalar as it was written.
    source: dict[Path, str] = field(default_factory=dict)

    def line(self, path: Path) -> int:
        """The line of a value, or of the nearest thing around it that exists."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)
