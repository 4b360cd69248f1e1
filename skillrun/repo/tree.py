"""The files of a repository, seen through look-ups that can be repeated: how a stage knows that it
is stale.

A `Tree` is the view of one moment. It lists tracked and untracked files that git does not ignore;
symbolic links and submodules are not followed. Names that are not UTF-8 carry surrogate escapes.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from skillrun.core.canonical import digest
from skillrun.repo.git import git_output

# Bytes; a larger file is no source that a search should read.
SEARCH_LIMIT = 1024 * 1024
# Files; a larger tree is compared as a whole, and the file that changed is not named.
_MOST_NAMED = 5_000
# So much of each sha256 is kept with the tree's digest: enough to tell two contents apart.
_SHORT_SHA = 16
_ENVIRONMENT = "pyvenv.cfg"
# Bytes of file contents that a tree keeps.
_MEMORY = 64 * 1024 * 1024

SurveySection = Callable[[str], tuple[Any, Iterable[str]]]


@dataclass(frozen=True)
class Lookup:
    """One question to the tree and its answer.

    `kind` is file, search, match, content or survey. `files` maps each path of the answer to its
    sha256, or to "" where
    only the name counts. `digest` covers the answer; one that found nothing has a digest too.
    """

    kind: str
    name: str
    digest: str
    files: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """JSON values that `from_json` reads back."""
        return {
            "kind": self.kind,
            "name": self.name,
            "digest": self.digest,
            "files": dict(self.files),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Lookup:
        """The look-up that `as_json` wrote."""
        return cls(value["kind"], value["name"], value["digest"], dict(value["files"]))


class Lookups:
    """The look-ups made while something was examined, each question once, in order."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Lookup] = {}

    def add(self, lookup: Lookup) -> None:
        """Keeps the first answer to a question."""
        self._known.setdefault((lookup.kind, lookup.name), lookup)

    def __iter__(self) -> Iterator[Lookup]:
        return iter(self._known.values())

    def __len__(self) -> int:
        return len(self._known)

    @property
    def files(self) -> dict[str, str]:
        """Path -> sha256 of every file whose content was looked at."""
        found = {}
        for lookup in self:
            for path, sha in lookup.files.items():
                if sha:
                    found[path] = sha
        return found

    def as_json(self) -> list[dict[str, Any]]:
        """Sorted by kind and name, so that equal sets are equal text."""
        return [self._known[key].as_json() for key in sorted(self._known)]


