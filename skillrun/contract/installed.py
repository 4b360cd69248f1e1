"""The coded skills that are installed: the entry points of the group `skillrun.skills`.

Only what lies in skillrun's own environment counts. A repository is often on `sys.path` (`python
-m` puts the current folder there, and so does PYTHONPATH): what it holds registers nothing, and its
modules do not stand before those of a plug-in.
"""

from __future__ import annotations

import importlib.util
import os
import re
import site
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from skillrun.resources import checkout_folder, package_folder

GROUP = "skillrun.skills"
DISTRIBUTION = "skillrun-cli"
FILE_NAME = "SKILL.md"


@dataclass(frozen=True)
class Entry:
    """One entry point: the skill's name, where its value is, and who registers it."""

    name: str
    value: str  # "package.module:NAME"
    distribution: str  # name and version
    folder: Path  # that the distribution lies in

    @property
    def is_own(self) -> bool:
        """Whether skillrun itself registers it."""
        return self.distribution.partition(" ")[0] == DISTRIBUTION


@cache
def own_entries() -> tuple[Entry, ...]:
    """Those of skillrun itself in a checkout, which need not be installed; an installed skillrun is
    found as every other distribution.
    """
    checkout = checkout_folder()
    if checkout is None:
        return ()
    import tomllib

    document = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))
    project = document.get("project", {})
    # Some packages leave their pyproject.toml in site-packages, beside skillrun's own.
    if project.get("name") != DISTRIBUTION:
        return ()
    entries = project["entry-points"][GROUP]
    return tuple(Entry(name, value, DISTRIBUTION, checkout) for name, value in entries.items())


@cache
def installed_entries() -> tuple[Entry, ...]:
    """Those of all other distributions, in the order of the folders that they lie in."""
    from importlib import metadata

    found: list[Entry] = []
    known: set[str] = set()
    if own_entries():
        known.add(DISTRIBUTION)
    for folder in _environment_folders():
        for distribution in metadata.distributions(path=[str(folder)]):
            # A file without the group is not parsed: most distributions have no such file.
            if GROUP not in (distribution.read_text("entry_points.txt") or ""):
                continue
            name = _normalise(distribution.metadata["Name"] or "")
            if name in known:
                continue
            known.add(name)
            shown = f"{name} {distribution.version}"
            for point in distribution.entry_points.select(group=GROUP):
                found.append(Entry(point.name, point.value, shown, folder))
    return tuple(found)


def find_entries(name: str) -> list[Entry]:
    """Every entry of that name, skillrun's own first: more than one is a conflict."""
    return [entry for entry in (*own_entries(), *installed_entries()) if entry.name == name]


def find_skill_file(entry: Entry) -> Path | None:
    """The SKILL.md beside the module of an entry, or in a package above it, found without importing
    any; None where there is none.
    """
    package, *inner = entry.value.partition(":")[0].split(".")
    with installed_first(entry.folder):
        try:
            found = importlib.util.find_spec(package)
        except (ImportError, ValueError):
            return None
    for place in (found and found.submodule_search_locations) or ():
        for depth in range(len(inner), -1, -1):
            file = Path(place, *inner[:depth], FILE_NAME)
            if file.is_file():
                return file
    return None


@contextmanager
def installed_first(folder: Path) -> Iterator[None]:
    """Modules come from this folder before all others, and never from the current one."""
    before = list(sys.path)
    here = os.path.realpath(".")
    others = [path for path in before if os.path.realpath(path or ".") != here]
    sys.path[:] = [str(folder), *others]
    try:
        yield
    finally:
        sys.path[:] = before


def _environment_folders() -> list[Path]:
    """The folders that packages are installed in for this interpreter, and the one that skillrun
    was installed in.
    """
    folders = list(site.getsitepackages())
    if site.ENABLE_USER_SITE:
        folders.append(site.getusersitepackages())
    if checkout_folder() is None:
        # `pip install --target FOLDER` puts skillrun and its plug-ins beside each other.
        folders.append(str(package_folder().parent))
    real = (Path(os.path.realpath(folder)) for folder in folders)
    return list(dict.fromkeys(real))


def _normalise(name: str) -> str:
    """A distribution's name as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()
