"""Finds the data that ships with skillrun: `schemas/`, `skills/` and `ledger/` (checkout first,
wheel second).
"""

from __future__ import annotations

import hashlib
import shutil
from functools import cache
from pathlib import Path

from skillrun import __version__

_PACKAGE = Path(__file__).resolve().parents[1]


def package_folder() -> Path:
    """The folder of the package `skillrun` itself."""
    return _PACKAGE


def checkout_folder() -> Path | None:
    """The checkout that skillrun runs from; None where it is installed."""
    folder = _PACKAGE.parent
    if not (folder / "pyproject.toml").is_file():
        return None
    return folder


def resource(*parts: str) -> Path:
    """The path of a shipped file or folder, e.g. `resource("schemas", "job-spec.v1.json")`.

    In a checkout the folders stand beside the package; in a wheel they are in `skillrun/_data`.
    """
    checkout = checkout_folder()
    if checkout is not None and (checkout / parts[0]).is_dir():
        return checkout.joinpath(*parts)
    return _PACKAGE.joinpath("_data", *parts)


# An installer compiles every Python file of a wheel, also the examples among its data (pip does
# unless told not to). What it leaves there is nothing that skillrun ships.
_CACHE_FOLDERS = frozenset({"__pycache__", ".pytest_cache"})


def copy_resource(source: Path, target: Path) -> None:
    """Copies a shipped folder, laid over what `target` holds already; caches of an interpreter stay
    behind.
    """
    shutil.copytree(
        source, target, ignore=shutil.ignore_patterns(*_CACHE_FOLDERS, "*.pyc"), dirs_exist_ok=True
    )


def list_resource_files(folder: Path) -> list[str]:
    """The names of the files below a shipped folder, in order, with `/` between their parts;
    without caches.
    """
    names = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and not _is_cached(name):
            names.append(name.as_posix())
    return names


def _is_cached(name: Path) -> bool:
    """Whether the file, or a folder that it is in, is a cache."""
    in_folder = not _CACHE_FOLDERS.isdisjoint(name.parts)
    return in_folder or name.suffix == ".pyc"


@cache
def tool_version() -> str:
    """The version that evidence rests on. In a checkout it changes with every edit of skillrun's
    own sources.
    """
    if checkout_folder() is None:
        return __version__
    seen = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        stat = path.stat()
        seen.update(f"{path} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return f"{__version__}+{seen.hexdigest()[:12]}"
