"""How generated lines are laid out: as black would leave them, so that a formatter has little to
do.
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

WIDTH = 88
"""Columns where a repository says nothing else."""


def call(
    name: str,
    arguments: Sequence[str],
    indent: int = 0,
    suffix: str = "",
    *,
    prefix: str = "",
    width: int = WIDTH,
) -> str:
    """A call or a signature: in one line where it fits, else its arguments in one, else one a line.

    `indent` columns are to its left; `prefix` and `suffix` stand on its first and last line, e.g.
    "return " and ":".
    """
    given = ", ".join(arguments)
    line = f"{prefix}{name}({given}){suffix}"
    if indent + len(line) <= width or not arguments:
        return line
    inner, outer = " " * (indent + 4), " " * indent
    if len(inner) + len(given) <= width:
        return f"{prefix}{name}(\n{inner}{given}\n{outer}){suffix}"
    body = "".join(f"{inner}{argument},\n" for argument in arguments)
    return f"{prefix}{name}(\n{body}{outer}){suffix}"


def constant(name: str, value: Any, indent: int = 0, *, width: int = WIDTH) -> str:
    """An assignment of a JSON value; a dict that is too long for a line has one entry a line."""
    line = f"{name} = {source(value)}"
    if indent + len(line) <= width or not isinstance(value, dict):
        return line
    inner, outer = " " * (indent + 4), " " * indent
    lines = [f"{name} = {{"]
    for key, item in value.items():
        lines.append(f"{inner}{source(key)}: {source(item)},")
    return "\n".join([*lines, f"{outer}}}"])


def doc(first: str, more: Sequence[str] = (), indent: int = 4, *, width: int = WIDTH) -> str:
    """A docstring: one line where it fits, else its first sentence and the rest below; `more` are
    paragraphs.
    """
    room = width - indent - 6
    if not more and len(first) <= room:
        return f'"""{first}"""'
    if len(first) > room and ". " in first:
        first, _, rest = first.partition(". ")
        first, more = f"{first}.", [rest, *more]
    head, *lines = textwrap.wrap(first, room)
    for paragraph in more:
        lines += ["", *textwrap.wrap(paragraph, width - indent)]
    text = textwrap.indent("\n".join([*lines, '"""']), " " * indent)
    return f'"""{head}\n{text}'


def tidy(text: str) -> str:
    """No spaces at line ends, never more than two empty lines, one line end at the end."""
    lines: list[str] = []
    for line in map(str.rstrip, text.strip("\n").split("\n")):
        if line or lines[-2:] != ["", ""]:
            lines.append(line)
    return "\n".join(lines) + "\n"


def source(value: Any) -> str:
    """Python source of a JSON value or a tuple, with double quotes as black writes them."""
    if isinstance(value, str):
        if value.isprintable():
            return json.dumps(value, ensure_ascii=False)
        return repr(value)
    if isinstance(value, dict):
        items = [f"{source(key)}: {source(item)}" for key, item in value.items()]
        return f"{{{', '.join(items)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(source, value))}]"
    if isinstance(value, tuple):
        end = ""
        if len(value) == 1:
            end = ","
        return f"({', '.join(map(source, value))}{end})"
    return repr(value)


# -- imports


def import_block(lines: Iterable[str], roots: frozenset[str], width: int = WIDTH) -> str:
    """Import lines in groups (future, standard library, third party, own), merged and sorted as
    isort does.
    """
    groups: tuple[dict[str, set[str]], ...] = ({}, {}, {}, {})
    for line in lines:
        words = line.split(maxsplit=3)
        kept = groups[_group_module(words[1], roots)].setdefault(words[1], set())
        # `import x` is kept as the name "" of x.
        if words[0] == "from":
            names = words[3].split(",")
        else:
            names = [""]
        kept.update(map(str.strip, names))
    return "\n\n".join("\n".join(_write_lines(group, width)) for group in groups if group)


def _group_module(module: str, roots: frozenset[str]) -> int:
    first = module.partition(".")[0]
    if module == "__future__":
        return 0
    if module.startswith(".") or first in roots:
        return 3
    if first in sys.stdlib_module_names:
        return 1
    return 2


def _write_lines(group: dict[str, set[str]], width: int) -> Iterable[str]:
    modules = sorted(group, key=str.lower)
    for module in modules:
        if "" in group[module]:
            yield f"import {module}"
    for module in modules:
        names = sorted(group[module] - {""}, key=_by_type)
        if names:
            yield _write_from_import(module, names, width)


def _by_type(name: str) -> tuple[int, str]:
    """Constants, then classes, then the rest, as isort orders them."""
    bare = name.partition(" ")[0]
    if bare.isupper() and len(bare) > 1:
        return 0, name
    if bare[:1].isupper():
        return 1, name
    return 2, name


def _write_from_import(module: str, names: Sequence[str], width: int) -> str:
    line = f"from {module} import {', '.join(names)}"
    if len(line) <= width:
        return line
    return "\n".join([f"from {module} import (", *(f"    {name}," for name in names), ")"])


def seconds(value: float) -> str:
    """A number of seconds without a needless fraction."""
    if float(value).is_integer():
        return str(int(value))
    return repr(value)
