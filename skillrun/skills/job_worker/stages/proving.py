"""The proof of a run's job: what it needs to know of the repository, who must agree, and what it
says to the stages.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
        raise _explain_no_handler(case, spec, spec.handler)
    return Target(
        spec,
        case.root,
        _choose_driver(case, handler),
        _find_source_roots(case, spec),
        frozenset(_list_contract_risks(case)),
    )


def _list_contract_risks(case: JobCase) -> tuple[str, ...]:
    """The risks that the profile makes part of the contract. Raises Misuse where one of them is
    not known.
    """
    listed: tuple[str, ...] = ()
    if case.profile:
        listed = case.profile.contract_risks
    check_contract_risks(listed, RISKS)
    return listed


def find_handler(case: JobCase) -> Definition | None:
    """The handler, also where it is a plain function that the framework in use knows nothing of."""
    spec = case.spec
    if spec is None or spec.handler is None:
        return None
    return case.handler or case.project.find(spec.handler)


def _explain_no_handler(case: JobCase, spec: JobSpec, name: str) -> Blocked:
    """The error for a spec whose `handler: package.module:function` leads nowhere."""
    module, _, function = name.partition(":")
    path = case.project.locate(module, anywhere=True)
    where = f"{spec.shown_path}:{spec.line('handler')}"
    if path in case.project.broken:
        reason = f"its module cannot be read: {case.project.broken[path]}"
        hint = (
            "mend it, or run skillrun on the Python that it is written for (this is"
            f" {platform.python_version()})"
        )
        return Blocked(f"{where}: handler: {reason}", hint=hint)
    reason = f"there is no module {module} in this repository"
    if path:
        reason = f"{path} has no {function}"
    return Blocked(f"{where}: handler: {reason}", hint="handler: package.module:function")


def _choose_driver(case: JobCase, handler: Definition) -> str | None:
    """The id of the framework whose driver runs the handler, or None where it is called as a plain
    function. Raises Blocked for a framework that has no driver.
    """
    use = case.use
    if use is None or features_of(use.id).runs_in_place or case.handler is None:
        return None
    known = list_proved()
    if use.id in known:
        return use.id
    raise Blocked(
        f"{handler.path}:{handler.line}: a job of {use.id}, which the proof cannot run yet",
        hint=f"jobs of {', '.join(known)} and plain callables can be proved",
    )


def _list_publishers(spec: JobSpec) -> list[str]:
    """The import paths of the functions that publish the job: sweeps, what enqueues it, a relay."""
    publishers = []
    for sweep in spec.recovers:
        if sweep.call is not None:
            publishers.append(sweep.call)
    if spec.enqueue is not None:
        for path in (spec.enqueue.call, spec.enqueue.relay):
            if path is not None:
                publishers.append(path)
    return publishers


def _find_source_roots(case: JobCase, spec: JobSpec) -> tuple[str, ...]:
    """The folders that have to be on Python's path for the spec's import paths: `src`, say, or the
    folder of a nested service. The handler's folder is the first.
    """
    names = [effect.call for effect in spec.effects or ()]
    names += _list_publishers(spec)
    if spec.failures:
        names += [*spec.failures.transient_names, *spec.failures.permanent_names]
    module = (spec.handler or "").partition(":")[0]
    handler_path = case.project.locate(module, anywhere=True)
    roots = [_find_import_root(handler_path, module)]
    for name in names:
        module, colon, _ = name.partition(":")
        # Without a colon it is the name of a library's error, or of a builtin.
        if not colon:
            continue
        # Only where its import would find it anyway: a file somewhere must not come before a
        # library of that name.
        path = case.project.locate(module, near=handler_path)
        roots.append(_find_import_root(path, module))
    return tuple(dict.fromkeys(root for root in roots if root is not None))


def _find_import_root(path: str | None, module: str) -> str | None:
    """The folder in which `import module` finds the file at this path, or None where it would not:
    `src/shop/tasks.py` and `shop.tasks` give `src`.
    """
    if path is None:
        return None
    parts = module.split(".")
    as_file = "/".join(parts) + ".py"
    as_package = "/".join([*parts, "__init__.py"])
    for end in (as_file, as_package):
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


# A stage shows so many of the reasons for an incomplete proof; `skillrun prove` shows all.
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
    for finding in result.findings:
        is_open = answers.is_blocking(finding) or is_not_read(finding)
        if is_open and answers.can_be_answered(finding):
            return True
    return False


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
    """Proves the job, or takes the last proof of it where nothing that it rests on has changed.
    Returns the report (proof.v1) with its `histories` (see `proof.stories`), or None where nobody
    agreed to run it.

    What the proof rests on is recorded as look-ups of the stage. An incomplete proof is tried
    again, since a busy machine or a missing server is no input.
    """
    target = proof_target(case)
    last = _read_last_proof(case)
    if last is not None:
        kept, sha = last
        if not case.is_recorded(sha):
            said = (
                "the kept proof is not one that this ledger records: it is not believed, and made"
                " again"
            )
            print(f"skillrun: {said}", file=sys.stderr, flush=True)
        elif kept["report"]["verdict"] != "incomplete":
            _record_lookups(case, kept["files"])
            return {**kept["report"], "kept": sha}
    if not case.consent(consent_plan(target)):
        return None
    from skillrun.proof.attempt import try_prove
    from skillrun.proof.report import proof_report
    from skillrun.proof.stories import stories

    proof = try_prove(target, progress=_make_progress(case))
    report = proof_report(proof, target, f" --spec {target.spec.shown_path}")
    report = {**report, "histories": stories(proof)}
    files = {path: case.tree.sha256(path) or "" for path in proof.modules}
    sha = _keep_proof(case, {"rests_on": _describe_inputs(case), "files": files, "report": report})
    _record_lookups(case, files)
    return {**report, "kept": sha}


def _make_progress(case: JobCase) -> Callable[[str, int, int], None]:
    """A function that the proof calls after each schedule; it prints a line at each quarter."""
    shown: set[int] = set()

    def show(what: str, done: int, total: int) -> None:
        if case.on_output is None or total == 0:
            return
        quarter = done * 4 // total
        if quarter not in shown:
            shown.add(quarter)
            case.on_output(f"proof: {done} of {total} schedules")

    return show


def _name_packages_fact(case: JobCase) -> str:
    """The name of the fact "what is installed beside the interpreter of the proof", which is
    `packages:` and the interpreter where the spec names one; see `JobCase.section`.
    """
    python = None
    if case.spec and case.spec.proof:
        python = case.spec.proof.python
    return f"packages:{python or ''}"


def _describe_inputs(case: JobCase) -> dict[str, Any]:
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
        "contract": sorted(_list_contract_risks(case)),
    }


def _record_lookups(case: JobCase, imported: Iterable[str]) -> None:
    """Makes the files that a proof has imported, and the installed packages, look-ups of the
    stage: it is stale once one of them changes.
    """
    for path in imported:
        case.tree.read(path)
    name = _name_packages_fact(case)
    value, files = case.section(name)
    case.tree.record_section(name, value, files)


def _proof_file(case: JobCase) -> Path:
    """Where the last proof of this job is kept, in the state folder of whoever runs this."""
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
    last = _read_last_proof(case)
    if last is None:
        return None
    kept, sha = last
    if not case.is_recorded(sha):
        return None
    report: dict[str, Any] = kept["report"]
    return report


def _read_last_proof(case: JobCase) -> tuple[dict[str, Any], str] | None:
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
        inputs = json.loads(json.dumps(_describe_inputs(case)))
        has_same_inputs = kept["rests_on"] == inputs
        has_same_files = _are_unchanged(case, kept["files"])
    # Anybody may have written that file: whatever is wrong in it, there is no proof.
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    # A report of a version that gave no verdict for each promise is made again.
    is_whole = "properties" in kept["report"]
    if has_same_inputs and has_same_files and kept["files"] and is_whole:
        return kept, sha256(content)
    return None


def _are_unchanged(case: JobCase, files: Mapping[str, str]) -> bool:
    """Whether each file has the content of this sha256; "" stands for a file that is not there."""
    return all((case.tree.sha256(path) or "") == sha for path, sha in files.items())


def _keep_proof(case: JobCase, value: Mapping[str, Any]) -> str:
    """Writes a proof to its file outside the repository, readable for its owner alone. Returns the
    sha256 that the ledger records of it.

    Not being able to is no error: the next run proves again.
    """
    import contextlib

    from skillrun.core.canonical import sha256

    content = json.dumps(value).encode()
    with contextlib.suppress(OSError):
        write_own(_proof_file(case), content)
    return sha256(content)


def add_proof(
    case: JobCase,
    stage: str,
    result: StageResult,
    report: Mapping[str, Any] | None,
    told: Sequence[str] = tuple(PROVEN),
) -> StageResult:
    """Returns a stage's result with what the proof says of it: it is proved, or it is refuted and
    fails, or it is pending where its own promises are incomplete.

    What was read of a promise that is proved is dropped. Where the proof has nothing to show of a
    stage, that stays as it was read. `told`: the stages that the skill has.
    """
    if report is None:
        hint = "allow it with --trust"
        said = note("proof.no-consent", "read, not proved: nobody has allowed it yet", hint=hint)
        return leave_unproved(stage, result, [said], "consent")
    result = _drop_answered(case, stage, result, report)
    if stage not in PROVEN:
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
    """The stages that tell what a rule of the judges has found. Where none of its own is in the
    skill, the first one does: else nobody would.
    """
    promises = set(find_promises(rule))
    tellers = [stage for stage in told if promises.intersection(PROVEN[stage])]
    return tellers or told[:1]


def add_risks(result: StageResult, risks: Sequence[Risk]) -> StageResult:
    """A stage's result with the risks that stand beside it. Each is also told as a warning, and
    changes no status.
    """
    warnings = [_warn_of(risk) for risk in risks]
    return replace(result, findings=(*result.findings, *warnings), risks=tuple(risks))


def _warn_of(risk: Risk) -> Finding:
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
    steps = [Action(stage, "edit-code", f"{f.message}; {f.hint}") for f in refutations]
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
    said = replace(result, findings=(*result.findings, unshown))
    return _add_evidence(said, report, proved=False)


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
    """Why no schedule could show what a stage is about, though nothing refutes it: the errors that
    it needs are not declared. None where it was shown.
    """
    if stage == "retry" and not _has_shown_retry(report):
        return "no transient error is declared, so no retry was seen"
    if stage == "dead-letter" and not _ran_any_of(report, "exhaustion", "permanent", "poison"):
        return "no error is declared, so no job was given up"
    if stage == "observability" and report["log_answers"]["why"]["by"] == "not asked":
        return "no error is declared, so no failure was seen in the logs"
    return None


def _has_shown_retry(report: Mapping[str, Any]) -> bool:
    """Whether a schedule used up the attempts. A job with one attempt is never tried again, and
    any error has shown that.
    """
    if _ran_any_of(report, "exhaustion"):
        return True
    has_one_attempt = report["attempts"]["declared"] == 1
    return has_one_attempt and _ran_any_of(report, "error", "permanent")


def _ran_any_of(report: Mapping[str, Any], *families: str) -> bool:
    """Whether schedules of one of these families were run."""
    return not set(families).isdisjoint(report["schedules"]["families"])


def _tell_refutation(witness: Mapping[str, Any]) -> Finding:
    """An error that says what was expected and seen, at the place where the fault happened."""
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
    """Warnings that say what keeps the promises of a stage from being proved; none where they
    are.
    """
    # A stage of which no judge speaks rests on the one promise that a job comes to an end.
    promises = PROVEN.get(stage, ("ends",))
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
        if judged is not None and judged["verdict"] == "incomplete":
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
