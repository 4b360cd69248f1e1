"""The proof of a run's job: what it needs to know of the repository, who must agree, and what it
says to the stages.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrun.core.errors import Blocked
from skillrun.core.state import read_own, state_dir, write_own
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
from skillrun.frameworks.registry import features_of, list_proved
from skillrun.proof.judges.risks import RISKS
from skillrun.proof.promises import find_kept_open, find_promises
from skillrun.proof.result import Target
from skillrun.runner.findings import error, is_not_read, note, warning
from skillrun.runner.options import check_contract_risks
from skillrun.runner.report import RISK_RULE
from skillrun.runner.unproved import (
    DISAGREEMENTS,
    INCOMPLETE,
    NOT_ASKED,
    NOT_POSSIBLE,
    as_not_read,
    has_not_read,
    leave_unproved,
)
from skillrun.skills.job_worker.stages import answers
from skillrun.skills.job_worker.stages.interface import PROOF_PARTS, JobCase
from skillrun.validations.consent import CommandPlan

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec
    from skillrun.repo.python import Definition


def proof_target(case: JobCase) -> Target:
    """What `prove` takes. Raises Blocked where a decision or the work is missing."""
    spec = case.spec
    if spec is None:
        raise Blocked(
            "there is no job spec to prove anything of", hint="write one with: skillrun spec init"
        )
    if spec.handler is None:
        hint = "handler: package.module:function"
        raise Blocked(f"{spec.shown_path}:{spec.line()}: the spec names no handler", hint=hint)
    if not spec.examples:
        hint = "the first of payload.examples is the job that is delivered"
        raise Blocked(
            f"{spec.shown_path}:{spec.line('payload')}: payload.examples is empty", hint=hint
        )
    handler = find_handler(case)
    if handler is None:
        raise _no_handler(case, spec, spec.handler)
    driver, roots = _driver(case, handler), _source_roots(case, spec)
    return Target(spec, case.root, driver, roots, frozenset(_list_contract_risks(case)))


def _list_contract_risks(case: JobCase) -> tuple[str, ...]:
    """What the profile makes contract. Raises Misuse for what is no risk."""
    if case.profile:
        given = case.profile.contract_risks
    else:
        given = ()
    check_contract_risks(given, RISKS)
    return given


def find_handler(case: JobCase) -> Definition | None:
    """The handler, also where it is a plain function that the framework in use knows nothing of."""
    spec = case.spec
    if spec is None or spec.handler is None:
        return None
    return case.handler or case.project.find(spec.handler)


def _no_handler(case: JobCase, spec: JobSpec, name: str) -> Blocked:
    module, _, function = name.partition(":")
    path = case.project.locate(module, anywhere=True)
    where, hint = f"{spec.shown_path}:{spec.line('handler')}", "handler: package.module:function"
    if path in case.project.broken:
        hint = (
            "mend it, or run skillrun on the Python that it is written for (this is"
            f" {platform.python_version()})"
        )
        return Blocked(
            f"{where}: handler: its module cannot be read: {case.project.broken[path]}", hint=hint
        )
    said = f"there is no module {module} in this repository"
    if path:
        said = f"{path} has no {function}"
    return Blocked(f"{where}: handler: {said}", hint=hint)


def _driver(case: JobCase, handler: Definition) -> str | None:
    """The id of the framework whose probe runs the handler; None for a plain callable. Raises
    Blocked for no probe.
    """
    use = case.use
    if use is None or features_of(use.id).runs_in_place or case.handler is None:
        return None
    known = list_proved()
    if use.id in known:
        return use.id
    hint = f"jobs of {', '.join(known)} and plain callables can be proved"
    raise Blocked(
        f"{handler.path}:{handler.line}: a job of {use.id}, which the proof cannot run yet",
        hint=hint,
    )


def _publishers(spec: JobSpec) -> list[str]:
    named: list[str | None] = [sweep.call for sweep in spec.recovers]
    if spec.enqueue is not None:
        named += [spec.enqueue.call, spec.enqueue.relay]
    publishers = []
    for path in named:
        if path is not None:
            publishers.append(path)
    return publishers


def _source_roots(case: JobCase, spec: JobSpec) -> tuple[str, ...]:
    """The folders that the import paths of the spec begin in, the handler's first: src layouts,
    nested services.
    """
    failures = spec.failures
    names = [*(effect.call for effect in spec.effects or ()), *_publishers(spec)]
    if failures:
        names += [*failures.transient_names, *failures.permanent_names]
    module = (spec.handler or "").partition(":")[0]
    home = case.project.locate(module, anywhere=True)
    found = [_root_of(home, module)]
    for name in names:
        module, colon, _ = name.partition(":")
        # Only where its import would find it anyway: a file somewhere must not come before a
        # library of that name.
        if colon:
            found.append(_root_of(case.project.locate(module, near=home), module))
    return tuple(dict.fromkeys(root for root in found if root is not None))


def _root_of(path: str | None, module: str) -> str | None:
    """The folder in which an import of a module finds that file."""
    if path is None:
        return None
    parts = module.split(".")
    for end in ("/".join(parts) + ".py", "/".join([*parts, "__init__.py"])):
        if path == end or path.endswith(f"/{end}"):
            return path[: -len(end)].rstrip("/") or "."
    return None


def consent_plan(target: Target) -> CommandPlan:
    """What a person agrees to: the setup command, and that the handler runs."""
    spec = target.spec
    commands = [f"{spec.handler}   under fault injection, many times"]
    if spec.proof and spec.proof.setup:
        commands.insert(0, spec.proof.setup)
    return CommandPlan("prove the job in a scratch folder", tuple(commands))


# More are in `skillrun prove`
_REASONS_SHOWN = 5

# -- what the proof says to the stages

PROVEN = answers.STAGES
"""Stage -> the promises of the proof that it takes its verdict from."""

# What only a person can decide. Nothing is proved, and nothing runs, before that.
_CONTRACT = ("identify.", "contract.")
_UNDECIDED = (
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


def draft_proof(case: JobCase) -> str | None:
    """The section that the spec lacks, from handler, store and settings, with its blanks marked."""
    from skillrun.skills.job_worker.scaffold import proof_draft

    return proof_draft.draft_proof(case)


def is_decided(case: JobCase, results: Mapping[str, StageResult]) -> bool:
    """Whether the contract is agreed, as far as the stages have looked: then a proof may run,
    whatever they have read in the code.
    """
    spec = case.spec
    if spec is None or spec.retry is None or spec.dead_letter is None:
        return False
    for result in results.values():
        for finding in result.findings:
            is_open = finding.rule in _UNDECIDED or finding.rule.startswith(_CONTRACT)
            if is_open and answers.is_blocking(finding):
                return False
    return True


def speaks_of(stage: str, result: StageResult) -> bool:
    """Whether a proof could change what a stage has read."""
    if result.status == Status.NOT_APPLICABLE:
        return stage in PROVEN
    if stage in PROVEN and result.status in (Status.PASSED, Status.FAILED, Status.BLOCKED):
        return True
    open_findings = (f for f in result.findings if answers.is_blocking(f) or is_not_read(f))
    return any(answers.can_be_answered(finding) for finding in open_findings)


def explain_no_proof(case: JobCase) -> Finding | None:
    """Why no proof is made, as a note; None where one can be made."""
    spec = case.spec
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
    """The proof's report (proof.v1) and its `histories` (see `proof.stories`); None where nobody
    agreed to run it.

    What it rests on becomes look-ups. With the same inputs as the last time, its report is taken
    from the state folder and nothing runs; but an incomplete proof is tried again, since a busy
    machine or a missing server is no input.
    """
    target = proof_target(case)
    found = _kept(case)
    if found is not None and not case.is_recorded(found[1]):
        said = (
            "the kept proof is not one that this ledger records: it is not believed, and made again"
        )
        print(f"skillrun: {said}", file=sys.stderr, flush=True)
    elif found is not None and found[0]["report"]["verdict"] != "incomplete":
        kept, sha = found
        _record(case, kept)
        return {**kept["report"], "kept": sha}
    if not case.consent(consent_plan(target)):
        return None
    from skillrun.proof.attempt import try_prove
    from skillrun.proof.report import proof_report
    from skillrun.proof.stories import stories

    proof = try_prove(target, progress=_progress(case))
    spec = target.spec
    report = {
        **proof_report(proof, target, f" --spec {spec.shown_path}"),
        "histories": stories(proof),
    }
    files = {path: case.tree.sha256(path) or "" for path in proof.modules}
    sha = _keep(case, {"rests_on": _rests_on(case), "files": files, "report": report})
    _record(case, {"files": files})
    return {**report, "kept": sha}


def _progress(case: JobCase) -> Any:
    """A line at each quarter."""
    said: set[int] = set()

    def show(what: str, done: int, of: int) -> None:
        quarter = 0
        if of:
            quarter = done * 4 // of
        if case.on_output is not None and of and quarter not in said:
            said.add(quarter)
            case.on_output(f"proof: {done} of {of} schedules")

    return show


def _packages(case: JobCase) -> str:
    proof = None
    if case.spec:
        proof = case.spec.proof
    return f"packages:{(proof.python if proof else None) or ''}"


def _rests_on(case: JobCase) -> dict[str, Any]:
    """All but the files that a proof depends on."""
    from skillrun.core.canonical import digest
    from skillrun.core.resources import tool_version

    raw = {}
    if case.spec:
        raw = case.spec.raw
    return {
        # Digests alone: the environment that the spec gives stands in no file of the state folder.
        "spec": {part: digest(raw.get(part)) for part in PROOF_PARTS},
        "version": tool_version(),
        "packages": case.section(_packages(case))[0],
        "contract": sorted(_list_contract_risks(case)),
    }


def _record(case: JobCase, kept: Mapping[str, Any]) -> None:
    """The imported modules and the installed packages become look-ups of the stage."""
    for path in kept["files"]:
        case.tree.read(path)
    value, files = case.section(_packages(case))
    case.tree.fact(_packages(case), value, files)


def _cache(case: JobCase) -> Path:
    from skillrun.core.canonical import digest

    job, shown_path = "", ""
    if case.spec is not None:
        job, shown_path = case.spec.job, case.spec.shown_path
    name = digest([str(case.root), job, shown_path])
    return state_dir() / "proofs" / f"{name}.json"


def last_report(case: JobCase) -> dict[str, Any] | None:
    """The report of the last proof of this job, where the ledger has it and nothing that it rests
    on has changed.
    """
    found = _kept(case)
    if found is not None and case.is_recorded(found[1]):
        report: dict[str, Any] = found[0]["report"]
        return report
    return None


def _kept(case: JobCase) -> tuple[dict[str, Any], str] | None:
    """(the last proof of this job, the sha256 of its file) where all that it rests on is unchanged.

    The file alone proves nothing: it counts where the ledger has recorded that sha256.
    """
    from skillrun.core.canonical import sha256

    content = read_own(_cache(case))
    if content is None:
        return None
    try:
        kept: dict[str, Any] = json.loads(content)
        same = kept["rests_on"] == json.loads(json.dumps(_rests_on(case)))
        fresh = all((case.tree.sha256(path) or "") == sha for path, sha in kept["files"].items())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    # A report of a version that gave no verdict for each promise is made again.
    is_whole = "properties" in kept["report"]
    if same and fresh and kept["files"] and is_whole:
        return (kept, sha256(content))
    return None


def _keep(case: JobCase, value: Mapping[str, Any]) -> str:
    """Outside the repository, for its owner alone; the sha256 that the ledger records of it.

    Not being able to is no error: the next run proves again.
    """
    import contextlib

    from skillrun.core.canonical import sha256

    content = json.dumps(value).encode()
    with contextlib.suppress(OSError):
        write_own(_cache(case), content)
    return sha256(content)


def add_proof(
    case: JobCase,
    stage: str,
    result: StageResult,
    report: Mapping[str, Any] | None,
    told: Sequence[str] = tuple(PROVEN),
) -> StageResult:
    """A stage's result, with what the proof says of it: proved, refuted (it fails), or pending
    where its own promises are incomplete.

    What was read of a promise that is proved is dropped. Where the proof has nothing to show of a
    stage, that stays as it was read.
    """
    if report is None:
        hint = "allow it with --trust"
        said = note("proof.no-consent", "read, not proved: nobody has allowed it yet", hint=hint)
        return leave_unproved(stage, result, [said], "consent")
    result = _drop_answered(case, stage, result, report)
    if stage not in PROVEN:
        return _add_run(stage, result, report)
    mine = []
    for w in report["witnesses"]:
        if stage in _find_tellers(w["rule"], told):
            mine.append(w)
    listed = report.get("risks", ())
    risks = []
    for risk in listed:
        if stage in _find_tellers(risk["rule"], told):
            risks.append(_read_risk(risk))
    return add_risks(_add_verdict(stage, result, report, mine), risks)


def _add_verdict(
    stage: str,
    result: StageResult,
    report: Mapping[str, Any],
    mine: Sequence[Mapping[str, Any]],
) -> StageResult:
    """`mine`: the witnesses that this stage tells."""
    if result.status == Status.NOT_APPLICABLE and not mine:
        return replace(result, facts={**result.facts, "proof": report["verdict"]})
    if mine:
        return _add_refutation(stage, result, report, [*map(_refuted, mine)])
    lacking = tuple(_incomplete(stage, report))
    if lacking:
        return _add_evidence(leave_unproved(stage, result, lacking, "prove"), report, proved=False)
    open_question = _not_shown(stage, report)
    if open_question is not None:
        return _add_unshown(stage, result, report, open_question)
    if result.status != Status.PASSED:
        return _add_evidence(result, report, proved=False)
    if stage == "dead-letter":
        result = replace(result, findings=(*result.findings, *_untried(report)))
    facts = {**result.facts, "schedules": report["schedules"]["total"]}
    proved = replace(result, grade=Grade.PROVED, facts=facts)
    return _add_evidence(proved, report, proved=True)


def _find_tellers(rule: str, told: Sequence[str]) -> Sequence[str]:
    """The stages that tell what a rule of the judges has found. Where none of its own is in the
    skill, the first one does: else nobody would.
    """
    promises = set(find_promises(rule))
    own = []
    for stage in told:
        if promises.intersection(PROVEN[stage]):
            own.append(stage)
    return own or told[:1]


def add_risks(result: StageResult, risks: Sequence[Risk]) -> StageResult:
    """A stage's result with the risks that stand beside it: each is a warning, and changes no
    status.
    """
    said = [_warn_of(risk) for risk in risks]
    return replace(result, findings=(*result.findings, *said), risks=tuple(risks))


def _warn_of(risk: Risk) -> Finding:
    hint = f"{risk.closes}; see it happen: {risk.replay}"
    return warning(f"{RISK_RULE}{risk.rule}", f"{risk.grade}: {risk.message}", hint=hint)


def _read_risk(risk: Mapping[str, Any]) -> Risk:
    """Of the proof's document. Others of the same root are mended with it."""
    others = risk.get("also", ())
    message = risk["message"]
    if others:
        message = f"{message} (and {', '.join(others)})"
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
    """Without the findings that the proof has shown to be wrong, and the steps that they asked
    for; what blocked is recorded as a disagreement.
    """
    dropped, left = [], []
    for finding in result.findings:
        if answers.is_answered(stage, finding, report, case):
            dropped.append(finding)
        else:
            left.append(finding)
    if not dropped:
        return result
    kept = replace(result, findings=tuple(left))
    wrong = []
    for finding in dropped:
        made = answers.make_disagreement(finding, report)
        if made is not None:
            wrong.append(made.as_json())
    if not wrong:
        return kept
    return replace(
        kept,
        status=status_of(kept.findings),
        next=_list_steps(result, left),
        summary=f"read otherwise in {count_things(len(wrong), 'place')}",
        facts={**result.facts, DISAGREEMENTS: wrong},
    )


