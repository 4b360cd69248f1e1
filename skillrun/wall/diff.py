"""What a branch changes: the texts of both sides, parsed when a look asks for them."""

from __future__ import annotations

import ast
import difflib
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path

from skillrun.contract.positions import Document, YamlProblem
from skillrun.contract.specfile import SCHEMA_NAME, SPEC_FOLDER, SUFFIXES
from skillrun.contract.yamlpos import load_positions
from skillrun.frameworks.known.launchers import START_FILES
from skillrun.repo.git import git_output, objects_missing
from skillrun.repo.sources import ROOT_MARKERS
from skillrun.wall.sources import CommitSources

# Bytes; a larger file is no source that somebody reviews.
LARGEST = 1_000_000
# Code is followed into files that nobody would review: a large one must not hide what it asks.
_LARGEST_SOURCE = 8_000_000
_REGULAR = ("100644", "100755")
_PAGES = (".md", ".rst")
_TABLES = (".sql", ".env", "crontab", ".cron", ".timer")
_PACKAGES = re.compile(
    r"(^|/)(pyproject\.toml|setup\.(cfg|py)|Pipfile(\.lock)?|environment[^/]*\.ya?ml)$"
    r"|(^|/)[^/]*(requirements|constraints|requires)[^/]*\.(txt|in)$"
    r"|(^|/)(requirements|constraints)/[^/]*\.(txt|in)$"
    r"|(^|/)[^/]*\.lock$|(^|/)([^/]*\.)?dockerfile[^/]*$",
    re.IGNORECASE,
)
_IDENTIFIER = re.compile(r"\b[A-Za-z_]\w*")
# A word that stands there once or twice may go for other reasons than a new name.
_OFTEN = 3
_REPLACED = 0.8  # of its places: a few may go in the same change
_MAKEFILES = ("Makefile", "makefile", "GNUmakefile")
_NAMES = (*_MAKEFILES, "justfile", ".justfile", "Justfile", "skillrun", ".gitattributes")
_ENDINGS = (
    *(".py", ".yaml", ".yml", ".json", ".toml", ".ini", ".cfg", ".ts", ".mk", "SKILL.md"),
    *(".pyc", ".pyo"),
)


@dataclass(frozen=True)
class Hunk:
    """Neighbouring lines that differ; the numbers are 1-based, and where there is no line, of the
    one that follows.
    """

    old_start: int
    old: tuple[str, ...]
    new_start: int
    new: tuple[str, ...]


