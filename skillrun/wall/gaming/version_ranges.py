"""Which versions of a library a requirement allows, as far as pip's and Poetry's words tell."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

Version = tuple[int, ...]
_CLAUSE = re.compile(r"(===|==|~=|!=|<=|>=|<|>|\^|~|=)?\s*v?(\d+(?:\.\d+)*)?(\.\*|\*)?([\w.+-]*)")


@dataclass(frozen=True)
class Range:
    """From `floor` up to `ceiling`; None: no bound. `text`: as it is written."""

    text: str
    floor: Version | None = None
    ceiling: Version | None = None
    excluded: frozenset[str] = field(default_factory=frozenset)
    is_read: bool = True  # False: it says something that is not understood

    @property
    def identity(self) -> str:
        """The same for requirements that are written otherwise in blanks alone."""
        return re.sub(r"\s+", "", self.text)

    def reaches_below(self, other: Range) -> bool:
        """Whether it allows what is older than anything that the other one does."""
        if other.floor is None:
            return False
        return self.floor is None or self.floor < other.floor


def read_range(text: str) -> Range:
    """The range of ">=5.4,<6", "^5.4", "5.*" and their like; of "" it is everything."""
    said = text.strip().strip("()").strip()
    clauses = [] if said in ("", "*") else said.split(",")
    floors: list[Version] = []
    ceilings: list[Version] = []
    excluded = set()
    is_read = True
    for clause in clauses:
        found = _CLAUSE.fullmatch(clause.strip())
        if found is None or not found[2]:
            is_read = False
        elif found[1] == "!=":
            excluded.add(found[2])
        else:
            low, high = _read_bounds(found[1] or "=", _read_version(found[2]), bool(found[3]))
            floors += low
            ceilings += high
    floor, ceiling = max(floors, default=None), min(ceilings, default=None)
    return Range(text, floor, ceiling, frozenset(excluded), is_read)


def _read_bounds(
    operator: str, version: Version, is_prefix: bool
) -> tuple[list[Version], list[Version]]:
    """The floors and the ceilings of one clause."""
    if operator in (">=", ">"):
        return [version], []
    if operator in ("<", "<="):
        return [], [version]
    if operator == "~=":
        return [version], [_raise_last(version[:-1] or version)]
    if operator in ("^", "~"):
        return [version], [_raise_last(version[: 1 if operator == "^" else 2])]
    if is_prefix:
        return [version], [_raise_last(version)]
    return [version], [version]


def _read_version(text: str) -> Version:
    """Without the zeros at its end: 5.4 and 5.4.0 are one version."""
    parts = [int(part) for part in text.split(".")]
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    return tuple(parts)


def _raise_last(version: Version) -> Version:
    return (*version[:-1], version[-1] + 1)
