"""The last proof of a job: kept in a file of whoever ran it, and taken again while nothing that it
rests on has changed.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrun.core.state import read_own, state_dir, write_own
from skillrun.skills.job_worker.job_case import PROOF_PARTS, JobCase
from skillrun.skills.job_worker.proving.proof_targets import list_contract_risks

if TYPE_CHECKING:
    pass


def last_report(case: JobCase) -> dict[str, Any] | None:
    """The report of the last proof of this job; None where the ledger does not record it, or where
    something that it rests on has changed.
    """
    last = read_last_proof(case)
    if last is None:
        return None
    kept, sha = last
    if not case.is_recorded(sha):
        return None
    report: dict[str, Any] = kept["report"]
    return report


def read_last_proof(case: JobCase) -> tuple[dict[str, Any], str] | None:
    """(the kept proof of this job, the sha256 of its file), or None where there is none, or where
    something that it rests on has changed.

    The file alone proves nothing: it counts where the ledger has recorded that sha256.
    """
    from skillrun.core.canonical import sha256

    content = read_own(_proof_file(case))
    if content is None:
        return None
    try:
        kept: dict[str, Any] = json.loads(content)
        # By way of JSON, since a tuple comes back as a list.
        inputs = json.loads(json.dumps(describe_inputs(case)))
        has_same_inputs = kept["rests_on"] == inputs
        has_same_files = _are_unchanged(case, kept["files"])
    # Anybody may have written that file: whatever is wrong in it, there is no proof.
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    # A proof that imported no file of the repository would be taken for ever.
    if not has_same_inputs or not has_same_files or not kept["files"]:
        return None
    # Reports of old versions gave no verdict for each promise.
    if "properties" not in kept["report"]:
        return None
    return kept, sha256(content)


def _are_unchanged(case: JobCase, files: Mapping[str, str]) -> bool:
    """Whether each file (path -> sha256) has the content that it had; "" stands for a file that
    was not there.
    """
    return all((case.tree.sha256(path) or "") == sha for path, sha in files.items())


def keep_proof(case: JobCase, value: Mapping[str, Any]) -> str:
    """Writes a proof to its file outside the repository, readable for its owner alone. Returns the
    sha256 that the ledger records of it.
    """
    from skillrun.core.canonical import sha256

    content = json.dumps(value).encode()
    # Where it cannot be written, the next run proves again.
    with contextlib.suppress(OSError):
        write_own(_proof_file(case), content)
    return sha256(content)


def _proof_file(case: JobCase) -> Path:
    """Where the last proof of this job is kept, in the state folder of whoever runs this."""
    from skillrun.core.canonical import digest

    job, shown_path = "", ""
    if case.spec is not None:
        job, shown_path = case.spec.job, case.spec.shown_path
    name = digest([str(case.root), job, shown_path])
    return state_dir() / "proofs" / f"{name}.json"


def describe_inputs(case: JobCase) -> dict[str, Any]:
    """Everything that a proof depends on, but for the files that it has imported."""
    from skillrun.core.canonical import digest
    from skillrun.core.resources import tool_version

    raw = {}
    if case.spec:
        raw = case.spec.raw
    return {
        # Digests alone: the environment that the spec gives stands in no file of the state folder.
        "spec": {part: digest(raw.get(part)) for part in PROOF_PARTS},
        "version": tool_version(),
        "packages": case.section(_name_packages_fact(case))[0],
        "contract": sorted(list_contract_risks(case)),
    }


def _name_packages_fact(case: JobCase) -> str:
    """By what name `JobCase.section` knows the packages that are installed beside the interpreter
    of the proof: "packages:" and, where the spec names an interpreter, its path.
    """
    python = None
    if case.spec and case.spec.proof:
        python = case.spec.proof.python
    return f"packages:{python or ''}"


def record_lookups(case: JobCase, imported: Iterable[str]) -> None:
    """Makes the files that a proof has imported, and the installed packages, look-ups of the
    stage: it is stale once one of them changes.
    """
    for path in imported:
        case.tree.read(path)
    name = _name_packages_fact(case)
    value, files = case.section(name)
    case.tree.record_section(name, value, files)
