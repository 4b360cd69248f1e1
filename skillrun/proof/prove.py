"""The whole proof of one job, in order: set up, single run, plan, schedules, judges, verdict."""

from __future__ import annotations

import time
from dataclasses import replace

from skillrun.proof.conclusion import conclude_proof
from skillrun.proof.examples import (
    choose_examples,
    has_other_job,
    label_example,
    list_ways_to_put_first,
    merge_proofs,
)
from skillrun.proof.explorer import Explorer
from skillrun.proof.exploring.run import NotPublished
from skillrun.proof.families.plan import Plan
from skillrun.proof.families.registry import plan_second_phase
from skillrun.proof.given import check_example, check_key
from skillrun.proof.history import Delivery, History
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.planning import make_plan
from skillrun.proof.result import RERUNS, OnProgress, Proof, Target, Tried, Witness
from skillrun.proof.schedule import ONCE, Schedule, parse_schedule
from skillrun.proof.session import Session, be_silent


def prove(
    target: Target,
    *,
    only: str | None = None,
    progress: OnProgress | None = None,
    workers: int = 2,
    stop_early: bool = False,
) -> Proof:
    """Runs every schedule of a job, or `only` the given one, and judges what happens. Raises
    SkillrunError where nothing could run.

    `stop_early`: the first refutation is enough; what was not tried is then not known.

    The same spec, code and machine give the same schedules in the same order, and so the same first
    witness.
    """
    begun = time.monotonic()
    check_key(target.spec)
    progress = progress or be_silent
    asked = parse_schedule(only) if only else None

    def prove_example(number: int) -> Proof:
        own = replace(asked, example=0) if asked is not None else None
        for spec in list_ways_to_put_first(target.spec, number):
            try:
                proof = _prove_first(replace(target, spec=spec), own, progress, workers)
            except NotPublished:
                if spec.enqueue is None:
                    raise
                continue
            if spec.enqueue is None or not has_other_job(proof):
                break
        return label_example(proof, number)

    if asked is not None and asked.example:
        check_example(target.spec, asked.example)
        proof = prove_example(asked.example)
    else:
        proof = _prove_first(target, asked, progress, workers, stop_early=stop_early)
        is_answered = proof.verdict is Verdict.INCOMPLETE or (stop_early and proof.witnesses)
        if asked is None and proof.reference is not None and not is_answered:
            others = list(map(prove_example, choose_examples(proof.reference)))
            proof = merge_proofs(proof, others) if others else proof
    proof.duration_ms = int((time.monotonic() - begun) * 1000)
    return proof


def _prove_first(
    target: Target,
    only: Schedule | None,
    progress: OnProgress,
    workers: int,
    *,
    stop_early: bool = False,
) -> Proof:
    """The proof with the first example as the proof's own job."""
    with Session(target, progress, workers) as session:
        session.stop_early = stop_early
        try:
            return _run_proof(session, only)
        except NotPublished as error:
            if error.unfit is None or error.job != 0:
                raise
            return _refute_unpublished(error.unfit, error.why)


def _run_proof(session: Session, only: Schedule | None) -> Proof:
    """Runs and judges the planned schedules, or `only` the given one."""
    first = session.begin_proof(only)
    session.learn_single_run(first)
    if session.is_single_run_unfit():
        return conclude_proof(session, Plan())
    plan = _make_plan_of(session, first)
    session.run_on_all_workers(plan.schedules)
    if only is None and not session.is_refuted_early():
        _run_second_phase(session, plan)
    return conclude_proof(session, plan)


def _make_plan_of(session: Session, first: Explorer) -> Plan:
    """The schedules that are asked for: the given one, those of `--acks-late`, or all."""
    plan = make_plan(session, first)
    if session.only is not None:
        return Plan([session.only])
    if session.target.acks_late:
        # What follows a lost message is the same however it was acknowledged.
        schedules = plan.schedules
        plan.schedules = [one for one in schedules if one.kills_handler and not one.lose]
    return plan


def _run_second_phase(session: Session, plan: Plan) -> None:
    """Runs second deaths, at the boundaries that the deliveries after a first death really
    had.
    """
    histories = [tried.history for tried in session.tried.values()]
    spec, facts = session.target.spec, session.reference.facts
    later = plan_second_phase(histories, len(session.tried), facts, spec)
    plan.schedules += later.schedules
    plan.cut |= later.cut
    plan.skipped |= later.skipped
    session.run_on_all_workers(later.schedules)
    session.judge_ages()


def _refute_unpublished(delivery: Delivery, why: str) -> Proof:
    """The refutation of a job whose application's own call fails without any fault: its arguments
    are no message.
    """
    want = "plain values: ids, not objects"
    judgement = Judgement(
        Verdict.REFUTED,
        "payload.not-serialisable",
        f"the job is never published: {why}",
        expected=want,
    )
    tried = Tried(ONCE, History(ONCE, (delivery,)), (judgement,))
    return Proof(Verdict.REFUTED, [tried], [Witness(tried, judgement, RERUNS)])
