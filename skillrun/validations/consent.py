"""Remembers, outside the repository, which commands of it somebody has allowed to run."""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from skillrun.canonical import digest
from skillrun.errors import Blocked

_KEY = re.compile(r"[0-9a-f]{64}\Z")


def consent_key(commands: Sequence[str], files: Mapping[str, str | None]) -> str:
    """The sha256 of what will run: the commands in their order, and the files that define them.

    `files`: path -> sha256 (None: looked for, not there), e.g. of the Makefile. An edit to any of them asks again.
    """
    return digest({"consent": 1, "commands": list(commands), "files": dict(files)})


class Consent:
    """The answers, one small file per key, readable by their owner alone."""

    def __init__(self, store: Path | None = None) -> None:
        self.store = state_dir() / "consent" if store is None else store

    def given(self, key: str) -> bool:
        """Whether this user has allowed exactly that. An answer that others could have written does not count."""
        path = self._path(key)
        try:
            return _is_ours(self.store) and _is_ours(path) and json.loads(path.read_bytes())["key"] == key
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def give(self, key: str, how: str, commands: Sequence[str]) -> Path:
        """Keep the answer; `how` says by what means ("terminal", "--trust"). Raises Blocked where it cannot be kept."""
        answer = {"key": key, "how": how, "commands": list(commands), "given_at": datetime.now(UTC).isoformat()}
        path = self._path(key)
        try:
            self.store.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(path, json.dumps(answer, indent=1).encode())
        except OSError as error:
            raise Blocked(
                f"{self.store}: the consent cannot be kept: {error.strerror or error}",
                hint="set SKILLRUN_STATE_DIR to a folder outside the repository that you can write",
            ) from error
        return path

    def _path(self, key: str) -> Path:
        if not _KEY.match(key):
            raise ValueError(f"not a consent key: {key!r}")
        return self.store / f"{key}.json"


def state_dir() -> Path:
    """Where skillrun keeps what belongs to the user: SKILLRUN_STATE_DIR, else the system's usual place."""
    if chosen := os.environ.get("SKILLRUN_STATE_DIR"):
        return Path(chosen).absolute()
    if sys.platform == "darwin":
        return Path("~/Library/Application Support/skillrun").expanduser()
    state_home = os.environ.get("XDG_STATE_HOME", "")
    base = Path(state_home) if state_home.startswith("/") else Path("~/.local/state").expanduser()
    return base / "skillrun"


def _is_ours(path: Path) -> bool:
    status = path.lstat()
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022 and not stat.S_ISLNK(status.st_mode)


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, mode 0600."""
    import tempfile

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
