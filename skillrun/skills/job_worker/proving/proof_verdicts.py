"""What the report of a proof says to the stages: which are proved, which are refuted, and what of
their findings it answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from skillrun.core.tally import count_things
from skillrun.core.verdict import (
    Action,
    Evidence,
    Finding,
    Grade,
    Risk,
    RiskGrade,
    StageResult,
    Status,
    status_of,
)
from skillrun.proof.judgement import Verdict
from skillrun.proof.promises import find_kept_open, find_promises
from skillrun.runner.findings import error, note, warning
from skillrun.runner.report import RISK_RULE
from skillrun.runner.unproved import (
    DISAGREEMENTS,
    INCOMPLETE,
    as_not_read,
    has_not_read,
    leave_unproved,
)
from skillrun.skills.job_worker.job_case import JobCase
from skillrun.skills.job_worker.proving import answers
from skillrun.skills.job_worker.proving.answers import PROMISES_OF_STAGE

# A stage shows so many of the reasons for an incomplete proof; `skillrun prove` shows all.
_REASONS_SHOWN = 5


def add_proof(
    case: JobCase,
    stage: str,
    result: StageResult,
    report: Mapping[str, Any] | None,
    told: Sequence[str] = tuple(PROMISES_OF_STAGE),
) -> StageResult:
    """Returns a stage's result with what the proof says of it: the stage is proved, or it is
    refuted and fails, or it is pending where its own promises are incomplete.

    Findings about a promise that is proved are dropped. Where the proof has nothing to show of a
    stage, its result stays as it was read. `told` are the stages that the skill has.
    """
    if report is None:
        hint = "allow it with --trust"
        message = "read, not proved: nobody has allowed it yet"
        no_consent = note("proof.no-consent", message, hint=hint)
        return leave_unproved(stage, result, [no_consent], "consent")
    result = _drop_answered(case, stage, result, report)
    if stage in told[:1]:
        result = replace(result, findings=(*result.findings, *_list_missing_walls(report)))
    if stage not in PROMISES_OF_STAGE:
        return _add_run(stage, result, report)
    witnesses = []
    for witness in report["witnesses"]:
        if stage in _find_tellers(witness["rule"], told):
            witnesses.append(witness)
    risks = []
    for risk in report.get("risks", ()):
        if stage in _find_tellers(risk["rule"], told):
            risks.append(_read_risk(risk))
    return add_risks(_add_verdict(stage, result, report, witnesses), risks)


def _list_missing_walls(report: Mapping[str, Any]) -> Iterator[Finding]:
    """A note for each wall that did not stand around the proof: its verdict rests on less."""
    for words in report["sandbox"]["missing"]:
        hint = "skillrun doctor says why, and what brings it"
        yield note("proof.fewer-walls", f"this machine gave the proof {words}", hint=hint)


def _add_verdict(
    stage: str,
    result: StageResult,
    report: Mapping[str, Any],
    witnesses: Sequence[Mapping[str, Any]],
) -> StageResult:
    """The stage's result with the proof's verdict: a witness refutes it, an open promise leaves it
    unproved, and what no schedule could show stays as it was read. Else it is proved.
    `witnesses` are those that this stage tells.
    """
    if witnesses:
        refutations = [_tell_refutation(witness) for witness in witnesses]
        return _add_refutation(stage, result, report, refutations)
    if result.status == Status.NOT_APPLICABLE:
        return replace(result, facts={**result.facts, "proof": report["verdict"]})
    lacking = tuple(_list_incomplete(stage, report))
    if lacking:
        return _add_evidence(leave_unproved(stage, result, lacking, "prove"), report, proved=False)
    unshown = _find_unshown(stage, report)
    if unshown is not None:
        return _add_unshown(stage, result, report, unshown)
    if result.status != Status.PASSED:
        return _add_evidence(result, report, proved=False)
    if stage == "dead-letter":
        result = replace(result, findings=(*result.findings, *_list_untried(report)))
    facts = {**result.facts, "schedules": report["schedules"]["total"]}
    proved = replace(result, grade=Grade.PROVED, facts=facts)
    return _add_evidence(proved, report, proved=True)


def _find_tellers(rule: str, told: Sequence[str]) -> Sequence[str]:
    """The stages that report what a rule of the judges has found: those whose promises the rule is
    about. Where the skill has none of them, its first stage reports it, since nobody else would.
    """
    promises = set(find_promises(rule))
    tellers = []
    for stage in told:
        if promises.intersection(PROMISES_OF_STAGE[stage]):
            tellers.append(stage)
    return tellers or told[:1]


def add_risks(result: StageResult, risks: Sequence[Risk]) -> StageResult:
    """A stage's result with these risks beside it. Each is also reported as a warning, and changes
    no status.
    """
    warnings = [_warn_of(risk) for risk in risks]
    return replace(result, findings=(*result.findings, *warnings), risks=tuple(risks))


def _warn_of(risk: Risk) -> Finding:
    """The warning that reports a risk, with what mends it and how to see it happen."""
    hint = f"{risk.closes}; see it happen: {risk.replay}"
    return warning(f"{RISK_RULE}{risk.rule}", f"{risk.grade}: {risk.message}", hint=hint)


def _read_risk(risk: Mapping[str, Any]) -> Risk:
    """A risk out of the proof's document."""
    message = risk["message"]
    # Others of the same root are mended with this one, so they are only named.
    same_root = risk.get("also", ())
    if same_root:
        message = f"{message} (and {', '.join(same_root)})"
    return Risk(
        rule=risk["rule"],
        grade=RiskGrade(risk["grade"]),
        message=message,
        closes=risk["closes"],
        story=risk["story"],
        replay=risk["replay"],
        schedules=len(risk["schedules"]),
    )


