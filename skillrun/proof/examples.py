"""A job that does one thing or another: a return is refunded, or answered with a voucher.

One example comes to one of its effects. Those that the first example does not come to are proved
with another one that does: the whole proof once more, with that example as the proof's own job. The
verdict is the worst of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from skillrun.proof.families.plan import Plan
from skillrun.proof.jobs import choose_call_arguments
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.judges.log_answers import NOT_ASKED, Answer
from skillrun.proof.reference import Reference
from skillrun.proof.result import Proof, Tried, Witness
from skillrun.proof.schedule import parse_schedule
from skillrun.proof.witnesses import rank_grade

if TYPE_CHECKING:
    from skillrun.contract.job import Effect, JobSpec
    from skillrun.proof.schedule import Schedule

_WORST_FIRST = (Verdict.REFUTED, Verdict.INCOMPLETE, Verdict.PROVED)


def choose_examples(reference: Reference) -> list[int]:
    """The numbers of the payload.examples that come to the effects that the first does not come to,
    as few as that takes.
    """
    missing = set(reference.list_missing())
    chosen: list[int] = []
    for number, payload in enumerate(reference.spec.examples):
        job = _find_job(reference, payload)
        if job is None or job not in reference.jobs:
            continue
        reached = missing & reference.find_reached(job)
        if reached:
            chosen.append(number)
            missing -= reached
    return chosen


def _find_job(reference: Reference, payload: Any) -> int | None:
    """The number of the job that has a payload; None where none has."""
    for job, held in reference.payloads.items():
        if held == payload:
            return job
    return None


def list_ways_to_put_first(spec: JobSpec, number: int) -> list[JobSpec]:
    """The spec with another example as the first, in the ways that may be tried: published by the
    application's own call, with what the example says instead of what the first one says; then, for
    where that cannot be, as the library publishes it.
    """
    first, chosen = spec.examples[0], spec.examples[number]
    others = [example for example in spec.examples if example != chosen]
    payload = {**(spec.payload or {}), "examples": [chosen, *others]}
    plain = spec.model_copy(update={"payload": payload, "enqueue": None})
    if spec.enqueue is None:
        return [plain]
    arguments = choose_call_arguments(spec.enqueue.args, first, chosen)
    enqueue = spec.enqueue.model_copy(update={"args": arguments})
    return [plain.model_copy(update={"enqueue": enqueue}), plain]


def has_other_job(proof: Proof) -> bool:
    """Whether the application's call published another job than the example."""
    return any(judgement.rule == "enqueue.other-job" for judgement in proof.incomplete)


def label_example(proof: Proof, number: int) -> Proof:
    """The proof of another example, with schedules and messages that name it, so that it can be
    replayed.
    """

    def name(schedule: Schedule) -> Schedule:
        return replace(schedule, example=number)

    def name_tried(tried: Tried) -> Tried:
        schedule = name(tried.schedule)
        history = replace(tried.history, schedule=schedule)
        return replace(tried, schedule=schedule, history=history)

    def name_witness(witness: Witness) -> Witness:
        schedules = tuple(map(name, witness.schedules))
        return replace(witness, tried=name_tried(witness.tried), schedules=schedules)

    def name_judgement(judgement: Judgement) -> Judgement:
        schedule = judgement.schedule and str(name(parse_schedule(judgement.schedule)))
        said = f"payload.examples[{number}]: {judgement.message}"
        return replace(judgement, message=said, schedule=schedule)

    plan = replace(proof.plan, schedules=list(map(name, proof.plan.schedules)))
    varied = proof.varied
    if varied is not None:
        varied = name_tried(varied)
    return replace(
        proof,
        tried=list(map(name_tried, proof.tried)),
        witnesses=list(map(name_witness, proof.witnesses)),
        risks=list(map(name_witness, proof.risks)),
        incomplete=list(map(name_judgement, proof.incomplete)),
        plan=plan,
        varied=varied,
    )


def merge_proofs(first: Proof, others: Iterable[Proof]) -> Proof:
    """One proof of the job, from a proof for each example. `parts` keeps each, since an effect is
    compared within its own.
    """
    parts = (first, *others)
    tried: list[Tried] = []
    incomplete: list[Judgement] = []
    modules: set[str] = set()
    varied: Tried | None = None
    for part in parts:
        tried += part.tried
        incomplete += part.incomplete
        modules.update(part.modules)
        if varied is None:
            varied = part.varied
    return replace(
        first,
        verdict=min((part.verdict for part in parts), key=_WORST_FIRST.index),
        tried=tried,
        witnesses=_merge_witnesses(parts),
        risks=_merge_risks(parts),
        incomplete=incomplete,
        plan=_merge_plans(parts),
        answers=_merge_answers(parts),
        modules=tuple(sorted(modules)),
        varied=varied,
        parts=parts,
    )


def _merge_witnesses(parts: Iterable[Proof]) -> list[Witness]:
    """The witnesses of all parts. A question that the logs leave open is asked once, however many
    parts leave it open.
    """
    found: list[Witness] = []
    silent: set[str] = set()
    for part in parts:
        for witness in part.witnesses:
            rule = witness.judgement.rule
            if rule in silent:
                continue
            if rule.startswith("logs."):
                silent.add(rule)
            found.append(witness)
    return found


def _merge_risks(parts: Iterable[Proof]) -> list[Witness]:
    """The risks of all parts, each once at its worst grade, the worst first."""
    found: dict[str, Witness] = {}
    for part in parts:
        for risk in part.risks:
            rule = risk.judgement.rule
            known = found.get(rule)
            if known is None:
                found[rule] = risk
                continue
            schedules = (*known.schedules, *risk.schedules)
            worst = min(known, risk, key=_rank_risk)
            found[rule] = replace(worst, schedules=schedules)
    return sorted(found.values(), key=_rank_risk)


def _rank_risk(risk: Witness) -> int:
    """The rank of a risk's grade; the worst has the lowest."""
    return rank_grade(risk.judgement)


def _merge_plans(parts: Iterable[Proof]) -> Plan:
    """The plans of all parts as one. A family that was skipped for one example only was not
    skipped.
    """
    merged = Plan([])
    for part in parts:
        merged.schedules += part.plan.schedules
        merged.cut |= part.plan.cut
    tried = {schedule.family for schedule in merged.schedules}
    for part in parts:
        for family, why in part.plan.skipped.items():
            if family not in tried:
                merged.skipped.setdefault(family, why)
    return merged


def _merge_answers(parts: Iterable[Proof]) -> dict[str, Answer]:
    """Question -> the answer of all parts together. What the logs of one example leave open is
    open.
    """
    found: dict[str, Answer] = {}
    for part in parts:
        for question, answer in part.answers.items():
            known = found.get(question, NOT_ASKED)
            is_worse = answer.by == "no" and known.by != "no"
            if is_worse or known.by == NOT_ASKED.by:
                found[question] = answer
    return found


def find_part(proof: Proof, effect: Effect) -> Proof:
    """The part of a proof whose single run comes to an effect; the first part where none does."""
    for part in proof.parts:
        if part.reference is not None and part.reference.calls(effect.name):
            return part
    if proof.parts:
        return proof.parts[0]
    return proof
