"""A check that cannot fail shows nothing. So a fault is planted in the file of each job's handler,
and the lint and type checks of HEAD are asked whether they find it: where those of the base do, and
HEAD's do not, the branch has made them mute, whatever it wrote where. The command that runs the
tests is asked in the same way, over a test file that nobody can read.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial

from skillrun.core.errors import SkillrunError
from skillrun.core.verdict import Finding, Severity
from skillrun.repo.git import git_output
from skillrun.repo.places import is_taken_for_tests, is_test, is_test_module
from skillrun.wall.checkout import Checkout, make_checkout
from skillrun.wall.commit import Entry, read_entries
from skillrun.wall.counting.count import DEFAULT_LIMIT_S, Sides
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.making import quoted
from skillrun.wall.gaming.specs import at
from skillrun.wall.planting.asking import (
    FURTHER,
    READING,
    TESTING,
    Answer,
    Asker,
    NotAsked,
    NoTimeLeft,
)
from skillrun.wall.planting.faults import FAULTS, HARMLESS, SYNTAX, UNUSED, Fault, draw_name

LESS_RULE = "verify.check-finds-less"
NOTHING_RULE = "verify.check-finds-nothing"
NOT_ASKED_RULE = "verify.check-not-asked"
HELP = {
    LESS_RULE: (
        "A check that cannot fail shows nothing. A fault is planted in the handler's file, in a "
        "checkout of the wall's own: the base's lint or type check finds it, and HEAD's does not. "
        "Or the base's command for the tests fails where a test file is no Python, and HEAD's "
        "passes: it runs no tests. A warning where it runs fewer: another one may run the rest."
    ),
    NOTHING_RULE: (
        "The repository's lint and type checks find none of the faults that were planted in the "
        "handler's file, at the base neither: that they pass is no evidence."
    ),
    NOT_ASKED_RULE: "Whether the checks still find a fault was not asked, and why.",
}
# Seconds that may have passed when a check of either side begins.
_ENOUGH_S = 300.0
# Files in which faults are planted: the handlers', then others that the branch changes.
_MOST_FILES = 3
# Changed files of which each is put back alone, to say which one made a check mute.
_MOST_TRIED = 8
# Names of files that usually say what a check looks at: these are tried first.
_SETTINGS = (
    "makefile",
    ".mk",
    ".toml",
    ".cfg",
    ".ini",
    ".flake8",
    ".json",
    ".yaml",
    "ignore",
    "rc",
)
_FILES = ("100644", "100755")
# What no check of code looks at: where nothing else changed, nothing is asked.
_PAGES = (".md", ".rst")
# Folders of programs that a Makefile calls.
_SCRIPTS = re.compile(r"(^|/)(scripts?|bin|tools?|ci|\.[\w-]+)(/|$)")
_MOST_NAMED = 3
_HINT = (
    "let the check find such a fault again; where it shall not any more, a person decides that in a"
    " change of its own"
)
_LEFT_OUT_HINT = "see whether another command of CI runs them; else let this one run them again"


@dataclass(frozen=True)
class _Place:
    """A file on both sides. `is_handlers`: a job's handler is in it."""

    head: str
    base: str
    is_handlers: bool


def ask_checks(sides: Sides, diff: Diff) -> tuple[Finding, ...]:
    """What HEAD's lint and type checks do not find any more. None where neither side has any.

    Repository code runs, in checkouts that are thrown away.
    """
    deadline = time.monotonic() + _ENOUGH_S
    name = draw_name()
    try:
        with (
            Asker(
                partial(_check_out, sides, sides.head), name, deadline, DEFAULT_LIMIT_S, sides.say
            ) as head,
            Asker(
                partial(_check_out, sides, sides.base), name, deadline, DEFAULT_LIMIT_S, sides.say
            ) as base,
        ):
            return tuple(_Comparison(sides, diff, head, base).find())
    except SkillrunError as error:
        return (_say_not_asked(error.message),)


def _check_out(sides: Sides, commit: str) -> AbstractContextManager[Checkout]:
    return make_checkout(sides.repo, commit, sides.pythons)


