"""Stage 6: after the last attempt a record exists, and nothing loops."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from skillrun.core.verdict import (
    Action,
    Evidence,
    Finding,
    Grade,
    Severity,
    StageResult,
    Status,
    list_edits,
    status_of,
)
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.unfollowed import Unfollowed, is_foreign, is_observer
from skillrun.frameworks.registry import features_of
from skillrun.runner.coded import wording
from skillrun.runner.findings import blocker, error, warning
from skillrun.skills.job_worker.job_case import PROOF_PARTS, JobCase
from skillrun.skills.job_worker.readings.effects import handler_calls
from skillrun.skills.job_worker.readings.foreign import attest_stage
from skillrun.skills.job_worker.readings.foreign_options import judge_failed, read_options
from skillrun.skills.job_worker.readings.tables.store_use import find_writer
from skillrun.skills.job_worker.readings.tables.uniqueness import tables
from skillrun.skills.job_worker.readings.unread import ask_proof, unread

if TYPE_CHECKING:
    from skillrun.contract.job import DeadLetter, JobSpec
    from skillrun.frameworks.interface import Policy

ID = "dead-letter"
TITLE = "Add dead-letter or quarantine"
ANSWERS = wording(r"\bdead[- ]?letter|\bquarantine")
READS = PROOF_PARTS
COSTLY = False


def examine(case: JobCase) -> StageResult:
    """Not applicable only with a reason; else the code must write the record that the spec
    names.
    """
    spec = case.spec
    dead_letter = None
    if spec:
        dead_letter = spec.dead_letter
    if spec is None or dead_letter is None:
        return _undefined(spec)
    if case.language is None and (blind := unread(case, ID)) is not None:
        return blind
    if dead_letter.kind == "none":
        return _conclude_none(case, spec, dead_letter)
    if case.language is not None:
        return attest_stage(case, case.language, ID, _judge_options(case, spec, dead_letter))
    findings = [*_check_written(case, spec, dead_letter), *case.rule_findings(ID)]
    grade = Grade.DECLARED
    summary = f"{dead_letter.kind} {dead_letter.where or ''}".strip()
    evidence: tuple[Evidence, ...] = ()
    if case.policy and case.policy.dead_letter:
        place = case.policy.dead_letter
        grade = Grade.STATIC
        summary = f"{summary}, {place.path}:{place.line}"
        content = case.tree.sha256(place.path) or ""
        size = case.tree.size(place.path)
        evidence = (Evidence("file", place.path, content, size, place.line),)
    to_do = [finding for finding in findings if finding.rule != "dead-letter.no-handler"]
    return StageResult(
        status=status_of(findings),
        grade=grade,
        findings=tuple(findings),
        evidence=evidence,
        next=list_edits(ID, to_do),
        summary=summary,
    )


def _judge_options(case: JobCase, spec: JobSpec, dead_letter: DeadLetter) -> list[Finding]:
    """What the library's options make of a job in another language that has failed."""
    options = read_options(case)
    if options is None:
        return []
    return list(judge_failed(options, spec, dead_letter))


def _undefined(spec: JobSpec | None) -> StageResult:
    place = {}
    if spec:
        place = {"path": spec.shown_path, "line": spec.line("dead_letter")}
    hint = "dead_letter: {kind: table, where: dead_jobs}, or {kind: none, reason: ...}"
    finding = blocker(
        "dead-letter.undefined",
        "where a job goes after its last attempt is not defined",
        hint=hint,
        **place,
    )
    return StageResult(
        status_of([finding]),
        None,
        (finding,),
        next=(Action(ID, "decide", hint),),
        summary="not defined",
    )


def _conclude_none(case: JobCase, spec: JobSpec, dead_letter: DeadLetter) -> StageResult:
    """Not applicable with a reason; a message that comes back for ever is no dead letter, and is
    found all the same.
    """
    loops = case.rule_findings(ID)
    if dead_letter.reason and status_of(loops) == Status.PASSED:
        return StageResult(
            Status.NOT_APPLICABLE, Grade.DECLARED, loops, summary=f"none: {dead_letter.reason}"
        )
    findings = list(loops)
    if not dead_letter.reason:
        hint = "dead_letter: {kind: none, reason: why a lost job is acceptable}"
        place = {"path": spec.shown_path, "line": spec.line("dead_letter")}
        findings.append(
            blocker(
                "dead-letter.no-reason", "dead_letter: none without a reason", hint=hint, **place
            )
        )
    return StageResult(
        status=status_of(findings),
        grade=None,
        findings=tuple(findings),
        next=tuple(_list_next(findings)),
    )


