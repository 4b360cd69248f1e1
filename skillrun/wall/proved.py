"""Whether a job is proved as its spec asks, and as much as the base proves it: what is less is
an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from skillrun.core.verdict import Finding, Severity
from skillrun.proof.judgement import Verdict
from skillrun.skills.job_worker.proving.answers import PROMISES_OF_STAGE
from skillrun.wall.gaming.specs import at, base_document, listed, mapping, vanished
from skillrun.wall.verification import BaseProof, Job, Proof

if TYPE_CHECKING:
    from skillrun.wall.diff import Diff, File

NOT_PROVED, LESS_PROVED = "verify.not-proved", "verify.less-proved"
NEW_RISK = "verify.new-risk"
# What an application may mean, and a branch may bring along unseen. Of others it is not asked who
# brought them: that would cost the base's proof for most jobs.
_COMPARED = ("risk.late-skipped",)
HELP = {
    NOT_PROVED: (
        "A spec with the section proof: asks for a proof. One that ends incomplete, or never runs,"
        " is no answer: it fails, since what keeps the proof from an answer may be what the branch"
        " has put there."
    ),
    LESS_PROVED: (
        "What the base proves, HEAD proves too. The base is proved in a clean checkout in the same"
        " call; no ledger is believed."
    ),
    NEW_RISK: (
        "A job that is dropped because it is old, which the base does however late it is: a"
        " backlog, a holiday or a job that is published again ends as a success without its effect."
    ),
}
_ASKED = "the spec asks for a proof"
_REASONS_SHOWN = 3

ProveBase = Callable[["File"], BaseProof]
"""Proves the base's spec of a job in a clean checkout of the base."""


def judge_proof(job: Job, spec: File, diff: Diff, prove_base: ProveBase | None) -> Job:
    """The job with what its proof came to; it is no success where a proof was asked for and is
    missing or less.

    `prove_base` None: there is no other commit to compare with.
    """
    is_asked = asks_for_proof(spec.new_document)
    old = base_document(diff, spec)
    if not is_asked and not asks_for_proof(old):
        return _without_proof(job, spec, diff)
    proof = Proof(verdict_of(job))
    lost = [stage for stage in PROMISES_OF_STAGE if stage not in proved_stages(job)]
    # Where the job fails anyway the base's proof would change nothing, and it costs as much time as
    # HEAD's.
    may_matter = (lost and lacks_proof_alone(job)) or _has_compared_risk(job)
    if prove_base is not None and may_matter and asks_for_proof(old):
        proof = replace(proof, base=prove_base(spec))
    found = (
        *_find_lacking(job, spec, proof, is_asked=is_asked),
        *_find_new_risks(job, spec, proof),
    )
    return _with_findings(job, replace(proof, findings=found))


def list_risks(job: Job) -> Iterator[str]:
    """The rules of what a proof found besides its promises."""
    for finding in job.findings():
        if finding.rule.startswith("risk."):
            yield finding.rule


def _has_compared_risk(job: Job) -> bool:
    """Whether all is well but for a risk that the base may not have."""
    return job.is_passing and not set(_COMPARED).isdisjoint(list_risks(job))


def _find_new_risks(job: Job, spec: File, proof: Proof) -> Iterator[Finding]:
    """Of a base that is not proved nothing is known."""
    if proof.base is None or proof.base.verdict != Verdict.PROVED:
        return
    for risk in job.findings():
        if risk.rule in _COMPARED and risk.rule not in proof.base.risks:
            said = f"the base has no such risk: {risk.message}"
            path, line = risk.path or spec.path, risk.line or 1
            yield Finding(NEW_RISK, Severity.ERROR, said, path, line, risk.hint)


def lacks_proof_alone(job: Job) -> bool:
    """Whether nothing is wrong with a job but that stages wait for their proof."""
    if job.problem is not None or job.outcome not in ("success", "partial"):
        return False
    for stage in job.stages:
        waits = stage["status"] == "pending" and stage["id"] in PROMISES_OF_STAGE
        if stage["status"] in ("failed", "blocked", "pending") and not waits:
            return False
    return True


def asks_for_proof(document: Any) -> bool:
    """Whether a spec has the section proof:."""
    return document is not None and bool(mapping(at(document.value, "proof")))


def proved_stages(job: Job) -> tuple[str, ...]:
    """The stages that passed because of a proof."""
    found = []
    for stage in job.stages:
        if stage["status"] == "passed" and stage["grade"] == "proved":
            found.append(stage["id"])
    return tuple(found)


