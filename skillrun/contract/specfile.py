"""The bytes of a job spec and their sha256, unread: all that a resume needs to know that nothing changed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from skillrun.canonical import digest, sha256
from skillrun.errors import SpecInvalid

MAX_BYTES = 1_000_000
SPEC_FOLDER = Path(".skillrun") / "jobs"
SUFFIXES = (".yaml", ".yml", ".json")
SCHEMA_NAME = "job-spec.v1.json"


def read_raw_spec(path: Path) -> tuple[bytes, str]:
    """The bytes of a job spec and their sha256. SpecInvalid where it is missing, no file, or larger than 1 MB."""
    try:
        if not path.is_file():
            what = "is not a file" if path.exists() else "no such job spec"
            raise SpecInvalid(f"{path}: {what}", hint="write one with: skillrun spec init")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SpecInvalid(f"{path}: cannot be read: {error.strerror}", hint="check its permissions") from error
    if len(data) > MAX_BYTES:
        raise SpecInvalid(
            f"{path}: larger than 1 MB", hint="a job spec describes one job; shorten its payload examples"
        )
    return data, sha256(data)


def spec_sha256(file_sha256: str, overrides: Mapping[str, str] | None) -> str:
    """The identity of a spec as it is used: its file's sha256, or a digest of that and the `--set` overrides."""
    if not overrides:
        return file_sha256
    return digest({"file": file_sha256, "overrides": dict(overrides)})


def specs_in(repo: Path) -> list[Path]:
    """The job specs in `<repo>/.skillrun/jobs/`, by name; the schema that lies beside them is none."""
    folder = repo / SPEC_FOLDER
    if not folder.is_dir():
        return []
    return sorted(
        path for path in folder.iterdir() if path.suffix in SUFFIXES and path.name != SCHEMA_NAME and path.is_file()
    )
