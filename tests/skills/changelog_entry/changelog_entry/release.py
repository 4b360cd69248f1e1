"""The spec of a release: its version, in `.skillrun/changelog/*.yaml` or as `--set version=1.2`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skillrun.contract.specfile import StatedWaiver, read_raw_spec
from skillrun.core.errors import SpecInvalid
from skillrun.core.opening import parse_yaml


@dataclass(frozen=True)
class Release:
    """Fits `skillrun.contract.specfile.Spec`."""

    raw: Mapping[str, Any]
    shown_path: str = "--set"
    waivers: tuple[StatedWaiver, ...] = ()

    @property
    def version(self) -> str:
        return str(self.raw["version"])

    @property
    def job(self) -> str:
        return f"release-{self.version}"

    @property
    def inputs(self) -> Mapping[str, Any]:
        return self.raw

    def private_values(self) -> tuple[str, ...]:
        return ()


def load_release(file: Path, overrides: Mapping[str, str], root: Path) -> Release:
    """The release of a file, with --set laid over it. Raises SpecInvalid."""
    shown = file.absolute().relative_to(root).as_posix()
    try:
        value = parse_yaml(read_raw_spec(file)[0])
    except ValueError as error:
        raise SpecInvalid(f"{shown}: {error}", hint="write version: '1.2'") from None
    return _check({**value, **overrides} if isinstance(value, dict) else {}, shown)


def read_settings(overrides: Mapping[str, str]) -> Release:
    """A release of --set alone."""
    return _check(overrides, "--set")


def _check(value: Mapping[str, Any], shown: str) -> Release:
    if set(value) != {"version"}:
        raise SpecInvalid(f"{shown}: a release has a version and nothing else")
    return Release(value, shown)