@dataclass(frozen=True)
class File:
    """One file on both sides. `old` None: it is new; `new` None: it is gone. `old_path`: before it
    was renamed.
    """

    path: str
    old_path: str
    old: str | None
    new: str | None

    @cached_property
    def hunks(self) -> tuple[Hunk, ...]:
        """What differs, from top to bottom."""
        old, new = (self.old or "").splitlines(), (self.new or "").splitlines()
        matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
        found = []
        for tag, a, b, c, d in matcher.get_opcodes():
            if tag != "equal":
                found.append(Hunk(a + 1, tuple(old[a:b]), c + 1, tuple(new[c:d])))
        return tuple(found)

    def added_lines(self) -> Iterator[tuple[int, str]]:
        """(line in HEAD, text) of every line that HEAD has and the base has not."""
        for hunk in self.hunks:
            yield from enumerate(hunk.new, hunk.new_start)

    def removed_lines(self) -> Iterator[tuple[int, str]]:
        """(line in HEAD where it was, text) of every line that the base has and HEAD has not."""
        for hunk in self.hunks:
            place = self._clamp_line(hunk.new_start)
            for line in hunk.old:
                yield place, line

    def line_of(self, old_line: int) -> int:
        """The line in HEAD of a line of the base, or of the place where it was."""
        shift = 0
        for hunk in self.hunks:
            if old_line < hunk.old_start:
                break
            if old_line < hunk.old_start + len(hunk.old):
                return self._clamp_line(hunk.new_start)
            shift = hunk.new_start + len(hunk.new) - hunk.old_start - len(hunk.old)
        return self._clamp_line(old_line + shift)

    def old_line(self, number: int) -> str:
        """The text of a line of the base."""
        return _line_at(self.old, number)

    def new_line(self, number: int) -> str:
        """The text of a line of HEAD."""
        return _line_at(self.new, number)

    @cached_property
    def renamed(self) -> frozenset[str]:
        """Identifiers that were there three times and are gone, while another one came in their
        stead.
        """
        old = Counter(_IDENTIFIER.findall(self.old or ""))
        new = Counter(_IDENTIFIER.findall(self.new or ""))
        # The identifier that came most often instead: where its gain is not enough, no other's is.
        most_gained = max((count - old[word] for word, count in new.items()), default=0)
        found = set()
        for word, count in old.items():
            is_gone = count >= _OFTEN and word not in new
            if is_gone and _REPLACED * count <= most_gained:
                found.add(word)
        return frozenset(found)

    @cached_property
    def old_tree(self) -> ast.Module | None:
        """The base's Python; None where there is none, or it cannot be parsed."""
        return _parse_python(self.old)

    @cached_property
    def new_tree(self) -> ast.Module | None:
        """HEAD's Python."""
        return _parse_python(self.new)

    @cached_property
    def old_document(self) -> Document | None:
        """The base's YAML or JSON."""
        return _parse_document(self.old, self.old_path)

    @cached_property
    def new_document(self) -> Document | None:
        """HEAD's YAML or JSON."""
        return _parse_document(self.new, self.path)

    def _clamp_line(self, line: int) -> int:
        """A line that is there, for a finding: nobody can be shown one behind the end."""
        last = len((self.new or self.old or "").splitlines())
        return max(1, min(line, last))


@dataclass(frozen=True)
class Diff:
    """From the base to HEAD: the files that changed, and every job spec of either side, changed or
    not.
    """

    files: tuple[File, ...] = ()
    specs: tuple[File, ...] = ()
    # The Python files of the base, changed or not.
    before: CommitSources = field(default_factory=CommitSources)
    after: CommitSources = field(default_factory=CommitSources)  # those of HEAD
    # The changed files that may start a worker or make its tables. No other look asks for them:
    # what is weak in a test's command is nothing in a script that deploys.
    deployment: tuple[File, ...] = ()
    packages: tuple[File, ...] = ()  # the changed files that say which packages are installed
    # What may start a worker, changed or not, and the pages that tell how: of the base, of HEAD.
    starting_before: CommitSources = field(default_factory=CommitSources)
    starting_after: CommitSources = field(default_factory=CommitSources)

    def files_named(self, *names: str) -> Iterator[File]:
        """The changed files with one of these names, in whatever folder."""
        for file in self.files:
            if file.path.rpartition("/")[2] in names:
                yield file

    def python_files(self) -> Iterator[File]:
        """The changed Python files."""
        return (file for file in self.files if file.path.endswith(".py"))


def read_diff(root: Path, base: str, head: str) -> Diff:
    """What lies between two commits. Raises `RepoUnusable` where git cannot tell."""
    changed = []
    for entry in _list_changed(root, base, head):
        if any(map(_is_read, entry[:2])):
            changed.append(entry)
    old_specs, new_specs = _find_specs(root, base), _find_specs(root, head)
    blobs = {*old_specs.values(), *new_specs.values()}
    for _, _, was, now in changed:
        blobs.update(filter(None, (was, now)))
    texts = _read_texts(root, blobs)
    files, deployment, packages = [], [], []
    for old, new, was, now in changed:
        file = File(new, old, texts.get(was or ""), texts.get(now or ""))
        # Neither a text here nor there: a link, or too large to be a source.
        if file.old is None and file.new is None:
            continue
        if _is_looked_at(old) or _is_looked_at(new):
            files.append(file)
        if _is_deployment(old) or _is_deployment(new):
            deployment.append(file)
        if names_packages(old) or names_packages(new):
            packages.append(file)
    return Diff(
        tuple(files),
        tuple(_pair_specs(old_specs, new_specs, texts)),
        CommitSources(lambda: _python_texts(root, base)),
        CommitSources(lambda: _python_texts(root, head)),
        tuple(deployment),
        tuple(packages),
        CommitSources(lambda: _starting_texts(root, base)),
        CommitSources(lambda: _starting_texts(root, head)),
    )