def _list_steps(result: StageResult, left: list[Finding]) -> tuple[Action, ...]:
    """Those that a finding asks for which still blocks."""
    blocking = []
    for finding in left:
        if answers.is_blocking(finding):
            blocking.append(finding.message)
    found = []
    for step in result.next:
        if any(message in step.detail for message in blocking):
            found.append(step)
    return tuple(found)


def _add_refutation(
    stage: str, result: StageResult, report: Mapping[str, Any], found: list[Finding]
) -> StageResult:
    """A stage with a promise that was broken: nothing that was read hides it."""
    findings = (*result.findings, *found)
    steps = (Action(stage, "edit-code", f"{f.message}; {f.hint}") for f in found)
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
    """A stage of which no schedule could show anything: it stays as it was read."""
    hint = "give it in the spec's failures"
    unshown = warning("proof.not-shown", f"not proved: {question}", hint=hint)
    if has_not_read(result):
        return leave_unproved(stage, result, [unshown], "edit-spec")
    said = replace(result, findings=(*result.findings, unshown))
    return _add_evidence(said, report, proved=False)


def _add_evidence(
    result: StageResult, report: Mapping[str, Any], *, proved: bool | None
) -> StageResult:
    """With the proof among its evidence. `proved` None: its summary says already what came of
    it.
    """
    summary = result.summary
    if proved:
        summary = f"{summary}; proved under {report['schedules']['total']} schedules"
    elif proved is False and result.status == Status.PENDING:
        summary = f"{summary}; the proof is incomplete"
    return replace(
        result,
        evidence=(*result.evidence, _evidence(report)),
        summary=summary,
        facts={**result.facts, "proof": report["verdict"]},
    )


