"""What the judges make of the words that were added to the spec: small histories, as in
`test_judge_effects.py`.
"""

from __future__ import annotations

from typing import Any

import pytest
from histories import ACKED, DONE, KILLED, ONCE, RETURNED, effect, fault, history, raised, retry

from skillrun.contract.job import Effect, JobSpec, Retry
from skillrun.proof.history import History
from skillrun.proof.judges import attempts, effects
from skillrun.proof.judges.registry import judge_history
from skillrun.proof.reference import Reference, must_complete

DOWN, BUSY, THERE = "app.mail:Down", "app.mail:Busy", "app.mail:There"


def against(guarantee: str = "keyed", *, key_arg: str | None = "key", **more: Any) -> Reference:
    one = Effect(name="email", call="app.mail:send", key_arg=key_arg, guarantee=guarantee)
    values: dict[str, Any] = {
        "version": 1,
        "job": "job",
        "effects": (one,),
        "retry": {"max_attempts": 3, "backoff": {"kind": "exponential", "base": "10s"}},
        "dead_letter": {"kind": "table"},
        "failures": {
            "transient": [DOWN, {"type": BUSY, "wait": "30s"}],
            "permanent": ["ValueError"],
            "success": [THERE],
        },
    }
    return Reference(JobSpec(**(values | more)), ONCE)


def rules(judge: Any, seen: History, reference: Reference) -> list[str]:
    return [judgement.rule for judgement in judge(seen, reference)]


# -- convergent


def write(args: str, key: str = "'k'") -> list[Any]:
    """The effect with other arguments."""
    before, (kind, data), after = effect(key=key)
    return [before, (kind, {**data, "args": args}), after]


KILLED_AFTER = [*effect(), fault("kill", "after:email#1"), KILLED]


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (effect(), []),
        (write("to='b'"), ["effect.not-convergent"]),
        (effect(key="'other'"), ["effect.not-convergent"]),
    ],
)
def test_a_convergent_effect_may_be_repeated_with_the_same_arguments(
    second: list[Any], expected: list[str]
) -> None:
    seen = history("kill@after:email#1", KILLED_AFTER, [*second, RETURNED, ACKED])
    assert rules(effects.judge, seen, against("convergent")) == expected


def test_a_convergent_effect_is_never_lost() -> None:
    killed = [fault("kill", "before:email#1"), KILLED]
    lost = history("kill@before:email#1", killed, [RETURNED, ACKED])
    assert rules(effects.judge, lost, against("convergent")) == ["effect.lost"]


def test_without_a_key_the_arguments_are_what_is_written() -> None:
    reference = against("convergent", key_arg=None)
    same = history("kill@after:email#1", KILLED_AFTER, DONE)
    assert rules(effects.judge, same, reference) == []
    other = history("kill@after:email#1", KILLED_AFTER, [*write("to='b'"), RETURNED, ACKED])
    assert rules(effects.judge, other, reference) == ["effect.not-convergent"]


# -- waits


def waited(*delays: float, error: str = DOWN) -> History:
    """An error that does not pass, with these waits before the further attempts."""
    met = [fault("raise", "before:email#1"), raised(error)]
    tried = [[*met, retry(delay), ACKED] for delay in delays]
    given_up = [*met, ("settled", {"how": "dead", "delay": 0.0})]
    return history(f"raise={error}@before:email#*/*", *tried, given_up, dead_letters=1)


@pytest.mark.parametrize(
    ("backoff", "delays", "expected"),
    [
        ({"kind": "linear", "base": "10s"}, (10, 20), []),
        ({"kind": "linear", "base": "10s", "step": "5s"}, (10, 15), []),
        ({"kind": "linear", "base": "10s"}, (10, 40), ["delays.too-long"]),
        ({"kind": "linear", "base": "60s"}, (60, 60), ["delays.too-short"]),
        ({"kind": "exponential", "base": "10s", "first": "0s"}, (0, 10), []),
        ({"kind": "exponential", "base": "10s", "first": "0s"}, (10, 20), ["delays.too-long"]),
    ],
)
def test_waits_are_those_of_the_policy(
    backoff: dict[str, Any], delays: tuple[float, ...], expected: list[str]
) -> None:
    reference = against(retry={"max_attempts": 3, "backoff": backoff})
    assert rules(attempts.judge, waited(*delays), reference) == expected