class Tree:
    """The files of one checkout at one moment."""

    def __init__(self, root: Path, *, without: tuple[str, ...] = ()) -> None:
        """`without`: beginnings of paths that do not count, e.g. a ledger that lies in the
        repository.
        """
        self.root = root
        self._without = without
        self._contents: dict[str, bytes] = {}
        self._kept = 0
        self._hashes: dict[str, str] = {}
        self._recorders: list[Lookups] = []

    @cached_property
    def _stats_by_path(self) -> dict[str, os.stat_result]:
        """Path -> stat of every regular file, sorted by path."""
        listing = git_output(self.root, "ls-files", "-z", "-co", "--exclude-standard")
        names = sorted({os.fsdecode(name) for name in listing.split(b"\0") if name})
        # A virtual environment is nobody's work, also where no .gitignore names it (PEP 405:
        # pyvenv.cfg at its root).
        environments = [
            name.removesuffix(_ENVIRONMENT) for name in names if name.endswith(f"/{_ENVIRONMENT}")
        ]
        without = (*self._without, *environments)
        folders: dict[str, bool] = {"": True}
        stats = {}
        for name in names:
            if name.startswith(without):
                continue
            seen = _stat_regular_file(self.root, name, folders)
            if seen is not None:
                stats[name] = seen
        return stats

    @cached_property
    def files(self) -> tuple[str, ...]:
        """Paths relative to the root, '/' separated, sorted."""
        return tuple(self._stats_by_path)

    @cached_property
    def key(self) -> str:
        """One hash over path, size, mtime, ctime and inode of every file: the same key, the same
        tree.
        """
        whole = hashlib.sha256()
        for path, seen in self._stats_by_path.items():
            line = f"{path}\0{seen.st_size} {seen.st_mtime_ns} {seen.st_ctime_ns} {seen.st_ino}\n"
            whole.update(line.encode("utf-8", "surrogateescape"))
        return whole.hexdigest()

    def size(self, path: str) -> int:
        """Bytes of a listed file; 0 for any other path. Not recorded."""
        seen = self._stats_by_path.get(path)
        if not seen:
            return 0
        return seen.st_size

    def read(self, path: str) -> bytes | None:
        """The content of a listed file; None where it is not listed or cannot be read."""
        data = self.peek(path)
        self._record_lookup(self._look_up_file(path))
        return data

    def search(self, word: str, suffix: str = ".py") -> tuple[str, ...]:
        """The files ending in `suffix` that contain a whole word; files over 1 MB are left out."""
        lookup = self._look_up_word(f"{suffix}:{word}")
        self._record_lookup(lookup)
        return tuple(lookup.files)

    def match(self, glob: str) -> tuple[str, ...]:
        """The paths that match a glob as a whole: `*` and `?` stop at '/', `**/` is any number of
        folders.
        """
        lookup = self._look_up_glob(glob)
        self._record_lookup(lookup)
        return tuple(lookup.files)

    def hash_everything(self) -> str:
        """One sha256 over the content of all files (look-up kind content): for a command that may
        read any of them.
        """
        lookup = self._look_up_content("*")
        self._record_lookup(lookup)
        return lookup.digest

    def record_section(self, section: str, value: Any, files: Iterable[str]) -> None:
        """Records what a survey concluded: a section's JSON value, and the files that it came
        from.
        """
        self._record_lookup(self._look_up_survey(section, value, files))

    @contextmanager
    def recording(self) -> Iterator[Lookups]:
        """Collects the look-ups of a block; those of an inner block belong to the outer one too."""
        recorder = Lookups()
        self._recorders.append(recorder)
        try:
            yield recorder
        finally:
            self._recorders.remove(recorder)

    def record(self, lookups: Iterable[Lookup]) -> None:
        """Adds look-ups made earlier on this tree, e.g. by something whose result was kept."""
        for lookup in lookups:
            self._record_lookup(lookup)

    def repeat(self, lookup: Lookup, survey: SurveySection | None = None) -> Lookup:
        """The same question, asked of this tree. `survey` gives (value, files) of a section. Not
        recorded.
        """
        if lookup.kind == "survey":
            if survey is None:
                raise ValueError("a survey look-up is repeated with the survey")
            return self._look_up_survey(lookup.name, *survey(lookup.name))
        ask = {
            "file": self._look_up_file,
            "search": self._look_up_word,
            "match": self._look_up_glob,
            "content": self._look_up_content,
        }
        return ask[lookup.kind](lookup.name)

    def sha256(self, path: str) -> str | None:
        """Hexadecimal sha256 of a listed file; None where it cannot be read. Not recorded."""
        if path not in self._hashes:
            data = self.peek(path)
            if data is None:
                return None
            self._hashes[path] = hashlib.sha256(data).hexdigest()
        return self._hashes[path]

    def peek(self, path: str) -> bytes | None:
        """As `read`, and not recorded: for a pass over everything, whose conclusion is recorded
        instead.
        """
        if path in self._contents:
            return self._contents[path]
        if path not in self._stats_by_path:
            return None
        data = _read_content(self.root, path)
        if data is not None and self._kept + len(data) <= _MEMORY:
            self._contents[path] = data
            self._kept += len(data)
        return data

    def peek_small(self, path: str) -> bytes | None:
        """As `peek`, and None for what is too large to be configuration: nobody waits for gigabytes
        of a Makefile.
        """
        if self.size(path) <= SEARCH_LIMIT:
            return self.peek(path)
        return None

    def forget(self, path: str) -> None:
        """What was read of a file: skillrun itself has written it since."""
        self._hashes.pop(path, None)
        self._kept -= len(self._contents.pop(path, b""))

    def _record_lookup(self, lookup: Lookup) -> None:
        for recorder in self._recorders:
            recorder.add(lookup)

    def _look_up_file(self, path: str) -> Lookup:
        sha = self.sha256(path)
        if not sha:
            return _make_lookup("file", path, {})
        return _make_lookup("file", path, {path: sha})

    def _look_up_word(self, name: str) -> Lookup:
        suffix, _, word = name.partition(":")
        bare = os.fsencode(word)
        whole_word = re.compile(rb"\b" + re.escape(bare) + rb"\b")
        files = {}
        for path in self._with_suffix(suffix):
            if self._holds_word(path, bare, whole_word):
                files[path] = ""
        return _make_lookup("search", name, files)

    def _with_suffix(self, suffix: str) -> Iterator[str]:
        for path, seen in self._stats_by_path.items():
            if path.endswith(suffix) and seen.st_size <= SEARCH_LIMIT:
                yield path

    def _holds_word(self, path: str, word: bytes, pattern: re.Pattern[bytes]) -> bool:
        """The plain search first: it is many times faster, and most files do not hold the word at
        all.
        """
        data = self.peek(path)
        return data is not None and word in data and pattern.search(data) is not None

    def _look_up_glob(self, glob: str) -> Lookup:
        pattern = glob_pattern(glob)
        return _make_lookup(
            "match", glob, {path: "" for path in self.files if pattern.fullmatch(path)}
        )

    def _look_up_content(self, name: str) -> Lookup:
        hashes = {path: self.sha256(path) or "" for path in self.files}
        named = {}
        if len(hashes) <= _MOST_NAMED:
            named = {path: sha[:_SHORT_SHA] for path, sha in hashes.items()}
        return Lookup("content", name, digest(hashes), named)

    def _look_up_survey(self, section: str, value: Any, files: Iterable[str]) -> Lookup:
        hashes = {path: self.sha256(path) or "" for path in sorted(set(files))}
        return Lookup("survey", section, digest(value), hashes)


