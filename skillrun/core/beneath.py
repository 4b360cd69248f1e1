"""Changes below a folder that cannot be led out of it: no part of the way is a symbolic link when
it is gone.

A path that was looked at may lead elsewhere a moment later. Here each folder is opened in the one
before it, and what changes is named in the last of them.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from skillrun.core.canonical import sha256

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def is_beneath(name: str) -> bool:
    """Whether a relative path stays below its base by its own words, and out of git's folder."""
    parts = name.split("/")
    odd = {"", ".", "..", ".git"}.intersection(part.casefold() for part in parts)
    return not odd and "\0" not in name


@contextlib.contextmanager
def open_parent(base: Path, name: str) -> Iterator[tuple[int, str]]:
    """(a descriptor of the folder that holds it, its last name). Raises OSError where a part is no
    folder.
    """
    path = PurePosixPath(name)
    fd = os.open(base, _FOLDER)
    try:
        for part in path.parent.parts:
            inner = os.open(part, _FOLDER, dir_fd=fd)
            os.close(fd)
            fd = inner
        yield fd, path.name
    finally:
        os.close(fd)


def put_file(base: Path, name: str, data: bytes, mode: int) -> None:
    """A new file, on the disk; a leftover of that name is replaced, a symbolic link not
    followed.
    """
    with open_parent(base, name) as (folder, last):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(last, dir_fd=folder)
        fd = os.open(last, _NEW_FILE, 0o600, dir_fd=folder)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            os.fchmod(fd, mode)
            file.flush()
            os.fsync(fd)


def move_file(base: Path, draft: str, name: str) -> None:
    """Puts a draft in the place of its file beside it; nothing where there is no draft any more."""
    with open_parent(base, name) as (folder, last), contextlib.suppress(FileNotFoundError):
        os.replace(PurePosixPath(draft).name, last, src_dir_fd=folder, dst_dir_fd=folder)


def remove_file(base: Path, name: str) -> None:
    """Removes a file; nothing where there is none."""
    with (
        contextlib.suppress(FileNotFoundError, NotADirectoryError),
        open_parent(base, name) as (folder, last),
    ):
        os.unlink(last, dir_fd=folder)


def make_folder(base: Path, name: str) -> None:
    """Makes a folder. Raises OSError where there is something."""
    with open_parent(base, name) as (folder, last):
        os.mkdir(last, dir_fd=folder)


def remove_folder(base: Path, name: str) -> None:
    """Removes a folder that is empty; nothing where it is not, or is not there."""
    with contextlib.suppress(OSError), open_parent(base, name) as (folder, last):
        os.rmdir(last, dir_fd=folder)


def hash_file(base: Path, name: str) -> str | None:
    """sha256 of a file; None where there is none; "" for what is no plain file, or cannot be
    reached.
    """
    try:
        with open_parent(base, name) as (folder, last):
            fd = os.open(last, _READ, dir_fd=folder)
        with os.fdopen(fd, "rb") as file:
            is_plain = stat.S_ISREG(os.fstat(fd).st_mode)
            if not is_plain:
                return ""
            return sha256(file.read())
    except FileNotFoundError:
        return None
    except OSError:
        return ""
