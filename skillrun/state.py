"""The user's own folder, outside of every repository, and small files in it that nobody else can have written."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

_MOST = 16 * 1024 * 1024  # bytes: what is kept there is far smaller


def state_dir() -> Path:
    """Where skillrun keeps what belongs to the user: SKILLRUN_STATE_DIR, else the system's usual place."""
    if chosen := os.environ.get("SKILLRUN_STATE_DIR"):
        return Path(chosen).absolute()
    if sys.platform == "darwin":
        return Path("~/Library/Application Support/skillrun").expanduser()
    state_home = os.environ.get("XDG_STATE_HOME", "")
    base = Path(state_home) if state_home.startswith("/") else Path("~/.local/state").expanduser()
    return base / "skillrun"


def lies_in(folder: Path, root: Path) -> bool:
    """Whether a folder lies in a working tree, whatever links lead there: then it could have come with it."""
    return Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(root))


def read_own(path: Path) -> bytes | None:
    """The content of a file that only this user can have written; None where there is none of that kind.

    Neither a link nor a pipe is followed or waited for, and the folder must be the user's own as well.
    """
    try:
        if not _belongs_to_user(path.parent.lstat()):
            return None
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    status = os.fstat(opened)
    if not stat.S_ISREG(status.st_mode) or not _belongs_to_user(status):
        os.close(opened)  # a folder, say, which no file object can be made of
        return None
    with os.fdopen(opened, "rb") as file:
        return file.read(_MOST)


def write_own(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all, for its owner alone. Raises OSError."""
    import tempfile

    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _belongs_to_user(status: os.stat_result) -> bool:
    is_link = stat.S_ISLNK(status.st_mode)
    others_may_write = bool(status.st_mode & 0o022)
    return status.st_uid == os.geteuid() and not others_may_write and not is_link
