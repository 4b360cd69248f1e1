"""Finds a second, distinct job where the examples give none that could be run: the application's
call is made once more, with the same arguments or with others.

The first other job that such a call publishes is the second one: by the spec's key the two are
distinct. Where the handler does not do both, in either order, that may be a rule of the
application's own (a second welcome to one person), or a handler that goes by another key than the
spec's: that two jobs are told apart stays unknown then. No further call is made, since one that
differs in just what the handler goes by would hide it. Only a job of other arguments that fails by
itself is passed over: these may name nothing.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from skillrun.proof.explorer import Explorer
from skillrun.proof.history import History
from skillrun.proof.jobs import other_values
from skillrun.proof.judgement import Verdict
from skillrun.proof.judges.registry import judge_history
from skillrun.proof.reference import Reference, SecondWorld
from skillrun.proof.schedule import ONCE, SECOND_RUN_S, Schedule
from skillrun.proof.single import (
    explain_unfit,
    find_single_run_problem,
    find_volatile,
    is_fit,
    run_alone,
    run_in_turn,
)

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec

# Each is a process or two. Calls have few arguments, and the telling ones are tried twice.
_MOST_CALLS = 24
# Other values of one argument: the next number, and a text that looks like the first.
_VALUES = 2
# So many jobs are run before it is given up: each takes half a dozen schedules.
_MOST_JOBS = 4


@dataclass(frozen=True)
class _NotDone:
    """A job of the application's call that is not done beside the first one."""

    payload: Any
    why: str
    fails_alone: bool = False


def add_second_job(explorer: Explorer, spec: JobSpec, found: Reference) -> Reference:
    """The reference with a second job that the application's call makes; as it was where it needs
    none or none is found, and with what is left out where such a job is.
    """
    if not _needs_second_job(explorer, spec, found):
        return found
    run = 0
    for arguments in itertools.islice(list_call_arguments(spec), _MOST_CALLS):
        if not explorer.call_again(arguments):
            continue
        made = _run_second_job(explorer, found)
        if isinstance(made, Reference):
            return made
        explorer.forget_second_call()
        if not made.fails_alone or arguments == _list_given(spec):
            return replace(found, left_out=f"{made.payload!r}, of the call made again: {made.why}")
        run += 1
        if run == _MOST_JOBS:
            break
    return found


def _needs_second_job(explorer: Explorer, spec: JobSpec, found: Reference) -> bool:
    """Whether the key says what makes another job, none could be run, and there is a call to
    make.
    """
    is_keyed = spec.idempotency is not None and spec.idempotency.strategy == "keyed"
    if not is_keyed or spec.enqueue is None or found.jobs:
        return False
    if found.facts.ticks or found.facts.is_called:
        return False
    return find_single_run_problem(found) is None


def list_call_arguments(spec: JobSpec) -> Iterator[dict[str, Any]]:
    """What the application's call may be given: the same as the first time, then for each argument
    another value in it alone.
    """
    if spec.enqueue is None:
        return
    given = _list_given(spec)
    yield given
    for number in range(_VALUES):
        yield from _change_one(given, number)


def _list_given(spec: JobSpec) -> dict[str, Any]:
    """What the application's call is given the first time."""
    return dict(spec.enqueue.args) if spec.enqueue is not None else {}


def _change_one(given: Mapping[str, Any], number: int) -> Iterator[dict[str, Any]]:
    """The arguments with another value in one of them; of several that come in question, the one
    with this number. {"order": {"token": "a1"}} -> {"order": {"token": "a2"}}
    """
    for name, value in given.items():
        if isinstance(value, Mapping):
            for inner in _change_one(value, number):
                yield {**given, name: inner}
            continue
        others = other_values(value)[number : number + 1]
        for other in others:
            yield {**given, name: other}


def _run_second_job(explorer: Explorer, found: Reference) -> Reference | _NotDone:
    """The reference with the job of the call that was just made, or why it is none beside which
    the first one is done.
    """
    second = explorer.second
    payload = explorer.payloads.get(second.job) if second is not None else None
    if second is None:
        return _NotDone(payload, "its message was not kept")
    with explorer.within_second_world():
        once = explorer.run(ONCE)
        wanted = _count_calls(found.once)
        if once.hung or _count_calls(once) != wanted:
            return _NotDone(payload, "the first job is not done as without it")
        alone = run_alone(explorer, second.job)
        if not is_fit(alone, once):
            return _NotDone(payload, explain_unfit(alone, once), fails_alone=True)
        if not wanted <= _count_calls(alone):
            return _NotDone(payload, "by itself it does less than the first job")
        later = explorer.run(Schedule("once", late=SECOND_RUN_S))
        before = explorer.state_before()
        orders = run_in_turn(explorer, [second.job])
    world = SecondWorld(second.arguments, once, later, before, find_volatile(once, later))
    made = replace(
        found,
        jobs={second.job: alone},
        orders=orders,
        unfit={job: why for job, why in found.unfit.items() if job != second.job},
        payloads=explorer.payloads,
        second=world,
    )
    if _does_both(made, second.job):
        return made
    return _NotDone(payload, "one of the two jobs is left out beside the other")


def _does_both(reference: Reference, job: int) -> bool:
    """Whether both jobs are done in either order: every call of an effect that each makes alone is
    made. Of jobs without effects, whether nothing is held against the two.
    """
    orders = reference.orders[job]
    wanted = _count_calls(reference.once) + _count_calls(reference.jobs[job])
    if len(orders.done) < len((orders.own_first, orders.other_first)):
        return False
    if wanted:
        return all(wanted <= _count_calls(history) for history in orders.done)
    world = reference.in_second_world()
    for history in orders.done:
        if any(one.verdict == Verdict.REFUTED for one in judge_history(history, world)):
            return False
    return True


def _count_calls(history: History) -> Counter[str]:
    """How often each effect took place."""
    return Counter(str(call["effect"]) for call in history.performed())
