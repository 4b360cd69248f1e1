"""Whether a log tells a secret of the job: a token, a password, a card's number."""

from __future__ import annotations

from collections.abc import Iterator

from skillrun.core.verdict import RiskGrade
from skillrun.proof.history import History
from skillrun.proof.judges.risks import name_risk
from skillrun.proof.reference import Judgement, Reference


def judge(history: History, reference: Reference) -> Iterator[Judgement]:
    """One for each secret; the first record that tells it."""
    told: set[str] = set()
    for event in history.events:
        if event.kind != "log":
            continue
        text = f"{event['text']} {event['extra'] or ''} {event['error'] or ''}"
        for value, name in reference.secrets.items():
            if value in text and name not in told:
                told.add(name)
                yield name_risk(
                    "secret-logged",
                    RiskGrade.LEAK,
                    f"a log record tells {name}, which is named as a secret",
                    events=(event.number,),
                )
