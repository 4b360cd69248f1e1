"""Bytecode in the commit: Python runs it, and nobody reads it."""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.core.verdict import Finding
from skillrun.wall.diff import Diff
from skillrun.wall.gaming.making import quoted, taken

ID = "bytecode"
HELP = (
    "Python takes a `.pyc` file for the source beside it where the two seem to belong together,"
    " and its content decides that, not git. What was read and proved would be another program"
    " than what runs. Found: a `.pyc` or `.pyo` that the base does not hold."
)
ENDINGS = (".pyc", ".pyo")


def find(diff: Diff) -> Iterator[Finding]:
    """One finding for each file that is new or another one; one that is gone is welcome."""
    for file in diff.files:
        if file.new is None or not file.path.endswith(ENDINGS):
            continue
        said = f"bytecode that Python may run in the place of its source: {quoted(file.path)}"
        yield taken(ID, file, 1, said, hint=f"git rm --cached {file.path}")
