"""A check that cannot fail shows nothing. So a fault is planted in the file of each job's handler,
and the lint and type checks of HEAD are asked whether they find it: where those of the base do, and
HEAD's do not, the branch has made them mute, whatever it wrote where.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial

from skillrun.core.errors import SkillrunError
from skillrun.core.verdict import Finding, Severity
from skillrun.repo.git import git_output
from skillrun.repo.places import is_taken_for_tests, is_test
from skillrun.wall.checkout import Checkout, make_checkout
from skillrun.wall.commit import Entry, read_entries
from skillrun.wall.counting.count import DEFAULT_LIMIT_S, Sides
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.making import quoted
from skillrun.wall.gaming.specs import at
from skillrun.wall.planting.asking import FURTHER, READING, Answer, Asker, NotAsked, NoTimeLeft
from skillrun.wall.planting.faults import FAULTS, HARMLESS, SYNTAX, UNUSED, Fault, draw_name

LESS_RULE = "verify.check-finds-less"
NOTHING_RULE = "verify.check-finds-nothing"
NOT_ASKED_RULE = "verify.check-not-asked"
HELP = {
    LESS_RULE: (
        "A check that cannot fail shows nothing. A fault is planted in the handler's file, in a "
        "checkout of the wall's own: the base's lint or type check finds it, and HEAD's does not."
    ),
    NOTHING_RULE: (
        "The repository's lint and type checks find none of the faults that were planted in the "
        "handler's file, at the base neither: that they pass is no evidence."
    ),
    NOT_ASKED_RULE: "Whether the lint and type checks still find a fault was not asked, and why.",
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
_HINT = (
    "let the check find such a fault again; where it shall not any more, a person decides that in a"
    " change of its own"
)


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

    def _describe(self, place: _Place, lost: Mapping[Fault, Answer]) -> Finding:
        first, answer = next(iter(lost.items()))
        words = ", ".join(fault.words for fault in lost)
        commands = self.head.list_commands(READING).values()
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
        culprit = self._find_culprit(place, first)
        if culprit is None:
            return Finding(LESS_RULE, severity, message, place.head, 1, _HINT)
        line = _find_first_line(culprit)
        shown = culprit.new_line(line) or culprit.old_line(line)
        message += f"; with the base's {quoted(culprit.path)} it would: {quoted(shown)}"
        return Finding(LESS_RULE, severity, message, culprit.path, line, _HINT)

    def _find_culprit(self, place: _Place, fault: Fault) -> File | None:
        """The changed file without whose change HEAD's checks would find the fault."""
        for file in _list_changed(self.sides)[:_MOST_TRIED]:
            content = None
            if file.old is not None:
                content = file.old.encode("utf-8", "surrogateescape")
            try:
                if self.head.ask(place.head, fault, instead={file.path: content}).is_found:
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
    message = f"not asked whether lint and type checks still find a fault: {why}"
    hint = "look yourself at what became of the checks"
    return Finding(NOT_ASKED_RULE, severity, message, hint=hint)