def name_differences(old: Lookup, new: Lookup) -> tuple[str, ...]:
    """The files that make two answers to one question differ; the question's own name where no file
    does.
    """
    if old.digest == new.digest:
        return ()
    differing = set()
    for path in old.files.keys() | new.files.keys():
        if old.files.get(path) != new.files.get(path):
            differing.add(path)
    return tuple(sorted(differing)) or (new.name,)


def glob_pattern(glob: str) -> re.Pattern[str]:
    """A glob as a regular expression over whole paths."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", glob)
    words = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    expression = "".join(words.get(part, re.escape(part)) for part in parts)
    # A file's name may hold a newline.
    return re.compile(expression, re.DOTALL)


def _make_lookup(kind: str, name: str, files: dict[str, str]) -> Lookup:
    """A look-up whose answer is the files alone."""
    return Lookup(kind, name, digest(files), files)


def _stat_regular_file(root: Path, name: str, folders: dict[str, bool]) -> os.stat_result | None:
    """The stat of a regular file below real folders; None for anything else. `folders` remembers
    folders seen.
    """
    try:
        seen = os.lstat(f"{root}/{name}")
    except OSError:
        return None
    if stat.S_ISREG(seen.st_mode) and _is_real_folder(root, name.rpartition("/")[0], folders):
        return seen
    return None


def _is_real_folder(root: Path, folder: str, folders: dict[str, bool]) -> bool:
    """Whether no part of a folder is a symbolic link: a tracked path may lie behind one that
    replaced its folder.
    """
    # No recursion: a tree can be deeper than Python's stack.
    unseen: list[str] = []
    above = folder
    while above not in folders:
        unseen.append(above)
        above = above.rpartition("/")[0]
    is_real = folders[above]
    for part in reversed(unseen):
        is_real = is_real and stat.S_ISDIR(os.lstat(f"{root}/{part}").st_mode)
        folders[part] = is_real
    return is_real


def _read_content(root: Path, path: str) -> bytes | None:
    """The content of a file; None where it is none, or cannot be read.

    This never waits on a pipe and never follows a link that took the file's place since the
    listing.
    """
    try:
        handle = os.open(f"{root}/{path}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        with os.fdopen(handle, "rb") as file:
            is_file = stat.S_ISREG(os.fstat(handle).st_mode)
            if not is_file:
                return None
            return file.read()
    except OSError:
        return None
