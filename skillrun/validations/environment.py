"""The environment that a repository's own commands get: the user's, as if they were typed in a
fresh terminal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

# `git rev-parse --local-env-vars`: inside a hook they would turn git towards another repository.
_GIT = frozenset(
    (
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_CONFIG",
        "GIT_CONFIG_PARAMETERS",
        "GIT_CONFIG_COUNT",
        "GIT_OBJECT_DIRECTORY",
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_GRAFT_FILE",
        "GIT_INDEX_FILE",
        "GIT_NO_REPLACE_OBJECTS",
        "GIT_REPLACE_REF_BASE",
        "GIT_PREFIX",
        "GIT_SHALLOW_FILE",
        "GIT_COMMON_DIR",
        "GIT_NAMESPACE",
        "GIT_QUARANTINE_PATH",
    )
)
# A skillrun called by make would hand its flags and its job server down.
_MAKE = frozenset(("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MAKEFILES"))
_DROPPED = _GIT | _MAKE


def command_env(root: Path, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """The user's environment without the variables of skillrun, git and make; a venv of the
    repository leads PATH.
    """
    source = os.environ if base is None else base
    env = {}
    for name, value in source.items():
        if name not in _DROPPED and not name.startswith("SKILLRUN_"):
            env[name] = value
    venv = find_venv(root)
    if venv is not None:
        env["VIRTUAL_ENV"] = str(venv)
        env["PATH"] = os.pathsep.join(
            filter(None, (str(venv / "bin"), env.get("PATH", os.defpath)))
        )
        env.pop("PYTHONHOME", None)
    return env


def find_venv(root: Path) -> Path | None:
    """The repository's virtual environment, `.venv` before `venv`; absolute, or None."""
    for name in (".venv", "venv"):
        if os.access(root / name / "bin" / "python", os.X_OK):
            return (root / name).absolute()
    return None


def find_python(root: Path) -> str:
    """The interpreter of the repository's virtual environment, else of the activated one, else
    skillrun's own.
    """
    active = os.environ.get("VIRTUAL_ENV")
    for venv in (find_venv(root), Path(active) if active else None):
        if venv is not None and os.access(venv / "bin" / "python", os.X_OK):
            return str(venv / "bin" / "python")
    return sys.executable
