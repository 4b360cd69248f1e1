"""Lines by which make runs something else than its recipes say, or minds no exit code."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

MAKEFILES = ("Makefile", "makefile", "GNUmakefile")
_SPECIAL = re.compile(r"^\.(IGNORE|RECIPEPREFIX|ONESHELL)\b(.*)$")
_ASSIGNED = re.compile(
    r"^\s*(?:export\s+|override\s+)*(?:[\w.%-]+\s*::?\s*)?"
    r"(SHELL|\.SHELLFLAGS|MAKEFLAGS|GNUMAKEFLAGS|MFLAGS|\.RECIPEPREFIX)\s*(?::{0,3}|\?|\+|!)=\s*(.*)$"
)
_SHELLS = {"sh", "bash", "dash", "ash", "zsh", "ksh"}
_SHELL_FLAGS = re.compile(r"^(-[euxoc]+|pipefail)$")
_LONG = {"--ignore-errors", "--just-print", "--dry-run", "--recon", "--touch", "--question"}
_SHORT = set("inqt")  # ignore errors; print, ask or touch in the place of running
_CALL = re.compile(r"(?:\bg?make|\$[({]MAKE[)}])((?:\s+[-\w=./$(){}]+)*)")


def weak_settings(text: str) -> Iterator[tuple[int, str, str]]:
    """(line, the setting, what it does) of each, wherever in the file it stands."""
    for number, line in enumerate(text.splitlines(), 1):
        plain = line.partition(" #")[0].rstrip()
        said = None if plain.startswith("\t") else _said_of(plain)
        if said is not None:
            yield number, plain.strip(), said


def _said_of(line: str) -> str | None:
    special = _SPECIAL.match(line)
    assigned = _ASSIGNED.match(line)
    if assigned:
        return _said_of_value(assigned[1], assigned[2].strip())
    if special and special[1] == "IGNORE":
        return "make minds no exit code"
    if special and special[1] == "ONESHELL":
        return "only the last line of a recipe decides"
    return None


def _said_of_value(name: str, value: str) -> str | None:
    if name == "SHELL":
        is_shell = value.split()[-1:] and value.split()[-1].rpartition("/")[2] in _SHELLS
        return None if is_shell else "the recipes are not run by a shell"
    if name == ".SHELLFLAGS":
        words = value.split()
        is_usual = all(_SHELL_FLAGS.match(word) for word in words)
        return (
            None
            if is_usual and words
            else "the shell is told something else than to run the recipe"
        )
    if name == ".RECIPEPREFIX":
        return "recipes begin with another character"
    return (
        "make is told to ignore errors, or to run nothing"
        if _has_weak_option(value, bare=True)
        else None
    )


def runs_make_weakly(command: str) -> bool:
    """A command that calls make with -i, -n, -q or -t."""
    return any(_has_weak_option(found[1], bare=False) for found in _CALL.finditer(command))


def _has_weak_option(text: str, *, bare: bool) -> bool:
    """`bare`: the first word may be letters without a hyphen, as MAKEFLAGS takes them."""
    try:
        words = shlex.split(text)
    except ValueError:
        words = text.split()
    for position, word in enumerate(words):
        is_letters = word.startswith("-") and not word.startswith("--")
        is_bare = bare and position == 0 and word.isalpha()
        if word in _LONG or ((is_letters or is_bare) and _is_weak_group(word.lstrip("-"))):
            return True
    return False


def _is_weak_group(letters: str) -> bool:
    """Options that take a value end the group: `-j2`, `-f name`, `-C folder`."""
    for letter in letters:
        if letter in _SHORT:
            return True
        if not letter.isalpha() or letter in "CfIjloW":
            return False
    return False
