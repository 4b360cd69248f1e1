"""The test command of a repository that declares none: its own pytest, where it has tests and that
is installed.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from skillrun.core.errors import Blocked

TESTS = ("**/test_*.py", "**/*_test.py")
_PYTEST = re.compile(r"pytest-\d[^/]*\.(?:dist|egg)-info")


def pytest_command(root: Path, named: str | None = None) -> str | None:
    """`PYTHON -m pytest` with the interpreter in which the stage tests runs; None where pytest is
    not beside it.

    `named` is proof.python of the spec. Nothing is run: what is installed is read from folder
    names.
    """
    from skillrun.proof.packages import find_python, installed

    try:
        python = find_python(root, named)
    except Blocked:  # the proof says so with its place in the spec
        return None
    if not any(_PYTEST.fullmatch(name) for name in installed(python)):
        return None
    return shlex.join([_from_root(python, root), "-m", "pytest"])


def own_pytest_command(root: Path) -> str | None:
    """The same where the environment lies in the repository, as on every machine that has set it up
    so.
    """
    command = pytest_command(root)
    if command is None or Path(shlex.split(command)[0]).is_absolute():
        return None
    return command


def _from_root(python: str, root: Path) -> str:
    """The interpreter as a command in the root names it. A venv's Python is a link, which must not
    be followed.
    """
    path = Path(python)
    if path.is_relative_to(root):
        return str(path.relative_to(root))
    return python
