"""Validations that check less: in REPO_PROFILE.json, in make, and in what tox, nox and others
run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.repo.makefile import Recipe, make_recipes
from skillrun.repo.places import is_taken_for_tests
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
# Make targets that check something.
_CHECKING_TARGETS = {
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
_TEST_TARGETS = ("test", "tests", "check", "checks", "ci")
_PIPED = "ends with another program's exit code"
# With these a pipe fails with any of its programs.
_PIPEFAIL = re.compile(r"\bpipefail\b|^\s*shell:\s*bash\s*$", re.MULTILINE)
# What runs tests in a command line.
_TESTER = (
    r"(?<![\w./-])(pytest|py\.test|unittest|tox|nox|trial|manage\.py test|make (test|check|ci))\b"
)
# What reads the code in a command line, and its types.
_READER = (
    r"(?<![\w./-])(ruff|flake8|pylint|mypy|pyright|black|isort|eslint|tsc|rubocop|golangci-lint)\b"
)
_PROGRAM = rf"(?:{_TESTER}|{_READER})"
# What installs or names programs and runs none of them, up to the command's end.
_NAMES_PROGRAMS = re.compile(
    r"(?:(?<=[;&|({])|^)\s*(?:[@+-]*\s*)(?:(?:run|script):[\s|>\"']*)?(?:sudo\s+)?"
    r"(?:(?:python[\d.]*\s+-m\s+)?(?:pip[\dx.]*|uv|poetry|pdm|conda|mamba|apt(?:-get)?|brew"
    r"|npm|yarn|pnpm|gem|go|cargo)\s+(?:pip\s+|tool\s+|-\S+\s+)*(?:install|add|i)"
    r"|command\s+-[vV]|which|type|hash|echo|printf)\s[^;&|()]*"
)
# "{ echo run make format; exit 1; }", "(echo no && false)": fails whatever it says before.
_ENDS_BADLY = (
    r"[({]\s*(?:[^(){}|]*[;&]\s*)?(?:exit\s+[1-9]\d*|exit\s+\$\S+|false)\s*;?\s*[)}]"
    r"\s*(?:$|&&|[\"'])"
)
_NOT_WAITED = "is not waited for"
# What a profile says where it has no command of a kind.
_NO_COMMAND = ("none", "unknown")
# (what is weak in a command line, how a finding says it)
_WEAKNESSES = (
    (re.compile(r"(\|\||;)\s*(/bin/|/usr/bin/)?(true|:)(\s|$)"), "ignores the exit code"),
    (re.compile(r"\bexit\s+0\b"), "always ends with 0"),
    (re.compile(r"\bset \+e\b"), "ignores the exit code"),
    (
        re.compile(r"(?<!make)(?<!MAKE\))(?<!curl)\s(-k|--ignore|--ignore-glob|--deselect)\b"),
        "leaves tests out",
    ),
    (re.compile(r"\bif\s+(false|!\s*true)\b"), "runs nothing where it should"),
    # "ruff check . &", and not "a && b", "a &>log"
    (re.compile(r"[^&>|]&\s*$"), _NOT_WAITED),
    (
        re.compile(r"--(collect-only|co|exit-zero|setup-plan|passWithNoTests|no-verify)\b"),
        "checks nothing, or less",
    ),
)
# The same of what runs tests or reads the code.
_PROGRAM_WEAKNESSES = (
    # "pytest 2>&1 | tee log"
    (
        re.compile(rf"^(?!.*\bpipefail\b).*{_PROGRAM}[^|;&]*(2>&1\s*)?\|(?!\|)&?\s*\w"),
        _PIPED,
    ),
    # "pytest || echo failed", and not "pytest || exit 1"
    (
        re.compile(rf"{_PROGRAM}[^|;&]*\|\|(?!\s*(exit\s+[1-9$]|false\b|true\b|:|{_ENDS_BADLY}))"),
        "ignores the exit code",
    ),
)
# "", "true", "@echo no tests", "exit 0".
_NO_PROGRAM = re.compile(r"^@?-?(\s*(exit 0|(true|:|echo|printf)(\s[^;&|]*)?))?\s*$")
# "ruff check . --version"
_ONLY_SHOWS = re.compile(rf"{_PROGRAM}[^|;&]*\s--(version|help)\b")
_RUNS_NOTHING = "runs nothing"
_MAY_FAIL = re.compile(r"\s*-?\s*(continue-on-error|allow_failure):\s*true")


def find(diff: Diff) -> Iterator[Finding]:
    """Yields a finding for each command or target that checks less than the base's."""
    for file in diff.files:
        if file.old_path == PROFILE:
            yield from _check_profile(file)
            yield from _find_untested(diff, file)
        elif file.path.rpartition("/")[2] in MAKEFILES or file.path.endswith(".mk"):
            yield from _check_make_settings(file)
            if file.old is None:
                yield from _check_new_makefile(file, _list_base_targets(diff))
            else:
                yield from _check_makefile(file)
        elif is_pipeline(file.path):
            yield from _check_pipeline(file)
        else:
            for line, message in weaker_lines(file, find_weaknesses):
                yield taken(ID, file, line, quoted(message, 300))


