"""Two distinct jobs that share something: one that comes late may be superseded by the other.

Where each of two jobs does less after the other, the two are taken for one: that is refuted. Where
it is so in one order only, the job that came first goes further: a newer version, a later day. No
promise of a spec says which job stands for which, so it is a risk.
"""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.core.verdict import RiskGrade
from skillrun.proof.history import History
from skillrun.proof.judgement import Judgement
from skillrun.proof.judges.risks import name_risk
from skillrun.proof.reference import Reference, ends_as

OWN = 0  # the number of the proof's own job


def is_superseded(history: History, reference: Reference) -> bool:
    """Whether the later job of two is skipped in this order, and not in the other one."""
    schedule = history.schedule
    if schedule.family != "distinct" or schedule.faults:
        return False
    other = schedule.jobs[0]
    orders = reference.orders.get(other)
    if orders is None or len(orders.done) < 2:
        return False
    skips_other = is_skipped(orders.own_first, reference, other, OWN)
    skips_own = is_skipped(orders.other_first, reference, OWN, other)
    if schedule.first is not None:
        return skips_own and not skips_other
    return skips_other and not skips_own


def judge(history: History, reference: Reference) -> Iterator[Judgement]:
    """Names a risk where a job is skipped because another one came first.

    Where both orders end in the same state, the later job's result holds the earlier one's, and
    nothing is missing. Else the job that was skipped has left nothing, and is lost.
    """
    if not is_superseded(history, reference):
        return
    orders = reference.orders[history.schedule.jobs[0]]
    missing = []
    for name, rows in orders.own_first.state.items():
        if name not in reference.volatile and rows != orders.other_first.state.get(name):
            missing.append(name)
    said = (
        "a job that comes after another one does less than alone; in the other order both are done"
    )
    grade = RiskGrade.MINOR
    if missing:
        said = f"{said}: {', '.join(missing)} ends otherwise"
        grade = RiskGrade.LOST
    yield name_risk(
        "superseded",
        grade,
        said,
        expected="both are done in either order",
        seen="one is done",
    )


def is_skipped(history: History, reference: Reference, last: int, before: int) -> bool:
    """Whether the job `last`, which comes after the job `before`, does less than it does alone, or
    leaves nothing.
    """
    single_runs = {**reference.jobs, OWN: reference.once}
    alone = single_runs[last]
    for effect in reference.effects:
        seen = 0
        for run in history.runs_of(last):
            seen += sum(event["effect"] == effect.name for event in run.all("performed"))
        if seen < len(alone.performed(effect.name)):
            return True
    # The state is that of the earlier job alone, although both have something to leave.
    is_as_before = ends_as(history, single_runs[before], reference)
    return is_as_before and not ends_as(history, alone, reference)
