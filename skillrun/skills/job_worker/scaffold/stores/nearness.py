"""Which of a repository's places belong to a job: those of another project beside its own do
not.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from skillrun.repo.python import Project

_MANIFESTS = ("pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", "Pipfile")


def within_reach(project: Project, paths: Iterable[str], near: str) -> list[str]:
    """The paths that code at `near` can import, the nearest first.

    A repository may hold several projects, each with a manifest. What another one keeps is out of
    reach, unless it lies in a folder around `near`, or something in the project of `near` imports
    it.
    """
    own = _home(project, near)
    reached = [path for path in paths if _reaches(project, own, path)]
    return sorted(reached, key=lambda path: (distance(path, near), path))


def is_around(project: Project, path: str, near: str) -> bool:
    """Whether a file is of the same project as `near`, or of one that it lies in."""
    return _home(project, near).startswith(_home(project, path))


def distance(path: str, near: str) -> int:
    """How many folders lie between two files."""
    ours, theirs = path.split("/")[:-1], near.split("/")[:-1]
    shared = None
    for at, pair in enumerate(zip(ours, theirs, strict=False)):
        if pair[0] != pair[1]:
            shared = at
            break
    if shared is None:
        common = min(len(ours), len(theirs))
    else:
        common = shared
    return len(ours) + len(theirs) - 2 * common


def _home(project: Project, path: str) -> str:
    """The folder of the nearest manifest above a file, "" for the repository itself; it ends with a
    slash.
    """
    homes = project.remember(("homes",), lambda: _homes(project))
    folder = path.rpartition("/")[0]
    while folder and folder not in homes:
        folder = folder.rpartition("/")[0]
    if not folder:
        return ""
    return f"{folder}/"


def _homes(project: Project) -> set[str]:
    found = set()
    for name in _MANIFESTS:
        for path in project.tree.match(f"**/{name}"):
            found.add(path.rpartition("/")[0])
    return found


def _reaches(project: Project, own: str, path: str) -> bool:
    home = _home(project, path)
    if own.startswith(home):
        return True
    package = project.import_name(path).partition(".")[0]
    return project.remember(
        ("reaches", own, home, package), lambda: _imports(project, own, home, package)
    )


def _imports(project: Project, own: str, home: str, package: str) -> bool:
    """Whether something in the project `own`, but not in `home`, imports the package."""
    line = re.compile(rb"^\s*(from|import)\s+" + re.escape(package.encode()) + rb"\b", re.MULTILINE)
    ours = (
        one
        for one in project.tree.search(package)
        if one.startswith(own) and not one.startswith(home)
    )
    return any(line.search(project.tree.read(one) or b"") for one in ours)