@dataclass
class _Comparison:
    sides: Sides
    diff: Diff
    head: Asker
    base: Asker
    # What the base does not find in a file that it looks at is asked of no other.
    unknown: set[Fault] = field(default_factory=set)

    def find(self) -> Iterator[Finding]:
        if all(path.endswith(_PAGES) for path in _list_changed_paths(self.sides)):
            return
        yield from self._find_mute_checks()
        try:
            yield from self._find_mute_tests()
        except NotAsked as error:
            yield _say_not_asked(str(error))

    def _find_mute_tests(self) -> Iterator[Finding]:
        """A warning where HEAD's command for the tests runs fewer of them than the base's, an error
        where it runs none.
        """
        if not may_steer_tests(_list_changed_paths(self.sides)):
            return
        if not self.base.list_commands(TESTING):
            return
        if not self.head.list_commands(TESTING):
            # `pytest ${{ matrix.suite }}` runs them all, and nobody else can run it.
            yield _say_not_asked("HEAD declares no command for the tests that runs outside of CI")
            return
        collected = self.head.list_collected()
        if collected:
            yield from self._find_left_out(collected)
        else:
            yield from self._find_unread_tests()

    def _find_left_out(self, collected: frozenset[str]) -> Iterator[Finding]:
        """By what pytest collects: `-m`, a path, a plugin, `PYTEST_ADDOPTS` in a recipe. A second
        job of CI or another target may run the others, and one command is asked: a person looks.
        """
        runs = {_leave_out_class(test) for test in collected}
        lost = []
        for test in sorted(self.base.list_collected() - collected):
            if _leave_out_class(test) not in runs and self._is_held(test):
                lost.append(test)
        if not lost:
            return
        named = ", ".join(map(quoted, lost[:_MOST_NAMED]))
        if len(lost) > _MOST_NAMED:
            named += f" and {len(lost) - _MOST_NAMED} more"
        commands = quoted(", ".join(self.head.list_commands(TESTING).values()))
        message = f"the base's command for the tests runs {named}, and HEAD's does not: {commands}"
        path, line = lost[0].partition("::")[0], 1
        culprit = self._find_culprit_of_tests(lost[0])
        if culprit is not None and is_test_module(culprit.path):
            # Its tests are others now, and the wall counts them.
            return
        if culprit is not None:
            path, line = culprit.path, _find_first_line(culprit)
            shown = culprit.new_line(line) or culprit.old_line(line)
            message += f"; with the base's {quoted(path)} it would: {quoted(shown)}"
        yield Finding(LESS_RULE, Severity.WARNING, message, path, line, _LEFT_OUT_HINT)

    def _is_held(self, test: str) -> bool:
        """Whether HEAD still has a test of that name in that file."""
        path, name = _leave_out_class(test)
        entry = read_entries(self.sides.repo.root, self.sides.head).get(path)
        text = _read_text(self.sides, entry) or ""
        return f"def {name}(" in text

    def _find_culprit_of_tests(self, test: str) -> File | None:
        """The changed file without whose change HEAD's command would run the test."""
        for file in _list_changed(self.sides)[:_MOST_TRIED]:
            try:
                if test in self.head.list_collected({file.path: _encode(file.old)}):
                    return file
            except NotAsked:
                return None
        return None

    def _find_unread_tests(self) -> Iterator[Finding]:
        """By a test file that cannot be read, where pytest told nothing: `make test` runs nothing
        where a file is called `test`.
        """
        missed = _list_test_files(self.sides)
        for path in missed:
            if self.head.ask(path, SYNTAX, TESTING).is_found:
                return
        for path in missed:
            answer = self.base.ask(path, SYNTAX, TESTING)
            # Where the base's is red by itself there is nothing to compare with.
            if answer.is_found and not self.base.ask(path, HARMLESS, TESTING).is_found:
                place = _Place(path, path, is_handlers=False)
                yield self._describe(place, {SYNTAX: answer}, TESTING)
                return

    def _find_mute_checks(self) -> Iterator[Finding]:
        if not (self.head.list_commands(READING) or self.base.list_commands(READING)):
            return
        places = _list_places(self.sides, self.diff)
        if not places:
            languages = "no job's handler is a Python file that both sides hold"
            yield _say_not_asked(languages, Severity.NOTE)
        for number, place in enumerate(places):
            try:
                yield from self._judge(place)
            except NoTimeLeft as error:
                left = ", ".join(quoted(other.head) for other in places[number:])
                yield _say_not_asked(f"{left}: {error}")
                return
            except NotAsked as error:
                yield _say_not_asked(f"{quoted(place.head)}: {error}")

    def _judge(self, place: _Place) -> Iterator[Finding]:
        asked = [fault for fault in FAULTS if fault not in self.unknown]
        if not asked:
            return
        stays = self._find_whatever(place)
        if stays is not None:
            yield stays
            return
        missed = self._list_missed(place, asked)
        if len(missed) == len(FAULTS):
            missed += self._list_missed(place, [SYNTAX])
        # What fails the second time, whatever the file holds, has found nothing before.
        stays = self._find_whatever(place)
        if stays is not None:
            yield stays
            return
        if not missed:
            return
        finds_nothing = SYNTAX in missed
        whatever = self.base.ask(place.base, HARMLESS)
        if whatever.is_found:
            if finds_nothing:
                yield _say_nothing_to_compare(place, whatever)
            return
        lost = self._list_lost(place, missed)
        if lost:
            yield self._describe(place, lost)
        elif finds_nothing and place.is_handlers:
            yield _say_finds_nothing(place, self.head.list_commands(READING))

    def _find_whatever(self, place: _Place) -> Finding | None:
        """An error where HEAD's checks fail over a file that nothing is wrong with, as the base's
        do not: what they say of a fault says nothing then.
        """
        answer = self.head.ask(place.head, HARMLESS)
        if not answer.is_found:
            return None
        # It may have failed by itself, as what needs a network does.
        answer = self.head.ask(place.head, HARMLESS)
        if not answer.is_found:
            return None
        if self.base.ask(place.base, HARMLESS).is_found:
            message = f"with a comment more in {quoted(place.head)} they fail on both sides"
            return _say_not_asked(message, Severity.NOTE)
        message = (
            f"with a comment more in {quoted(place.head)} HEAD's check fails, as the base's does"
            f" not: it looks at something else than faults: {answer.said}"
        )
        by_itself = self.head.ask(place.head, None)
        if by_itself.is_found:
            message = (
                "HEAD's check fails by itself in a clean checkout where nothing else has run, as"
                f" the base's does not: {by_itself.said}"
            )
        return Finding(LESS_RULE, Severity.ERROR, message, place.head, 1, _HINT)

    def _list_missed(self, place: _Place, faults: Iterable[Fault]) -> list[Fault]:
        return [fault for fault in faults if not self.head.ask(place.head, fault).is_found]

    def _list_lost(self, place: _Place, missed: Iterable[Fault]) -> dict[Fault, Answer]:
        """Those of the missed that the base finds, and what it said."""
        answers = {fault: self.base.ask(place.base, fault) for fault in missed}
        found = {fault: answer for fault, answer in answers.items() if answer.is_found}
        if found:
            # Where it finds nothing it may leave out the file alone.
            self.unknown |= answers.keys() - found.keys()
        return {
            fault: answer
            for fault, answer in found.items()
            if not self._is_found_further(place, fault)
        }

    def _is_found_further(self, place: _Place, fault: Fault) -> bool:
        """Whether another check of HEAD finds it: its type check may be run by `make build` now.
        Tests find a syntax error, whoever looks for one.
        """
        if fault == SYNTAX or self.head.ask(place.head, HARMLESS, FURTHER).is_found:
            return False
        return self.head.ask(place.head, fault, FURTHER).is_found

    def _describe(
        self, place: _Place, lost: Mapping[Fault, Answer], kinds: tuple[str, ...] = READING
    ) -> Finding:
        first, answer = next(iter(lost.items()))
        words = ", ".join(fault.words for fault in lost)
        commands = self.head.list_commands(kinds).values()
        passing = "it has none"
        if commands:
            passing = f"{quoted(', '.join(commands))} passes with it"
        message = (
            f"in {quoted(place.head)} the base's check finds {words}, and HEAD's does not"
            f" ({passing}); the base's: {answer.said}"
        )
        severity = Severity.ERROR
        if list(lost) == [UNUSED]:
            # One rule less may be what somebody wants.
            severity = Severity.WARNING
        culprit = self._find_culprit(place, first, kinds)
        if culprit is None:
            return Finding(LESS_RULE, severity, message, place.head, 1, _HINT)
        line = _find_first_line(culprit)
        shown = culprit.new_line(line) or culprit.old_line(line)
        message += f"; with the base's {quoted(culprit.path)} it would: {quoted(shown)}"
        return Finding(LESS_RULE, severity, message, culprit.path, line, _HINT)

    def _find_culprit(self, place: _Place, fault: Fault, kinds: tuple[str, ...]) -> File | None:
        """The changed file without whose change HEAD's checks would find the fault."""
        for file in _list_changed(self.sides)[:_MOST_TRIED]:
            try:
                instead = {file.path: _encode(file.old)}
                if self.head.ask(place.head, fault, kinds, instead).is_found:
                    return file
            except NotAsked:
                return None
        return None


