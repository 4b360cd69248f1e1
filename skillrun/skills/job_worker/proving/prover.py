"""The prover of the job worker, as the runner knows it (`Prover` in `runner/coded.py`): whether a
proof may run, and running it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from skillrun.core.errors import Blocked
from skillrun.core.verdict import (
    Finding,
    StageResult,
    Status,
)
from skillrun.proof.judgement import Verdict
from skillrun.runner.findings import is_not_read, note
from skillrun.runner.unproved import (
    NOT_ASKED,
    NOT_POSSIBLE,
)
from skillrun.skills.job_worker.job_case import JobCase
from skillrun.skills.job_worker.proving import answers

# The runner asks this module for them, as for the functions below.
from skillrun.skills.job_worker.proving.answers import PROMISES_OF_STAGE
from skillrun.skills.job_worker.proving.kept_proofs import (
    describe_inputs,
    keep_proof,
    read_last_proof,
    record_lookups,
)
from skillrun.skills.job_worker.proving.proof_targets import consent_plan, proof_target
from skillrun.skills.job_worker.proving.proof_verdicts import add_proof as add_proof
from skillrun.skills.job_worker.proving.proof_verdicts import record_proof as record_proof

# What only a person can decide. Nothing is proved, and nothing runs, before that.
PROOF_STAGES = tuple(PROMISES_OF_STAGE)
_CONTRACT_STAGES = ("identify.", "contract.")
_UNDECIDED_RULES = (
    "idempotency.undefined",
    "idempotency.no-statement",
    "idempotency.no-guard",
    "idempotency.no-key",
    "idempotency.no-boundary",
    "idempotency.no-key-arg",
    "idempotency.key-not-in-payload",
    "retry.undefined",
    "dead-letter.undefined",
    "dead-letter.nowhere",
)


_NOT_RECORDED = (
    "the kept proof is not one that this ledger records: it is not believed, and made again"
)


def draft_proof(case: JobCase) -> str | None:
    """The proof section that the spec lacks, as far as handler, store and settings say it, with its
    blanks marked. None where they say too little.
    """
    from skillrun.skills.job_worker.scaffold import proof_draft

    return proof_draft.draft_proof(case)


def is_decided(case: JobCase, results: Mapping[str, StageResult]) -> bool:
    """Whether a proof may run: the contract is agreed as far as the stages have looked. What they
    have read in the code does not matter.
    """
    spec = case.spec
    if spec is None or spec.retry is None or spec.dead_letter is None:
        return False
    for result in results.values():
        for finding in result.findings:
            is_decision = finding.rule.startswith(_CONTRACT_STAGES)
            is_decision = is_decision or finding.rule in _UNDECIDED_RULES
            if is_decision and answers.is_blocking(finding):
                return False
    return True


def speaks_of(stage: str, result: StageResult) -> bool:
    """Whether a proof could change the result of a stage: it takes its verdict from the proof, or
    the proof can answer one of its findings.
    """
    if result.status == Status.NOT_APPLICABLE:
        return stage in PROOF_STAGES
    has_come_to_end = result.status in (Status.PASSED, Status.FAILED, Status.BLOCKED)
    if stage in PROOF_STAGES and has_come_to_end:
        return True
    for finding in result.findings:
        is_open = answers.is_blocking(finding) or is_not_read(finding)
        if is_open and answers.can_be_answered(finding):
            return True
    return False


def explain_no_proof(case: JobCase) -> Finding | None:
    """Why no proof is made, as a note; None where one can be made."""
    spec = case.spec
    if case.language is not None:
        message = f"declared, not proved: a proof runs Python, and this is {case.language.title}"
        return note("proof.other-language", message)
    if spec is None or spec.proof is None:
        hint = (
            "proof: {env: ..., setup: ..., database: ..., state: ...}; then skillrun prove tries it"
        )
        place = {}
        if spec:
            place = {"path": spec.shown_path, "line": 1}
        return note(
            NOT_ASKED, "read, not proved: the spec has no proof section", hint=hint, **place
        )
    try:
        proof_target(case)
    except Blocked as blocked:
        return note(NOT_POSSIBLE, f"read, not proved: {blocked.message}", hint=blocked.hint)
    return None


def prove_case(case: JobCase) -> dict[str, Any] | None:
    """Proves the job, or takes the last proof of it where nothing that it rests on has changed.
    Returns the report (proof.v1) with its `histories` (see `proof.stories`), or None where nobody
    agreed to run it.

    What the proof rests on is recorded as look-ups of the stage. An incomplete proof is tried
    again, since a busy machine or a missing server is no input.
    """
    target = proof_target(case)
    last = read_last_proof(case)
    if last is not None:
        kept, sha = last
        # Anybody may have written that file, so the ledger has to know it.
        if not case.is_recorded(sha):
            print(f"skillrun: {_NOT_RECORDED}", file=sys.stderr, flush=True)
        elif kept["report"]["verdict"] != Verdict.INCOMPLETE:
            record_lookups(case, kept["files"])
            return {**kept["report"], "kept": sha}
    if not case.consent(consent_plan(target)):
        return None
    from skillrun.proof.attempt import try_prove
    from skillrun.proof.report import proof_report
    from skillrun.proof.stories import stories

    proof = try_prove(target, progress=_make_progress(case))
    report = proof_report(proof, target, f" --spec {target.spec.shown_path}")
    report = {**report, "histories": stories(proof)}
    files = {}
    for path in proof.modules:
        files[path] = case.tree.sha256(path) or ""
    sha = keep_proof(case, {"rests_on": describe_inputs(case), "files": files, "report": report})
    record_lookups(case, files)
    return {**report, "kept": sha}


def _make_progress(case: JobCase) -> Callable[[str, int, int], None]:
    """Returns a function for the proof to call after each schedule. It shows a line whenever
    another quarter of the schedules is done.
    """
    shown_quarters: set[int] = set()

    def show_progress(what: str, done: int, total: int) -> None:
        if case.on_output is None or total == 0:
            return
        quarter = done * 4 // total
        if quarter not in shown_quarters:
            shown_quarters.add(quarter)
            case.on_output(f"proof: {done} of {total} schedules")

    return show_progress
