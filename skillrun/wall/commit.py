"""The files of a commit: written into a folder byte for byte, and held against what lies there
later.

Git's own checkout would convert them first (filters, line ends, encodings, `$Id$`), as
configuration and attributes say: what runs would be something else than what was reviewed.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from skillrun.core.beneath import is_beneath
from skillrun.core.errors import Blocked, RepoUnusable
from skillrun.core.opening import read_file
from skillrun.repo.git import git_output, objects_missing, run_git

_LINK, _SUBMODULE, _PROGRAM = "120000", "160000", "100755"
_AT_ONCE = 64 * 1024 * 1024  # bytes of files that are in memory together
_PIECE = 1024 * 1024
# Folders in each other. Python makes and removes trees by recursion: a deeper one has no end.
_DEEPEST = 300
# A file system's clock ticks more slowly than files can change: a time as young as this says
# nothing yet.
_TICK_NS = 100_000_000


@dataclass(frozen=True)
class Entry:
    """One path of a commit, as `git ls-tree` names it."""

    mode: str
    blob: str
    size: int  # bytes; 0 for a submodule


def read_entries(root: Path, commit: str) -> dict[str, Entry]:
    """Path -> entry of everything that a commit holds. Raises `RepoUnusable` where git cannot
    tell.
    """
    entries = {}
    listing = git_output(root, "ls-tree", "-r", "-l", "-z", "--full-tree", commit)
    for line in listing.split(b"\0")[:-1]:
        facts, _, name = line.partition(b"\t")
        mode, _, blob, size = facts.decode().split()
        length = int(size) if size.isdecimal() else 0
        entries[os.fsdecode(name)] = Entry(mode, blob, length)
    return entries


def find_folders(paths: Iterable[str]) -> frozenset[str]:
    """The folders that these lie in, the root ("") among them."""
    found = {""}
    for path in paths:
        parts = path.split("/")
        for number in range(1, len(parts)):
            found.add("/".join(parts[:number]))
    return frozenset(found)


# -- writing


def write_entries(root: Path, folder: Path, entries: Mapping[str, Entry]) -> None:
    """Writes the files of a commit into an empty folder that nobody else writes in.

    Raises RepoUnusable for a path that leads out of it, Blocked where there is no room.
    """
    for path in entries:
        if not is_beneath(path):
            what = f"{root}: the commit holds the path {path!r}"
            raise RepoUnusable(what, hint="git fsck says more")
    for path in entries:
        depth = path.count("/")
        if depth > _DEEPEST:
            what = f"{root}: the commit holds a file in {depth} nested folders ({path[:60]}...)"
            raise RepoUnusable(what, hint="move it up")
    try:
        for path in entries:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
        _write_contents(root, folder, entries)
    except OSError as error:
        said = f"{error.filename or folder}: the clean checkout cannot be written: {error.strerror}"
        raise Blocked(said, hint="make room there, or set TMPDIR to a folder with room") from error


def _write_contents(root: Path, folder: Path, entries: Mapping[str, Entry]) -> None:
    links = {}
    for path, data in _read_contents(root, entries):
        if entries[path].mode == _LINK:
            links[path] = data
            continue
        mode = 0o777 if entries[path].mode == _PROGRAM else 0o666
        fd = os.open(folder / path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
    # Links last: no file is ever written through one.
    for path, data in links.items():
        (folder / path).symlink_to(os.fsdecode(data))
    for path, entry in entries.items():
        if entry.mode == _SUBMODULE:
            (folder / path).mkdir()


def _read_contents(root: Path, entries: Mapping[str, Entry]) -> Iterator[tuple[str, bytes]]:
    """(path, content) of every file and link."""
    group: list[str] = []
    size = 0
    for path, entry in entries.items():
        if entry.mode == _SUBMODULE:
            continue
        if group and size + entry.size > _AT_ONCE:
            yield from _read_blobs(root, entries, group)
            group, size = [], 0
        group.append(path)
        size += entry.size
    yield from _read_blobs(root, entries, group)


def _read_blobs(
    root: Path, entries: Mapping[str, Entry], paths: list[str]
) -> Iterator[tuple[str, bytes]]:
    stdin = "".join(f"{entries[path].blob}\n" for path in paths).encode()
    output = git_output(root, "cat-file", "--batch", stdin=stdin)
    position = 0
    for path in paths:
        end = output.index(b"\n", position)
        facts = output[position:end].split()
        if facts[1] == b"missing":
            raise objects_missing(root)
        start, size = end + 1, int(facts[2])
        yield path, output[start : start + size]
        position = start + size + 1


# -- comparing


class Contents:
    """A folder that should hold what a commit holds, compared again and again."""

    def __init__(self, folder: Path, commit: str, entries: Mapping[str, Entry]) -> None:
        self.folder = folder
        self.commit = commit
        self.entries = entries
        self._folders = find_folders(entries)
        self._link_to_git = (folder / ".git").read_bytes()
        self._alike: dict[str, tuple[int, ...]] = {}  # path -> stat of a file that was the same

    def find_changes(self) -> Iterator[tuple[str, str]]:
        """(path, what happened to it) of everything that is not as the commit has it."""
        for path in sorted(self._folders - {""}):
            if (self.folder / path).is_symlink():
                yield path, "is a link now"
        for path, entry in self.entries.items():
            what = self._compare_path(path, entry)
            if what is not None:
                yield path, what
        if not self._leads_to_same_git():
            yield ".git", "leads to another repository"
        else:
            yield from self._find_index_changes()

    def _compare_path(self, path: str, entry: Entry) -> str | None:
        place = self.folder / path
        try:
            seen = place.lstat()
            if entry.mode == _SUBMODULE:
                if stat.S_ISDIR(seen.st_mode):
                    return None
                return "is no folder any more"
            if entry.mode == _LINK:
                return self._compare_link(place, entry, seen)
            return self._compare_file(path, entry, seen)
        except (FileNotFoundError, NotADirectoryError):
            return "is gone"
        except OSError as error:
            return f"cannot be read: {error.strerror}"

    def _compare_link(self, place: Path, entry: Entry, seen: os.stat_result) -> str | None:
        if not stat.S_ISLNK(seen.st_mode):
            return "is no link any more"
        target = os.fsencode(place.readlink())
        if _hash_bytes(target, entry) == entry.blob:
            return None
        return "is a link to something else"

    def _compare_file(self, path: str, entry: Entry, seen: os.stat_result) -> str | None:
        if not stat.S_ISREG(seen.st_mode):
            return "is no file any more"
        if bool(seen.st_mode & stat.S_IXUSR) != (entry.mode == _PROGRAM):
            return "has another mode"
        if seen.st_size != entry.size:
            return "has another content"
        known = (seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
        if self._alike.get(path) == known:
            return None
        # Before the file is read: it may be written while it is.
        now = time.time_ns()
        if _hash_file(self.folder / path, entry) != entry.blob:
            return "has another content"
        if seen.st_ctime_ns < now - _TICK_NS:
            self._alike[path] = known
        return None

    def _leads_to_same_git(self) -> bool:
        place = self.folder / ".git"
        try:
            return not place.is_symlink() and read_file(place) == self._link_to_git
        except OSError:
            return False

    def _find_index_changes(self) -> Iterator[tuple[str, str]]:
        """What git would list, and what it takes for HEAD: stages ask it for both."""
        head = run_git(self.folder, "rev-parse", "-q", "--verify", "HEAD").stdout.decode().strip()
        if head != self.commit:
            yield ".git", "has another HEAD"
        staged = set(git_output(self.folder, "ls-files", "-s", "-z").split(b"\0")[:-1])
        held = {_index_line(path, entry) for path, entry in self.entries.items()}
        for line in sorted(staged ^ held):
            yield os.fsdecode(line.partition(b"\t")[2]), "is otherwise in git's index"


def _index_line(path: str, entry: Entry) -> bytes:
    return f"{entry.mode} {entry.blob} 0\t".encode() + os.fsencode(path)


def _new_hash(entry: Entry, size: int) -> hashlib._Hash:
    """Git's name of a blob: over its length and its content, by SHA-1 or in newer repositories
    SHA-256.
    """
    algorithm = "sha256" if len(entry.blob) == 64 else "sha1"
    whole = hashlib.new(algorithm, usedforsecurity=False)
    whole.update(b"blob %d\0" % size)
    return whole


def _hash_bytes(data: bytes, entry: Entry) -> str:
    whole = _new_hash(entry, len(data))
    whole.update(data)
    return whole.hexdigest()


def _hash_file(path: Path, entry: Entry) -> str:
    """Raises OSError where it is no plain file any more; nobody waits for a pipe."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    whole = _new_hash(entry, entry.size)
    with os.fdopen(fd, "rb") as file:
        while piece := file.read(_PIECE):
            whole.update(piece)
    return whole.hexdigest()


