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
    is_pin: bool = False
    excluded: frozenset[str] = field(default_factory=frozenset)
    is_read: bool = True  # False: it says something that is not understood

    @property
    def identity(self) -> str:
        """The same for requirements that are written otherwise in blanks alone."""
        return re.sub(r"\s+", "", self.text)


def read_range(text: str) -> Range:
    """The range of ">=5.4,<6", "^5.4", "5.*" and their like; of "" it is everything."""
    said = text.strip().strip("()").strip()
    floors: list[Version] = []
    ceilings: list[Version] = []
    excluded = set()
    is_pin, is_read = False, True
    for clause in said.split(",") if said and said != "*" else ():
        found = _CLAUSE.fullmatch(clause.strip())
        if found is None or not found[2]:
            is_read = False
            continue
        operator, version = found[1] or "=", _read_version(found[2])
        if operator == "!=":
            excluded.add(found[2])
            continue
        low, high = _read_bounds(operator, version, is_prefix=bool(found[3]))
        is_pin = is_pin or (operator in ("=", "==", "===") and not found[3])
        floors += [low] if low is not None else []
        ceilings += [high] if high is not None else []
    floor = max(floors, default=None)
    ceiling = min(ceilings, default=None)
    return Range(text, floor, ceiling, is_pin, frozenset(excluded), is_read)


def _read_bounds(
    operator: str, version: Version, *, is_prefix: bool
) -> tuple[Version | None, Version | None]:
    if operator in (">=", ">"):
        return version, None
    if operator in ("<", "<="):
        return None, version
    if operator == "~=":
        return version, _raise_last(version[:-1] or version)
    if operator == "^":
        return version, _raise_last(version[:1])
    if operator == "~":
        return version, _raise_last(version[:2])
    if is_prefix:
        return version, _raise_last(version)
    return version, version


def _read_version(text: str) -> Version:
    """Without the zeros at its end: 5.4 and 5.4.0 are one version."""
    parts = [int(part) for part in text.split(".")]
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    return tuple(parts)


def _raise_last(version: Version) -> Version:
    return (*version[:-1], version[-1] + 1)
