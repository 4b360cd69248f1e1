"""What stands in the folders that a delivery may write in, by listing them: a file that C code
writes raises no event.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from typing import NamedTuple

_SQLITE = b"SQLite format 3\0"
_BESIDE_A_DATABASE = ("-wal", "-shm", "-journal")
# Caches in the home that libraries of C keep for themselves.
_CACHES = ("/.cache/fontconfig/", "/.cache/mesa_shader_cache/", "/.nv/ComputeCache/")
_real_scandir, _real_read, _real_open = os.scandir, os.pread, open


class Look(NamedTuple):
    """What changes with a file. Of a folder only that it is there."""

    inode: int
    size: int
    # Nobody can set the time of the last change of an inode.
    changed_ns: int


class Listing:
    """`places`: the folders. What the audit hooks have seen is announced here, by all deliveries of
    a zygote: one that stands still may have a temporary file that it will remove.
    """

    def __init__(self, places: tuple[str, ...], without: str) -> None:
        """`without`: a folder below one of them that is listed by its parts, or nobody's."""
        self.places, self.without = places, without.rstrip("/")
        self.announced = _make_shared_file()
        self.own: set[str] = set()
        self.before: dict[str, Look] = {}
        self.found: list[str] = []

    def announce_name(self, name: str) -> None:
        """Python code is about to make, change or remove a file: what is to be said of it is
        decided there.
        """
        if name in self.own or not name.startswith(self.places):
            return
        self.own.add(name)
        with contextlib.suppress(OSError):
            os.write(self.announced, os.fsencode(name) + b"\0")

    def announce_database(self, name: str) -> None:
        """SQLite, which is C, writes into its files; its connections are watched by themselves."""
        for ending in ("", *_BESIDE_A_DATABASE):
            self.announce_name(name + ending)

    def begin_delivery(self) -> None:
        """Forgets what was collected, at the beginning of a delivery."""
        self.found = []
        self.remember_state()

    def remember_state(self) -> None:
        """Takes the folders as they are now for the state that later changes are told from."""
        self.before = dict(self._list_entries())

    def collect_changes(self) -> None:
        """Keeps the names of files that were made or changed, and that nobody announced."""
        changed = []
        for name, look in dict(self._list_entries()).items():
            if self.before.get(name) != look and not self._is_known(name):
                changed.append(name)
        if not changed:
            return
        announced = self._read_announced()
        for name in changed:
            if name not in announced and name not in self.found:
                self.found.append(name)

    def still_there(self) -> list[str]:
        """The files that were collected and are there, and the folders among them in which none of
        the others lies.
        """
        standing = list(filter(os.path.lexists, self.found))
        innermost = []
        for name in standing:
            if not any(other.startswith(name + "/") for other in standing):
                innermost.append(name)
        return innermost

    def _is_known(self, name: str) -> bool:
        """Whether a change of a file is told elsewhere, or of no interest: a cache, a database."""
        if name in self.own or any(cache in name + "/" for cache in _CACHES):
            return True
        base = name
        for ending in _BESIDE_A_DATABASE:
            base = base.removesuffix(ending)
        # A database that was there before is a store: its queries say what is in it.
        return base in self.before and _is_database(base)

    def _read_announced(self) -> set[str]:
        """The names that all deliveries of the zygote have announced."""
        size = os.fstat(self.announced).st_size
        data = _real_read(self.announced, size, 0)
        return {os.fsdecode(name) for name in data.split(b"\0")}

    def _list_entries(self) -> Iterator[tuple[str, Look]]:
        """Yields (path, look) of everything below the folders."""
        to_list = [place.rstrip("/") for place in self.places]
        while to_list:
            try:
                entries = list(_real_scandir(to_list.pop()))
            except OSError:
                continue  # it has gone meanwhile
            for entry in entries:
                if entry.path == self.without:
                    continue
                is_folder = entry.is_dir(follow_symlinks=False)
                if is_folder:
                    to_list.append(entry.path)
                with contextlib.suppress(OSError):
                    yield entry.path, _make_look(entry.stat(follow_symlinks=False), is_folder)


def _make_look(seen: os.stat_result, is_folder: bool) -> Look:
    if is_folder:
        return Look(seen.st_ino, 0, 0)
    return Look(seen.st_ino, seen.st_size, seen.st_ctime_ns)


def _is_database(path: str) -> bool:
    try:
        with _real_open(path, "rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except OSError:
        return False


def _make_shared_file() -> int:
    """A file without a name that all forks write to the end of."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("skillrun-announced")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
