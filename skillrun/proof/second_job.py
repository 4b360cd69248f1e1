"""Finds a second, distinct job where the examples give none that could be run: the application's
call is made once more, with the same arguments or with others.

Of the jobs that such a call publishes one is taken that the handler does beside the first one, in
either order. One that the handler leaves out may be no job of its own by the application's own
rules (a second welcome to one person): that two jobs are told apart stays unknown then.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from skillrun.proof.explorer import Explorer
from skillrun.proof.history import History
from skillrun.proof.jobs import other_values
from skillrun.proof.judgement import Verdict
from skillrun.proof.judges.registry import judge_history
from skillrun.proof.reference import Reference, SecondWorld
from skillrun.proof.schedule import ONCE, SECOND_RUN_S, Schedule
from skillrun.proof.single import (
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


def add_second_job(explorer: Explorer, spec: JobSpec, found: Reference) -> Reference:
    """The reference with a second job that the application's call makes; as it was where it needs
    none, or none is found.
    """
    if not _needs_second_job(explorer, spec, found):
        return found
    run = 0
    for arguments in itertools.islice(list_call_arguments(spec), _MOST_CALLS):
        if not explorer.call_again(arguments):
            continue
        made = _run_second_job(explorer, found)
        if made is not None:
            return made
        explorer.forget_second_call()
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
    given = dict(spec.enqueue.args)
    yield given
    for number in range(_VALUES):
        yield from _change_one(given, number)


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


def _run_second_job(explorer: Explorer, found: Reference) -> Reference | None:
    """The reference with the job of the call that was just made; None where the first job is not
    done as it was, or the two are not both done.
    """
    second = explorer.second
    if second is None:
        return None
    with explorer.within_second_world():
        once = explorer.run(ONCE)
        if once.hung or _count_calls(once) != _count_calls(found.once):
            return None
        alone = run_alone(explorer, second.job)
        if not is_fit(alone, once):
            return None
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
    return None


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
