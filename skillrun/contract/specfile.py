"""The bytes of a job spec and their sha256, unread: all that a resume needs to know that nothing
changed.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from skillrun.core.canonical import digest, sha256
from skillrun.core.errors import SpecInvalid
from skillrun.core.opening import read_file

MAX_BYTES = 1_000_000
SPEC_FOLDER = Path(".skillrun") / "jobs"
SUFFIXES = (".yaml", ".yml", ".json")
SCHEMA_NAME = "job-spec.v1.json"


class StatedWaiver(Protocol):
    """A waiver that stands in a spec."""

    @property
    def item(self) -> str: ...

    @property
    def reason(self) -> str: ...

    @property
    def by(self) -> str | None: ...


class Spec(Protocol):
    """What a run reads of any skill's spec; all else is read by the stages of the skill itself."""

    @property
    def job(self) -> str:
        """What the run is about, as the ledger's column `job` has it."""

    @property
    def raw(self) -> Mapping[str, Any]:
        """Its parts as JSON values; a stage is stale when one that it reads has changed."""

    @property
    def shown_path(self) -> str:
        """Its file, relative to the repository where it lies inside."""

    @property
    def waivers(self) -> Sequence[StatedWaiver]: ...

    @property
    def inputs(self) -> Mapping[str, Any]:
        """Input of the skill, or field of its telemetry -> value."""

    def private_values(self) -> Iterable[str]:
        """Values that no excerpt of the spec shows, whatever their names are."""


def read_raw_spec(path: Path) -> tuple[bytes, str]:
    """The bytes of a job spec and their sha256. SpecInvalid where it is missing, no file, or larger
    than 1 MB.
    """
    hint = "write one with: skillrun spec init"
    try:
        if path.exists() and not path.is_file():
            raise SpecInvalid(f"{path}: is not a file", hint=hint)
        data = read_file(path, MAX_BYTES)
    except FileNotFoundError:
        raise SpecInvalid(f"{path}: no such job spec", hint=hint) from None
    except OSError as error:
        raise _explain_unreadable(path, error) from None
    return data, sha256(data)


def _explain_unreadable(path: Path, error: OSError) -> SpecInvalid:
    if error.errno == errno.EFBIG:
        hint = "a job spec describes one job; shorten its payload examples"
        return SpecInvalid(f"{path}: larger than 1 MB", hint=hint)
    hint = "a job spec is a file of text; check it and its permissions"
    return SpecInvalid(f"{path}: cannot be read: {error.strerror}", hint=hint)


def spec_sha256(file_sha256: str, overrides: Mapping[str, str] | None) -> str:
    """The identity of a spec as it is used: its file's sha256, or a digest of that and the `--set`
    overrides.
    """
    if not overrides:
        return file_sha256
    return digest({"file": file_sha256, "overrides": dict(overrides)})


def specs_in(repo: Path, folder_name: Path = SPEC_FOLDER) -> list[Path]:
    """The specs in a folder of a repository, by name; the schema that lies beside job specs is
    none. A pipe or a link to nothing is one: whoever reads it says what it is.
    """
    folder = repo / folder_name
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix in SUFFIXES and path.name != SCHEMA_NAME and not path.is_dir()
    )
