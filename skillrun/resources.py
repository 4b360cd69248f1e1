"""Finds the data that ships with skillrun: `schemas/`, `skills/` and `ledger/` (checkout first, wheel second)."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def resource(*parts: str) -> Path:
    """The path of a shipped file or folder, e.g. `resource("schemas", "job-spec.v1.json")`.

    In a checkout the folders stand beside the package; in a wheel they are in `skillrun/_data`.
    """
    checkout = _PACKAGE.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / parts[0]).is_dir():
        return checkout.joinpath(*parts)
    return _PACKAGE.joinpath("_data", *parts)
