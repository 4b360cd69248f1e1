"""Commands of tox, nox, just and package.json that can fail no longer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

from skillrun.repo.makefile import just_recipes
from skillrun.wall.diff import File

_CHECKS = re.compile(
    r"^(pre|post)?(test|tests|check|checks|lint|typecheck|type-check|types|build|ci)(:.*)?$"
)
_TOX = (
    (
        re.compile(r"^\s*ignore_(errors|outcome)\s*=\s*(true|1|yes)\b", re.IGNORECASE),
        "ignores the outcome",
    ),
    (re.compile(r"^(\s+|\s*commands\s*=\s*)-\s*\S"), "ignores the exit code"),
)
_NOX = ((re.compile(r"\bsuccess_codes\s*="), "takes other exit codes for success"),)

Weaknesses = Callable[[str], set[str]]


def weaker_lines(file: File, find_weaknesses: Weaknesses) -> Iterator[tuple[int, str]]:
    """(line, what became weaker) of a changed file of one of these runners."""
    name = file.path.rpartition("/")[2]
    if name in ("tox.ini", "setup.cfg", "noxfile.py"):
        patterns = _NOX if name == "noxfile.py" else _TOX
        yield from _added_lines(file, patterns, find_weaknesses)
    elif name == "package.json":
        yield from _weaker_commands(
            file, _read_scripts(file.old), _read_scripts(file.new), find_weaknesses
        )
    elif name in ("justfile", ".justfile", "Justfile"):
        yield from _weaker_commands(
            file, _read_just_recipes(file.old), _read_just_recipes(file.new), find_weaknesses
        )


def _added_lines(
    file: File,
    patterns: tuple[tuple[re.Pattern[str], str], ...],
    find_weaknesses: Weaknesses,
) -> Iterator[tuple[int, str]]:
    known = {line.strip() for line in (file.old or "").splitlines()}
    is_tox = patterns is _TOX
    for number, line in file.added_lines():
        if line.strip() in known or line.lstrip().startswith("#"):
            continue
        found = {words for pattern, words in patterns if pattern.search(line)}
        if is_tox and line[:1].isspace():
            found |= find_weaknesses(line.strip()) - {"runs nothing"}
        for words in sorted(found):
            yield number, f"a line {words}: {line.strip()}"


def _weaker_commands(
    file: File,
    old: dict[str, str],
    new: dict[str, str],
    find_weaknesses: Weaknesses,
) -> Iterator[tuple[int, str]]:
    for name, command in new.items():
        if not _CHECKS.match(name):
            continue
        for words in sorted(find_weaknesses(command) - find_weaknesses(old.get(name, ""))):
            yield _line_of(file, command), f"{name} {words}: {command}"
    for name in sorted(old.keys() - new.keys()):
        if _CHECKS.match(name) and file.new is not None:
            yield 1, f"{name} is gone; it ran {old[name]}"


def _read_scripts(text: str | None) -> dict[str, str]:
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    scripts = value.get("scripts") if isinstance(value, dict) else None
    if not isinstance(scripts, dict):
        return {}
    return {name: command for name, command in scripts.items() if isinstance(command, str)}


def _read_just_recipes(text: str | None) -> dict[str, str]:
    recipes = just_recipes("justfile", lambda name: text if name == "justfile" else None)
    commands = {}
    for name, recipe in recipes.items():
        if recipe.lines:
            commands[name] = "; ".join(recipe.lines)
    return commands


def _line_of(file: File, command: str) -> int:
    first = command.partition(";")[0].strip()
    for number, line in file.added_lines():
        if first and first in line:
            return number
    return 1
