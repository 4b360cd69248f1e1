"""A job that is published within an open transaction, where no delivery can show what
that costs.
"""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.core.verdict import RiskGrade
from skillrun.proof.before_call import find_uncommitted, list_tables_of
from skillrun.proof.history import History
from skillrun.proof.judgement import Judgement
from skillrun.proof.judges.risks import name_risk
from skillrun.proof.reference import Reference

_NOT_SEEN = (
    "and nothing that the handler reads is changed by the call as the fixture stands: what a"
    " delivery before its commit, or after its rollback, makes of what it finds was not seen"
)
_RUNS_ANYWAY = "and runs, effects and all, although that transaction may be rolled back"


def judge(history: History, reference: Reference) -> Iterator[Judgement]:
    """Names a risk where the application publishes the job within an open transaction, which its
    connection tells.

    Where the call changes what the handler reads, or the rows before it are known, deliveries have
    shown what comes of it: what is left is that the job runs for a call that failed.
    """
    schedule = history.schedule
    if schedule.family != "before-commit" or schedule.undone:
        return
    caller = next((one for one in history.deliveries if one.op == "call"), None)
    found = find_uncommitted(caller.all("at")) if caller is not None else None
    if found is None or not found[1]:
        return
    grade, what_of_it = RiskGrade.LOST, _NOT_SEEN
    if is_visible_early(reference):
        grade, what_of_it = RiskGrade.MINOR, _RUNS_ANYWAY
    yield name_risk(
        "publish-uncommitted",
        grade,
        f"the job is published within an open transaction, {what_of_it}",
        events=(found[0].number,),
        expected="published once the transaction is committed",
        seen="published before",
    )


def is_visible_early(reference: Reference) -> bool:
    """Whether a delivery that comes before the commit finds anything otherwise than after it."""
    read = set(list_tables_of(reference.once.events))
    changed = set(map(str.lower, reference.changed_by_call))
    return reference.knows_undone or bool(read & changed)
