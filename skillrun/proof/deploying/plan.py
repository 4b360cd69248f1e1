"""The schedules of a deploy: so many deliveries are the base's, and HEAD takes what comes then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from skillrun.proof.families.deaths import kill, late_back
from skillrun.proof.families.errors import error, exhaustion, permanent
from skillrun.proof.families.situation import Situation
from skillrun.proof.families.sweeps import follow_with_sweeps
from skillrun.proof.schedule import SWEEP, Fault, Schedule

# Each costs a delivery of either side and the migrations between them.
MOST = 12
# Those of other jobs than the first example's are as dear, and tell less: so many of each job.
_MOST_JOBS, _MOST_OF_JOB = 2, 3
# A handler with many statements has a boundary at each of them; those around effects come first.
_MOST_OTHER_KILLS = 4
# Keys that Redis holds behind an effect.
_MOST_KEPT = 2


@dataclass(frozen=True)
class DeployPlan:
    """What is tried, and how many more there would be."""

    schedules: tuple[Schedule, ...]
    left_out: int


def plan_deploys(
    situation: Situation, *, fail_alike: bool, others: Mapping[int, Situation] | None = None
) -> DeployPlan:
    """`situation`: the base's. `fail_alike`: both sides list the same errors, so that HEAD can be
    given one of the base's. `others`: the same of further examples' jobs, by number, those first
    that do most otherwise than the first example's.
    """
    planned: dict[Schedule, None] = {}
    for schedule in _list_deploys(situation, fail_alike=fail_alike):
        planned[schedule] = None
    swept = list(planned)
    if situation.spec.recovers:
        swept = follow_with_sweeps(swept, situation.facts)
    further: list[Schedule] = []
    left_out = max(len(swept) - MOST, 0)
    for number, (job, other) in enumerate((others or {}).items()):
        listed = list(_list_deploys_of_other(job, other))
        taken = listed[:_MOST_OF_JOB] if number < _MOST_JOBS else []
        further += taken
        left_out += len(listed) - len(taken)
    return DeployPlan((*swept[:MOST], *further), left_out)


def _list_deploys_of_other(job: int, other: Situation) -> Iterator[Schedule]:
    """Both jobs wait while the workers are exchanged; or the base has begun the other one, and died
    at an effect of it.
    """
    yield Schedule("distinct", first=job, deploy=0)
    # The latest first: what the receiver knows already must not go out under another key.
    for schedule in reversed(list(_list_kills(other))):
        if _is_at_effect(schedule, other):
            yield Schedule("distinct", schedule.faults, first=job, deploy=1)


def _list_deploys(situation: Situation, *, fail_alike: bool) -> Iterator[Schedule]:
    """The telling ones first."""
    # The message is the base's, and waits while the workers are exchanged.
    yield Schedule("once", deploy=0)
    yield Schedule("redeliver", moves=("redeliver",), deploy=1)
    kills = list(_list_kills(situation))
    around = [one for one in kills if _is_at_effect(one, situation)]
    for schedule in around:
        yield replace(schedule, deploy=1)
    if around:
        # What the first effect answered may be kept there, and no migration rewrites it.
        behind = kills[kills.index(around[0]) :]
        kept = [one for one in behind if _is_behind_key(one, situation)]
        for schedule in kept[:_MOST_KEPT]:
            yield replace(schedule, deploy=1)
    if situation.spec.recovers:
        yield from _lose_messages(around or kills)
    if fail_alike:
        yield from _give_up(situation)
    for schedule in late_back.plan(situation, ()):
        yield replace(schedule, deploy=1)
    yield from _fail_once(situation)
    others = [one for one in kills if one not in around]
    # The latest first: there the base has done the most, and told nobody.
    for schedule in list(reversed(others))[:_MOST_OTHER_KILLS]:
        yield replace(schedule, deploy=1)


def _list_kills(situation: Situation) -> Iterator[Schedule]:
    for schedule in kill.plan(situation, ()):
        if schedule.does == {"kill"}:
            yield schedule


def _is_at_effect(schedule: Schedule, situation: Situation) -> bool:
    """Whether its death is just before or after a call of an effect."""
    named = schedule.faults[0].at.partition(":")[2].partition("#")[0]
    return named in {effect.name for effect in situation.effects}


def _is_behind_key(schedule: Schedule, situation: Situation) -> bool:
    """Whether its death comes when a key has just been written that no table holds, in Redis."""
    for event in situation.boundaries:
        if event.boundary == schedule.faults[0].at:
            return bool(event["kind"] == "redis" and event["write"] and event["when"] == "after")
    return False


def _lose_messages(kills: list[Schedule]) -> Iterator[Schedule]:
    """A row is all that is left, and HEAD's sweeps find it: at the first place and at the last."""
    for schedule in dict.fromkeys([*kills[:1], *kills[-1:]]):
        yield Schedule("kill-lose", schedule.faults, (SWEEP,), lose=True, deploy=1)


def _give_up(situation: Situation) -> Iterator[Schedule]:
    """HEAD gives the job up, and records that in the base's store."""
    for schedule in (*permanent.plan(situation, ()), *exhaustion.plan(situation, ())):
        yield replace(schedule, deploy=0)
        return


def _fail_once(situation: Situation) -> Iterator[Schedule]:
    """The attempt after an error that passes is HEAD's: one error for each call."""
    seen: set[str] = set()
    if error.unless is not None and error.unless(situation):
        return
    for schedule in error.plan(situation, ()):
        fault: Fault = schedule.faults[0]
        if fault.at.startswith("before:") and fault.at not in seen:
            seen.add(fault.at)
            yield replace(schedule, deploy=1)
