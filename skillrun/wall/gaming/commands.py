"""Validations that check less: in REPO_PROFILE.json, in make, and in what tox, nox and others
run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from skillrun.repo.makefile import Recipe, make_recipes
from skillrun.verdict import Finding, Severity
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.make_settings import MAKEFILES, runs_make_weakly, weak_settings
from skillrun.wall.gaming.making import doubtful, quoted, taken
from skillrun.wall.gaming.other_runners import weaker_lines
from skillrun.wall.gaming.specs import at, listed, mapping

ID = "weaker-validation"
HELP = (
    "A validation that cannot fail shows nothing. Found: a command that is none now, `|| true`,"
    " `exit 0`, `-k` or --ignore in it, a recipe that became empty, a required check that is gone,"
    " and settings by which make minds no exit code or runs something else: .IGNORE, SHELL,"
    " MAKEFLAGS, a first GNUmakefile."
)
PROFILE = "REPO_PROFILE.json"
_TARGETS = {
    "test",
    "tests",
    "check",
    "checks",
    "lint",
    "typecheck",
    "type-check",
    "types",
    "mypy",
    "build",
    "ci",
}
_TESTING = ("test", "tests", "check", "checks", "ci")
_ABSENT = ("none", "unknown")
_WEAK = (
    (re.compile(r"(\|\||;)\s*(/bin/|/usr/bin/)?(true|:)(\s|$)"), "ignores the exit code"),
    (re.compile(r"\bexit\s+0\b"), "always ends with 0"),
    (re.compile(r"\bset \+e\b"), "ignores the exit code"),
    (
        re.compile(r"(?<!make)(?<!MAKE\))(?<!curl)\s(-k|--ignore|--ignore-glob|--deselect)\b"),
        "leaves tests out",
    ),
    (
        re.compile(r"--(collect-only|co|exit-zero|setup-plan|passWithNoTests|no-verify)\b"),
        "checks nothing, or less",
    ),
)
_NOTHING = re.compile(r"^@?-?(\s*(exit 0|(true|:|echo|printf)(\s[^;&|]*)?))?\s*$")


def find(diff: Diff) -> Iterator[Finding]:
    """One finding for each command or target that checks less."""
    for file in diff.files:
        if file.old_path == PROFILE:
            yield from _profile(file)
        elif file.path.rpartition("/")[2] in MAKEFILES or file.path.endswith(".mk"):
            yield from _make_settings(file)
            yield from _makefile(file) if file.old is not None else _new_makefile(file)
        else:
            weaker = weaker_lines(file, weaknesses)
            yield from (taken(ID, file, line, quoted(said, 300)) for line, said in weaker)


def weaknesses(command: str) -> set[str]:
    """The ways in which a command line cannot fail, or leaves something out."""
    found = {words for pattern, words in _WEAK if pattern.search(command)}
    if runs_make_weakly(command):
        found.add("tells make to ignore errors, or to run nothing")
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
    yield from _first_commands(file, mapping(at(old, "commands")), mapping(at(new, "commands")))
    line = file.new_document.line(("quality_bar", "required_checks"))
    left = listed(at(new, "quality_bar", "required_checks"))
    for check in listed(at(old, "quality_bar", "required_checks")):
        if check not in left:
            yield taken(ID, file, line, f"quality_bar.required_checks lost {quoted(check)}")
    if (
        at(new, "quality_bar", "agent_waivers") is True
        and at(old, "quality_bar", "agent_waivers") is not True
    ):
        line = file.new_document.line(("quality_bar", "agent_waivers"))
        said = "quality_bar.agent_waivers was turned on; it counts for nothing"
        hint = "take it out; a person types: skillrun trust --agent-waivers"
        yield Finding(f"gaming.{ID}", Severity.NOTE, said, file.path, max(line, 1), hint)


def _commands(file: File, old: dict[str, object], new: dict[str, object]) -> Iterator[Finding]:
    document = file.new_document
    for kind, was in old.items():
        now = new.get(kind)
        if not isinstance(was, str) or was in _ABSENT or was == now:
            continue
        line = document.line(("commands", kind)) if document else 1
        if now is None or now in _ABSENT:
            yield taken(
                ID, file, line, f"commands.{kind} was {quoted(was)} and is {quoted(now or 'gone')}"
            )
            continue
        for words in sorted(weaknesses(str(now)) - weaknesses(was)):
            yield taken(
                ID, file, line, f"commands.{kind} {words}: {quoted(was)} became {quoted(now)}"
            )


def _first_commands(
    file: File, old: dict[str, object], new: dict[str, object]
) -> Iterator[Finding]:
    """What a profile says first about a kind is what runs from then on, in the place of what is
    declared.
    """
    for kind, now in new.items():
        if kind in old or not isinstance(now, str) or now in _ABSENT or file.new_document is None:
            continue
        line = file.new_document.line(("commands", kind))
        for words in sorted(weaknesses(now)):
            yield taken(ID, file, line, f"commands.{kind} {words}: {quoted(now)}")


# -- Makefile


def _make_settings(file: File) -> Iterator[Finding]:
    """What the base does not say anywhere in the file."""
    known = {setting for _, setting, _ in weak_settings(file.old or "")}
    for line, setting, said in weak_settings(file.new or ""):
        if setting not in known:
            yield taken(ID, file, line, f"{said}: {quoted(setting)}")


def _new_makefile(file: File) -> Iterator[Finding]:
    """Its targets run from now on; make takes a GNUmakefile and a makefile before a Makefile."""
    for name, recipe in sorted(_recipes(file.path, file.new).items()):
        if name not in _TARGETS:
            continue
        only_says = all(_NOTHING.match(line) for line in recipe.lines)
        if name in _TESTING and recipe.lines and only_says and not recipe.needs:
            yield taken(
                ID, file, recipe.line, f"the target {name} runs nothing: {quoted(recipe.lines[0])}"
            )
            continue
        for line in recipe.lines:
            for words in sorted(_recipe_weaknesses(line) - {"runs nothing"}):
                yield taken(
                    ID,
                    file,
                    _line(file, line, recipe),
                    f"the target {name} {words}: {quoted(line)}",
                )
    if file.path.rpartition("/")[2] in MAKEFILES[1:]:
        said = f"make reads {file.path} before a Makefile: {quoted(_first_line(file))}"
        yield doubtful(ID, file, 1, said, hint="look at what its targets run")


def _first_line(file: File) -> str:
    lines = [line for line in (file.new or "").splitlines() if line.strip()]
    return lines[0] if lines else ""


def _makefile(file: File) -> Iterator[Finding]:
    old, new = _recipes(file.old_path, file.old), _recipes(file.path, file.new)
    for name in sorted(_TARGETS & old.keys()):
        was, now = old[name], new.get(name)
        if now is None:
            if not was.empty:
                line = file.line_of(was.line)
                yield taken(
                    ID,
                    file,
                    line,
                    f"the target {name} is gone; it ran {quoted('; '.join(was.lines))}",
                )
        elif now.lines != was.lines or now.needs != was.needs:
            yield from _recipe(file, was, now)


def _recipe(file: File, was: Recipe, now: Recipe) -> Iterator[Finding]:
    known = set().union(*(_recipe_weaknesses(line) for line in was.lines), set())
    weak = False
    for line in now.lines:
        for words in sorted(
            _recipe_weaknesses(line) - known - ({"runs nothing"} if len(now.lines) > 1 else set())
        ):
            weak = True
            yield taken(
                ID, file, _line(file, line, now), f"the target {now.name} {words}: {quoted(line)}"
            )
    before, after = len(was.lines) + len(was.needs), len(now.lines) + len(now.needs)
    if after < before and not weak:
        gone = [item for item in (*was.lines, *was.needs) if item not in (*now.lines, *now.needs)]
        make = taken if after == 0 else doubtful
        yield make(
            ID, file, now.line, f"the target {now.name} no longer runs {quoted('; '.join(gone))}"
        )


def _recipe_weaknesses(line: str) -> set[str]:
    """As of a command; a leading `-` tells make to ignore the exit code."""
    ignored = {"ignores the exit code"} if re.match(r"@?-", line) else set()
    return weaknesses(line) | ignored


def _recipes(path: str, text: str | None) -> dict[str, Recipe]:
    return (
        make_recipes(path, lambda name: text if name == path else None) if text is not None else {}
    )


def _line(file: File, text: str, recipe: Recipe) -> int:
    tail = text.split()[-1] if text.split() else ""
    return next(
        (n for n, line in file.added() if tail and tail in line and n >= recipe.line), recipe.line
    )
