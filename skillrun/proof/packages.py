"""The target's interpreter, and the versions of what is installed beside it, read from folder names alone."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from skillrun.errors import Blocked


def installed(python: str) -> list[str]:
    """`<name>-<version>.dist-info` of every distribution in the interpreter's environment, sorted. Nothing is run."""
    home = Path(python).parent.parent
    found: set[str] = set()
    for folder in (*home.glob("lib/python3*/site-packages"), *home.glob("lib/python3/dist-packages")):
        found |= {entry.name for entry in os.scandir(folder) if entry.name.endswith((".dist-info", ".egg-info"))}
    return sorted(found)


OLDEST = (3, 9)


def locate_python(root: Path, named: str | None) -> str:
    """proof.python, else the repository's environment, the activated one, or skillrun's own. Raises Blocked.

    Nothing is run: a spec may name any program of the repository.
    """
    from skillrun.validations import environment

    if named is None:
        return environment.find_python(root)
    path = Path(named) if os.sep in named else Path(shutil.which(named) or named)
    path = path if path.is_absolute() else root / path
    if not os.access(path, os.X_OK):
        raise Blocked(f"proof.python: there is no interpreter {named}", hint="name the worker's python")
    return str(path)


def find_python(root: Path, named: str | None) -> str:
    """As `locate_python`, and asked whether it is one. Runs it, so somebody must have allowed that. Raises Blocked."""
    path = locate_python(root, named)
    return path if named is None else _checked(path, named)


@cache
def _checked(python: str, named: str) -> str:
    """The path of what is really a Python, and new enough for the probe. Raises Blocked."""
    command = [python, "-I", "-S", "-c", "import sys; print('python', *sys.version_info[:2])"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=20).stdout.split()
    except (OSError, subprocess.TimeoutExpired):
        said = []
    if len(said) != 3 or said[0] != "python":
        raise Blocked(f"proof.python: {named} is no Python interpreter", hint="name the worker's python")
    version = int(said[1]), int(said[2])
    if version < OLDEST:
        words = f"{named} is Python {version[0]}.{version[1]}; the proof needs {OLDEST[0]}.{OLDEST[1]} or newer"
        raise Blocked(f"proof.python: {words}", hint="name a newer one in which the worker runs, too")
    return python
