"""The lines of code that findings speak of, as they were: what an auditor reads when the file has
changed since.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from skillrun.core.secret_names import MASK
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
TELLING = 4


def excerpts(
    tree: Tree, findings: Iterable[Finding], spec: Spec | None = None
) -> list[dict[str, Any]]:
    """An excerpt for each place that a finding speaks of, masked and bounded, as JSON values:
    `path`, `line`, `first` (number of the first line shown), `lines`.

    A place without a line, outside of the repository, or in a file that is no text has none. No
    look-up is recorded. Of the spec's own lines, its private values are left out, whatever their
    names are.
    """
    places: dict[tuple[str, int], None] = {}
    for finding in findings:
        if finding.path and finding.line:
            places[finding.path, finding.line] = None
    kept: list[dict[str, Any]] = []
    for path, line in places:
        if len(kept) == MOST:
            break
        excerpt = _cut_excerpt(tree, path, line)
        if excerpt is None:
            continue
        if spec is not None and path == spec.shown_path:
            excerpt["lines"] = [hide_private_values(text, spec) for text in excerpt["lines"]]
        kept.append(excerpt)
    return kept


def hide_private_values(line: str, spec: Spec) -> str:
    """The line without the spec's private values."""
    for value in spec.private_values():
        # Short values such as 1 say nothing, and would take half of the line with them.
        if len(value) >= TELLING:
            line = line.replace(value, MASK)
    return line


def _cut_excerpt(tree: Tree, path: str, line: int) -> dict[str, Any] | None:
    """The lines around one; None where the file has no such line."""
    lines = _split_lines(tree.peek(path))
    if not 1 <= line <= len(lines):
        return None
    first = max(1, line - AROUND)
    text = masked("\n".join(lines[first - 1 : line + AROUND]))
    shown = [visible(each.expandtabs(4), limit=_WIDTH) for each in text.split("\n")]
    return {"path": path, "line": line, "first": first, "lines": shown}


def _split_lines(data: bytes | None) -> list[str]:
    """The lines of a text as compilers count them: `str.splitlines` also splits at form feeds and
    U+2028. None of a file that is no text.
    """
    try:
        text = (data or b"").decode("utf-8-sig")
    except UnicodeDecodeError:
        return []
    if not text:
        return []
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
