"""Which lines of a shell script run whatever is asked: neither those of a branch or a loop, nor
those of a function that nobody calls.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# `deploy() {` and `function deploy {`.
_FUNCTION = re.compile(r"(?:function\s+)?([\w-]+)\s*(?:\(\s*\))?\s*\{(.*)$")
_HAS_NAME_OF_FUNCTION = re.compile(r"function\s|[\w-]+\s*\(\s*\)")
_OPENS = re.compile(r"(?:if|for|while|until|case|select)\b")
_CLOSES = re.compile(r"(?:fi|done|esac)\b")
# The same on one line: `if [ -n "$CI" ]; then ...; fi`.
_CLOSED_ON_ITS_LINE = re.compile(r"[;\s](?:fi|done|esac)\s*(?:#.*)?$")
# `[ -n "$CI" ] && deploy`: what stands behind runs in one case alone.
_ASKS_FIRST = re.compile(r"(?:\[|test\s)")


def list_always_run(lines: list[str]) -> list[str]:
    """The lines of a script that run in every case, those of functions that it calls among them."""
    bodies: dict[str, list[str]] = {"": []}
    function = ""
    for line in _leave_out_branches(lines):
        name = _name_function(line)
        if name and not function:
            bodies[name] = [_FUNCTION.sub(r"\2", line).removesuffix("}")]
            if not line.endswith("}"):
                function = name
        elif line == "}":
            function = ""
        else:
            bodies[function].append(line)
    return _follow_calls("", bodies, set())


def _leave_out_branches(lines: list[str]) -> Iterator[str]:
    """The lines outside of branches and loops, without those that ask before they do something."""
    depth = 0
    for line in map(str.strip, lines):
        if _CLOSES.match(line):
            depth -= 1
        elif _OPENS.match(line):
            depth += not _CLOSED_ON_ITS_LINE.search(line)
        elif depth == 0 and not _ASKS_FIRST.match(line):
            yield line


def _name_function(line: str) -> str:
    """The name of the function that a line begins; "" where it begins none."""
    found = _FUNCTION.match(line)
    if found is None or not _HAS_NAME_OF_FUNCTION.match(line):
        return ""
    return found[1]


def _follow_calls(function: str, bodies: dict[str, list[str]], seen: set[str]) -> list[str]:
    """The lines of a function's body, and below them those of the functions that they call."""
    seen.add(function)
    lines = list(bodies[function])
    for line in bodies[function]:
        called = line.partition(" ")[0]
        if called in bodies and called not in seen:
            lines += _follow_calls(called, bodies, seen)
    return lines
