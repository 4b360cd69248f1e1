"""Which schedules suit a job: its single runs give a situation, and that gives the plan."""

from __future__ import annotations

from dataclasses import replace

from skillrun.proof.before_call import list_tables_of
from skillrun.proof.decisions import choose_rivals, list_guesses, list_rivals
from skillrun.proof.explorer import Explorer
from skillrun.proof.families.errors import list_ends_in_failure
from skillrun.proof.families.plan import Plan
from skillrun.proof.families.registry import plan_schedules
from skillrun.proof.families.situation import Situation
from skillrun.proof.families.sweeps import list_moves_to_next_tick
from skillrun.proof.history import Event
from skillrun.proof.jobs import POISON
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.judges.outages import find_showing
from skillrun.proof.judges.registry import judge_history
from skillrun.proof.rivals import Rival
from skillrun.proof.schedule import Schedule
from skillrun.proof.session import Session
from skillrun.proof.ticks import has_next_tick
from skillrun.proof.varied import VARIED


def make_plan(session: Session, explorer: Explorer) -> Plan:
    """Plans the schedules that suit what the single runs have shown."""
    caller: list[Event] = []
    if explorer.caller is not None:
        caller = list(explorer.caller.all("at"))
    situation = Situation(
        session.target.spec,
        session.reference.once,
        explorer.facts,
        jobs=tuple(sorted(session.reference.jobs)),
        called=tuple(sorted(session.reference.called)),
        caller=tuple(caller),
        varied=_count_varied(session, explorer),
        daily=explorer.daily,
        due=explorer.due,
        is_same_next_tick=_is_same_next_tick(session, explorer),
        given=tuple(session.find_given_secrets()),
        caller_where_undone=tuple(_call_where_undone(session, explorer)),
    )
    rivals = tuple(_find_rivals(session, explorer, situation))
    plan = plan_schedules(replace(situation, rivals=rivals))
    for job, why in explorer.unpublished.items():
        said = f"{_name_job(job)}: {why}"
        session.problems.append(Judgement(Verdict.INCOMPLETE, "not-published", said))
    _leave_out_refused(session, plan, explorer)
    return plan


def _count_varied(session: Session, explorer: Explorer) -> int:
    """How many varied payloads there are; none where no keyed effect could tell them apart."""
    idempotency = session.target.spec.idempotency
    if idempotency is None or idempotency.strategy != "keyed":
        return 0
    if not any(effect.key_arg for effect in session.reference.effects):
        return 0
    last = max(explorer.origin.messages, default=0)
    return max(last - VARIED + 1, 0)


def _leave_out_refused(session: Session, plan: Plan, explorer: Explorer) -> None:
    """Takes the schedules out of a plan whose poison payload the application does not publish:
    it reaches no handler.
    """
    # Payloads by job number, see `proof.jobs`: only those below 0 are poison. `poison` is None in
    # all schedules of another family.
    without = {POISON - job for job in (*explorer.unpublished, *explorer.refused) if job < 0}
    plan.schedules = [one for one in plan.schedules if one.poison not in without]
    if explorer.refused and all(one.poison is None for one in plan.schedules):
        plan.skipped["poison"] = "the application itself refuses every poison payload"


def _find_rivals(session: Session, explorer: Explorer, situation: Situation) -> list[Rival]:
    """What somebody else may change while the job runs; nothing for ticks, which bring their own
    work, and where no database can be looked into.
    """
    if explorer.facts.ticks or explorer.store is None or session.is_single_run_unfit():
        return []
    rows = explorer.watch_rows()
    ends = explorer.find_other_ends(rows, list_ends_in_failure(situation))
    spec, modules = session.target.spec, explorer.facts.modules
    handler = spec.handler or ""
    places = [one.place for one in session.reference.once.events if one.place is not None]
    found = list_rivals(explorer.store, session.target.root, handler, modules, rows, places, ends)
    found, missing = choose_rivals(found, rows, spec.proof)
    for text in missing:
        said = f"proof.rivals: {text}: the job changes no row that has this table and column"
        session.problems.append(Judgement(Verdict.INCOMPLETE, "rival.not-there", said))
    rivals = {rival.text: rival for rival in found}
    explorer.keep_learned(replace(explorer.learned, rivals=rivals))
    first = next((one.boundary for one in session.reference.once.events if one.boundary), None)
    for rival in found:
        if first is not None and not rival.is_decision:
            explorer.let_come_first(rival, first)
    return list(explorer.learned.rivals.values())


def _call_where_undone(session: Session, explorer: Explorer) -> list[Event]:
    """The boundaries of the application's call where it finds its work undone; none where no
    such state is found, or where the job does not come to the same end from there.
    """
    caller, ticks = explorer.caller, explorer.facts.ticks
    if ticks or caller is None or explorer.store is None or session.is_single_run_unfit():
        return []
    changed = explorer.list_changed_by_call()
    session.reference = replace(session.reference, changed_by_call=changed)
    if explorer.brought:
        return []  # of several calls no row shows which one wrote it
    read = set(list_tables_of(session.reference.once.events))
    tables = read.intersection(list_tables_of(caller.events))
    contents, modules = explorer.read_before_call(), explorer.facts.modules
    guesses = list_guesses(explorer.store, session.target.root, modules, contents, tables)
    undone = explorer.find_undone(guesses)
    if not undone:
        return []
    explorer.keep_learned(replace(explorer.learned, undone=undone))
    history = explorer.run(Schedule("before-commit", undone=True))
    judged = judge_history(history, session.reference)
    if any(one.verdict in (Verdict.REFUTED, Verdict.INCOMPLETE) for one in judged):
        explorer.keep_learned(replace(explorer.learned, undone=()))
        return []
    session.reference = replace(session.reference, knows_undone=True)
    return list(history.deliveries[0].all("at"))


def _is_same_next_tick(session: Session, explorer: Explorer) -> bool:
    """Whether the next tick of the clock that publishes the job finds it done: it is no job of
    another day, and may do tomorrow what a death leaves undone today.
    """
    spec, once = session.target.spec, session.reference.once
    if not has_next_tick(spec, explorer.facts):
        return False
    both = explorer.run(Schedule("once", moves=list_moves_to_next_tick(spec)))
    if len(both.runs) != 2 or any(run.outcome != "succeeded" for run in both.runs):
        return False
    is_same_work = len(both.performed()) in (len(once.performed()), 2 * len(once.performed()))
    return is_same_work and not find_showing(both, session.reference)


def _name_job(job: int) -> str:
    """A job as the spec has it: "payload.examples[1]"."""
    if job < 0:
        return f"proof.poison[{POISON - job}]"
    return f"payload.examples[{job}]"