def _drop_answered(
    case: JobCase, stage: str, result: StageResult, report: Mapping[str, Any]
) -> StageResult:
    """The result without the findings that the proof has shown to be wrong, and without the steps
    that they asked for. What blocked the stage is recorded as a disagreement.
    """
    answered, left = [], []
    for finding in result.findings:
        if answers.is_answered(stage, finding, report, case):
            answered.append(finding)
        else:
            left.append(finding)
    if not answered:
        return result
    without = replace(result, findings=tuple(left))
    disagreements = []
    for finding in answered:
        disagreement = answers.make_disagreement(finding, report)
        if disagreement is not None:
            disagreements.append(disagreement.as_json())
    if not disagreements:
        return without
    return replace(
        without,
        status=status_of(left),
        next=_keep_steps(result.next, left),
        summary=f"read otherwise in {count_things(len(disagreements), 'place')}",
        facts={**result.facts, DISAGREEMENTS: disagreements},
    )


def _keep_steps(steps: Iterable[Action], left: Iterable[Finding]) -> tuple[Action, ...]:
    """The next steps that are asked for by one of the findings which are left and still block."""
    blocking = [finding.message for finding in left if answers.is_blocking(finding)]
    kept = []
    for step in steps:
        # A step's detail is the finding's message and its hint.
        if any(message in step.detail for message in blocking):
            kept.append(step)
    return tuple(kept)


def _add_refutation(
    stage: str, result: StageResult, report: Mapping[str, Any], refutations: list[Finding]
) -> StageResult:
    """The result of a stage with a promise that was broken: it fails, whatever was read."""
    findings = (*result.findings, *refutations)
    steps = []
    for refutation in refutations:
        steps.append(Action(stage, "edit-code", f"{refutation.message}; {refutation.hint}"))
    failed = replace(
        result,
        status=status_of(findings),
        grade=Grade.PROVED,
        findings=findings,
        next=(*result.next, *steps),
        summary=f"{result.summary}; refuted by fault injection",
    )
    return _add_evidence(failed, report, proved=None)


def _add_unshown(
    stage: str, result: StageResult, report: Mapping[str, Any], question: str
) -> StageResult:
    """The result of a stage of which no schedule could show anything: it stays as it was read, with
    a warning that says which `question` is open.
    """
    hint = "give it in the spec's failures"
    unshown = warning("proof.not-shown", f"not proved: {question}", hint=hint)
    if has_not_read(result):
        return leave_unproved(stage, result, [unshown], "edit-spec")
    warned = replace(result, findings=(*result.findings, unshown))
    return _add_evidence(warned, report, proved=False)


def _add_evidence(
    result: StageResult, report: Mapping[str, Any], *, proved: bool | None
) -> StageResult:
    """The result with the proof among its evidence, and with a summary that says what came of it.
    `proved` is None where the summary says so already.
    """
    summary = result.summary
    if proved:
        summary = f"{summary}; proved under {report['schedules']['total']} schedules"
    elif proved is False and result.status == Status.PENDING:
        summary = f"{summary}; the proof is incomplete"
    return replace(
        result,
        evidence=(*result.evidence, _make_evidence(report)),
        summary=summary,
        facts={**result.facts, "proof": report["verdict"]},
    )


def _add_run(stage: str, result: StageResult, report: Mapping[str, Any]) -> StageResult:
    """The result of a stage of which no judge speaks. The proof has loaded the handler as a worker
    does, and run it: a stage that passed counts as executed.
    """
    if not answers.is_stage_proved(stage, report) and has_not_read(result):
        return leave_unproved(stage, result, _list_incomplete(stage, report), "prove")
    grade = result.grade
    if result.status == Status.PASSED:
        grade = Grade.EXECUTED
    answered = replace(
        result,
        grade=grade,
        evidence=(*result.evidence, _make_evidence(report)),
        facts={**result.facts, "proof": report["verdict"]},
    )
    if has_not_read(answered):
        return as_not_read(stage, answered)
    return answered


