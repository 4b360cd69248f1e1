"""`make denied` where it cannot do its work: one line that says so, and the exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import helpers
import pytest

SCRIPT = helpers.ROOT / "tests" / "proof" / "denied.sh"
# `unshare -Ur` of a machine: `$2` is what it is to start, `true` or the shell that sets the limit.
NO_NAMESPACES = "echo 'unshare failed: Operation not permitted' >&2; exit 1"
LIMIT_IS_CLOSED = """
[ "$2" = true ] && exit 0
echo 'sh: cannot create /proc/sys/user/max_user_namespaces: Permission denied' >&2
exit 2
"""
LIMIT_IS_IGNORED = "exit 0"


@pytest.mark.parametrize(
    ("unshare", "code", "said"),
    (
        (NO_NAMESPACES, 0, "gives no user namespace at all"),
        (LIMIT_IS_CLOSED, 1, "lets nobody deny them"),
        (LIMIT_IS_IGNORED, 1, "although their limit is zero"),
    ),
    ids=("no namespaces", "the limit cannot be set", "the limit is not kept"),
)
def test_what_could_not_be_tried_is_one_line(
    tmp_path: Path, unshare: str, code: int, said: str
) -> None:
    """Nothing is started for which the namespaces were not denied: this Python would fail."""
    program = tmp_path / "unshare"
    program.write_text(f"#!/bin/sh\n{unshare}\n")
    program.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [SCRIPT, sys.executable],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    (line,) = (done.stdout + done.stderr).splitlines()
    assert line.startswith("not reached: ")
    assert said in line
