"""Stage 3: what happens when the same job is delivered twice? Blocked until that is decided; it can
never be waived.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from skillrun.core.verdict import Action, Finding, Grade, Severity, StageResult, status_of
from skillrun.runner.coded import wording
from skillrun.runner.findings import blocker, note, warning
from skillrun.skills.job_worker.job_case import PROOF_PARTS, JobCase
from skillrun.skills.job_worker.readings.adapters import adapter_findings
from skillrun.skills.job_worker.readings.foreign import attest_stage
from skillrun.skills.job_worker.readings.foreign_options import read_options
from skillrun.skills.job_worker.readings.keys import key_findings
from skillrun.skills.job_worker.readings.second_deliveries import witness_stage
from skillrun.skills.job_worker.readings.tables.dedupe import store_findings, window_findings
from skillrun.skills.job_worker.readings.unread import unread

if TYPE_CHECKING:
    from skillrun.contract.job import Idempotency, JobSpec

ID = "idempotency"
TITLE = "Establish idempotency"
ANSWERS = wording(r"\bidempoten")
READS = PROOF_PARTS
COSTLY = False

_NOT_IN_PAYLOAD = "idempotency.key-not-in-payload"
QUESTION = (
    "Which payload fields make two messages the same job, and where is a finished job remembered? "
    "Or which invariant makes a second run harmless?"
)
_HOW = "idempotency: {strategy: keyed, key: [FIELD, ...], dedupe: {store: table NAME, window: 7d}}"
# Fields that are another one at each delivery: message_id, retry_count, sent_at
_PER_DELIVERY = re.compile(
    r"^(attempt|retr(y|ies)|message_id|msg_id|task_id|delivery|nonce|timestamp|now|sent_at|uuid)",
    re.I,
)
# Where one of these was said, the verdict rests on somebody's word.
_ON_WORD = (
    "idempotency.store-not-judged",
    "idempotency.guard-not-judged",
    "idempotency.store-not-used",
    "idempotency.key-not-read",
)


def examine(case: JobCase) -> StageResult:
    """Looks whether the strategy is decided, and the key is stable, unique in its store, and
    remembered for long enough.
    """
    spec = case.spec
    idempotency = None
    if spec:
        idempotency = spec.idempotency
    if spec is None or idempotency is None or idempotency.strategy == "unknown":
        return _tell_undecided(spec)
    if case.language is not None:
        declared = [*_judge_declared(spec, idempotency), *_list_unique_options(case)]
        if idempotency.test is not None:
            return witness_stage(case, case.language, idempotency.test, declared)
        return attest_stage(case, case.language, ID, declared)
    if (blind := unread(case, ID)) is not None:
        return blind
    findings = list(_judge_declared(spec, idempotency))
    # With a misspelled key nothing true can be said of the store or of how the key is made.
    key_is_known = not any(finding.rule == _NOT_IN_PAYLOAD for finding in findings)
    findings += _judge_code(case, spec, idempotency, key_is_known=key_is_known)
    findings += case.rule_findings(ID)
    if idempotency.test is not None:
        findings.append(_tell_unused_test(spec))
    grade = Grade.DECLARED
    if case.handler and not any(finding.rule in _ON_WORD for finding in findings):
        grade = Grade.STATIC
    return StageResult(
        status=status_of(findings),
        grade=grade,
        findings=tuple(findings),
        next=tuple(_list_next(findings)),
        summary=_summarise(idempotency),
        facts={"idempotency": idempotency.strategy},
    )


def _list_unique_options(case: JobCase) -> tuple[Finding, ...]:
    """What the library of a job in another language is asked to do about a second message."""
    options = read_options(case)
    if options is None:
        return ()
    return options.of_uniqueness


def _tell_unused_test(spec: JobSpec) -> Finding:
    """A warning: of a job in Python a proof delivers the job twice itself."""
    return warning(
        "idempotency.test-unused",
        "idempotency.test is run for jobs in other languages than Python alone",
        hint="leave it out: the proof delivers the job twice itself",
        path=spec.shown_path,
        line=spec.line(ID, "test"),
    )


def _is_in_spec(finding: Finding) -> bool:
    """Whether the spec is to be changed; a table that is missing is code to be written."""
    return finding.severity == Severity.BLOCKER and finding.rule != "idempotency.no-table"


def _tell_undecided(spec: JobSpec | None) -> StageResult:
    """The result of the stage where nobody has decided on a strategy."""
    place = {}
    if spec:
        place = {"path": spec.shown_path, "line": spec.line("idempotency")}
    finding = blocker(
        "idempotency.undefined", "the idempotency strategy is not defined", hint=QUESTION, **place
    )
    steps = (Action(ID, "decide", QUESTION), Action(ID, "edit-spec", _HOW))
    return StageResult(
        status_of([finding]),
        None,
        (finding,),
        next=steps,
        facts={"idempotency": "unknown"},
        summary="not defined",
    )


def _judge_declared(spec: JobSpec, idempotency: Idempotency) -> Iterator[Finding]:
    """A blocker for each thing that the spec itself must say, and does not."""
    here = {"path": spec.shown_path, "line": spec.line("idempotency")}
    if idempotency.strategy == "invariant":
        if not idempotency.invariant or not idempotency.invariant.statement:
            hint = "idempotency.invariant.statement: what is true after one run and after two"
            yield blocker(
                "idempotency.no-statement", "an invariant without a statement", hint=hint, **here
            )
        elif not idempotency.invariant.guarded_by:
            hint = (
                "idempotency.invariant.guarded_by: the constraint, lock or condition that keeps it"
                " true"
            )
            yield blocker(
                "idempotency.no-guard",
                "nothing is named that guards the invariant",
                hint=hint,
                **here,
            )
        return
    if not idempotency.key:
        yield blocker(
            "idempotency.no-key",
            "a keyed strategy without key fields",
            hint=f"{QUESTION} {_HOW}",
            **here,
        )
    if not idempotency.dedupe or not idempotency.dedupe.store:
        hint = (
            "idempotency.dedupe: {store: table NAME, window: 7d}, or {store: receiver, ...} if the"
            " receiver does it"
        )
        yield blocker(
            "idempotency.no-boundary",
            "no dedupe boundary: where is a finished job remembered?",
            hint=hint,
            **here,
        )
    yield from _judge_key_fields(spec, idempotency)


def _judge_key_fields(spec: JobSpec, idempotency: Idempotency) -> Iterator[Finding]:
    """A finding for each key field that is not in the payload, may be missing from a message, or
    sounds as if it were another one at each delivery.
    """
    for number, field in enumerate(idempotency.key or ()):
        place = {"path": spec.shown_path, "line": spec.line("idempotency", "key", number)}
        missing = None
        if spec.payload is not None:
            missing = _find_missing_part(spec.payload, field)
        if missing:
            message = f"key field {field} is not in the payload"
            yield blocker(_NOT_IN_PAYLOAD, message, hint=missing, **place)
        elif _PER_DELIVERY.search(field):
            hint = "choose a field that names the thing the job is about, e.g. order_id"
            message = f"key field {field} sounds as if it differed at each delivery of the same job"
            yield warning("idempotency.key-per-delivery", message, hint=hint, **place)
        elif spec.payload is not None and not _is_required(spec.payload, field):
            message = (
                f"key field {field} may be missing from a message: the payload does not require it"
            )
            hint = f"payload.required: [{field.partition('.')[0]}, ...]"
            yield warning("idempotency.key-not-required", message, hint=hint, **place)


def _is_required(payload: dict[str, Any], field: str) -> bool:
    """Whether every message has the first part of a (dotted) field."""
    return field.partition(".")[0] in (payload.get("required") or ())


def _find_missing_part(payload: dict[str, Any], field: str) -> str | None:
    """What the payload has instead of a (dotted) key field; None where it has the field, or leaves
    it open.
    """
    inside: Any = payload
    for part in field.split("."):
        fields = None
        if isinstance(inside, dict):
            fields = inside.get("properties")
        if not isinstance(fields, dict):
            if inside is payload:
                return "the payload has no fields"
            return None
        if part not in fields:
            return f"the payload has {', '.join(map(str, fields)) or 'no fields'}"
        inside = fields[part]
    return None


def _judge_code(
    case: JobCase, spec: JobSpec, idempotency: Idempotency, *, key_is_known: bool
) -> Iterator[Finding]:
    """What the code says of windows, store, adapters and keys; of the latter only where the key's
    fields are known.
    """
    yield from window_findings(case, spec, idempotency)
    if idempotency.strategy == "keyed" and key_is_known:
        yield from store_findings(case, spec, idempotency)
    elif idempotency.invariant and idempotency.invariant.guarded_by:
        message = (
            "the guard was not judged, it is taken on the spec's word:"
            f" {idempotency.invariant.guarded_by}"
        )
        place = {"path": spec.shown_path, "line": spec.line("idempotency", "invariant")}
        yield note(
            "idempotency.guard-not-judged",
            message,
            hint="only the proof can show that it holds",
            **place,
        )
    yield from adapter_findings(case, spec)
    if case.handler is not None and key_is_known:
        yield from key_findings(case, spec, case.handler)


def _summarise(idempotency: Idempotency) -> str:
    """One line: `key order_id in table receipts`."""
    if idempotency.strategy == "invariant":
        statement: str | None = ""
        if idempotency.invariant:
            statement = idempotency.invariant.statement
        return f"invariant: {statement}"
    store: str | None = "nowhere"
    if idempotency.dedupe:
        store = idempotency.dedupe.store
    return f"key {', '.join(idempotency.key or ())} in {store}"


def _list_next(findings: Iterable[Finding]) -> Iterator[Action]:
    for finding in findings:
        if finding.hint and finding.severity in (Severity.BLOCKER, Severity.ERROR):
            kind = "edit-code"
            if _is_in_spec(finding):
                kind = "edit-spec"
            yield Action(ID, kind, f"{finding.message}: {finding.hint}")
