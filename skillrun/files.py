"""Files below one folder that change together: read once, changed in memory, then written all or none."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from skillrun.errors import Refused

_MODE = 0o644


@dataclass(frozen=True)
class Change:
    """A file before and after; None: it does not exist. `name` is its path below the base folder."""

    name: str
    path: Path
    before: bytes | None
    after: bytes | None


class Files:
    """Texts below one folder, by their relative paths; two paths that a symlink makes one file are one text."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self._root = base.resolve()
        self._names: dict[Path, str] = {}
        self._before: dict[Path, bytes | None] = {}
        self._after: dict[Path, bytes | None] = {}

    def data(self, name: str) -> bytes | None:
        """The bytes of a file as changed so far, None where there is none. Raises Refused for what is no plain file."""
        path = self._path(name)
        if path not in self._before:
            self._names[path] = name
            self._before[path] = self._after[path] = _read(path, name)
        return self._after[path]

    def text(self, name: str) -> str | None:
        """The same as text. Raises Refused for what is not UTF-8."""
        data = self.data(name)
        try:
            return None if data is None else data.decode()
        except UnicodeDecodeError:
            raise Refused(f"{name}: not UTF-8; nothing was written", hint="mend or move the file") from None

    def put(self, name: str, data: bytes | None) -> None:
        """Changes the file in memory; None removes it."""
        self.data(name)
        self._after[self._path(name)] = data

    def changes(self) -> list[Change]:
        """What is different from the disk."""
        return [
            Change(self._names[path], path, before, self._after[path])
            for path, before in self._before.items()
            if before != self._after[path]
        ]

    def missing_folders(self) -> Iterator[str]:
        """The folders that must be made for the changes, relative to the base, the outermost first."""
        created = [change.path for change in self.changes() if change.before is None]
        parents = {parent for path in created for parent in path.parents if parent.is_relative_to(self._root)}
        for parent in sorted(parents):
            if not parent.exists():
                yield parent.relative_to(self._root).as_posix()

    def folder(self, name: str) -> Path:
        """The real path of a folder. Raises Refused where it is outside."""
        return self._path(name)

    def _path(self, name: str) -> Path:
        """Where a file really is. A repository could otherwise choose what is written outside of it."""
        try:
            path = (self.base / name).resolve()
        except (OSError, RuntimeError):
            raise Refused(f"{name}: symbolic links that lead nowhere; nothing was written", hint="mend them") from None
        if not path.is_relative_to(self._root) or ".git" in path.relative_to(self._root).parts:
            what = f"{name}: a symbolic link leads out of {self.base}; nothing was written"
            raise Refused(what, hint="replace it by the file or folder itself")
        return path


def _read(path: Path, name: str) -> bytes | None:
    try:
        if path.exists() and not path.is_file():
            raise Refused(f"{name}: not a file; nothing was written", hint="move it away")
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Refused(f"{name}: cannot be read: {error.strerror}; nothing was written", hint="mend it") from None


def write(changes: Iterable[Change]) -> None:
    """Writes all of them or none: drafts first, then renames; what was renamed is put back where one fails.

    Raises Refused, and then nothing is different.
    """
    wanted = list(changes)
    made: list[Path] = []
    drafts: dict[Path, Path] = {}
    try:
        for change in wanted:
            _make_folder(change.path.parent, made)
            if change.after is not None:
                drafts[change.path] = _draft(change.path, change.after)
        _rename(wanted, drafts)
    except BaseException as error:
        for draft in drafts.values():
            draft.unlink(missing_ok=True)
        remove_empty(made)
        if not isinstance(error, OSError):
            raise
        what = f"{error.filename}: cannot be written: {error.strerror}; nothing was changed"
        raise Refused(what, hint="make it writable, then run the same command again") from None


def remove_empty(folders: Iterable[Path]) -> list[Path]:
    """Removes those of the folders that are empty, the innermost first, and returns them."""
    gone = []
    for folder in sorted(folders, reverse=True):
        with contextlib.suppress(OSError):
            folder.rmdir()
            gone.append(folder)
    return gone


def _make_folder(folder: Path, made: list[Path]) -> None:
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    for parent in reversed(missing):
        parent.mkdir()
        made.append(parent)


def _draft(path: Path, data: bytes) -> Path:
    """The new content beside the file, with the file's mode: from here on a rename is enough."""
    draft = path.with_name(f".{path.name}.skillrun-{os.getpid()}")
    mode = path.stat().st_mode & 0o777 if path.exists() else _MODE
    try:
        draft.write_bytes(data)
        draft.chmod(mode)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    return draft


def _rename(changes: list[Change], drafts: dict[Path, Path]) -> None:
    done: list[Change] = []
    try:
        for change in changes:
            if _read(change.path, change.name) != change.before:
                what = f"{change.name}: somebody else has just changed it; nothing was written"
                raise Refused(what, hint="run the same command again")
            if change.after is None:
                change.path.unlink()
            else:
                drafts[change.path].replace(change.path)
            done.append(change)
    except BaseException:
        for change in reversed(done):
            _put_back(change)
        raise


def _put_back(change: Change) -> None:
    with contextlib.suppress(OSError):
        if change.before is None:
            change.path.unlink()
        else:
            _draft(change.path, change.before).replace(change.path)