# -- what a usual checkout would have made of them

_SHOWN = 3  # paths of each sort
_ATTRIBUTES = ("filter", "working-tree-encoding", "ident", "eol")


def find_conversions(root: Path, folder: Path, entries: Mapping[str, Entry]) -> Iterator[str]:
    """Why files differ from those of a usual checkout, in sentences."""
    found = _read_attributes(folder, entries)
    for attribute, words in _WORDS.items():
        paths = []
        for path, name, value in found:
            if name == attribute and _is_conversion(name, value):
                paths.append(path)
        if paths:
            shown = ", ".join(paths[:_SHOWN])
            if len(paths) > _SHOWN:
                shown += f" and {len(paths) - _SHOWN} more"
            yield f"{words}: {shown}"
    if run_git(root, "config", "--get", "core.autocrlf").stdout.strip() == b"true":
        yield "core.autocrlf is not applied: files have the line ends that the commit holds"


_WORDS = {
    "filter": "filters are off, files are as git keeps them (of Git LFS: the pointers)",
    "working-tree-encoding": (
        "working-tree-encoding is not applied, files are UTF-8 as git keeps them"
    ),
    "ident": "$Id$ is not expanded",
    "eol": "eol=crlf is not applied, files have the line ends that the commit holds",
}


def _is_conversion(attribute: str, value: str) -> bool:
    if attribute == "eol":
        return value == "crlf"
    # `ident` is turned on; the others have a value where they do something.
    if attribute == "ident" and value == "set":
        return True
    return value not in ("unspecified", "unset", "set")


def _read_attributes(folder: Path, entries: Mapping[str, Entry]) -> list[tuple[str, str, str]]:
    """(path, attribute, value); git reads them from files alone, and starts nothing for it."""
    stdin = b"".join(os.fsencode(path) + b"\0" for path in entries)
    output = git_output(folder, "check-attr", "-z", "--stdin", *_ATTRIBUTES, stdin=stdin)
    words = [os.fsdecode(word) for word in output.split(b"\0")[:-1]]
    return list(zip(words[::3], words[1::3], words[2::3], strict=True))
