"""Which versions of a job library may be installed: what a proof shows of the version that is here
says nothing of an older one, where an option may be unknown and ignored.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import translate
from functools import cache
from itertools import repeat
from operator import attrgetter

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.known.recognise import KnownRecogniser
from skillrun.frameworks.registry import recognisers
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.making import doubtful, quoted, taken
from skillrun.wall.gaming.version_ranges import Range, read_range

ID = "looser-library"
HELP = (
    "A proof holds for the job library that is installed here. Found: a requirement, "
    "a constraint, a lock or an install line by which an older version of it, or of what carries "
    "its messages, may be installed than the base allows, or one without the base's upper bound, "
    "or from elsewhere (errors); a raised bound (note)."
)
_HINT = (
    "keep the bounds that the job was proved with; a person changes them, in a change of its own"
)
# What the libraries hand their messages to, and what their processes are made with.
_CARRIERS = ("kombu", "amqp", "billiard", "redis", "pika", "aio-pika", "aiormq", "hiredis")
_INSTALLS = re.compile(r"\b(pip3?|uv|poetry|pdm|pipenv|conda|mamba)\b.*\b(install|add|sync)\b")
_INDEX = re.compile(
    r"^\s*(--extra-index-url|--index-url|-i|--find-links|-f|--pre)\b"
    r"|\b(pip3?|uv)\b.*\s(--extra-index-url|--find-links|--pre)\b"
)
_LOCKS = (".lock", "Pipfile.lock")
_LOCK_NAME = re.compile(r"^\s*(?:name\s*=\s*)?\"([A-Za-z0-9._-]+)\"\s*(?::\s*\{)?\s*$")
_LOCK_VERSION = re.compile(r"^\s*\"?version\"?\s*[=:]\s*\"=*([^\"]+)\"")
# Poetry's table, `celery = {version = "^5.4"}`.
_TABLE = re.compile(r"=\s*[\"{\[]")
_TABLE_VERSION = re.compile(r"(?:version\s*=\s*|^\s*=\s*)[\"']([^\"']*)[\"']")
_TABLE_ORIGIN = re.compile(r"\b(?:git|path|url)\s*=\s*[\"']([^\"']*)[\"']")
# A package's version stands in the lines below its name.
_LOCK_LINES = 12


@dataclass(frozen=True)
class Requirement:
    """One line by which a version is chosen. `origin`: a URL or a folder, where it names one."""

    name: str
    line: int
    range: Range
    marker: str = ""
    origin: str = ""
    is_locked: bool = False

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """The same where it allows the same."""
        return self.name, self.range.identity, self.marker, self.origin


_IDENTITY = attrgetter("identity")


def find(diff: Diff) -> Iterator[Finding]:
    """One finding for each requirement that allows more than the base's."""
    gone: list[tuple[File, Requirement]] = []
    further: list[tuple[File, Requirement]] = []
    for file in diff.packages:
        yield from _find_other_index(file)
        old, new = _drop_same(_list_requirements(file, is_new=False), file)
        for was in old:
            now = _take_partner(was, new)
            if now is None:
                gone.append((file, was))
            else:
                yield from _compare(file, was, file, now)
        further += zip(repeat(file), new)
    for file, was in gone:
        yield from _judge_gone(diff, file, was, further)


def _judge_gone(
    diff: Diff, file: File, was: Requirement, further: list[tuple[File, Requirement]]
) -> Iterator[Finding]:
    """What another file says now is compared with it."""
    for partner in further:
        if partner[1].name == was.name:
            yield from _compare(file, was, *partner)
            return
    if not was.is_locked and diff.after.search(f"import {was.name.replace('-', '_')}"):
        line = quoted(file.old_line(was.line))
        said = f"nothing says any more which {was.name} is installed: {line} is gone"
        yield taken(ID, file, file.line_of(was.line), said, hint=_HINT)


def _drop_same(old: list[Requirement], file: File) -> tuple[list[Requirement], list[Requirement]]:
    """What only one side of a file has."""
    new = _list_requirements(file, is_new=True)
    before = Counter(map(_IDENTITY, old))
    after = Counter(map(_IDENTITY, new))
    return _keep_surplus(old, after), _keep_surplus(new, before)


def _keep_surplus(
    requirements: list[Requirement], other: Counter[tuple[str, str, str, str]]
) -> list[Requirement]:
    left = Counter(other)
    found = []
    for requirement in requirements:
        left[requirement.identity] -= 1
        if left[requirement.identity] < 0:
            found.append(requirement)
    return found


def _take_partner(was: Requirement, new: list[Requirement]) -> Requirement | None:
    for requirement in new:
        if requirement.name == was.name:
            new.remove(requirement)
            return requirement
    return None


