"""Every family, in the order in which they are tried, and the plans that they make."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from skillrun.probe.facts import BootFacts
from skillrun.proof.families import (
    deaths,
    errors,
    messages,
    outages,
    publisher,
    receivers,
    rivals,
    sweeps,
    together,
)
from skillrun.proof.families.family import Family
from skillrun.proof.families.plan import MOST, Plan
from skillrun.proof.families.situation import Situation
from skillrun.proof.history import History
from skillrun.proof.schedule import SWEEP
from skillrun.proof.ticks import has_next_tick

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec

# The cheap and telling ones first. One that builds on others comes after them.
FAMILIES: tuple[Family, ...] = (
    messages.redeliver,
    messages.re_enqueue,
    sweeps.sweep,
    messages.store_emptied,
    messages.window,
    messages.window_swept,
    messages.late,
    errors.error,
    messages.store_emptied_between,
    messages.store_restored,
    errors.exhaustion,
    errors.permanent,
    errors.success,
    messages.copies,
    messages.poison,
    messages.distinct,
    messages.two_given_up,
    messages.after_failure,
    messages.varied,
    publisher.queued_together,
    publisher.called_at_once,
    together.distinct_at_once,
    together.others_at_once,
    messages.same_process,
    messages.same_process_refused,
    messages.store_dropped,
    together.shared_process,
    errors.store_error,
    errors.bad_status,
    errors.statement_error,
    deaths.kill,
    deaths.kill_before_midnight,
    deaths.kill_lose,
    deaths.crash_loop,
    deaths.late_back,
    together.at_once,
    together.stall,
    errors.late_error,
    deaths.fresh_interpreter,
    rivals.rival,
    rivals.rival_between,
    publisher.publish_fault,
    publisher.before_commit,
    publisher.before_commit_where_undone,
    publisher.rollback_where_undone,
    publisher.broker_lost,
    publisher.early,
    receivers.effect_hangs,
    receivers.receiver_away,
    receivers.secret_echoed,
    messages.dst,
    messages.calendar,
)


_NO_RETRY = "no delivery publishes a retry of its own"
_NOBODY_COMES = "nobody comes to a job whose attempt is still running, or none is given up"
_NOTHING_TO_SWEEP = "recovers names no sweep of lost messages, or no job is given up after errors"
_NO_LETTER = "the handler writes nothing when the job is given up"


def plan_schedules(situation: Situation) -> Plan:
    """Everything that can be planned from the single run."""
    plan = Plan()
    for family in FAMILIES:
        reason = family.unless(situation) if family.unless else None
        if reason is not None:
            plan.skipped[family.name] = reason
        else:
            planned = family.plan(situation, tuple(plan.schedules))
            plan.add(family.name, planned, family.most)
    # Last: other families build on schedules as they were planned.
    if situation.spec.recovers:
        plan.schedules = sweeps.follow_with_sweeps(plan.schedules, situation.facts)
    if has_next_tick(situation.spec, situation.facts):
        # Where a death loses the message, the next tick does what it has left undone.
        is_lost = situation.facts.lossy or situation.facts.acks_late is False
        plan.schedules = sweeps.follow_with_tick(
            plan.schedules, situation.spec, after_deaths=is_lost and situation.is_same_next_tick
        )
    present = {schedule.family for schedule in plan.schedules}
    for family in FAMILIES:
        if family.name not in present:
            plan.skipped.setdefault(family.name, family.absent)
    return plan


def plan_second_phase(
    histories: Iterable[History], tried: int, facts: BootFacts, spec: JobSpec
) -> Plan:
    """What follows from the histories of the first plan: second deaths, at the boundaries that the
    deliveries after a first one really had. `tried`: how many schedules there were before.
    """
    seen = tuple(histories)
    room = max(MOST - tried, 0)
    later = Plan()
    later.add("error", errors.last_chance(seen))
    later.add("late-back", deaths.come_back_at_other_ages(seen, spec))
    for name, found, absent in (
        ("retry-lost", outages.lose_retry(seen, facts.broker_error), _NO_RETRY),
        ("letter-lost", outages.lose_letters(seen, facts.broker_error), _NO_LETTER),
    ):
        known = len(later.schedules)
        later.add(name, found)
        if len(later.schedules) == known:
            later.skipped[name] = absent
    # Half of the room for deaths while a job is given up; second deaths get what is left.
    later.add("kill while giving up", deaths.kill_while_giving_up(seen), room // 2)
    twice = tuple(deaths.double_kill(seen))
    later.add("double-kill", twice, max(room - len(later.schedules), 0))
    if any(SWEEP in history.schedule.moves for history in seen):
        later.schedules = sweeps.follow_with_sweeps(later.schedules, facts)
    if has_next_tick(spec, facts):
        later.schedules = sweeps.follow_with_tick(later.schedules, spec)
    # What comes meanwhile is part of them: nothing follows.
    outlasting = tuple(together.outlast_lock(seen, facts, spec))
    later.add("late-success", outlasting)
    lost = tuple(sweeps.lose_last_attempt(seen, facts, spec))
    later.add("last-attempt-lost", lost)
    if not lost:
        later.skipped["last-attempt-lost"] = _NOTHING_TO_SWEEP
    if not outlasting:
        later.skipped["late-success"] = _NOBODY_COMES
    if not twice:
        later.skipped["double-kill"] = "no delivery followed a death"
    return later
