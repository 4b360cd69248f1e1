"""The coded skills that are installed: the entry points of the group `skillrun.skills`.

Only what lies in skillrun's own environment counts. A repository is often on `sys.path` (`python
-m` puts the current folder there, and so does PYTHONPATH): what it holds registers nothing, and its
modules do not stand before those of a plug-in.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import site
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from skillrun import __version__
from skillrun.core.opening import read_file
from skillrun.core.resources import package_folder

GROUP = "skillrun.skills"
DISTRIBUTION = "skillrun-cli"
FILE_NAME = "SKILL.md"
_FILE = "entry_points.txt"
# How the folder of its metadata begins.
_OWN = "skillrun_cli-"
_ENTRY = re.compile(r'^([\w-]+) *= *"?([\w.]+:\w+)"?$', re.MULTILINE)


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
    """Those of skillrun itself: in a checkout, which need not be installed, from `pyproject.toml`,
    else from what its installer wrote.

    An unchanged resume asks for these, so the one section is read as text: a TOML parser and
    `importlib.metadata` would each take longer than all the rest of it.
    """
    home = package_folder().parent
    project = _read_text(home / "pyproject.toml")
    # Some packages leave their pyproject.toml in site-packages, beside skillrun's package.
    if f'name = "{DISTRIBUTION}"' in project:
        _, _, section = project.partition(f'[project.entry-points."{GROUP}"]\n')
    else:
        written = _read_text(home / f"{_OWN}{__version__}.dist-info" / _FILE)
        _, _, section = written.partition(f"[{GROUP}]\n")
    found = _ENTRY.findall(section.partition("\n[")[0])
    return tuple(Entry(name, value, DISTRIBUTION, home) for name, value in found)


def _read_text(file: Path) -> str:
    """The text of a file of skillrun's own; empty where there is none."""
    try:
        return read_file(file).decode("utf-8")
    except FileNotFoundError:
        return ""


@cache
def installed_entries() -> tuple[Entry, ...]:
    """Those of all other distributions, in the order of the folders that they lie in."""
    found: list[Entry] = []
    known = {DISTRIBUTION}
    for folder in filter(_has_plugins, _environment_folders()):
        from importlib import metadata

        for distribution in metadata.distributions(path=[str(folder)]):
            if GROUP not in (distribution.read_text(_FILE) or ""):
                continue
            name = _normalise(distribution.metadata["Name"] or "")
            if name in known:
                continue
            known.add(name)
            shown = f"{name} {distribution.version}"
            for point in distribution.entry_points.select(group=GROUP):
                found.append(Entry(point.name, point.value, shown, folder))
    return tuple(found)


def _has_plugins(folder: Path) -> bool:
    """Whether a distribution in a folder names the group: most folders hold none, and then
    `importlib.metadata` is not loaded.
    """
    for file in (*folder.glob(f"*.dist-info/{_FILE}"), *folder.glob(f"*.egg-info/{_FILE}")):
        if file.parent.name.startswith(_OWN):
            continue
        # One that cannot be read registers nothing.
        with contextlib.suppress(OSError):
            if GROUP.encode() in read_file(file):
                return True
    return False


def find_entries(name: str) -> list[Entry]:
    """Every entry of that name, skillrun's own first: more than one is a conflict."""
    entries = []
    for entry in (*own_entries(), *installed_entries()):
        if entry.name == name:
            entries.append(entry)
    return entries


def find_skill_file(entry: Entry) -> Path | None:
    """The SKILL.md beside the module of an entry, or in a package above it, found without importing
    any; None where there is none.
    """
    inner = entry.value.partition(":")[0].split(".")[1:]
    for place in _find_package(entry):
        for depth in range(len(inner), -1, -1):
            file = Path(place, *inner[:depth], FILE_NAME)
            if file.is_file():
                return file
    return None


def lacks_text(entry: Entry) -> bool:
    """Whether its package came without the SKILL.md: many a build backend takes modules alone
    along, unless it is told otherwise.
    """
    return not entry.is_own and find_skill_file(entry) is None


def list_modules(entry: Entry) -> list[Path]:
    """The Python files of the package of an entry."""
    found: list[Path] = []
    for place in _find_package(entry):
        found += place.rglob("*.py")
    return sorted(found)


def _find_package(entry: Entry) -> list[Path]:
    """The folders of the outermost package of an entry, found without importing it; none for a
    single module.
    """
    package = re.split(r"[.:]", entry.value)[0]
    with installed_first(entry.folder):
        try:
            found = importlib.util.find_spec(package)
        except (ImportError, ValueError):
            return []
    if found is None or found.submodule_search_locations is None:
        return []
    return [Path(place) for place in found.submodule_search_locations]


@contextlib.contextmanager
def installed_first(folder: Path) -> Iterator[None]:
    """Modules come from this folder before all others, and never from the current one."""
    before = list(sys.path)
    here = os.path.realpath(".")
    others = []
    for path in before:
        if os.path.realpath(path or ".") != here:
            others.append(path)
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
    home = package_folder().parent
    if not (home / "pyproject.toml").is_file():
        # `pip install --target FOLDER` puts plug-ins beside the package that asks for them.
        folders.append(str(home))
    real = (Path(os.path.realpath(folder)) for folder in folders)
    return list(dict.fromkeys(real))


def _normalise(name: str) -> str:
    """A distribution's name as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()
