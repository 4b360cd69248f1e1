"""The lines of code that findings speak of, as they were: what an auditor reads when the file has
changed since.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from skillrun.core.masking import MASK
from skillrun.core.text import masked, visible

if TYPE_CHECKING:
    from skillrun.contract.specfile import Spec
    from skillrun.core.verdict import Finding
    from skillrun.repo.tree import Tree

# Lines before and after.
AROUND = 3
# Excerpts of one stage.
MOST = 50
_WIDTH = 160
# Characters of a private value.
_TELLING = 4


def excerpts(
    tree: Tree, findings: Iterable[Finding], spec: Spec | None = None
) -> list[dict[str, Any]]:
    """JSON values: `path`, `line`, `first` (number of the first line shown), `lines`; masked,
    bounded, each place once.

    A place without a line, outside of the repository, or in a file that is no text has none. No
    look-up is recorded. Of the spec's own lines, its private values are left out, whatever their
    names are.
    """
    places = dict.fromkeys((f.path, f.line) for f in findings if f.path and f.line)
    found = (_cut_excerpt(tree, path, line) for path, line in places if path and line)
    kept = [excerpt for excerpt in found if excerpt is not None][:MOST]
    for excerpt in kept:
        if spec is not None and excerpt["path"] == spec.shown_path:
            excerpt["lines"] = [_hide_private_values(line, spec) for line in excerpt["lines"]]
    return kept


def _hide_private_values(line: str, spec: Spec) -> str:
    """Short values such as 1 say nothing, and would take half of the line with them."""
    for value in spec.private_values():
        if len(value) >= _TELLING:
            line = line.replace(value, MASK)
    return line


def _cut_excerpt(tree: Tree, path: str, line: int) -> dict[str, Any] | None:
    lines = _split_lines(tree.peek(path))
    if not 1 <= line <= len(lines):
        return None
    first = max(1, line - AROUND)
    text = masked("\n".join(lines[first - 1 : line + AROUND]))
    shown = [visible(each.expandtabs(4), limit=_WIDTH) for each in text.split("\n")]
    return {"path": path, "line": line, "first": first, "lines": shown}


def _split_lines(data: bytes | None) -> list[str]:
    """As compilers count them: `str.splitlines` also splits at form feeds and U+2028."""
    try:
        text = (data or b"").decode("utf-8-sig")
    except UnicodeDecodeError:
        return []
    if not text:
        return []
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
