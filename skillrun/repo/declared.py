"""What the readers of declared commands share: texts, tables, line numbers, and the fact of a
command.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from skillrun.core.opening import parse_json, parse_toml
from skillrun.repo.commands import CommandFact
from skillrun.repo.tree import SEARCH_LIMIT

if TYPE_CHECKING:
    from skillrun.repo.tree import Tree

# Characters kept of what a command stands for.
_RUNS = 2000


def text_of(tree: Tree, path: str) -> str | None:
    """The text of a listed file; None where there is none, and for what is too large to be written
    by people.
    """
    data = None
    if tree.size(path) <= SEARCH_LIMIT:
        data = tree.peek(path)
    if data is None:
        return None
    return data.decode("utf-8", "replace")


def command_fact(command: str, path: str, line: int, runs: str) -> CommandFact:
    """A declared command; of what it stands for, a bounded beginning."""
    return CommandFact(command, path, line, runs[:_RUNS])


def toml_of(tree: Tree, path: str) -> dict[str, Any]:
    """The tables of a TOML file; of one that is missing or broken, none."""
    try:
        return parse_toml(text_of(tree, path) or "")
    except ValueError:
        return {}


def table_at(data: Any, *keys: str) -> dict[str, Any]:
    """The table below these keys; an empty one where there is none."""
    for key in keys:
        if isinstance(data, dict):
            data = data.get(key)
        else:
            data = None
    if not isinstance(data, dict):
        return {}
    return data


def scripts_of(tree: Tree, path: str) -> dict[str, Any]:
    """The `scripts` of a package.json or composer.json."""
    try:
        data = parse_json(text_of(tree, path) or "{}")
    except ValueError:
        return {}
    scripts = None
    if isinstance(data, dict):
        scripts = data.get("scripts")
    if not isinstance(scripts, dict):
        return {}
    return scripts


def own_scripts(tree: Tree) -> set[str]:
    """The console scripts that the repository's own pyproject.toml sets up."""
    data = toml_of(tree, "pyproject.toml")
    return {*table_at(data, "project", "scripts"), *table_at(data, "tool", "poetry", "scripts")}


def line_with(tree: Tree, path: str, needle: str) -> int:
    """The first line that holds a text; 1 where none does."""
    lines = (text_of(tree, path) or "").splitlines()
    for number, line in enumerate(lines, 1):
        if needle in line:
            return number
    return 1


def shell_lines(value: Any) -> str:
    """What a task's value runs, a command a line: a text, a list of texts or of words, or a table
    that holds one.
    """
    if isinstance(value, dict):
        held = None
        for key in ("cmd", "shell", "cmds", "sequence", "script"):
            if key in value:
                held = value[key]
                break
        if held is not None:
            return shell_lines(held)
        return json.dumps(value, default=str)
    if isinstance(value, list):
        lines = []
        for one in value:
            # A list within one is a command in words.
            if isinstance(one, list):
                lines.append(" ".join(map(str, one)))
            else:
                lines.append(shell_lines(one))
        return "\n".join(lines)
    return str(value)
