"""Recipes of make that stand as they stood, and run another program: a variable names it now."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from skillrun.core.verdict import Finding
from skillrun.repo.makefile import Recipe, make_recipes
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.commands import find_weaknesses
from skillrun.wall.gaming.make_settings import MAKEFILES
from skillrun.wall.gaming.making import doubtful, quoted, taken

ID = "other-program"
HELP = (
    "A recipe is what its variables make of it, wherever they are set. Found: in a Makefile with "
    "all that it includes, a validation whose program is now `true`, `echo` or the like, or is "
    "told to leave something out; another program in its place is a warning."
)
_TARGETS = (
    "test",
    "tests",
    "check",
    "checks",
    "ci",
    "lint",
    "typecheck",
    "type-check",
    "types",
    "mypy",
)
_NOTHING = ("true", ":", "echo", "exit", "test", "[", "printf", "cat", "sleep", "return", "")
_PREFIX = re.compile(r"^[@+\s-]*(?:env\s+|exec\s+|command\s+|[A-Za-z_]\w*=\S*\s+)*")
_REFERENCE = re.compile(r"\$[({]([\w.-]+)[)}]")
Texts = Mapping[str, str]


def find(diff: Diff) -> Iterator[Finding]:
    """One finding for each line of a recipe."""
    before, after = diff.before.texts, diff.after.texts
    for path in sorted(after):
        if path.rpartition("/")[2] in MAKEFILES and path in before:
            yield from _compare(path, before, after)


def _compare(path: str, before: Texts, after: Texts) -> Iterator[Finding]:
    old, new = make_recipes(path, before.get), make_recipes(path, after.get)
    raw_old = make_recipes(path, before.get, expand=False)
    raw_new = make_recipes(path, after.get, expand=False)
    for name in _TARGETS:
        if name not in old or name not in new:
            continue
        known = dict(zip(raw_old[name].lines, old[name].lines, strict=False))
        for raw, line in zip(raw_new[name].lines, new[name].lines, strict=False):
            was = known.get(raw)
            if was is not None and was != line:
                yield from _judge(path, new[name], (raw, was, line), before, after)


def _judge(
    path: str, recipe: Recipe, lines: tuple[str, str, str], before: Texts, after: Texts
) -> Iterator[Finding]:
    """`lines`: as it is written, what it ran, and what it runs."""
    raw, was, now = lines
    where, line = _find_setting(path, raw, recipe, before, after)
    file = File(where, where, None, after[where])
    said = f"{quoted(was)} became {quoted(now)}, by {quoted(file.new_line(line))}"
    program = _read_program(now)
    more = sorted(find_weaknesses(now) - find_weaknesses(was) - {"runs nothing"})
    if program in _NOTHING and _read_program(was) not in _NOTHING:
        yield taken(ID, file, line, f"the target {recipe.name} runs nothing: {said}")
    elif more:
        yield taken(ID, file, line, f"the target {recipe.name} {more[0]}: {said}")
    elif program != _read_program(was):
        yield doubtful(ID, file, line, f"the target {recipe.name} runs another program: {said}")


def _read_program(line: str) -> str:
    words = _PREFIX.sub("", line).split()
    return words[0].rpartition("/")[2].strip("\"'") if words else ""


def _find_setting(
    path: str, raw: str, recipe: Recipe, before: Texts, after: Texts
) -> tuple[str, int]:
    """Where a variable of the line is newly set; the recipe itself where that is not found."""
    for name in _REFERENCE.findall(raw):
        setting = re.compile(rf"^(?!\t).*(?<![\w.-]){re.escape(name)}\s*(?::{{0,3}}|\+|!)=")
        for other in (path, *sorted(after)):
            known = before.get(other, "").splitlines()
            if other.endswith(".py"):
                continue
            for number, text in enumerate(after[other].splitlines(), 1):
                if setting.search(text) and text not in known:
                    return other, number
    return recipe.path, recipe.line
