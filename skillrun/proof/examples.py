"""A job that does one thing or another: a return is refunded, or answered with a voucher.

One example comes to one of its effects. Those that the first example does not come to are proved
with another one that does: the whole proof once more, with that example as the proof's own job. The
verdict is the worst of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from skillrun.proof.families.plan import Plan
from skillrun.proof.jobs import choose_call_arguments
from skillrun.proof.judges.logs import NOT_ASKED, Answer
from skillrun.proof.reference import Judgement, Reference
from skillrun.proof.result import Proof, Tried, Witness
from skillrun.proof.witnesses import rank_grade

if TYPE_CHECKING:
    from skillrun.contract.job import Effect, JobSpec
    from skillrun.proof.schedule import Schedule

_WORST_FIRST = ("refuted", "incomplete", "proved")


def choose_examples(reference: Reference) -> list[int]:
    """Which of payload.examples come to the effects that the first does not come to, as few as that
    takes.
    """
    missing = set(reference.list_missing())
    chosen: list[int] = []
    for number, payload in enumerate(reference.spec.examples):
        job = next((job for job, held in reference.payloads.items() if held == payload), None)
        if job is None or job not in reference.jobs:
            continue
        reached = missing & reference.find_reached(job)
        if reached:
            chosen.append(number)
            missing -= reached
    return chosen


def list_ways_to_put_first(spec: JobSpec, number: int) -> list[JobSpec]:
    """The spec with another example as the first: published by the application's own call, with what
    the example says instead of what the first one says; and where that cannot be, as the library
    publishes it.
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
    """The application's call published another job than the example."""
    return any(judgement.rule == "enqueue.other-job" for judgement in proof.incomplete)


def label(proof: Proof, number: int) -> Proof:
    """The proof of another example: its schedules say so, and can be replayed."""

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
        return replace(judgement, message=f"payload.examples[{number}]: {judgement.message}")

    plan = replace(proof.plan, schedules=list(map(name, proof.plan.schedules)))
    return replace(
        proof,
        tried=list(map(name_tried, proof.tried)),
        witnesses=list(map(name_witness, proof.witnesses)),
        risks=list(map(name_witness, proof.risks)),
        incomplete=list(map(name_judgement, proof.incomplete)),
        plan=plan,
        varied=name_tried(proof.varied) if proof.varied is not None else None,
    )


def merge(first: Proof, others: Iterable[Proof]) -> Proof:
    """One proof of them all; `parts` keeps each, since an effect is compared within its own."""
    parts = (first, *others)
    return replace(
        first,
        verdict=min((part.verdict for part in parts), key=_WORST_FIRST.index),
        tried=[tried for part in parts for tried in part.tried],
        witnesses=_merge_witnesses(parts),
        risks=_merge_risks(parts),
        incomplete=[judgement for part in parts for judgement in part.incomplete],
        plan=_merge_plans(parts),
        answers=_merge_answers(parts),
        modules=tuple(sorted({module for part in parts for module in part.modules})),
        varied=next((part.varied for part in parts if part.varied is not None), None),
        parts=parts,
    )


def _merge_witnesses(parts: Iterable[Proof]) -> list[Witness]:
    """What no log tells is told once."""
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
    """Each once, at its worst, the worst first."""
    found: dict[str, Witness] = {}
    for part in parts:
        for risk in part.risks:
            rule = risk.judgement.rule
            known = found.get(rule)
            if known is None:
                found[rule] = risk
                continue
            schedules = (*known.schedules, *risk.schedules)
            worst = min(known, risk, key=_rank)
            found[rule] = replace(worst, schedules=schedules)
    return sorted(found.values(), key=_rank)


def _rank(risk: Witness) -> int:
    return rank_grade(risk.judgement)


def _merge_plans(parts: Iterable[Proof]) -> Plan:
    """What was skipped for one example only is not skipped."""
    plans = [part.plan for part in parts]
    merged = Plan([schedule for plan in plans for schedule in plan.schedules])
    for plan in plans:
        merged.cut |= plan.cut
    tried = {schedule.family for schedule in merged.schedules}
    for plan in plans:
        for family, why in plan.skipped.items():
            if family not in tried:
                merged.skipped.setdefault(family, why)
    return merged


def _merge_answers(parts: Iterable[Proof]) -> dict[str, Answer]:
    """What no log of one example answers is not answered."""
    found: dict[str, Answer] = {}
    for part in parts:
        for question, answer in part.answers.items():
            known = found.get(question, NOT_ASKED)
            is_worse = answer.by == "no" and known.by != "no"
            if is_worse or known.by == NOT_ASKED.by:
                found[question] = answer
    return found


def find_part(proof: Proof, effect: Effect) -> Proof:
    """The one whose single run comes to an effect; the first where none does."""
    for part in proof.parts:
        if part.reference is not None and part.reference.calls(effect.name):
            return part
    return proof.parts[0] if proof.parts else proof