# -- where


def _list_places(sides: Sides, diff: Diff) -> list[_Place]:
    """The handlers' files, then others of the application that the branch changes."""
    old = read_entries(sides.repo.root, sides.base)
    new = read_entries(sides.repo.root, sides.head)
    found = []
    for spec in diff.specs:
        head = _find_handler(spec, diff, is_new=True)
        base = _find_handler(spec, diff, is_new=False) or head
        if head is not None and base is not None:
            found.append(_Place(head, base, is_handlers=True))
    for file in diff.python_files():
        if not (is_test(file.path) or is_taken_for_tests(file.path)):
            found.append(_Place(file.path, file.old_path, is_handlers=False))
    kept: dict[str, _Place] = {}
    for place in found:
        if _is_file(new, place.head) and _is_file(old, place.base):
            kept.setdefault(place.head, place)
    return list(kept.values())[:_MOST_FILES]


def may_steer_tests(paths: Iterable[str]) -> bool:
    """Whether a change may alter what a command for the tests runs, otherwise than its tests do,
    which the wall counts: a Makefile, a script, settings; no page, no spec, no module of a package.
    """
    return not all(path.endswith(_PAGES) or _is_plain(path) for path in paths)


def _is_plain(path: str) -> bool:
    folder, _, name = path.rpartition("/")
    if path.startswith(".skillrun/") or is_test_module(path):
        return True
    is_script = not folder or _SCRIPTS.search(folder) is not None or name == "conftest.py"
    return name.endswith(".py") and not is_script


