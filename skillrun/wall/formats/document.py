"""A verification as the JSON document that `schemas/verification.v1.json` describes."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from skillrun.core.tally import counts_of
from skillrun.runner.report import finding_json
from skillrun.wall.verification import Job, Proof, Tests, Verification

if TYPE_CHECKING:
    from skillrun.proof.baseline import Compared

SCHEMA_VERSION = 1


def document(verification: Verification) -> dict[str, Any]:
    """One JSON value for programs."""
    gaming = verification.gaming
    tests = None
    if verification.tests:
        tests = _tests_json(verification.tests)
    return {
        "schema_version": SCHEMA_VERSION,
        "commit": verification.commit,
        "branch": verification.branch,
        "outcome": verification.outcome,
        "jobs": [_job_json(job) for job in verification.jobs],
        "gaming": {
            "looked_at": gaming.base is not None,
            "base": gaming.base,
            "base_name": gaming.base_name,
            "looks": list(gaming.looks),
            "missing": gaming.missing,
            "hint": gaming.hint,
            "findings": [finding_json(finding) for finding in gaming.all_findings],
        },
        "tests": tests,
        "notes": list(verification.notes),
        "version": verification.version,
        "duration_ms": verification.duration_ms,
    }


def _tests_json(tests: Tests) -> dict[str, Any]:
    return {
        "counted": tests.missing is None,
        "runner": tests.runner,
        "head": asdict(tests.head) if tests.head else None,
        "base": asdict(tests.base) if tests.base else None,
        "missing": tests.missing,
        "findings": [finding_json(finding) for finding in tests.findings],
    }


def _job_json(job: Job) -> dict[str, Any]:
    proof = None
    if job.proof:
        proof = _proof_json(job.proof)
    return {
        "job": job.name,
        "spec": job.spec,
        "spec_sha256": job.spec_sha256,
        "outcome": job.outcome,
        "stages": job.stages,
        "counts": counts_of(job.report),
        "checks": job.checks,
        "risks": list(job.report.get("risks", ())),
        "next": list(job.report.get("next", ())),
        "problem": job.problem,
        "hint": job.hint,
        "proof": proof,
        "baseline": _compared_json(job.compared),
        "stories": list(job.stories),
        "not_compared": [asdict(one) for one in job.not_compared],
    }


def _compared_json(compared: Compared | None) -> dict[str, Any] | None:
    """None where the base's baseline says nothing of the job."""
    if compared is None:
        return None
    return {
        "new": [asdict(cause) for cause in compared.new],
        "known": [asdict(cause) for cause in compared.known],
        "paid": [asdict(cause) for cause in compared.paid],
    }


def _proof_json(proof: Proof) -> dict[str, Any]:
    base = proof.base
    shown: dict[str, Any] | None = None
    if base:
        shown = {**asdict(base), "proved": list(base.proved)}
        # They were needed to compare; the document tells what came of it.
        del shown["risks"]
    return {
        "verdict": proof.verdict,
        "base": shown,
        "findings": [finding_json(finding) for finding in proof.findings],
    }
