"""Writes what was exported: to standard output, to a file, or to a folder; whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from skillrun.core.errors import Misuse
from skillrun.core.text import visible


def write_file(path: Path, pieces: Iterable[bytes]) -> None:
    """Writes a file whole, in the place of an older one. Raises Misuse where it cannot be
    written.
    """
    with _errors_in_words(path), _make_draft(path) as draft:
        _fill_file(draft, pieces)
        draft.replace(path)
        _sync_folder(path.parent)


def write_folder(folder: Path, files: Iterable[tuple[str, Iterable[bytes]]]) -> None:
    """Writes files into a folder, which is made where it is missing; none is replaced before all
    are written.
    """
    with _errors_in_words(folder), contextlib.ExitStack() as drafts:
        if not folder.exists():
            drafts.callback(_remove_empty, folder)
        folder.mkdir(parents=True, exist_ok=True)
        done = []
        for name, pieces in files:
            draft = drafts.enter_context(_make_draft(folder / name))
            _fill_file(draft, pieces)
            done.append((draft, folder / name))
        for draft, path in done:
            draft.replace(path)
        _sync_folder(folder)


@contextlib.contextmanager
def _make_draft(path: Path) -> Iterator[Path]:
    """An empty file beside the path, which is gone afterwards."""
    handle, name = tempfile.mkstemp(dir=path.absolute().parent, prefix=".skillrun-")
    os.close(handle)
    try:
        # Whoever reads it next may be another user.
        Path(name).chmod(0o644)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def _fill_file(path: Path, pieces: Iterable[bytes]) -> None:
    with path.open("wb") as file:
        file.writelines(pieces)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    # A rename is on disk only when the folder is.
    handle = os.open(folder.absolute(), os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _errors_in_words(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = f"{visible(str(path))}: cannot be written: {error.strerror}"
        raise Misuse(what, hint="make room, or name a place that can be written") from error