def _compare(file: File, was: Requirement, place: File, now: Requirement) -> Iterator[Finding]:
    said = f"{quoted(file.old_line(was.line))} became {quoted(place.new_line(now.line))}"
    if now.is_locked:
        said = f"{was.name} was {was.range.text} and is {now.range.text}"
    why = _describe_loss(was, now)
    if why is not None:
        yield taken(ID, place, now.line, f"{why}: {said}", hint=_HINT)
    elif not (was.range.is_read and now.range.is_read):
        yield doubtful(ID, place, now.line, f"other versions of {was.name}: {said}", hint=_HINT)
    elif was.range.identity != now.range.identity:
        message = f"another range of {was.name}, no older one: {said}"
        yield Finding(f"gaming.{ID}", Severity.NOTE, message, place.path, now.line, _HINT)


def _describe_loss(was: Requirement, now: Requirement) -> str | None:
    """What HEAD allows and the base does not."""
    old, new = was.range, now.range
    if now.origin and now.origin != was.origin:
        return f"{was.name} comes from elsewhere"
    if now.marker and now.marker != was.marker:
        return f"the requirement of {was.name} holds only in some environments"
    if new.reaches_below(old):
        return f"an older {was.name} may be installed than the base allows"
    if old.ceiling is not None and new.ceiling is None:
        return f"{was.name} has no upper bound any more"
    if old.excluded - new.excluded and not now.is_locked:
        return f"a version of {was.name} that the base excludes may be installed"
    return None


def _find_other_index(file: File) -> Iterator[Finding]:
    known = set(map(str.strip, (file.old or "").splitlines()))
    for number, line in file.added_lines():
        if _INDEX.search(line) and line.strip() not in known:
            said = f"packages may come from elsewhere, or be unfinished: {quoted(line)}"
            yield doubtful(ID, file, number, said, hint=_HINT)


# -- reading


def _list_requirements(file: File, *, is_new: bool) -> list[Requirement]:
    path, text = file.old_path, file.old
    if is_new:
        path, text = file.path, file.new
    lines = (text or "").splitlines()
    if path.endswith(_LOCKS):
        return list(_list_locked(lines))
    needs_install = "dockerfile" in path.rpartition("/")[2].lower()
    found: list[Requirement] = []
    for number, line in enumerate(lines, 1):
        if needs_install and not _INSTALLS.search(line):
            continue
        found += _read_line(line.partition(" #")[0], number)
    return found


def _list_locked(lines: list[str]) -> Iterator[Requirement]:
    for number, line in enumerate(lines):
        named = _LOCK_NAME.match(line)
        if named is None or not _names_library().fullmatch(_normalise(named[1])):
            continue
        for below in lines[number + 1 : number + 1 + _LOCK_LINES]:
            version = _LOCK_VERSION.match(below)
            if version is not None:
                pinned = read_range(f"=={version[1]}")
                yield Requirement(_normalise(named[1]), number + 1, pinned, is_locked=True)
                break


def _read_line(line: str, number: int) -> Iterator[Requirement]:
    if line.lstrip().startswith("#"):
        return
    for found in _find_named().finditer(line):
        name = _normalise(found["name"])
        if not _names_library().fullmatch(name):
            continue
        spec, _, marker = found["rest"].strip().partition(";")
        origin = ""
        if _TABLE.match(spec):
            # No blank or quote ends it.
            spec, origin = _read_table(line[found.start("rest") :])
        elif spec.startswith("@"):
            spec, origin = "", spec[1:].strip()
        yield Requirement(name, number, read_range(spec), marker.strip(), origin)


def _read_table(text: str) -> tuple[str, str]:
    """(version, where it comes from) of `= {version = "^5.4"}` or `= "^5.4"`."""
    version = _TABLE_VERSION.search(text) or ("", "")
    placed = _TABLE_ORIGIN.search(text) or ("", "")
    return version[1], placed[1]


@cache
def _find_named() -> re.Pattern[str]:
    """A name where a requirement begins, and what stands behind it."""
    return re.compile(
        r"(?:^|(?<=[\"'\s=-]))(?P<name>[A-Za-z][A-Za-z0-9._-]*)(?:\[[^\]]*\])?"
        r"(?P<rest>\s*(?:=\s*[\"{\[]|[<>=!~^@(][^\"'\\#]*|;[^\"\\#]*)?)"
        r"(?=$|[\"'\\#\s,]|(?<=[\"{\[]))"
    )


@cache
def _names_library() -> re.Pattern[str]:
    """The distributions of all job libraries, and of what carries their messages."""
    globs = list(_CARRIERS)
    for recogniser in recognisers():
        if isinstance(recogniser, KnownRecogniser) and recogniser.language == "python":
            globs += recogniser.distributions
    return re.compile("|".join(map(translate, globs)))


def _normalise(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
