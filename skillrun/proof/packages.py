"""The target's interpreter, and the versions of what is installed beside it, read from folder names alone."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from skillrun.errors import Blocked


def installed(python: str) -> list[str]:
    """`<name>-<version>.dist-info` of every distribution in the interpreter's environment, sorted. Nothing is run."""
    home = Path(python).parent.parent
    found: set[str] = set()
    for folder in (*home.glob("lib/python3*/site-packages"), *home.glob("lib/python3/dist-packages")):
        found |= {entry.name for entry in os.scandir(folder) if entry.name.endswith((".dist-info", ".egg-info"))}
    return sorted(found)


def find_python(root: Path, named: str | None) -> str:
    """proof.python, else the repository's environment, else the one that runs skillrun. Raises Blocked."""
    from skillrun.validations.environment import find_venv

    if named is not None:
        path = Path(named) if os.sep in named else Path(shutil.which(named) or named)
        path = path if path.is_absolute() else root / path
        if not os.access(path, os.X_OK):
            raise Blocked(f"proof.python: there is no interpreter {named}", hint="name the worker's python")
        return str(path)
    venv = find_venv(root)
    return str(venv / "bin" / "python") if venv else sys.executable