def test_linear_waits_end_at_their_cap() -> None:
    backoff = {"kind": "linear", "base": "10s", "cap": "25s"}
    assert Retry(max_attempts=5, backoff=backoff).delays() == (10, 20, 25, 25)


@pytest.mark.parametrize(
    ("error", "delays", "expected"),
    [
        (BUSY, (30, 30), []),
        (BUSY, (10, 20), ["delays.too-short"]),
        (DOWN, (30, 30), ["delays.too-long"]),
    ],
)
def test_an_error_may_have_a_wait_of_its_own(
    error: str, delays: tuple[float, ...], expected: list[str]
) -> None:
    assert rules(attempts.judge, waited(*delays, error=error), against()) == expected


# -- errors that mean success

MET = [*effect(), fault("raise", "after:email#1")]
ANSWERED = f"raise={THERE}@after:email#1"


def test_an_error_that_means_success_ends_the_job() -> None:
    seen = history(ANSWERED, [*MET, RETURNED, ACKED], state=[[2]])
    assert rules(judge_history, seen, against()) == []
    assert not must_complete(seen, against())


@pytest.mark.parametrize(
    ("deliveries", "letters", "expected"),
    [
        ([[*MET, raised(THERE), retry(), ACKED], DONE], 0, ["attempts.success-retried"]),
        ([[*MET, raised(THERE), ACKED]], 0, ["attempts.success-failed"]),
        ([[*MET, RETURNED, ACKED]], 1, ["attempts.success-failed"]),
    ],
)
def test_it_is_neither_tried_again_nor_taken_for_a_failure(
    deliveries: list[Any], letters: int, expected: list[str]
) -> None:
    seen = history(ANSWERED, *deliveries, dead_letters=letters)
    assert expected[0] in rules(attempts.judge, seen, against())


# -- a message that kills its worker each time

DIES = [fault("kill", "before:email#1"), KILLED]
LOOP = "kill@before:email#1/*"


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (history(LOOP, DIES, DIES, DIES, dead_letters=1), []),
        (history(LOOP, DIES, DIES, dead_letters=1), []),
        (history(LOOP, *[DIES] * 4, dead_letters=1), ["attempts.deaths"]),
        (history(LOOP, *[DIES] * 9, pending=1, dead_letters=0), ["attempts.deaths"]),
        (history(LOOP, DIES, DIES, DIES, dead_letters=0), ["dead-letter.missing"]),
    ],
)
def test_deaths_are_bounded_by_the_worker(seen: History, expected: list[str]) -> None:
    assert rules(attempts.judge, seen, against(worker={"deliveries": 3})) == expected


def test_without_the_word_a_death_loop_breaks_no_promise() -> None:
    seen = history(LOOP, *[DIES] * 9, pending=1, dead_letters=0)
    assert rules(attempts.judge, seen, against()) == []


# -- sweeps


def test_where_a_table_says_when_a_job_is_due_the_sweep_may_come_later() -> None:
    """The handler returns normally, and nothing waits in the library's queue."""
    met = [fault("raise", "before:email#1"), RETURNED, ACKED]
    seen = history(f"raise={DOWN}@before:email#*/*", met, met, met, dead_letters=1)
    clocks = (0.0, 900.0, 1800.0)
    runs = [
        type(run)(**{**vars(run), "clock": at}) for run, at in zip(seen.runs, clocks, strict=True)
    ]
    later = type(seen)(seen.schedule, tuple(runs), seen.state, 1)
    swept = {"recovers": [{"call": "app.sweeps:requeue", "every": "15m"}]}
    assert rules(attempts.judge, later, against()) == ["delays.too-long"]
    assert rules(attempts.judge, later, against(**swept)) == []
