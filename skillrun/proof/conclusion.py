"""The end of a proof: what was refuted is run again, and all that was found becomes one verdict."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from skillrun.proof.families.plan import Plan
from skillrun.proof.given import unreached
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.judges import logs
from skillrun.proof.judges.registry import judge_history
from skillrun.proof.judges.unknowns import merge_undeclared
from skillrun.proof.result import RERUNS, Proof, Tried, Witness
from skillrun.proof.schedule import Schedule
from skillrun.proof.session import Session
from skillrun.proof.varied import VARIED
from skillrun.proof.varied_marks import find_skipped_marks
from skillrun.proof.witnesses import (
    CANDIDATES,
    choose_refutations,
    choose_risks,
    describe_unstable,
    make_log_witnesses,
    release_logs,
)
from skillrun.proof.world import world_judgements


def conclude_proof(session: Session, plan: Plan) -> Proof:
    """Repeats what was refuted, and puts all that was found into one proof."""
    tried = list(session.tried.values())
    histories = [item.history for item in tried]
    found = logs.answer_questions(histories, session.reference, session.payloads)
    session.problems += world_judgements(
        session.target, session.reference, histories, session.explorers[0]
    )
    shown = [*tried]
    if session.varied is not None:
        shown.append(_narrow_varied(session, session.varied))
        session.problems += find_skipped_marks(session.varied.history, session.reference)
    fatal = session.is_single_run_unfit()
    witnesses = _confirm_all(session, choose_refutations(shown, fatal=fatal))
    risks = [] if fatal else _confirm_risks(session, tried)
    # Logs are compared over all schedules.
    if session.only is None and not fatal:
        silent = make_log_witnesses(found, tried)
        if "logs" in session.target.unpromised:
            risks += release_logs(silent)
        else:
            witnesses += silent
    if session.only in session.tried:
        session.problems += unreached(session.tried[session.only].history)
    incomplete = [*session.problems]
    for item in shown:
        for judgement in item.list_judgements(Verdict.INCOMPLETE):
            incomplete.append(replace(judgement, schedule=str(item.schedule)))
    return Proof(
        _choose_verdict(witnesses, incomplete),
        tried,
        witnesses,
        merge_undeclared(_drop_duplicates(incomplete)),
        plan,
        session.reference,
        found,
        session.explorers[0].facts,
        _collect_modules(session),
        session.workplaces[0].sandbox.walls,
        varied=session.varied,
        risks=risks,
        unpromised=session.target.unpromised,
    )


def _confirm_all(session: Session, kinds: list[list[tuple[Tried, Judgement]]]) -> list[Witness]:
    """A witness for each kind that is seen again when its schedule is run again. What is never
    seen again is noted as a problem instead.
    """
    found: list[Witness] = []
    for candidates in kinds:
        witness = _choose_witness(session, candidates)
        if witness.again:
            found.append(witness)
        else:
            session.problems.append(describe_unstable(witness))
    return found


def _confirm_risks(session: Session, tried: list[Tried]) -> list[Witness]:
    """A witness for each risk that is seen again, with all schedules that show the risk."""
    kinds = {seen[0][1].rule: seen for seen in choose_risks(tried)}
    candidates = []
    for rule, seen in kinds.items():
        own = [pair for pair in seen if pair[1].rule == rule]
        candidates.append(own[:CANDIDATES])
    return [_add_kind(one, kinds[one.judgement.rule]) for one in _confirm_all(session, candidates)]


def _choose_witness(session: Session, candidates: list[tuple[Tried, Judgement]]) -> Witness:
    """The first witness that is seen again each time, else the one that is seen most often."""
    best: Witness | None = None
    for item, judgement in candidates:
        found = _repeat_witness(session, item, judgement)
        if best is None or found.again > best.again:
            best = found
        if found.stable:
            break
    assert best is not None
    return best


def _repeat_witness(session: Session, item: Tried, judgement: Judgement) -> Witness:
    """A witness, with how often it was seen when its schedule was run again."""
    again = 0
    for _ in range(RERUNS):
        found = judge_history(*session.run_schedule(session.explorers[0], item.schedule))
        again += _is_said_again(found, judgement)
    return Witness(item, judgement, again)


def _narrow_varied(session: Session, varied: Tried) -> Tried:
    """What was tried with varied payloads, cut down to those that show it: the two that share a
    key, or the one that cannot be done; as it was, where these do not show it by themselves.
    """
    refuted = varied.list_judgements(Verdict.REFUTED)
    if not refuted:
        return varied
    numbers = []
    for run in varied.history.runs:
        told = {event.number for event in run.events}
        if run.job >= VARIED and not told.isdisjoint(refuted[0].events):
            numbers.append(str(run.job - VARIED + 1))
    if not numbers:
        return varied
    schedule = Schedule("varied", moves=(f"varied={','.join(numbers)}",))
    history = session.explorers[0].run(schedule)
    judgements = judge_history(history, session.reference)
    if _is_said_again(judgements, refuted[0]):
        return Tried(schedule, history, judgements)
    return varied


def _collect_modules(session: Session) -> tuple[str, ...]:
    """The repository's modules that any of the processes has imported."""
    found: set[str] = set()
    for explorer in session.explorers:
        found |= explorer.processes.modules
    for other in session.others:
        found |= other.result().processes.modules
    return tuple(sorted(found))


def _choose_verdict(witnesses: list[Witness], incomplete: list[Judgement]) -> Verdict:
    """The verdict of a proof: a single witness refutes, whatever else is missing."""
    if witnesses:
        return Verdict.REFUTED
    if incomplete:
        return Verdict.INCOMPLETE
    return Verdict.PROVED


def _add_kind(risk: Witness, seen: list[tuple[Tried, Judgement]]) -> Witness:
    """A risk with all schedules of its root, and with the other risks of that root by name."""
    schedules: dict[Schedule, None] = {}
    others: dict[str, None] = {}
    for item, judgement in seen:
        schedules[item.schedule] = None
        others[judgement.rule] = None
    others.pop(risk.judgement.rule, None)
    return replace(risk, schedules=tuple(schedules), also=tuple(others))


def _is_said_again(judgements: Iterable[Judgement], before: Judgement) -> bool:
    """Whether something is said again by the same rule, and is as bad."""
    same = (before.verdict, before.rule, before.grade)
    return any((one.verdict, one.rule, one.grade) == same for one in judgements)


def _drop_duplicates(judgements: Iterable[Judgement]) -> list[Judgement]:
    """The judgements without those that say the same; of these the last is kept, where the first of
    them stood.
    """
    found: dict[tuple[str, str], Judgement] = {}
    for judgement in judgements:
        found[judgement.rule, judgement.message] = judgement
    return list(found.values())