def _pair_specs(
    old: Mapping[str, str], new: Mapping[str, str], texts: Mapping[str, str]
) -> Iterator[File]:
    """The specs of both commits; each path -> its blob. Those that did not change are
    among them.
    """
    for path in sorted({*old, *new}):
        yield File(path, path, texts.get(old.get(path, "")), texts.get(new.get(path, "")))


def is_spec(path: str) -> bool:
    """Whether a path is that of a job spec in its usual place."""
    folder, _, name = path.rpartition("/")
    return folder == SPEC_FOLDER.as_posix() and name != SCHEMA_NAME and name.endswith(SUFFIXES)


def committed_specs(root: Path, commit: str) -> tuple[str, ...]:
    """The paths of the job specs that a commit holds."""
    return tuple(sorted(_find_specs(root, commit)))


def _find_specs(root: Path, commit: str) -> dict[str, str]:
    """Path -> blob; a symbolic link is no spec."""
    listing = git_output(root, "ls-tree", "-z", "--full-tree", commit, f"{SPEC_FOLDER.as_posix()}/")
    found = {}
    for line in listing.split(b"\0"):
        facts, _, name = line.partition(b"\t")
        path = os.fsdecode(name)
        if is_spec(path) and facts.decode().split()[0] in _REGULAR:
            found[path] = facts.decode().split()[2]
    return found


def _python_texts(root: Path, commit: str) -> dict[str, str]:
    """Path -> text of the Python files of a commit; and of the files that say where modules begin,
    only that.
    """
    blobs: dict[str, str] = {}
    texts: dict[str, str] = {}
    others: dict[str, str] = {}
    for line in git_output(root, "ls-tree", "-r", "-z", "--full-tree", commit).split(b"\0"):
        facts, _, name = line.partition(b"\t")
        path = os.fsdecode(name)
        if facts[:6].decode() not in _REGULAR:
            continue
        if path.endswith(".py"):
            blobs[path] = facts.decode().split()[2]
        elif path.rpartition("/")[2] in ROOT_MARKERS:
            texts[path] = ""
        else:
            others[path] = facts.decode().split()[2]
    texts |= _make_texts(root, others)
    contents = _read_texts(root, blobs.values(), largest=_LARGEST_SOURCE)
    for path, blob in blobs.items():
        if blob in contents:
            texts[path] = contents[blob]
    return texts


def _starting_texts(root: Path, commit: str) -> dict[str, str]:
    """Path -> text of the files of a commit that may start a worker, or tell how it is started."""
    blobs = {}
    for line in git_output(root, "ls-tree", "-r", "-z", "--full-tree", commit).split(b"\0"):
        facts, _, name = line.partition(b"\t")
        path = os.fsdecode(name)
        if facts[:6].decode() in _REGULAR and may_start_worker(path):
            blobs[path] = facts.decode().split()[2]
    contents = _read_texts(root, blobs.values())
    return {path: contents[blob] for path, blob in blobs.items() if blob in contents}


def may_start_worker(path: str) -> bool:
    """Whether a file may start a worker, or is a page that may tell how."""
    return _is_deployment(path) or path.endswith(_PAGES)


