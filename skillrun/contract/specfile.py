"""The bytes of a job spec and their sha256, unread: all that a resume needs to know that nothing
changed.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path

from skillrun.canonical import digest, sha256
from skillrun.errors import SpecInvalid
from skillrun.opening import read_file

MAX_BYTES = 1_000_000
SPEC_FOLDER = Path(".skillrun") / "jobs"
SUFFIXES = (".yaml", ".yml", ".json")
SCHEMA_NAME = "job-spec.v1.json"


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
        raise _unreadable(path, error) from None
    return data, sha256(data)


def _unreadable(path: Path, error: OSError) -> SpecInvalid:
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


def specs_in(repo: Path) -> list[Path]:
    """The job specs in `<repo>/.skillrun/jobs/`, by name; the schema that lies beside them is
    none.
    """
    folder = repo / SPEC_FOLDER
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix in SUFFIXES and path.name != SCHEMA_NAME and path.is_file()
    )
