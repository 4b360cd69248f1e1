"""One thing that doctor looked at, and how a program is asked within a time limit."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from skillrun.core.text import masked, visible

Level = Literal["ok", "note", "problem"]


@dataclass(frozen=True)
class Check:
    """`area` is "machine", "repository" or an agent's name; a problem always says what to do."""

    area: str
    level: Level
    text: str
    do: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", masked(self.text))


@dataclass(frozen=True)
class Answer:
    """What a program said. `code` is None where it took too long and was ended."""

    code: int | None
    stdout: str
    stderr: str

    @property
    def first_line(self) -> str:
        """The first line that says something, safe to show."""
        lines = (line.strip() for line in (*self.stdout.splitlines(), *self.stderr.splitlines()))
        return visible(next(filter(None, lines), ""), limit=200)


def run_briefly(
    command: Sequence[str], cwd: Path, *, limit_s: float, env: Mapping[str, str], stdin: str = ""
) -> Answer:
    """Runs a program; it and all that it started are ended after `limit_s`. Raises OSError where it
    cannot start.
    """
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=dict(env),
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(stdin.encode(), timeout=limit_s)
        code: int | None = process.returncode
    except subprocess.TimeoutExpired:
        out, err, code = b"", b"", None
    finally:
        # What it started may have outlived it; the group is its own, see `start_new_session`.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return Answer(code, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))