def _make_texts(root: Path, blobs: dict[str, str]) -> dict[str, str]:
    """Path -> text of the Makefiles, and of what they include, whatever it is called."""
    texts: dict[str, str] = {}
    waiting = [path for path in blobs if path.rpartition("/")[2] in _MAKEFILES]
    while waiting:
        contents = _read_texts(root, [blobs[path] for path in waiting])
        read = {path: contents.get(blobs[path], "") for path in waiting}
        texts |= read
        words: set[str] = set()
        for text in read.values():
            words.update(_names_in_includes(text))
        waiting = [path for path in blobs if path not in texts and path.rpartition("/")[2] in words]
    return texts


def _names_in_includes(text: str) -> Iterator[str]:
    """The last part of each name that an include line, or a variable that one may use, holds."""
    for line in text.splitlines():
        if "include" in line or "=" in line:
            for word in line.replace("=", " ").split():
                yield word.rpartition("/")[2]


def _list_changed(
    root: Path, base: str, head: str
) -> Iterator[tuple[str, str, str | None, str | None]]:
    """(old path, new path, old blob, new blob) of every changed regular file."""
    options = (
        "--raw",
        "-z",
        "-M",
        "--no-abbrev",
        "--no-ext-diff",
        "--no-textconv",
        "--ignore-submodules=all",
    )
    parts = iter(os.fsdecode(git_output(root, "diff", *options, base, head, "--")).split("\0"))
    for facts in parts:
        if not facts:
            continue
        was_mode, now_mode, was, now, status = facts.removeprefix(":").split(" ")
        old = next(parts)
        # A renamed or copied file has two names, all others one.
        new = next(parts) if status[0] in "RC" else old
        old_blob = was if was_mode in _REGULAR else None
        new_blob = now if now_mode in _REGULAR else None
        yield old, new, old_blob, new_blob


def _is_read(path: str) -> bool:
    return _is_looked_at(path) or _is_deployment(path) or names_packages(path)


def names_packages(path: str) -> bool:
    """Whether a file may say which packages are installed."""
    return bool(_PACKAGES.search(path))


def _is_looked_at(path: str) -> bool:
    return path.endswith(_ENDINGS) or path.rpartition("/")[2] in _NAMES


def _is_deployment(path: str) -> bool:
    name = path.rpartition("/")[2].lower()
    return name.endswith(_TABLES) or any(fnmatch(name, pattern) for pattern in START_FILES)


def _read_texts(root: Path, ids: Iterable[str], largest: int = LARGEST) -> dict[str, str]:
    """Blob -> text, of those that are text and not too large. Raises `RepoUnusable` where one is
    not there.
    """
    stdin = "".join(f"{blob}\n" for blob in sorted(set(ids))).encode()
    checked = git_output(root, "cat-file", "--batch-check", stdin=stdin).decode().splitlines()
    if any(line.endswith(" missing") for line in checked):
        raise objects_missing(root)
    small = []
    for line in checked:
        blob, kind, size = line.split()
        if kind == "blob" and int(size) <= largest:
            small.append(blob)
    stdin = "".join(f"{blob}\n" for blob in small).encode()
    output = git_output(root, "cat-file", "--batch", stdin=stdin)
    texts, position = {}, 0
    for blob in small:
        # A header line with the length, so many bytes, a newline.
        end = output.index(b"\n", position)
        length = int(output[position:end].split()[2])
        texts[blob] = output[end + 1 : end + 1 + length].decode("utf-8-sig", "replace")
        position = end + length + 2
    return texts


def _line_at(text: str | None, number: int) -> str:
    """A line by its number; empty where there is none."""
    lines = (text or "").splitlines()
    if 0 < number <= len(lines):
        return lines[number - 1]
    return ""


def _parse_python(text: str | None) -> ast.Module | None:
    if text is None:
        return None
    # Python warns of odd escapes in a text that is not ours to mend.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def _parse_document(text: str | None, path: str) -> Document | None:
    if text is None:
        return None
    try:
        return load_positions(text, path)
    except YamlProblem:
        return None