def _add_run(stage: str, result: StageResult, report: Mapping[str, Any]) -> StageResult:
    """A stage of which no judge speaks: the proof has loaded the handler as a worker does, and run
    it.
    """
    if not answers.is_stage_proved(stage, report) and has_not_read(result):
        return leave_unproved(stage, result, _incomplete(stage, report), "prove")
    answered = replace(
        result,
        grade=Grade.EXECUTED if result.status == Status.PASSED else result.grade,
        evidence=(*result.evidence, _evidence(report)),
        facts={**result.facts, "proof": report["verdict"]},
    )
    if has_not_read(answered):
        return as_not_read(stage, answered)
    return answered


def _untried(report: Mapping[str, Any]) -> Iterator[Finding]:
    """What was proved without what nobody gave: a message that no publisher would send."""
    from skillrun.proof.families.messages import NO_POISON

    if report["skipped"].get("poison") == NO_POISON:
        hint = (
            "give some in proof.poison, e.g. [{}] and one with a value that cannot be; they enter"
            " behind the publisher"
        )
        yield warning("proof.no-poison", "not tried: a malformed message", hint=hint)


def _not_shown(stage: str, report: Mapping[str, Any]) -> str | None:
    """What no schedule could show of a stage, though nothing refutes it."""
    gave_up = {"exhaustion", "permanent", "poison"} & set(report["schedules"]["families"])
    once = report["attempts"]["declared"] == 1
    if stage == "retry" and not (
        gave_up & {"exhaustion"} or (once and {"error", "permanent"} & _families(report))
    ):
        return "no transient error is declared, so no retry was seen"
    if stage == "dead-letter" and not gave_up:
        return "no error is declared, so no job was given up"
    if stage == "observability" and report["log_answers"]["why"]["by"] == "not asked":
        return "no error is declared, so no failure was seen in the logs"
    return None


