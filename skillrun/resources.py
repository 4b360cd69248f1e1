"""Finds the data that ships with skillrun: `schemas/`, `skills/` and `ledger/` (checkout first, wheel second)."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from skillrun import __version__

_PACKAGE = Path(__file__).resolve().parent


def resource(*parts: str) -> Path:
    """The path of a shipped file or folder, e.g. `resource("schemas", "job-spec.v1.json")`.

    In a checkout the folders stand beside the package; in a wheel they are in `skillrun/_data`.
    """
    checkout = _PACKAGE.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / parts[0]).is_dir():
        return checkout.joinpath(*parts)
    return _PACKAGE.joinpath("_data", *parts)


@cache
def tool_version() -> str:
    """The version that evidence rests on. In a checkout it changes with every edit of skillrun's own sources."""
    if not (_PACKAGE.parent / "pyproject.toml").is_file():
        return __version__
    seen = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        stat = path.stat()
        seen.update(f"{path} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return f"{__version__}+{seen.hexdigest()[:12]}"
