"""Files below one folder that change together: read once, changed in memory, then written all or
none.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from skillrun.core.beneath import make_folder, put_file
from skillrun.core.canonical import sha256
from skillrun.core.errors import Refused
from skillrun.core.journal import (
    Intent,
    Journal,
    Step,
    draft_name,
    hold_journal,
    sync_folder,
    take_step,
    take_steps,
)
from skillrun.core.opening import read_file

_MODE = 0o644


@dataclass(frozen=True)
class Change:
    """A file before and after; None: it does not exist. `name` is its path below the base
    folder.
    """

    name: str
    path: Path
    before: bytes | None
    after: bytes | None


class Files:
    """Texts below one folder, by their relative paths; two paths that a symlink makes one file are
    one text.
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        self._root = base.resolve()
        self._names: dict[Path, str] = {}
        self._before: dict[Path, bytes | None] = {}
        self._after: dict[Path, bytes | None] = {}

    def data(self, name: str) -> bytes | None:
        """The bytes of a file as it is after the changes; None where there is none. Raises Refused
        for what is no plain file.
        """
        path = self._path(name)
        if path not in self._before:
            self._names[path] = name
            self._before[path] = self._after[path] = _read_content(path, name)
        return self._after[path]

    def text(self, name: str) -> str | None:
        """The text of a file as it is after the changes. Raises Refused for what is not UTF-8."""
        data = self.data(name)
        try:
            if data is None:
                return None
            return data.decode()
        except UnicodeDecodeError:
            raise Refused(
                f"{name}: not UTF-8; nothing was written", hint="mend or move the file"
            ) from None

    def put(self, name: str, data: bytes | None) -> None:
        """Changes the file in memory; None removes it."""
        self.data(name)
        self._after[self._path(name)] = data

    def changes(self) -> list[Change]:
        """The files that are different from what the disk has."""
        found = []
        for path, before in self._before.items():
            if before != self._after[path]:
                found.append(Change(self._names[path], path, before, self._after[path]))
        return found

    def missing_folders(self) -> Iterator[str]:
        """The folders that must be made for the changes, relative to the base, the outermost
        first.
        """
        created = []
        for change in self.changes():
            if change.before is None:
                created.append(change.path)
        parents = {
            parent
            for path in created
            for parent in path.parents
            if parent.is_relative_to(self._root)
        }
        for parent in sorted(parents):
            if not parent.exists():
                yield parent.relative_to(self._root).as_posix()

    def folder(self, name: str) -> Path:
        """The real path of a folder. Raises Refused where it is outside."""
        return self._path(name)

    def _path(self, name: str) -> Path:
        """Where a file really is. A repository could otherwise choose what is written outside of
        it.
        """
        try:
            path = (self.base / name).resolve()
        except (OSError, RuntimeError):
            raise Refused(
                f"{name}: symbolic links that lead nowhere; nothing was written", hint="mend them"
            ) from None
        if not path.is_relative_to(self._root) or ".git" in _fold_parts(
            path.relative_to(self._root)
        ):
            what = f"{name}: a symbolic link leads out of {self.base}; nothing was written"
            raise Refused(what, hint="replace it by the file or folder itself")
        return path


def _fold_parts(path: Path) -> list[str]:
    """The parts of a path in one case: some file systems take no notice of it."""
    return [part.casefold() for part in path.parts]


