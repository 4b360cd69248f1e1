"""How the specs of a skill are found, read and hashed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from skillrun.contract.specfile import SPEC_FOLDER, Spec, read_raw_spec


def load_job_spec(file: Path, overrides: Mapping[str, str], root: Path) -> Spec:
    """A spec that satisfies `job-spec.v1.json`."""
    # Its schema and model take longer to import than the rest of an unchanged resume.
    from skillrun.contract.spec import load_spec

    return load_spec(file, overrides=overrides, root=root)


def read_settings(overrides: Mapping[str, str]) -> Spec:
    """The same of --set alone, for a skill that needs only inputs."""
    from skillrun.contract.spec import spec_from_settings

    return spec_from_settings(overrides)


def hash_spec(file: Path) -> str:
    """The sha256 of a spec's bytes. Raises SpecInvalid where it cannot be read."""
    return read_raw_spec(file)[1]


@dataclass(frozen=True)
class SpecFormat:
    """Where the specs of a skill lie, and how one is read and hashed."""

    # None where the work is the whole repository's: then a spec is read where one is named.
    folder: Path | None = None
    # From the file, --set and the repository's root. Raises SpecInvalid.
    load: Callable[[Path, Mapping[str, str], Path], Spec] = load_job_spec
    # Of --set alone; None where a run needs a file.
    from_settings: Callable[[Mapping[str, str]], Spec] | None = read_settings
    # Asked before anything is parsed: the same sha256 means the same spec.
    hash_file: Callable[[Path], str] = hash_spec
    # What a message calls one of them.
    title: str = "spec"
    # What a person is told who has none: `write one with: ...`.
    how_to_write: str | None = None
    # On a terminal its fields are asked for, where there is none.
    is_asked_for: bool = False


SHARED_SPECS = SpecFormat(SPEC_FOLDER, title="job spec")
"""What a skill reads that names no format: the job specs, whose `inputs` and `waivers` any skill may
use.
"""
