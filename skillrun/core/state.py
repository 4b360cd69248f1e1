"""The user's own folder, outside of every repository, and small files in it that nobody else can
have written.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shlex
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from skillrun.core.file_locks import wait_for_lock

# Bytes: what is kept there is far smaller.
_MOST = 16 * 1024 * 1024
# A write takes milliseconds.
_PATIENCE_S = 10.0
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def state_dir() -> Path:
    """Where skillrun keeps what belongs to the user: SKILLRUN_STATE_DIR, else the system's usual
    place.
    """
    if chosen := os.environ.get("SKILLRUN_STATE_DIR"):
        return Path(chosen).absolute()
    if sys.platform == "darwin":
        return Path("~/Library/Application Support/skillrun").expanduser()
    state_home = os.environ.get("XDG_STATE_HOME", "")
    if state_home.startswith("/"):
        base = Path(state_home)
    else:
        base = Path("~/.local/state").expanduser()
    return base / "skillrun"


def lies_in(folder: Path, root: Path) -> bool:
    """Whether a folder lies in a working tree, whatever links lead there: then it could have come
    with it.
    """
    return Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(root))


def read_own(path: Path) -> bytes | None:
    """The content of a file that only this user can have written; None where there is none of that
    kind.

    Neither a link nor a pipe is followed or waited for, and the folder must be the user's own as
    well.
    """
    try:
        if not _belongs_to_user(path.parent.lstat()):
            return None
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    status = os.fstat(opened)
    if not stat.S_ISREG(status.st_mode) or not _belongs_to_user(status):
        # A folder, say, which no file object can be made of.
        os.close(opened)
        return None
    with os.fdopen(opened, "rb") as file:
        return file.read(_MOST)


def make_own_folder(folder: Path) -> None:
    """Makes a folder of the user's own, and those of skillrun above it: for the owner alone.

    One that the user's group can write is mended: that is what a umask of 002 makes of a folder.
    Raises OSError where it belongs to somebody else, is a link, or anybody can write there.
    """
    own = _list_own_folders(folder)
    own[0].parent.mkdir(parents=True, exist_ok=True)
    for one in own:
        _make_private(one)


@contextlib.contextmanager
def hold_own_folder(folder: Path) -> Iterator[None]:
    """What is read there and written back is not changed by another skillrun meanwhile. Raises
    OSError.

    The system releases the lock when its holder dies. Where there are no locks, nobody is seen.
    """
    make_own_folder(folder)
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _lock_folder(opened, folder)
        yield
    finally:
        os.close(opened)


def write_own(path: Path, content: bytes, *, replace: bool = True) -> None:
    """Writes a file whole or not at all, for its owner alone, in a folder of the owner's own.

    Without `replace`, one that is there stays, and FileExistsError says so. Raises OSError.
    """
    make_own_folder(path.parent)
    draft = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        write_private(draft, content)
        if replace:
            draft.replace(path)
        else:
            # Unlike a rename it never replaces a file.
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def write_private(path: Path, content: bytes) -> None:
    """A new file for its owner alone, on the disk. What had the name goes; a link is not
    followed.
    """
    path.unlink(missing_ok=True)
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(opened, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(opened)


def explain_distrust(path: Path) -> str | None:
    """Why `read_own` does not believe a file that is there, and what to run; None where it does."""
    for place in (path.parent, path):
        try:
            status = place.lstat()
        except OSError:
            return None
        if stat.S_ISLNK(status.st_mode):
            return f"{place}: a link; set SKILLRUN_STATE_DIR to the folder itself"
        if status.st_uid != os.geteuid():
            return (
                f"{place}: it belongs to another user; set SKILLRUN_STATE_DIR to a folder of yours"
            )
        if status.st_mode & _OTHERS_WRITE:
            return f"{place}: others can write there; run: chmod go-w {shlex.quote(str(place))}"
    return None


def _lock_folder(opened: int, folder: Path) -> None:
    """Takes the lock of a folder. Raises TimeoutError where somebody else keeps it for too long."""
    try:
        is_ours = wait_for_lock(opened, _PATIENCE_S)
    except OSError:
        return  # a file system without locks: nobody is seen there
    if not is_ours:
        said = "another skillrun is writing there"
        raise TimeoutError(errno.ETIMEDOUT, said, str(folder))


def _list_own_folders(folder: Path) -> list[Path]:
    """The folder and those above it that are skillrun's, the outermost first."""
    top = state_dir()
    own = [folder]
    if folder.is_relative_to(top):
        for above in folder.parents:
            if above.is_relative_to(top):
                own.append(above)
    return own[::-1]


def _make_private(folder: Path) -> None:
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if _belongs_to_user(status) and stat.S_ISDIR(status.st_mode):
        return
    is_own_folder = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    if not is_own_folder or status.st_mode & stat.S_IWOTH:
        said = explain_distrust(folder / "any") or f"{folder}: not a folder"
        raise PermissionError(errno.EPERM, said.removeprefix(f"{folder}: "), str(folder))
    folder.chmod(stat.S_IMODE(status.st_mode) & ~_OTHERS_WRITE)


def _belongs_to_user(status: os.stat_result) -> bool:
    is_link = stat.S_ISLNK(status.st_mode)
    others_may_write = bool(status.st_mode & _OTHERS_WRITE)
    return status.st_uid == os.geteuid() and not others_may_write and not is_link