def _list_untried(report: Mapping[str, Any]) -> Iterator[Finding]:
    """A warning where no malformed message was tried, because the spec gives none: a dead letter is
    then proved for errors alone.
    """
    from skillrun.proof.families.messages import NO_POISON

    if report["skipped"].get("poison") == NO_POISON:
        hint = (
            "give some in proof.poison, e.g. [{}] and one with a value that cannot be; they enter"
            " behind the publisher"
        )
        yield warning("proof.no-poison", "not tried: a malformed message", hint=hint)


def _find_unshown(stage: str, report: Mapping[str, Any]) -> str | None:
    """Why no schedule could show what a stage is about: the errors that this takes are not declared
    in the spec. None where schedules have shown it.
    """
    if stage == "retry" and not _has_shown_retry(report):
        return "no transient error is declared, so no retry was seen"
    if stage == "dead-letter" and not _ran_any_of(report, "exhaustion", "permanent", "poison"):
        return "no error is declared, so no job was given up"
    if stage == "observability" and report["log_answers"]["why"]["by"] == "not asked":
        return "no error is declared, so no failure was seen in the logs"
    return None


def _has_shown_retry(report: Mapping[str, Any]) -> bool:
    """Whether a schedule has shown how often the job is tried again: it used up the attempts."""
    if _ran_any_of(report, "exhaustion"):
        return True
    # A job with one attempt is never tried again, and any error has shown that.
    has_one_attempt = report["attempts"]["declared"] == 1
    return has_one_attempt and _ran_any_of(report, "error", "permanent")


def _ran_any_of(report: Mapping[str, Any], *families: str) -> bool:
    """Whether schedules of one of these families were run."""
    return not set(families).isdisjoint(report["schedules"]["families"])


def _tell_refutation(witness: Mapping[str, Any]) -> Finding:
    """The error that reports a witness: what was expected and what was seen, at the place where the
    fault happened.
    """
    place = _find_place(witness)
    cause = ""
    if witness["cause"]:
        cause = f": {witness['cause']}"
    return error(
        f"proof.{witness['rule']}",
        f"{witness['message']}{cause} (expected {witness['expected']}, seen {witness['seen']})",
        hint=f"see it happen: {witness['replay']}",
        path=place.get("path"),
        line=place.get("line"),
    )


def _find_place(witness: Mapping[str, Any]) -> Mapping[str, Any]:
    """The step of a witness at which its fault happened, or the last one, among those that have a
    place in the code; empty where none has.
    """
    steps: list[dict[str, Any]] = [step for step in witness["events"] if step["path"]]
    for step in steps:
        if step["fault"]:
            return step
    if steps:
        return steps[-1]
    return {}


def _list_incomplete(stage: str, report: Mapping[str, Any]) -> Iterator[Finding]:
    """Yields warnings that say what keeps the promises of a stage from being proved; none where
    they are proved.
    """
    # A stage of which no judge speaks rests on the one promise that a job comes to an end.
    promises = PROMISES_OF_STAGE.get(stage, ("ends",))
    hindrances = []
    for item in report["incomplete"]:
        if not set(find_kept_open(item["rule"])).isdisjoint(promises):
            hindrances.append(item)
    for item in hindrances[:_REASONS_SHOWN]:
        yield warning(INCOMPLETE, f"not proved: {item['message']}", hint=item["hint"])
    if hindrances:
        return
    reasons = []
    for name in promises:
        judged = report["properties"].get(name)
        if judged is not None and judged["verdict"] == Verdict.INCOMPLETE:
            reasons.append(judged["reason"])
    for reason in dict.fromkeys(reasons):
        yield warning(INCOMPLETE, f"not proved: {reason}")


def record_proof(report: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the ledger keeps of a proof besides what the stages found; nothing where there was
    none.
    """
    if report is None:
        return {}
    names = ("verdict", "properties", "handler", "library", "assumptions", "histories", "risks")
    kept = {}
    for name in (*names, "kept"):
        if name in report:
            kept[name] = report[name]
    return {
        "proof": {**kept, "bounds": report["bounds"]["sentence"], "schedules": report["schedules"]}
    }


def _make_evidence(report: Mapping[str, Any]) -> Evidence:
    """The proof as a stage's evidence: its verdict, its bounds, and the digest of its report."""
    from skillrun.core.canonical import digest

    detail = {"verdict": report["verdict"], "bounds": report["bounds"]["sentence"]}
    return Evidence("proof", report["handler"], digest(dict(report)), detail=detail)
