"""Lines by which make runs something else than its recipes say, or minds no exit code."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

MAKEFILES = ("Makefile", "makefile", "GNUmakefile")
_SPECIAL = re.compile(r"^(?:\s*\$[({]eval\s+)?\.(IGNORE|RECIPEPREFIX|ONESHELL)\b(.*)$")
_ASSIGNED = re.compile(
    r"^\s*(?:export\s+|override\s+)*(?:[\w.%-]+\s*::?\s*)?"
    r"(SHELL|\.SHELLFLAGS|MAKEFLAGS|GNUMAKEFLAGS|MFLAGS|\.RECIPEPREFIX)\s*(?::{0,3}|\?|\+|!)=\s*(.*)$"
)
_SHELLS = {"sh", "bash", "dash", "ash", "zsh", "ksh"}
_SHELL_FLAGS = re.compile(r"^(-[euxoc]+|pipefail)$")
_LONG = {"--ignore-errors", "--just-print", "--dry-run", "--recon", "--touch", "--question"}
# They ignore errors, or print, ask or touch in the place of running.
_SHORT = set("inqt")
_WITH_VALUE = "CfIjloW"
_CALL = re.compile(r"(?:\bg?make|\$[({]MAKE[)}])((?:\s+[-\w=./$(){}]+)*)")


def weak_settings(text: str) -> Iterator[tuple[int, str, str]]:
    """(line, the setting, what it does) of each, wherever in the file it stands."""
    for number, line in enumerate(text.splitlines(), 1):
        plain = line.partition(" #")[0].rstrip()
        # A line of a recipe is given to the shell, and sets nothing of make's.
        if plain.startswith("\t"):
            continue
        effect = _describe_line(plain)
        if effect is not None:
            yield number, plain.strip(), effect


def _describe_line(line: str) -> str | None:
    """What a line of a makefile does to how recipes are run; None where it is no such line."""
    assigned = _ASSIGNED.match(line)
    if assigned:
        return _describe_value(assigned[1], assigned[2].strip())
    special = _SPECIAL.match(line)
    if special and special[1] == "IGNORE":
        return "make minds no exit code"
    if special and special[1] == "ONESHELL":
        return "only the last line of a recipe decides"
    return None


def _describe_value(name: str, value: str) -> str | None:
    if name == "SHELL" and not _is_shell(value):
        return "the recipes are not run by a shell"
    if name == ".SHELLFLAGS" and not _are_usual_flags(value):
        return "the shell is told something else than to run the recipe"
    if name == ".RECIPEPREFIX":
        return "recipes begin with another character"
    # What is left are the variables that hold options of make.
    is_of_shell = name in ("SHELL", ".SHELLFLAGS")
    if not is_of_shell and _has_weak_option(value, bare=True):
        return "make is told to ignore errors, or to run nothing"
    return None


def _is_shell(value: str) -> bool:
    """`/bin/bash`, and `/usr/bin/env bash`: the last word counts."""
    words = value.split()
    return bool(words) and words[-1].rpartition("/")[2] in _SHELLS


def _are_usual_flags(value: str) -> bool:
    words = value.split()
    return bool(words) and all(_SHELL_FLAGS.match(word) for word in words)


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
        if word in _LONG:
            return True
        is_letters = word.startswith("-") and not word.startswith("--")
        is_bare = bare and position == 0 and word.isalpha()
        if (is_letters or is_bare) and _is_weak_group(word.lstrip("-")):
            return True
    return False


def _is_weak_group(letters: str) -> bool:
    """Options that take a value end the group: `-j2`, `-f name`, `-C folder`."""
    for letter in letters:
        if letter in _SHORT:
            return True
        if not letter.isalpha() or letter in _WITH_VALUE:
            return False
    return False
