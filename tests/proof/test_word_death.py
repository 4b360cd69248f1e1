"""`worker.death: loses`: a job that its worker takes along is accepted, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest
from histories import (
    ACKED,
    AWAY,
    KILLED,
    MET,
    RETURNED,
    against,
    fault,
    history,
    rules,
    spec,
)

from skillrun.contract.job import DeadLetter, JobSpec
from skillrun.proof.history import History
from skillrun.proof.judges import effects, state

DIED = [fault("kill", "before:email#1"), KILLED]
TEXT = "kill@before:email#1"
LOST_WITH_IT = history(TEXT, DIED, state=[], lost=1)
# The next delivery finds a claim and lets go of it.
LET_GO = history(TEXT, DIED, [RETURNED, ACKED], state=[])
SWALLOWED = history(f"raise={AWAY}@before:email#1", [MET, RETURNED, ACKED], state=[], lost=1)


def made(**worker: Any) -> JobSpec:
    words: dict[str, Any] = {"worker": worker} if worker else {}
    return spec("at_least_once", dead_letter=DeadLetter(kind="none"), **words)


@pytest.mark.parametrize(
    ("seen", "is_accepted"), [(LOST_WITH_IT, True), (LET_GO, False), (SWALLOWED, False)]
)
def test_a_job_may_be_lost_with_its_worker_alone(seen: History, is_accepted: bool) -> None:
    accepts = against(made(death="loses", reason="the user starts it again"))
    for judge, rule in ((effects.judge, "effect.lost"), (state.judge, "state.differs")):
        assert rule in rules(judge, seen, against(made()))
        assert (rule not in rules(judge, seen, accepts)) == is_accepted