def _read_content(path: Path, name: str) -> bytes | None:
    """The bytes of a file; None where there is none. Raises Refused for what cannot be read, or is
    no file.
    """
    try:
        if path.exists() and not path.is_file():
            raise Refused(f"{name}: not a file; nothing was written", hint="move it away")
        return read_file(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Refused(
            f"{name}: cannot be read: {error.strerror}; nothing was written", hint="mend it"
        ) from None


def write(base: Path, changes: Iterable[Change]) -> None:
    """Writes all of them below `base`, or none: drafts first, then renames, which are undone where
    one fails.

    A process that is killed in between leaves a journal in the state folder: see
    `skillrun/core/journal.py`. Raises Refused, and then nothing is different.
    """
    wanted = list(changes)
    if not wanted:
        return
    try:
        with hold_journal(base.resolve()) as journal:
            _Writing(journal, wanted).go()
    except OSError as error:
        place = _find_asked(base.resolve(), wanted, error.filename) or error.filename or base
        what = f"{place}: cannot be written: {error.strerror}; nothing was changed"
        raise Refused(what, hint="make it writable, then run the same command again") from None


def _find_asked(base: Path, changes: Iterable[Change], failed: str | bytes | None) -> str | None:
    """The file that was asked for, where a draft of it could not be written."""
    name = Path(os.fsdecode(failed or "")).name
    for change in changes:
        if name == Path(draft_name(change.path.relative_to(base).as_posix())).name:
            return change.name
    return None


class _Writing:
    """One write, with its drafts and the folders that have to be made."""

    def __init__(self, journal: Journal, changes: list[Change]) -> None:
        self.journal, self.base, self.changes = journal, journal.base, changes
        steps = [_make_step(self.base, change) for change in changes]
        self.made = sorted(
            {folder for change in changes for folder in _list_missing_folders(change.path.parent)}
        )
        folders = tuple(folder.relative_to(self.base).as_posix() for folder in self.made)
        self.intent = Intent(tuple(steps), tuple(draft_name(step.path) for step in steps), folders)

    def go(self) -> None:
        """Writes all changes, or none."""
        for change in self.changes:
            _check_unchanged(change)
        self._draft()
        self._rename()
        for folder in {change.path.parent for change in self.changes}:
            sync_folder(folder)
        self.journal.close()

    def _draft(self) -> None:
        """Writes the new contents beside the files, then the word that they are whole; or nothing
        at all.
        """
        self.journal.note_drafting(replace(self.intent, steps=()))
        try:
            for name in self.intent.folders:  # the outermost first
                make_folder(self.base, name)
            for change in self.changes:
                _draft(self.base, change)
            for folder in {*self.made, *(change.path.parent for change in self.changes)}:
                sync_folder(folder)
            self.journal.ready(self.intent)
        except BaseException:
            self.journal.drop(self.intent)
            raise

    def _rename(self) -> None:
        """Puts each draft in the place of its file; where one fails, all before it are put back."""
        begun: list[Change] = []
        try:
            for change, step in zip(self.changes, self.intent.steps, strict=True):
                _check_unchanged(change)
                begun.append(change)
                take_step(self.base, step)
        except BaseException:
            # What was begun and not done is as it was.
            done = []
            for change in begun:
                if _read_content(change.path, change.name) == change.after:
                    done.append(change)
            self._put_back(done)
            raise

    def _put_back(self, done: list[Change]) -> None:
        """Writes the same changes with before and after exchanged, so that a death in the middle of
        it is finished as well.
        """
        back = [
            Change(change.name, change.path, change.after, change.before)
            for change in reversed(done)
        ]
        steps = [_make_step(self.base, change) for change in back]
        undoing = replace(self.intent, steps=tuple(steps))
        try:
            for change in back:
                _draft(self.base, change)
            self.journal.ready(undoing)
            take_steps(self.base, undoing.steps)
        except OSError as error:
            what = (
                f"{error.filename}: cannot be put back: {error.strerror}; the write has come to a"
                " halt half way"
            )
            hint = (
                "make room; the next skillrun command that writes here finishes it, or says what it"
                " cannot"
            )
            raise Refused(what, hint=hint) from None
        self.journal.drop(undoing)


def _make_step(base: Path, change: Change) -> Step:
    """The step that a change is, as a journal has it."""
    path = change.path.relative_to(base).as_posix()
    before = None
    if change.before is not None:
        before = sha256(change.before)
    if change.after is None:
        return Step(path, None, before, None)
    return Step(path, draft_name(path), before, sha256(change.after))


def _list_missing_folders(folder: Path) -> list[Path]:
    """A folder and those around it, as far as they are not there."""
    return [parent for parent in (folder, *folder.parents) if not parent.exists()]


def _check_unchanged(change: Change) -> None:
    """Raises Refused where a file is not as it was when the change was made, or has moved."""
    parent = change.path.parent
    moved = parent.exists() and parent.resolve() != parent
    if (
        moved
        or change.path.is_symlink()
        or _read_content(change.path, change.name) != change.before
    ):
        what = f"{change.name}: somebody else has just changed it; nothing was written"
        raise Refused(what, hint="run the same command again")


def _draft(base: Path, change: Change) -> None:
    """Writes the new content beside the file, with the file's mode: from here on a rename is
    enough.
    """
    if change.after is None:
        return
    draft = draft_name(change.path.relative_to(base).as_posix())
    mode = _MODE
    if change.path.exists():
        mode = change.path.stat().st_mode & 0o777
    put_file(base, draft, change.after, mode)