def _check_written(case: JobCase, spec: JobSpec, dead_letter: DeadLetter) -> Iterator[Finding]:
    place = {"path": spec.shown_path, "line": spec.line("dead_letter")}
    use = case.use
    if dead_letter.kind == "framework":
        if use is not None and not features_of(use.id).own_dead_letters:
            yield error(
                "dead-letter.framework-has-none",
                f"{use.id} keeps no dead letters of its own",
                hint="dead_letter: {kind: table, where: dead_jobs}",
                **place,
            )
        return
    if not dead_letter.where:
        hint = "dead_letter.where: the name of the table or queue"
        yield blocker(
            "dead-letter.nowhere",
            f"dead_letter.kind is {dead_letter.kind}, and where is not said",
            hint=hint,
            **place,
        )
        return
    policy = case.policy
    if policy is None:
        yield blocker(
            "dead-letter.no-handler",
            "no handler to look at yet",
            hint="the stage handler comes first",
        )
        return
    yield from _check_recorded(case, policy, dead_letter)


def _check_recorded(case: JobCase, policy: Policy, dead_letter: DeadLetter) -> Iterator[Finding]:
    where = {}
    if case.handler:
        where = {"path": case.handler.path, "line": case.handler.line}
    if policy.dead_letter is not None:
        if dead_letter.where and not _is_named(case, dead_letter.where):
            message = f"nothing in the repository names the {dead_letter.kind} {dead_letter.where}"
            hint = "correct dead_letter.where"
            yield warning("dead-letter.unknown-place", message, hint=hint, **where)
        return
    for unfollowed in find_unread_records(case)[:1]:
        question = "whether the code writes a record after the last attempt"
        yield ask_proof(ID, question, unfollowed)
        return
    message = "no code writes a record after the last attempt"
    hint = _say_how_to_record(case, dead_letter)
    yield blocker("dead-letter.not-written", message, hint=hint, **where)


def _say_how_to_record(case: JobCase, dead_letter: DeadLetter) -> str:
    thing = "message"
    if dead_letter.kind == "table":
        thing = "row"
    hint = (
        f"after the last attempt and on a permanent error, write a {thing} to"
        f" {dead_letter.where}, do not retry"
    )
    if dead_letter.kind != "queue" or case.use is None:
        return hint
    if not features_of(case.use.id).own_dead_letters:
        return hint
    own = f"where {case.use.id}'s own dead letters are meant: dead_letter: {{kind: framework}}"
    return f"{hint}; {own}"


def find_unread_records(case: JobCase) -> tuple[Unfollowed, ...]:
    """What may write a record that is not seen: what stands around the handler, and what its
    clauses call of an installed package.
    """
    if case.handler is None:
        return ()
    found = list(case.unfollowed)
    writer = find_writer_of_letters(case)
    if writer is not None:
        found.append(writer)
    for call in handler_calls(case, case.handler):
        if call.in_except is None or not call.resolved or is_observer(call.origin):
            continue
        if is_foreign(case.project, call.origin):
            because = f"{call.name} is not of this repository"
            found.append(Unfollowed(because, place_of(call.module, call.node)))
    return tuple(found)


def find_writer_of_letters(case: JobCase) -> Unfollowed | None:
    """A place that writes the table of dead letters, in a hook or a middleware, say: whether this
    job comes there after its last attempt was not followed.
    """
    if case.spec is None or case.spec.dead_letter is None:
        return None
    words = (case.spec.dead_letter.where or "").split()
    if not words:
        return None
    table = words[-1].rpartition(".")[2]
    place = find_writer(case, table)
    if place:
        return Unfollowed(f"{table} is written elsewhere", place)
    return None


def _is_named(case: JobCase, where: str) -> bool:
    word = where.split()[-1].rpartition(".")[2]
    written = case.tree.search(word, ".py") or case.tree.search(word, ".sql")
    # Django derives a table's name from app and class.
    return bool(written or tables(case.project, word))


def _list_next(findings: Iterable[Finding]) -> Iterator[Action]:
    """A spec that says too little comes before the code."""
    for finding in findings:
        if finding.severity in (Severity.BLOCKER, Severity.ERROR):
            kind = "edit-code"
            if finding.severity == Severity.BLOCKER:
                kind = "edit-spec"
            yield Action(ID, kind, f"{finding.message}: {finding.hint}")
