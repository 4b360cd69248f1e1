"""A scratch copy of a repository's files, in memory where the machine allows it, and gone
afterwards.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LARGEST = 1024**3  # bytes of all files together
_INSTALLED = ("node_modules", "venv", "env")
_MEMORY = Path("/dev/shm")
_ROOM = 512 * 1024**2  # bytes that the tests themselves may need


@contextmanager
def scratch_copy(root: Path, files: Iterable[str]) -> Iterator[Path]:
    """A folder with `repo`, a copy of the files, and `tmp`, empty; readable by its owner alone."""
    with tempfile.TemporaryDirectory(
        prefix="skillrun-", dir=_place(root, files), ignore_cleanup_errors=True
    ) as name:
        folder = Path(name).resolve()
        (folder / "tmp").mkdir()
        _copy(root, files, folder / "repo")
        yield folder


def _copy(root: Path, files: Iterable[str], target: Path) -> None:
    """Regular files with their modes and times; one that is gone meanwhile is left out."""
    target.mkdir()
    made: set[str] = set()
    for path in files:
        folder = os.path.dirname(path)  # noqa: PTH120 - many files, and names that are no text
        if folder not in made:
            (target / folder).mkdir(parents=True, exist_ok=True)
            made.add(folder)
        with suppress(OSError):
            shutil.copy2(root / path, target / path, follow_symlinks=False)
    for name in _bare(root):
        (target / name).mkdir(exist_ok=True)


def _bare(root: Path) -> Iterator[str]:
    """Folders at the top, also those that git ignores, such as `data`: code may count on them,
    empty.
    """
    with os.scandir(root) as entries:
        for entry in entries:
            installed = entry.name.startswith(".") or entry.name in _INSTALLED
            if entry.is_dir(follow_symlinks=False) and not installed:
                yield entry.name


def size_of(root: Path, files: Iterable[str]) -> int:
    """Bytes of all files together."""
    total = 0
    for path in files:
        with suppress(OSError):
            total += (root / path).lstat().st_size
    return total


def _place(root: Path, files: Iterable[str]) -> Path | None:
    """Memory, where programs may run from it and there is room: a database in the tests is many
    times faster.
    """
    try:
        found = os.statvfs(_MEMORY)
    except OSError:
        return None
    room = found.f_bavail * found.f_frsize
    fits = room > size_of(root, files) + _ROOM
    return (
        _MEMORY
        if fits and not found.f_flag & os.ST_NOEXEC and os.access(_MEMORY, os.W_OK)
        else None
    )
