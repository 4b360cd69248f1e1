"""An effect that failed, and a job that ends as one that is done, where no promise says how."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from histories import ACKED, MET, RETURNED, effect, history, raised, reference, retry

from skillrun.contract.job import DeadLetter, Failures, Retry
from skillrun.proof.history import History
from skillrun.proof.judges import swallowed
from skillrun.proof.judges.unpromised import PROMISES
from skillrun.proof.reference import Reference

FAILS = "raise=app.mail:Away@before:email#1"
SWALLOWED = [MET, RETURNED, ACKED]
DONE = [*effect(), RETURNED, ACKED]


def drafted(**changes: Any) -> Reference:
    return dataclasses.replace(reference(), unpromised=PROMISES, **changes)


def rules(seen: History, asked: Reference) -> list[tuple[str, str | None]]:
    return [(one.rule, one.grade) for one in swallowed.judge(seen, asked)]


def test_nothing_shows_that_something_is_missing() -> None:
    seen = history(FAILS, SWALLOWED)
    assert rules(seen, drafted()) == [("effect-swallowed", "lost")]
    assert rules(seen, reference()) == []  # there promises say how it ends


@pytest.mark.parametrize(
    "seen",
    [
        history(FAILS, [MET, raised(), ACKED]),
        history(FAILS, [MET, retry(), RETURNED, ACKED], DONE),
        history(FAILS, SWALLOWED, dead_letters=1),
        history(FAILS, SWALLOWED, kept=1),
        history(FAILS, SWALLOWED, state={"orders": [[1, "failed"]]}),
        history(FAILS, DONE),
        history("once", [RETURNED, ACKED]),
    ],
    ids=["it fails", "it tries again", "a record", "kept", "a row", "not met", "no error"],
)
def test_whoever_shows_it_loses_nothing(seen: History) -> None:
    asked = drafted()
    once = dataclasses.replace(asked.once, state={"orders": [[1, "sent"]]})
    if seen.state == {}:
        once = asked.once
    assert rules(seen, dataclasses.replace(asked, once=once)) == []


def test_a_job_that_is_tried_once_and_leaves_no_record_is_asked_as_well() -> None:
    """Neither a retry nor a dead letter is promised: a failure that nobody is told of is lost."""
    spec = reference().spec
    once = Retry(kind="none", reason="one try")
    bare = spec.model_copy(update={"retry": once, "dead_letter": None})
    asked = dataclasses.replace(reference(), spec=bare)
    assert rules(history(FAILS, SWALLOWED), asked) == [("effect-swallowed", "lost")]
    assert rules(history(FAILS, [MET, raised(), ACKED]), asked) == []
    kept = bare.model_copy(update={"dead_letter": DeadLetter(kind="framework")})
    assert rules(history(FAILS, SWALLOWED), dataclasses.replace(reference(), spec=kept)) == []


@pytest.mark.parametrize(
    ("end", "state", "expected"),
    [
        (RETURNED, {"orders": [[1, "paid"]]}, ["effect.lost"]),
        (RETURNED, {"orders": [[1, "declined"]]}, []),
    ],
    ids=["as if it had been paid", "recorded"],
)
def test_an_outcome_is_recorded(end: Any, state: Any, expected: list[str]) -> None:
    """A card that is declined is no payment."""
    declined = {"type": "app.mail:Away", "unsent": True}
    spec = reference().spec.model_copy(
        update={"failures": Failures.model_validate({"success": [declined]})}
    )
    paid = dataclasses.replace(reference().once, state={"orders": [[1, "paid"]]})
    asked = dataclasses.replace(reference(), spec=spec, once=paid)
    seen = dataclasses.replace(history(FAILS, [MET, end, ACKED]), state=state)
    assert [one.rule for one in swallowed.judge(seen, asked)] == expected
    assert list(swallowed.judge(dataclasses.replace(seen, deliveries=paid.deliveries), asked)) == []