def find_weaknesses(command: str) -> set[str]:
    """The ways in which a command line cannot fail, or leaves something out."""
    weaknesses: set[str] = set()
    ran = _NAMES_PROGRAMS.sub(" ", command)
    weaknesses |= _match_weaknesses(_WEAKNESSES, command)
    weaknesses |= _match_weaknesses(_PROGRAM_WEAKNESSES, ran)
    if runs_make_weakly(command):
        weaknesses.add("tells make to ignore errors, or to run nothing")
    if _NO_PROGRAM.match(command):
        weaknesses.add(_RUNS_NOTHING)
    return weaknesses


def _match_weaknesses(known: Iterable[tuple[re.Pattern[str], str]], text: str) -> set[str]:
    """The words of those whose pattern a text has."""
    matched = set()
    for pattern, words in known:
        if pattern.search(text):
            matched.add(words)
    return matched


# -- pipelines


def _check_pipeline(file: File) -> Iterator[Finding]:
    """Yields an error for each line of CI that runs tests and cannot fail, and where a pipeline
    runs no tests any more or may fail.
    """
    known: set[str] = set()
    for line in (file.old or "").splitlines():
        known |= _find_test_weaknesses(line)
    if _PIPEFAIL.search(file.new or ""):
        known.add(_PIPED)
    for number, line in file.added_lines():
        for words in sorted(_find_test_weaknesses(line) - known):
            yield taken(ID, file, number, f"a line of CI that runs tests {words}: {quoted(line)}")
    if not _list_test_lines(file.old):
        return
    if not _list_test_lines(file.new):
        yield taken(ID, file, 1, f"{file.path} runs no tests any more")
    for number, line in file.added_lines():
        if _MAY_FAIL.match(line):
            yield taken(ID, file, number, f"a pipeline that runs tests may fail: {quoted(line)}")


def _find_test_weaknesses(line: str) -> set[str]:
    """The ways in which a line of CI that runs tests cannot fail; none where it runs no tests."""
    if not _list_test_lines(line):
        return set()
    return find_weaknesses(line)


def _list_test_lines(text: str | None) -> list[str]:
    """The lines that run tests. `pip install pytest` and comments run none."""
    lines = []
    for line in (text or "").splitlines():
        if re.search(_TESTER, line) and not re.search(r"^\s*#|\binstall\b", line):
            lines.append(line)
    return lines


# -- REPO_PROFILE.json


def _check_profile(file: File) -> Iterator[Finding]:
    """Yields the findings about REPO_PROFILE.json: weaker commands, required checks and risks that
    are gone, and the setting that lets agents waive.
    """
    old = _read_old_document(file)
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
        message = "quality_bar.agent_waivers was turned on; it counts for nothing"
        hint = "take it out; a person types: skillrun trust --agent-waivers"
        yield Finding(f"gaming.{ID}", Severity.NOTE, message, file.path, max(line, 1), hint)


def _read_old_document(file: File) -> object:
    """The base's profile; None where there was none."""
    if file.old_document is None:
        return None
    return file.old_document.value


