"""Validations that check less: in REPO_PROFILE.json, in make, and in what tox, nox and others
run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.repo.makefile import Recipe, make_recipes
from skillrun.skills.job_worker.stages.testcases import is_test_file
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.gates import is_pipeline
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
_PIPED = "ends with another program's exit code"
# With these a pipe fails with any of its programs.
_PIPEFAIL = re.compile(r"\bpipefail\b|^\s*shell:\s*bash\s*$", re.MULTILINE)
# What runs tests in a command line.
_TESTER = (
    r"(?<![\w./-])(pytest|py\.test|unittest|tox|nox|trial|manage\.py test|make (test|check|ci))\b"
)
_ABSENT = ("none", "unknown")
_WEAK = (
    (re.compile(r"(\|\||;)\s*(/bin/|/usr/bin/)?(true|:)(\s|$)"), "ignores the exit code"),
    (re.compile(r"\bexit\s+0\b"), "always ends with 0"),
    (re.compile(r"\bset \+e\b"), "ignores the exit code"),
    (
        re.compile(rf"^(?!.*\bpipefail\b).*{_TESTER}[^|;&]*(2>&1\s*)?\|(?!\|)&?\s*\w"),
        _PIPED,
    ),
    (
        re.compile(rf"{_TESTER}[^|;&]*\|\|(?!\s*(exit\s+[1-9$]|false\b|true\b|:))"),
        "ignores the exit code",
    ),
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


_RUNS_NOTHING = "runs nothing"


def find(diff: Diff) -> Iterator[Finding]:
    """One finding for each command or target that checks less."""
    for file in diff.files:
        if file.old_path == PROFILE:
            yield from _check_profile(file)
            yield from _find_untested(diff, file)
        elif file.path.rpartition("/")[2] in MAKEFILES or file.path.endswith(".mk"):
            yield from _check_make_settings(file)
            if file.old is None:
                yield from _check_new_makefile(file)
            else:
                yield from _check_makefile(file)
        elif is_pipeline(file.path):
            yield from _check_pipeline(file)
        else:
            for line, said in weaker_lines(file, find_weaknesses):
                yield taken(ID, file, line, quoted(said, 300))


def find_weaknesses(command: str) -> set[str]:
    """The ways in which a command line cannot fail, or leaves something out."""
    found = {words for pattern, words in _WEAK if pattern.search(command)}
    if runs_make_weakly(command):
        found.add("tells make to ignore errors, or to run nothing")
    if _NOTHING.match(command):
        found.add(_RUNS_NOTHING)
    return found


# -- pipelines


def _check_pipeline(file: File) -> Iterator[Finding]:
    """A line of CI that runs tests, whoever looks at its answer."""
    known: set[str] = set()
    for line in (file.old or "").splitlines():
        known |= _find_deafness(line)
    if _PIPEFAIL.search(file.new or ""):
        known.add(_PIPED)
    for number, line in file.added_lines():
        for words in sorted(_find_deafness(line) - known):
            yield taken(ID, file, number, f"a line of CI that runs tests {words}: {quoted(line)}")
    if not _list_test_lines(file.old):
        return
    if not _list_test_lines(file.new):
        yield taken(ID, file, 1, f"{file.path} runs no tests any more")
    for number, line in file.added_lines():
        if re.match(r"\s*-?\s*(continue-on-error|allow_failure):\s*true", line):
            yield taken(ID, file, number, f"a pipeline that runs tests may fail: {quoted(line)}")


def _find_deafness(line: str) -> set[str]:
    """In what way a line gives away what its tests say."""
    if not _list_test_lines(line):
        return set()
    return find_weaknesses(line)


def _list_test_lines(text: str | None) -> list[str]:
    lines = []
    for line in (text or "").splitlines():
        if re.search(_TESTER, line) and not re.search(r"^\s*#|\binstall\b", line):
            lines.append(line)
    return lines


# -- REPO_PROFILE.json


def _check_profile(file: File) -> Iterator[Finding]:
    old = file.old_document.value if file.old_document else None
    if file.new is None and old is not None:
        yield doubtful(ID, file, 1, f"{PROFILE} is gone: what it asks for is not asked any more")
    if file.new_document is None:
        return
    new = file.new_document.value
    were, are = mapping(at(old, "commands")), mapping(at(new, "commands"))
    yield from _check_commands(file, were, are)
    yield from _check_first_commands(file, were, are)
    for name in ("required_checks", "risks"):
        line = file.new_document.line(("quality_bar", name))
        left = listed(at(new, "quality_bar", name))
        for entry in listed(at(old, "quality_bar", name)):
            if entry not in left:
                yield taken(ID, file, line, f"quality_bar.{name} lost {quoted(entry)}")
    was_on = at(old, "quality_bar", "agent_waivers") is True
    is_on = at(new, "quality_bar", "agent_waivers") is True
    if is_on and not was_on:
        line = file.new_document.line(("quality_bar", "agent_waivers"))
        said = "quality_bar.agent_waivers was turned on; it counts for nothing"
        hint = "take it out; a person types: skillrun trust --agent-waivers"
        yield Finding(f"gaming.{ID}", Severity.NOTE, said, file.path, max(line, 1), hint)


def _check_commands(
    file: File, old: dict[str, object], new: dict[str, object]
) -> Iterator[Finding]:
    document = file.new_document
    for kind, was in old.items():
        now = new.get(kind)
        if not isinstance(was, str) or was in _ABSENT or was == now:
            continue
        line = document.line(("commands", kind)) if document else 1
        if now is None or now in _ABSENT:
            said = f"commands.{kind} was {quoted(was)} and is {quoted(now or 'gone')}"
            yield taken(ID, file, line, said)
            continue
        for words in sorted(find_weaknesses(str(now)) - find_weaknesses(was)):
            said = f"commands.{kind} {words}: {quoted(was)} became {quoted(now)}"
            yield taken(ID, file, line, said)


def _check_first_commands(
    file: File, old: dict[str, object], new: dict[str, object]
) -> Iterator[Finding]:
    """What a profile says first about a kind is what runs from then on, in the place of what is
    declared.
    """
    for kind, now in new.items():
        if kind in old or not isinstance(now, str) or now in _ABSENT or file.new_document is None:
            continue
        line = file.new_document.line(("commands", kind))
        for words in sorted(find_weaknesses(now)):
            yield taken(ID, file, line, f"commands.{kind} {words}: {quoted(now)}")


def _find_untested(diff: Diff, file: File) -> Iterator[Finding]:
    """A first profile that says that there are no tests, where there are."""
    old = file.old_document.value if file.old_document else None
    if file.new_document is None or at(old, "commands", "test") is not None:
        return
    tests = [path for path in diff.before.texts if is_test_file(path)]
    if at(file.new_document.value, "commands", "test") == "none" and tests:
        line = file.new_document.line(("commands", "test"))
        said = f"commands.test is `none`, and there are tests: {quoted(min(tests))}"
        yield taken(ID, file, line, said)


# -- Makefile


def _check_make_settings(file: File) -> Iterator[Finding]:
    """What the base does not say anywhere in the file."""
    known = {setting for _, setting, _ in weak_settings(file.old or "")}
    for line, setting, said in weak_settings(file.new or ""):
        if setting not in known:
            yield taken(ID, file, line, f"{said}: {quoted(setting)}")


def _check_new_makefile(file: File) -> Iterator[Finding]:
    """Its targets run from now on; make takes a GNUmakefile and a makefile before a Makefile."""
    for name, recipe in sorted(_read_recipes(file.path, file.new).items()):
        if name not in _TARGETS:
            continue
        only_says = all(_NOTHING.match(line) for line in recipe.lines)
        if name in _TESTING and recipe.lines and only_says and not recipe.needs:
            said = f"the target {name} runs nothing: {quoted(recipe.lines[0])}"
            yield taken(ID, file, recipe.line, said)
            continue
        # A line that only says something is usual beside others that run.
        for line in recipe.lines:
            for words in sorted(_find_recipe_weaknesses(line) - {_RUNS_NOTHING}):
                said = f"the target {name} {words}: {quoted(line)}"
                yield taken(ID, file, _added_line_of(file, line, recipe), said)
    if file.path.rpartition("/")[2] in MAKEFILES[1:]:
        said = f"make reads {file.path} before a Makefile: {quoted(_first_line(file))}"
        yield doubtful(ID, file, 1, said, hint="look at what its targets run")


def _first_line(file: File) -> str:
    for line in (file.new or "").splitlines():
        if line.strip():
            return line
    return ""


def _check_makefile(file: File) -> Iterator[Finding]:
    old, new = _read_recipes(file.old_path, file.old), _read_recipes(file.path, file.new)
    for name in sorted(_TARGETS & old.keys()):
        was, now = old[name], new.get(name)
        if now is None:
            if not was.is_empty:
                ran = quoted("; ".join(was.lines))
                line = file.line_of(was.line)
                yield taken(ID, file, line, f"the target {name} is gone; it ran {ran}")
        elif now.lines != was.lines or now.needs != was.needs:
            yield from _check_recipe(file, was, now)


def _check_recipe(file: File, was: Recipe, now: Recipe) -> Iterator[Finding]:
    known: set[str] = set()
    for line in was.lines:
        known |= _find_recipe_weaknesses(line)
    # A line that only says something is usual beside others that run.
    if len(now.lines) > 1:
        known.add(_RUNS_NOTHING)
    weak = False
    for line in now.lines:
        for words in sorted(_find_recipe_weaknesses(line) - known):
            weak = True
            said = f"the target {now.name} {words}: {quoted(line)}"
            yield taken(ID, file, _added_line_of(file, line, now), said)
    before, after = (*was.lines, *was.needs), (*now.lines, *now.needs)
    if len(after) < len(before) and not weak:
        gone = quoted("; ".join(item for item in before if item not in after))
        make = doubtful if after else taken
        yield make(ID, file, now.line, f"the target {now.name} no longer runs {gone}")


def _find_recipe_weaknesses(line: str) -> set[str]:
    """As of a command; a leading `-` tells make to ignore the exit code."""
    found = find_weaknesses(line)
    if re.match(r"@?-", line):
        found.add("ignores the exit code")
    return found


def _read_recipes(path: str, text: str | None) -> dict[str, Recipe]:
    if text is None:
        return {}
    # What the makefile includes is not read: it is a file of its own.
    return make_recipes(path, {path: text}.get)


def _added_line_of(file: File, text: str, recipe: Recipe) -> int:
    """Where a line of a recipe was added, found by its last word: a recipe keeps no numbers of its
    lines.
    """
    words = text.split()
    if not words:
        return recipe.line
    for number, line in file.added_lines():
        if number >= recipe.line and words[-1] in line:
            return number
    return recipe.line
