"""Whether a key is made of what else the database holds, which a backup brings back."""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.core.verdict import RiskGrade
from skillrun.proof.history import History
from skillrun.proof.judgement import Judgement
from skillrun.proof.judges.emptied import find_shared_keys
from skillrun.proof.judges.risks import name_risk
from skillrun.proof.reference import Reference


def judge(history: History, reference: Reference) -> Iterator[Judgement]:
    """Names a risk where a job that comes after the backup was put back is given the key of one
    that was done before: its receiver, who has no backup, takes it for that one.
    """
    for call in find_shared_keys(history, reference):
        yield name_risk(
            "store-restored",
            RiskGrade.MONEY,
            f"where the database is put back from a backup, {call['effect']} is called for another"
            " job with a key that was used before: its receiver drops it",
            effect=str(call["effect"]),
            events=(call.number,),
            expected="a key for each job",
            seen=str(call["key"]),
        )