def _check_commands(
    file: File, old: dict[str, object], new: dict[str, object]
) -> Iterator[Finding]:
    """Yields an error for each command of the base's profile that is gone, or that checks less."""
    document = file.new_document
    for kind, was in old.items():
        now = new.get(kind)
        if not isinstance(was, str) or was in _NO_COMMAND or was == now:
            continue
        line = 1
        if document:
            line = document.line(("commands", kind))
        if now is None or now in _NO_COMMAND:
            message = f"commands.{kind} was {quoted(was)} and is {quoted(now or 'gone')}"
            yield taken(ID, file, line, message)
            continue
        for words in sorted(_find_recipe_weaknesses(str(now)) - _find_recipe_weaknesses(was)):
            message = f"commands.{kind} {words}: {quoted(was)} became {quoted(now)}"
            yield taken(ID, file, line, message)


def _check_first_commands(
    file: File, old: dict[str, object], new: dict[str, object]
) -> Iterator[Finding]:
    """Yields an error for each command of a kind that the profile did not have before, and that
    cannot fail: it runs from now on, in the place of what the repository declares.
    """
    document = file.new_document
    if document is None:
        return
    for kind, now in new.items():
        if kind in old or not isinstance(now, str) or now in _NO_COMMAND:
            continue
        line = document.line(("commands", kind))
        for words in sorted(_find_recipe_weaknesses(now)):
            yield taken(ID, file, line, f"commands.{kind} {words}: {quoted(now)}")


def _find_untested(diff: Diff, file: File) -> Iterator[Finding]:
    """Yields an error where a profile says for the first time that there are no tests, and there
    are.
    """
    old = _read_old_document(file)
    if file.new_document is None or at(old, "commands", "test") is not None:
        return
    tests = [path for path in diff.before.texts if is_taken_for_tests(path)]
    if at(file.new_document.value, "commands", "test") == "none" and tests:
        line = file.new_document.line(("commands", "test"))
        message = f"commands.test is `none`, and there are tests: {quoted(min(tests))}"
        yield taken(ID, file, line, message)


# -- Makefile


def _check_make_settings(file: File) -> Iterator[Finding]:
    """Yields an error for each weakening setting of make that the base has nowhere in the file."""
    known = {setting for _, setting, _ in weak_settings(file.old or "")}
    for line, setting, message in weak_settings(file.new or ""):
        if setting not in known:
            yield taken(ID, file, line, f"{message}: {quoted(setting)}")


def _list_base_targets(diff: Diff) -> set[str]:
    """The checking targets of the base's own makefiles. One that a new makefile gives again runs in
    the place of theirs.
    """
    found: set[str] = set()
    for name in MAKEFILES:
        found |= _read_recipes(name, diff.before.texts.get(name)).keys()
    return found & _CHECKING_TARGETS


def _check_new_makefile(file: File, given: set[str]) -> Iterator[Finding]:
    """Yields an error for each target of a new makefile that checks too little, since it runs from
    now on, and a warning where make reads this file before a Makefile. `given`: the targets that
    the base has.
    """
    for name, recipe in sorted(_read_recipes(file.path, file.new).items()):
        if name not in _CHECKING_TARGETS:
            continue
        if (name in _TEST_TARGETS or name in given) and _runs_nothing(recipe):
            message = f"the target {name} runs nothing: {quoted(recipe.lines[0])}"
            yield taken(ID, file, recipe.line, message)
            continue
        # A line that only says something is usual beside others that run.
        for line, words in _find_weak_lines(recipe):
            if words != _RUNS_NOTHING:
                message = f"the target {name} {words}: {quoted(line)}"
                yield taken(ID, file, _find_added_line(file, line, recipe), message)
    # make takes a GNUmakefile and a makefile before a Makefile.
    if file.path.rpartition("/")[2] in MAKEFILES[1:]:
        message = f"make reads {file.path} before a Makefile: {quoted(_read_first_line(file))}"
        yield doubtful(ID, file, 1, message, hint="look at what its targets run")


def _runs_nothing(recipe: Recipe) -> bool:
    """Whether a recipe has lines, and none of them runs a program, nor does a target it needs."""
    if not recipe.lines or recipe.needs:
        return False
    return all(_NO_PROGRAM.match(line) for line in recipe.lines)


def _read_first_line(file: File) -> str:
    """The first line of a file that is not empty; "" where there is none."""
    for line in (file.new or "").splitlines():
        if line.strip():
            return line
    return ""


