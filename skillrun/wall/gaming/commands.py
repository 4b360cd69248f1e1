"""Validations that check less: in REPO_PROFILE.json, and in the Makefile's targets for tests, lint, types and build."""

from __future__ import annotations

import re
from collections.abc import Iterator

from skillrun.repo.makefile import Recipe, make_recipes
from skillrun.verdict import Finding
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.making import doubtful, quoted, taken
from skillrun.wall.gaming.specs import at, listed, mapping

ID = "weaker-validation"
HELP = (
    "A validation that cannot fail shows nothing. Found: a command that is none now, `|| true`, `exit 0`, `-k` or "
    "--ignore in it, a recipe that became empty, a required check that is gone, and agent waivers that were turned on."
)
PROFILE = "REPO_PROFILE.json"
_TARGETS = {"test", "tests", "check", "checks", "lint", "typecheck", "type-check", "types", "mypy", "build", "ci"}
_ABSENT = ("none", "unknown")
_WEAK = (
    (re.compile(r"(\|\||;)\s*(/bin/|/usr/bin/)?(true|:)(\s|$)"), "ignores the exit code"),
    (re.compile(r"\bexit\s+0\b"), "always ends with 0"),
    (re.compile(r"\bset \+e\b"), "ignores the exit code"),
    (re.compile(r"(?<!make)(?<!MAKE\))(?<!curl)\s(-k|--ignore|--ignore-glob|--deselect)\b"), "leaves tests out"),
    (re.compile(r"--(collect-only|co|exit-zero|setup-plan|passWithNoTests|no-verify)\b"), "checks nothing, or less"),
)
_NOTHING = re.compile(r"^@?-?(\s*(true|:|exit 0|(echo|printf)\b[^;&|]*))?\s*$")


def find(diff: Diff) -> Iterator[Finding]:
    """One finding for each command or target that checks less."""
    for file in diff.files:
        if file.old_path == PROFILE:
            yield from _profile(file)
        elif file.path.rpartition("/")[2] in ("Makefile", "makefile", "GNUmakefile") and file.old is not None:
            yield from _makefile(file)


def weaknesses(command: str) -> set[str]:
    """The ways in which a command line cannot fail, or leaves something out."""
    found = {words for pattern, words in _WEAK if pattern.search(command)}
    return found | ({"runs nothing"} if _NOTHING.match(command) else set())


# -- REPO_PROFILE.json


def _profile(file: File) -> Iterator[Finding]:
    old = file.old_document.value if file.old_document else None
    if file.new is None and old is not None:
        yield doubtful(ID, file, 1, f"{PROFILE} is gone: what it asks for is not asked any more")
    if file.new_document is None:
        return
    new = file.new_document.value
    yield from _commands(file, mapping(at(old, "commands")), mapping(at(new, "commands")))
    line = file.new_document.line(("quality_bar", "required_checks"))
    left = listed(at(new, "quality_bar", "required_checks"))
    for check in listed(at(old, "quality_bar", "required_checks")):
        if check not in left:
            yield taken(ID, file, line, f"quality_bar.required_checks lost {quoted(check)}")
    if at(new, "quality_bar", "agent_waivers") is True and at(old, "quality_bar", "agent_waivers") is not True:
        line = file.new_document.line(("quality_bar", "agent_waivers"))
        hint = "have a person turn it on, on the base branch"
        yield taken(ID, file, line, "quality_bar.agent_waivers was turned on", hint=hint)


def _commands(file: File, old: dict[str, object], new: dict[str, object]) -> Iterator[Finding]:
    document = file.new_document
    for kind, was in old.items():
        now = new.get(kind)
        if not isinstance(was, str) or was in _ABSENT or was == now:
            continue
        line = document.line(("commands", kind)) if document else 1
        if now is None or now in _ABSENT:
            yield taken(ID, file, line, f"commands.{kind} was {quoted(was)} and is {quoted(now or 'gone')}")
            continue
        for words in sorted(weaknesses(str(now)) - weaknesses(was)):
            yield taken(ID, file, line, f"commands.{kind} {words}: {quoted(was)} became {quoted(now)}")


# -- Makefile


def _makefile(file: File) -> Iterator[Finding]:
    old, new = _recipes(file.old_path, file.old), _recipes(file.path, file.new)
    for name in sorted(_TARGETS & old.keys()):
        was, now = old[name], new.get(name)
        if now is None:
            if not was.empty:
                line = file.line_of(was.line)
                yield taken(ID, file, line, f"the target {name} is gone; it ran {quoted('; '.join(was.lines))}")
        elif now.lines != was.lines or now.needs != was.needs:
            yield from _recipe(file, was, now)


def _recipe(file: File, was: Recipe, now: Recipe) -> Iterator[Finding]:
    known = set().union(*(_recipe_weaknesses(line) for line in was.lines), set())
    weak = False
    for line in now.lines:
        for words in sorted(_recipe_weaknesses(line) - known - ({"runs nothing"} if len(now.lines) > 1 else set())):
            weak = True
            yield taken(ID, file, _line(file, line, now), f"the target {now.name} {words}: {quoted(line)}")
    before, after = len(was.lines) + len(was.needs), len(now.lines) + len(now.needs)
    if after < before and not weak:
        gone = [item for item in (*was.lines, *was.needs) if item not in (*now.lines, *now.needs)]
        make = taken if after == 0 else doubtful
        yield make(ID, file, now.line, f"the target {now.name} no longer runs {quoted('; '.join(gone))}")


def _recipe_weaknesses(line: str) -> set[str]:
    """As of a command; a leading `-` tells make to ignore the exit code."""
    ignored = {"ignores the exit code"} if re.match(r"@?-", line) else set()
    return weaknesses(line) | ignored


def _recipes(path: str, text: str | None) -> dict[str, Recipe]:
    return make_recipes(path, lambda name: text if name == path else None) if text is not None else {}


def _line(file: File, text: str, recipe: Recipe) -> int:
    tail = text.split()[-1] if text.split() else ""
    return next((n for n, line in file.added() if tail and tail in line and n >= recipe.line), recipe.line)
