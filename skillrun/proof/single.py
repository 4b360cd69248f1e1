"""The single runs of a job: what its schedules are compared with, and whether they can be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from skillrun.proof.explorer import Explorer
from skillrun.proof.families.messages import plan_dst
from skillrun.proof.history import History
from skillrun.proof.jobs import DIRECT
from skillrun.proof.judges.unattended import name_queue
from skillrun.proof.judges.unknowns import describe_end
from skillrun.proof.reference import InTurn, Reference, name_items
from skillrun.proof.schedule import ONCE, SECOND_RUN_S, Schedule
from skillrun.proof.ticks import is_published_by_clock
from skillrun.proof.world import find_unread_tables, letter_queries

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec


# How the answer of a state query begins that could not be asked.
_ERROR = "error: "


def run_singles(explorer: Explorer, spec: JobSpec) -> tuple[Reference, tuple[History, ...]]:
    """Runs the job by itself, as often as that is needed.

    Returns what the schedules are compared with, and the runs that are judged like a schedule.
    """
    explorer.find_due_time()
    if explorer.polled and spec.enqueue is None:
        explorer.find_days()
    once = explorer.run(ONCE)
    if once.hung or once.runs[0].died:
        return Reference(spec, once, {}, explorer.facts), (once,)
    if explorer.facts.ticks:
        explorer.keep_learned(replace(explorer.learned, items=name_items(once)))
    unread = find_unread_tables(explorer, [once])
    explorer.keep_learned(replace(explorer.learned, unread=unread))
    if unread:
        once = explorer.run(ONCE)  # once more, with these tables read
    before = explorer.state_before()
    explorer.keep_learned(replace(explorer.learned, once=once, before=before))
    later = explorer.run(Schedule("once", late=SECOND_RUN_S))
    jobs, unfit = {}, {}
    distinct = [job for job in explorer.origin.messages if 0 < job < DIRECT]
    for job in sorted(distinct):
        alone = run_alone(explorer, job)
        if is_fit(alone, once):
            jobs[job] = alone
        else:
            unfit[job] = explain_unfit(alone, once)
    volatile = find_volatile(once, later)
    reference = Reference(
        spec,
        once,
        jobs,
        explorer.facts,
        volatile,
        unfit=unfit,
        before=before,
        later=later,
        ticks=_run_doubled_ticks(explorer, spec),
        orders=run_in_turn(explorer, jobs),
        called=_call_alone(explorer, spec, once),
        letters=letter_queries(spec),
        payload=explorer.payloads.get(0),
        queue=name_queue(explorer.origin.messages.get(0, {})),
        payloads=explorer.payloads,
    )
    return reference, (once, later)


def run_alone(explorer: Explorer, job: int) -> History:
    """What comes of a distinct job by itself."""
    return explorer.run(Schedule("alone", moves=(f"job={job}",)))


def is_fit(alone: History, once: History) -> bool:
    """Whether the single run of a distinct job is a comparison: it was done, and left no dead
    letter.
    """
    return _succeeds(alone) and not _leaves_letter(alone, once)


def find_volatile(once: History, later: History) -> frozenset[str]:
    """The state queries that answer differently after two single runs."""
    return frozenset(name for name, rows in once.state.items() if later.state.get(name) != rows)


def is_same_run(history: History, reference: Reference) -> bool:
    """Whether a single run in another place comes to the reference's: the state queries answer the
    same, and the effects are called with the same keys. What each single run draws anew is not
    compared.
    """
    for name, rows in reference.once.state.items():
        if name not in reference.volatile and history.state.get(name) != rows:
            return False
    kept = _list_keys(reference.once)
    if reference.later is not None:
        kept &= _list_keys(reference.later)
    return kept <= _list_keys(history)


def _list_keys(history: History) -> set[tuple[str, str]]:
    """(effect, key) of each call that took place."""
    return {(str(call["effect"]), str(call["key"])) for call in history.performed()}


def _run_doubled_ticks(explorer: Explorer, spec: JobSpec) -> dict[str, History]:
    """Move -> what a clocked job does in the tick at which two of them are to do it once; none for
    other jobs.
    """
    found: dict[str, History] = {}
    if not explorer.clocked and explorer.due is None:
        return found
    for schedule in plan_dst(spec, explorer.due):
        move = schedule.moves[0]
        found[move] = explorer.run(Schedule("alone", moves=(move,)))
    return found


def run_in_turn(explorer: Explorer, jobs: Iterable[int]) -> dict[int, InTurn]:
    """Distinct job -> what comes of it and the proof's own one, in both orders; none where ticks
    bring the work.
    """
    if explorer.facts.ticks:
        return {}
    orders = {}
    for job in jobs:
        own_first = explorer.run(Schedule("distinct", moves=(f"job={job}",)))
        other_first = explorer.run(Schedule("distinct", first=job))
        orders[job] = InTurn(own_first, other_first)
    return orders


def _call_alone(explorer: Explorer, spec: JobSpec, once: History) -> dict[int, History]:
    """Distinct job -> what comes of it where the application's own call publishes it by itself.
    Those are left out that it does not publish: a call that needs more than it is given here
    publishes nothing, or another job.
    """
    if explorer.facts.ticks or explorer.facts.is_called or is_published_by_clock(spec):
        return {}
    found: dict[int, History] = {}
    for job in explorer.payloads:
        if not 0 < job < DIRECT:
            continue
        alone = explorer.run(Schedule("alone", called=(job,)))
        if _succeeds(alone) and alone.runs_of(job) and not _leaves_letter(alone, once):
            found[job] = alone
    return found


def explain_unfit(history: History, once: History) -> str:
    """Why the single run of a distinct job is no comparison, as the end of a sentence."""
    if _leaves_letter(history, once):
        return "by itself it ends among the dead letters"
    if not history.runs:
        if history.hung:
            return "it does not end"
        return "it is not delivered"
    last = history.runs[-1]
    if last.raised is not None:
        error = str(last.raised["error"]).rpartition(":")[2]
        return f"by itself it fails with {error}: {last.raised['text']}"
    if history.hung:
        return "it does not end"
    return f"by itself it is {last.outcome}"


def _succeeds(history: History) -> bool:
    """Whether the last delivery of a job succeeded, and everything came to its end."""
    if not history.runs or history.hung:
        return False
    return history.runs[-1].outcome == "succeeded"


def _leaves_letter(history: History, once: History) -> bool:
    """Whether a run leaves more dead letters than the proof's own job: a handler may record a job
    that it cannot do, and return as if it had done it.
    """
    return (history.dead_letters or 0) > (once.dead_letters or 0)


def find_single_run_problem(reference: Reference) -> str | None:
    """Why the single run cannot be compared with; None where it can."""
    once, run = reference.once, reference.once.runs[0]
    if once.hung:
        return f"the single run did not end; its last boundary was {once.hung}"
    died = run.first("died")
    if died is not None:
        return f"the single run {describe_end(died)}"
    error = run.raised or run.first("raised")
    if error is not None:
        place = ""
        if error.place:
            place = f" ({error.place[0]}:{error.place[1]})"
        return f"the single run fails: {error['error'].rpartition(':')[2]}: {error['text']}{place}"
    broken = run.first("probe-error")
    if broken is not None:
        return f"the single run fails: {broken['error']!s}"
    if not run.entered:
        return "the single run never reached the handler"
    missing = _list_unreached(reference)
    if missing:
        return f"the single run does not reach: {', '.join(missing)}"
    for name, rows in once.state.items():
        if isinstance(rows, str) and rows.startswith(_ERROR):
            return f"proof.state.{name}: {rows.removeprefix(_ERROR)}"
    return None


def _list_unreached(reference: Reference) -> list[str]:
    """The effects that none of the examples comes to."""
    missing = reference.list_missing()
    if not missing or reference.facts.ticks:
        return missing
    reached: set[str] = set()
    for job in reference.jobs:
        if reference.payloads.get(job) in reference.spec.examples:
            reached |= reference.find_reached(job)
    return [name for name in missing if name not in reached]