def _families(report: Mapping[str, Any]) -> set[str]:
    return set(report["schedules"]["families"])


def _refuted(witness: Mapping[str, Any]) -> Finding:
    places = []
    for step in witness["events"]:
        if step["path"]:
            places.append(step)
    place = next((step for step in places if step["fault"]), places[-1] if places else {})
    cause = ""
    if witness["cause"]:
        cause = f": {witness['cause']}"
    message = (
        f"{witness['message']}{cause} (expected {witness['expected']}, seen {witness['seen']})"
    )
    where = {"path": place.get("path"), "line": place.get("line")}
    return error(
        f"proof.{witness['rule']}", message, hint=f"see it happen: {witness['replay']}", **where
    )


def _incomplete(stage: str, report: Mapping[str, Any]) -> Iterator[Finding]:
    """What keeps the promises of a stage from being proved; nothing where they are."""
    promises = PROVEN.get(stage, ("ends",))
    reasons = []
    for name in promises:
        found = report["properties"].get(name)
        if found is not None and found["verdict"] == "incomplete":
            reasons.append(found["reason"])
    mine = []
    for item in report["incomplete"]:
        if set(find_kept_open(item["rule"])).intersection(promises):
            mine.append(item)
    for item in mine[:_REASONS_SHOWN]:
        yield warning(INCOMPLETE, f"not proved: {item['message']}", hint=item["hint"])
    if not mine:
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


def _evidence(report: Mapping[str, Any]) -> Evidence:
    from skillrun.core.canonical import digest

    detail = {"verdict": report["verdict"], "bounds": report["bounds"]["sentence"]}
    return Evidence("proof", report["handler"], digest(dict(report)), detail=detail)