def _leave_out_class(test: str) -> tuple[str, str]:
    """`tests/test_a.py::TestA::test_one` -> its file and `test_one`: a class may be called anew."""
    path, _, name = test.partition("::")
    return path, name.rpartition("::")[2]


def _encode(text: str | None) -> bytes | None:
    if text is None:
        return None
    return text.encode("utf-8", "surrogateescape")


def _list_test_files(sides: Sides) -> list[str]:
    """Test files that both sides hold: the first and the last, which often lie in other folders."""
    old = read_entries(sides.repo.root, sides.base)
    new = read_entries(sides.repo.root, sides.head)
    found = []
    for path in sorted(new):
        if is_test_module(path) and _is_file(new, path) and _is_file(old, path):
            found.append(path)
    return list(dict.fromkeys((*found[:1], *found[-1:])))


def _find_handler(spec: File, diff: Diff, *, is_new: bool) -> str | None:
    document, project = spec.old_document, diff.before.project
    if is_new:
        document, project = spec.new_document, diff.after.project
    if document is None:
        return None
    handler = project.find(str(at(document.value, "handler")))
    if handler is None:
        return None
    return handler.path


def _is_file(entries: Mapping[str, Entry], path: str) -> bool:
    return path in entries and entries[path].mode in _FILES


def _list_changed(sides: Sides) -> list[File]:
    """The files that differ, those first that usually say what a check looks at."""
    root = sides.repo.root
    old, new = read_entries(root, sides.base), read_entries(root, sides.head)
    found = []
    for path in _list_changed_paths(sides):
        entries = [side[path] for side in (old, new) if path in side]
        if all(entry.mode in _FILES for entry in entries):
            found.append(path)
    found.sort(key=lambda path: (not path.lower().endswith(_SETTINGS), path))
    return [File(p, p, _read_text(sides, old.get(p)), _read_text(sides, new.get(p))) for p in found]


def _list_changed_paths(sides: Sides) -> list[str]:
    """Every path that differs, links and submodules among them."""
    root = sides.repo.root
    old, new = read_entries(root, sides.base), read_entries(root, sides.head)
    return [path for path in old.keys() | new.keys() if old.get(path) != new.get(path)]


def _read_text(sides: Sides, entry: Entry | None) -> str | None:
    if entry is None:
        return None
    held = git_output(sides.repo.root, "cat-file", "blob", entry.blob)
    return held.decode("utf-8", "surrogateescape")


def _find_first_line(file: File) -> int:
    for hunk in file.hunks:
        return max(1, min(hunk.new_start, len((file.new or "").splitlines())))
    return 1


# -- how it is said


def _say_finds_nothing(place: _Place, commands: Mapping[str, str]) -> Finding:
    named = ", ".join(commands.values())
    message = (
        f"{quoted(named)} cannot find a fault in {quoted(place.head)}, at the base neither: that it"
        " passes is no evidence"
    )
    hint = "see which files it looks at, and for what"
    return Finding(NOTHING_RULE, Severity.NOTE, message, place.head, 1, hint)


def _say_nothing_to_compare(place: _Place, whatever: Answer) -> Finding:
    message = (
        f"HEAD's check cannot find a fault in {quoted(place.head)}, and the base's fails without"
        f" one, so that they cannot be compared: {whatever.said}"
    )
    return Finding(NOTHING_RULE, Severity.WARNING, message, place.head, 1, _HINT)


def _say_not_asked(why: str, severity: Severity = Severity.WARNING) -> Finding:
    message = f"not asked whether the checks still find a fault: {why}"
    hint = "look yourself at what became of the checks"
    return Finding(NOT_ASKED_RULE, severity, message, hint=hint)
