"""Text of a repository as Markdown that shows it and does nothing else: no link, no picture, no
HTML, and nobody is called by name.

What a forge makes of `@name`, `#12` or an address happens after Markdown was read, so that a
backslash does not help; inside of code nothing is made of it (github/markup, issue 1168).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from html import escape

from skillrun.core.text import visible

# Of a line of prose.
_LONGEST = 2000
# `assert x` in a message: what is quoted so is shown as code.
_QUOTED = re.compile(r"`([^`]+)`")
# A boundary of a proof, e.g. `email#1(order_id=7, email='a@example.com')`.
_BOUNDARIES = re.compile(r"((?<![\w.:-])[\w.:-]+#\d+(?:\([^()]*\))?)")
# A word that a forge would make a link or a call of: `@name`, `name#12`, `#12`, an address.
_CALLS = re.compile(r"((?<!\S)\S*?(?:@|://|\bwww\.|#\d|\bGH-\d)\S*)", re.IGNORECASE)
_MEANS_SOMETHING = re.compile(r"([\\`*_\[\]~$])")
# At the beginning of a line: a heading, a list, a rule, e.g. `# x`, `1. x` or `---`.
_BEGINS_BLOCK = re.compile(r"^(\s*)(?=(?:#{1,6}|[+-]|\d+[.)])(?:\s|$)|[-=]+\s*$)(\d*)")
_FENCES = re.compile(r"`+")


def prose_markdown(text: str) -> str:
    """One line of text. What stands between backticks, and words that a forge would make something
    of, are shown as code.
    """
    parts = []
    for is_code, part in _list_parts(text):
        if is_code:
            parts.append(code_markdown(part))
        else:
            parts.append(_escape_marks(part))
    return _BEGINS_BLOCK.sub(r"\1\2\\", _join_parts(parts))


def _join_parts(parts: Iterable[str]) -> str:
    """The parts in a row. Two fences that touch would be one longer fence, and end nothing."""
    joined = ""
    for part in parts:
        if joined.endswith("`") and part.startswith("`"):
            joined += " "
        joined += part
    return joined


def prose_html(text: str) -> str:
    """The same as HTML, for a place where no Markdown is read, such as `<summary>`."""
    parts = []
    for is_code, part in _list_parts(text):
        shown = escape(part)
        if is_code:
            shown = f"<code>{shown}</code>"
        parts.append(shown)
    return "".join(parts)


def _list_parts(text: str) -> Iterator[tuple[bool, str]]:
    """The text in parts, each with whether it is to be code: what was quoted, a
    boundary, a call.
    """
    # What a pattern with one group has found stands at every second place.
    for place, part in enumerate(_QUOTED.split(visible(text, limit=_LONGEST))):
        if place % 2 == 1:
            yield True, part
        else:
            yield from _list_unquoted_parts(part)


def _list_unquoted_parts(text: str) -> Iterator[tuple[bool, str]]:
    for place, part in enumerate(_BOUNDARIES.split(text)):
        if place % 2 == 1:
            yield True, part
            continue
        for word_place, words in enumerate(_CALLS.split(part)):
            yield word_place % 2 == 1, words


def _escape_marks(text: str) -> str:
    escaped = _MEANS_SOMETHING.sub(r"\\\1", text)
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def code_markdown(text: str) -> str:
    """One line as a code span, whatever backticks are in it; nothing for nothing."""
    shown = visible(text, limit=_LONGEST)
    if not shown.strip():
        return ""
    fence = "`" * (_longest_run(shown) + 1)
    # A backtick at an end would belong to the fence, and a space at both is taken away.
    pad = " " * (shown[0] in "` " or shown[-1] in "` ")
    return f"{fence}{pad}{shown}{pad}{fence}"


def block_markdown(text: str, language: str = "") -> str:
    """Lines as a fenced block, which nothing in them ends."""
    shown = visible(text, limit=None, lines=True).rstrip("\n")
    fence = "`" * max(3, _longest_run(shown) + 1)
    return f"{fence}{language}\n{shown}\n{fence}"


def cell_markdown(markdown: str) -> str:
    """Markdown of one line in a cell of a table: a bar ends a cell also inside of code."""
    return markdown.replace("|", "\\|")


def _longest_run(text: str) -> int:
    return max(map(len, _FENCES.findall(text)), default=0)