def _check_makefile(file: File) -> Iterator[Finding]:
    """Yields an error for each target of the base that is gone, and the findings of those that
    changed.
    """
    old, new = _read_recipes(file.old_path, file.old), _read_recipes(file.path, file.new)
    for name in sorted(_CHECKING_TARGETS & old.keys()):
        was, now = old[name], new.get(name)
        if now is None:
            if not was.is_empty:
                ran = quoted("; ".join(was.lines))
                line = file.line_of(was.line)
                yield taken(ID, file, line, f"the target {name} is gone; it ran {ran}")
        elif now.lines != was.lines or now.needs != was.needs:
            yield from _check_recipe(file, was, now)


def _check_recipe(file: File, was: Recipe, now: Recipe) -> Iterator[Finding]:
    """Yields an error for each new weakness of a recipe; where it has none and is shorter, a
    finding that says what it no longer runs.
    """
    known: set[str] = set()
    for line in was.lines:
        known |= _find_recipe_weaknesses(line)
    # A line that only says something is usual beside others that run.
    if any(_RUNS_NOTHING not in _find_recipe_weaknesses(line) for line in now.lines):
        known.add(_RUNS_NOTHING)
    is_weaker = False
    for line, words in _find_weak_lines(now, was.lines):
        if words not in known:
            is_weaker = True
            message = f"the target {now.name} {words}: {quoted(line)}"
            yield taken(ID, file, _find_added_line(file, line, now), message)
    before, after = (*was.lines, *was.needs), (*now.lines, *now.needs)
    if is_weaker or len(after) >= len(before):
        return
    gone = quoted("; ".join(item for item in before if item not in after))
    message = f"the target {now.name} no longer runs {gone}"
    if after:
        yield doubtful(ID, file, now.line, message)
    else:
        yield taken(ID, file, now.line, message)


def _find_recipe_weaknesses(line: str) -> set[str]:
    """The ways in which a line of a recipe cannot fail, or leaves something out."""
    weaknesses = find_weaknesses(line)
    # A leading `-` tells make to ignore the exit code.
    if re.match(r"@?-", line):
        weaknesses.add("ignores the exit code")
    if _only_shows(line):
        weaknesses.add(_RUNS_NOTHING)
    return weaknesses


def _only_shows(line: str) -> bool:
    """Whether a program of a line says its version or its help, and nothing more in another part of
    the line: `pytest --version && pytest` runs the tests.
    """
    shown: set[str] = set()
    run: set[str] = set()
    for part in re.split(r"&&|;", _NAMES_PROGRAMS.sub(" ", line)):
        programs = _list_programs(part)
        if _ONLY_SHOWS.search(part):
            shown |= programs
        else:
            run |= programs
    return not shown <= run


def _list_programs(text: str) -> set[str]:
    """What runs tests or reads the code in a command line, by its names."""
    return {found[0] for found in re.finditer(_PROGRAM, text)}


def _find_weak_lines(recipe: Recipe, waited: Iterable[str] = ()) -> Iterator[tuple[str, str]]:
    """(line, how it is weak) of a recipe. What starts a server for the tests in another line need
    not be waited for; `waited`: the lines that were waited for before.
    """
    for line in recipe.lines:
        weaknesses = _find_recipe_weaknesses(line)
        if _is_beside(line, recipe) and line.rstrip("& \t") not in waited:
            weaknesses.discard(_NOT_WAITED)
        for words in sorted(weaknesses):
            yield line, words


def _is_beside(line: str, recipe: Recipe) -> bool:
    """Whether another line of the recipe runs tests or reads the code, and this one does not."""
    return not _list_programs(line) and bool(_list_programs("\n".join(recipe.lines)))


def _read_recipes(path: str, text: str | None) -> dict[str, Recipe]:
    """Returns target -> recipe of a makefile."""
    if text is None:
        return {}
    # What the makefile includes is not read: it is a file of its own.
    return make_recipes(path, {path: text}.get)


def _find_added_line(file: File, text: str, recipe: Recipe) -> int:
    """The number of the line at which the text of a recipe was added. It is found by its last word,
    since a recipe keeps no numbers of its lines; where it is not found, the recipe's own line.
    """
    words = text.split()
    if not words:
        return recipe.line
    for number, line in file.added_lines():
        if number >= recipe.line and words[-1] in line:
            return number
    return recipe.line