def verdict_of(job: Job) -> str:
    """proved, refuted or incomplete, as the stages say it; none where no proof ran."""
    is_incomplete = False
    for finding in job.findings():
        # A refutation counts whatever else kept the proof from an answer.
        if finding.rule.startswith("proof.") and finding.severity == Severity.ERROR:
            return Verdict.REFUTED
        is_incomplete = is_incomplete or finding.rule == "proof.incomplete"
    if is_incomplete:
        return Verdict.INCOMPLETE
    if proved_stages(job):
        return Verdict.PROVED
    return "none"


def why_not_proved(job: Job) -> tuple[str, ...]:
    """The reasons for a proof that is incomplete or did not run, each once."""
    if job.problem is not None:
        return (job.problem,)
    said = [finding.message for finding in job.findings() if finding.rule in _SAYS_WHY]
    if not said:
        # The first one is enough: those after it wait for it.
        for stage in _open_stages(job)[:1]:
            said.append(f"the stage {stage['id']} is {stage['status']}")
    plain = [text.removeprefix("not proved: ").removeprefix("read, not proved: ") for text in said]
    return tuple(dict.fromkeys(plain))


def say_why_not(job: Job) -> str:
    """The first reason why a job is not proved, a refutation before all."""
    if verdict_of(job) == Verdict.REFUTED:
        for finding in job.findings():
            if finding.rule.startswith("proof.") and finding.severity == Severity.ERROR:
                return finding.message
    return next(iter(why_not_proved(job)), "no stage of it is proved")


def _open_stages(job: Job) -> list[Mapping[str, Any]]:
    """The stages that have failed or are blocked."""
    return [stage for stage in job.stages if stage["status"] in ("failed", "blocked")]


# What the stages say where a proof gave no answer.
_SAYS_WHY = (
    "proof.incomplete",
    "proof.not-shown",
    "proof.not-possible",
    "proof.no-consent",
    "proof.not-asked",
)


# -- the findings


def _find_lacking(job: Job, spec: File, proof: Proof, *, is_asked: bool) -> Iterator[Finding]:
    """At most one; a refutation says for itself what is wrong."""
    base = proof.base
    proved = proved_stages(job)
    less = []
    if base:
        less = [stage for stage in base.proved if stage not in proved]
    reasons = "; ".join(why_not_proved(job)[:_REASONS_SHOWN]) or "no stage of it is proved"
    line = spec.new_document.line(("proof",)) if spec.new_document else 1
    if less:
        hint = "take out what keeps the proof from an answer; skillrun prove says it in full"
        message = f"the base proves {', '.join(less)}, and HEAD does not: {reasons}"
        yield Finding(LESS_PROVED, Severity.ERROR, message, spec.path, line, hint)
    elif is_asked and proof.verdict in (Verdict.INCOMPLETE, "none"):
        ran = "it is incomplete" if proof.verdict == Verdict.INCOMPLETE else "none was made"
        hint = "skillrun prove says it in full"
        if _open_stages(job):
            hint = "do first what that stage says: the proof is made once it reads clean"
        message = f"{_ASKED}, and {ran}: {reasons}{_words_of_base(base)}"
        yield Finding(NOT_PROVED, Severity.ERROR, message, spec.path, line, hint)


def _words_of_base(base: BaseProof | None) -> str:
    if base is None:
        return ""
    why = f": {base.why}" if base.why else ""
    return f" (the base at {base.commit[:12]} is not proved here either{why})"


def _with_findings(job: Job, proof: Proof) -> Job:
    outcome = job.outcome
    if proof.findings and job.is_passing:
        outcome = "partial"
    return replace(job, proof=proof, outcome=outcome)


def _without_proof(job: Job, spec: File, diff: Diff) -> Job:
    """A new job that is only read, and does what a proved job did that is gone, is that job
    with less evidence.
    """
    if spec.old is not None or base_document(diff, spec) is not None:
        return job
    calls = _effect_calls(spec.new_document)
    for gone in vanished(diff):
        shared = sorted(calls & _effect_calls(gone.old_document))
        if shared and asks_for_proof(gone.old_document):
            said = (
                f"the effect {shared[0]} belonged to {gone.path}, which asks for a proof at the"
                " base; this job is only read"
            )
            hint = "give the spec a section proof:, as the base's has it"
            finding = Finding(LESS_PROVED, Severity.ERROR, said, spec.path, 1, hint)
            return _with_findings(job, Proof("none", findings=(finding,)))
    return job


def _effect_calls(document: Any) -> set[str]:
    if document is None:
        return set()
    calls = set()
    for effect in listed(at(document.value, "effects")):
        call = at(effect, "call")
        if isinstance(call, str):
            calls.add(call)
    return calls
