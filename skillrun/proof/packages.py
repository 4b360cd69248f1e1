"""The target's interpreter, and the versions of what is installed beside it, read from folder names
alone.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from skillrun.core.errors import Blocked


def installed(python: str) -> list[str]:
    """`<name>-<version>.dist-info` of every distribution in the interpreter's environment, sorted.
    Nothing is run.
    """
    home = Path(python).parent.parent
    found: set[str] = set()
    for folder in (
        *home.glob("lib/python3*/site-packages"),
        *home.glob("lib/python3/dist-packages"),
    ):
        found |= {
            entry.name
            for entry in os.scandir(folder)
            if entry.name.endswith((".dist-info", ".egg-info"))
        }
    return sorted(found)


OLDEST = (3, 9)


def find_python(root: Path, named: str | None) -> str:
    """proof.python, else the repository's environment, the activated one, or skillrun's own. Raises
    Blocked.

    Nothing is run: a spec may name any file, and stages ask for this before anybody consented.
    """
    from skillrun.validations import environment

    if named is None:
        return environment.find_python(root)
    path = Path(named) if os.sep in named else Path(shutil.which(named) or named)
    path = path if path.is_absolute() else root / path
    if not os.access(path, os.X_OK):
        raise Blocked(
            f"proof.python: there is no interpreter {named}", hint="name the worker's python"
        )
    return str(path)


def check_python(python: str, root: Path, env: Mapping[str, str], prefix: Sequence[str]) -> None:
    """Raises Blocked for what is no Python, or too old for the probe. It is run, in the sandbox
    behind `prefix`.
    """
    from skillrun.validations.run import run_command

    code = "import sys; print('python', *sys.version_info[:2])"
    command = f"exec {shlex.join([python, '-I', '-S', '-c', code])}"
    done = run_command(command, cwd=root, env=env, timeout_s=20, tail_bytes=200, prefix=prefix)
    said = done.tail.split()
    if len(said) != 3 or said[0] != "python":
        raise Blocked(
            f"proof.python: {python} is no Python interpreter", hint="name the worker's python"
        )
    version = int(said[1]), int(said[2])
    if version < OLDEST:
        wanted = f"{OLDEST[0]}.{OLDEST[1]}"
        words = f"{python} is Python {version[0]}.{version[1]}; the proof needs {wanted} or newer"
        raise Blocked(
            f"proof.python: {words}", hint="name a newer one in which the worker runs, too"
        )
