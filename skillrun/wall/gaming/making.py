"""How a look says what it found: the changed line quoted, bounded, and safe to show."""

from __future__ import annotations

import re

from skillrun.core.text import visible
from skillrun.core.verdict import Finding, Severity
from skillrun.wall.diff import File

PUT_BACK = "put it back; where less evidence is meant, a person has to decide that"


def taken(look: str, file: File, line: int, message: str, *, hint: str = PUT_BACK) -> Finding:
    """Evidence was taken away: an error."""
    return Finding(f"gaming.{look}", Severity.ERROR, message, file.path, max(line, 1), hint)


def doubtful(look: str, file: File, line: int, message: str, *, hint: str = PUT_BACK) -> Finding:
    """It may well be meant: a warning, for the reviewer."""
    return Finding(f"gaming.{look}", Severity.WARNING, message, file.path, max(line, 1), hint)


def found(
    look: str, file: File, line: int, message: str, *, is_error: bool, hint: str = PUT_BACK
) -> Finding:
    """Taken away, or doubtful."""
    if is_error:
        return taken(look, file, line, message, hint=hint)
    return doubtful(look, file, line, message, hint=hint)


def quoted(text: object, limit: int = 120) -> str:
    """A piece of the repository in one line, as data."""
    line = re.sub(r"\s+", " ", str(text)).strip()
    return f"`{visible(line, limit)}`"
