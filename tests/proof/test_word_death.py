"""`worker.death: loses`: a job that its worker takes along is accepted, and nothing else is."""

from __future__ import annotations

from pathlib import Path
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
from skillrun.contract.spec import load_spec
from skillrun.core.errors import SpecInvalid
from skillrun.proof.history import History
from skillrun.proof.judges import effects, state

DIED = [fault("kill", "before:email#1"), KILLED]
TEXT = "kill@before:email#1"
LOST_WITH_IT = history(TEXT, DIED, state=[], lost=1)
# Of a child of the pool the library knows that it died, and its message was acknowledged.
CHILD_DIED = history(TEXT, DIED, state=[])
# The next delivery finds a claim and lets go of it.
LET_GO = history(TEXT, DIED, [RETURNED, ACKED], state=[])
SWALLOWED = history(f"raise={AWAY}@before:email#1", [MET, RETURNED, ACKED], state=[], lost=1)


def made(**worker: Any) -> JobSpec:
    words: dict[str, Any] = {"worker": worker} if worker else {}
    return spec("at_least_once", dead_letter=DeadLetter(kind="none"), **words)


@pytest.mark.parametrize(
    ("seen", "is_accepted"),
    [(LOST_WITH_IT, True), (CHILD_DIED, True), (LET_GO, False), (SWALLOWED, False)],
)
def test_a_job_may_be_lost_with_its_worker_alone(seen: History, is_accepted: bool) -> None:
    accepts = against(made(death="loses", reason="the user starts it again"))
    for judge, rule in ((effects.judge, "effect.lost"), (state.judge, "state.differs")):
        assert rule in rules(judge, seen, against(made()))
        assert (rule not in rules(judge, seen, accepts)) == is_accepted


def test_a_loss_without_a_reason_is_one_plain_line(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text("version: 1\njob: x\nworker: {death: loses}\n")
    with pytest.raises(SpecInvalid, match="worker: death needs a reason beside it"):
        load_spec(path)


def test_what_a_sweep_is_to_bring_back_is_not_accepted() -> None:
    plain = made(death="loses", reason="the sweep finds it").model_dump(exclude_unset=True)
    swept = JobSpec(**plain, recovers=[{"call": "app.jobs:sweep", "every": "15m"}])
    assert "effect.lost" in rules(effects.judge, CHILD_DIED, against(swept))
