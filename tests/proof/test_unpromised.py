"""Of a draft nobody has promised tries, waits, dead letters and records: what does otherwise is a risk."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from histories import (
    ACKED,
    AWAY,
    KILLED,
    NEVER,
    RETURNED,
    commit,
    effect,
    fault,
    history,
    raised,
    reference,
    retry,
)

from skillrun.core.verdict import RiskGrade
from skillrun.probe.facts import BootFacts
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.judges.unpromised import (
    PROMISES,
    is_turned_away,
    merge_questions,
    release_unpromised,
)
from skillrun.proof.reference import Reference

DONE = [*effect(), *commit(), RETURNED, ACKED]
LOCKED = [
    ("raised", {"error": "OperationalError", "bases": [], "text": "database is locked"}),
    ACKED,
]


def drafted(*, acks_late: bool | None = False, **changes: Any) -> Reference:
    facts = BootFacts(acks_late=acks_late)
    return dataclasses.replace(reference(), unpromised=PROMISES, facts=facts, **changes)


def release(rule: str, told: Any, asked: Reference, schedule: str = "once") -> Judgement:
    seen = history(schedule, *told)
    (found,) = release_unpromised([Judgement(Verdict.REFUTED, rule, "said")], seen, asked)
    return found


@pytest.mark.parametrize(
    ("rule", "risk", "grade"),
    [
        ("attempts.too-few", "not-as-read", RiskGrade.MINOR),
        ("delays.no-jitter", "not-as-read", RiskGrade.MINOR),
        ("dead-letter.missing", "not-as-read", RiskGrade.BLIND),
        ("logs.lie", "logs-silent", RiskGrade.BLIND),
    ],
)
def test_what_was_only_read_is_a_risk(rule: str, risk: str, grade: RiskGrade) -> None:
    found = release(rule, [DONE], drafted())
    assert (found.verdict, found.rule, found.grade, found.message) == (
        Verdict.RISK,
        risk,
        grade,
        "said",
    )
    agreed = dataclasses.replace(drafted(), unpromised=frozenset())
    assert release(rule, [DONE], agreed).verdict == Verdict.REFUTED


@pytest.mark.parametrize("rule", ["effect.repeated", "state.differs", "attempts.unbounded"])
def test_what_needs_no_promise_is_refuted_in_a_draft_too(rule: str) -> None:
    assert release(rule, [DONE, DONE], drafted(), "redeliver").verdict == Verdict.REFUTED


@pytest.mark.parametrize("rule", ["effect.lost", "state.differs"])
def test_a_death_takes_along_what_the_library_acknowledges_before_it_is_done(rule: str) -> None:
    killed = [*effect(), KILLED]
    found = release(rule, [killed], drafted(), "kill@after:email#1")
    assert (found.verdict, found.rule, found.grade) == (Verdict.RISK, "death-loses", RiskGrade.LOST)
    late = release(rule, [killed], drafted(acks_late=True), "kill@after:email#1")
    assert late.verdict == Verdict.REFUTED
    # It came again, so that nothing was taken along.
    again = release(rule, [killed, DONE], drafted(), "kill@after:email#1")
    assert again.verdict == Verdict.REFUTED


LEFT = Judgement(Verdict.REFUTED, "effect.lost", "said", "email")


@pytest.mark.parametrize(
    ("next_day", "verdict", "rule"),
    [
        ((), Verdict.RISK, "claim-outlives"),
        (
            (Judgement(Verdict.REFUTED, "effect.repeated", "said", "sms"),),
            Verdict.RISK,
            "claim-outlives",
        ),
        ((LEFT,), Verdict.REFUTED, "effect.lost"),
        (
            (Judgement(Verdict.INCOMPLETE, "clock.server", "said"),),
            Verdict.INCOMPLETE,
            "clock.server",
        ),
        ((Judgement(Verdict.INCOMPLETE, "not-published", "said"),), Verdict.REFUTED, "effect.lost"),
    ],
)
def test_a_job_that_another_message_does_a_day_later_is_not_lost_for_good(
    next_day: tuple[Judgement, ...], verdict: str, rule: str
) -> None:
    """The lease of a dead process runs out, and the draft knows no sweep; a marker stays."""
    seen = history("kill@after:commit#1 lose re-enqueue", [*commit(), KILLED], [RETURNED, ACKED])
    asked = drafted(acks_late=True, next_day=next_day)
    (found,) = release_unpromised([LEFT], seen, asked)
    assert (found.verdict, found.rule) == (verdict, rule)
    if verdict == Verdict.RISK:
        assert found.grade == RiskGrade.LOST


def test_what_a_sweep_may_set_back_is_not_refuted() -> None:
    """It stands as `sending` for ever, but for a sweep that a draft does not run."""
    seen = history("kill@after:commit#1 lose re-enqueue", [*commit(), KILLED], [RETURNED, ACKED])
    asked = drafted(acks_late=True, next_day=(LEFT,), sweepers=("shop.tasks:put_back",))
    (found,) = release_unpromised([LEFT], seen, asked)
    assert (found.verdict, found.rule) == (Verdict.INCOMPLETE, "sweep.untried")
    assert "shop.tasks:put_back" in found.message


def test_who_meets_an_error_and_counts_as_done_was_not_turned_away() -> None:
    met = fault("fail", "before:commit#1")
    swallowed = history("fail@before:commit#1", [met, RETURNED, ACKED])
    assert not is_turned_away(swallowed)
    leased = history("fail@before:commit#1", [met, raised(), ACKED, retry()], [RETURNED, ACKED])
    assert is_turned_away(leased)
    killed = history("kill@after:commit#1", [*commit(), KILLED])
    assert not is_turned_away(killed)


def test_who_is_locked_out_by_sqlite_alone_shows_nothing() -> None:
    found = release("effect.lost", [LOCKED], drafted(), "redeliver")
    assert found.verdict == Verdict.HINT
    failed = release("effect.lost", [LOCKED], drafted(), "fail@before:commit#1")
    assert failed.verdict == Verdict.REFUTED
    other = release("effect.lost", [[raised(), ACKED]], drafted(), "redeliver")
    assert other.verdict == Verdict.REFUTED


def test_questions_that_the_logs_leave_open_are_one_risk() -> None:
    asked = ("ran", "why")
    words = {"ran": "did it run?", "why": "why did it fail?"}
    found = merge_questions(
        [
            Judgement(Verdict.REFUTED, f"logs.{one}", f"the logs do not tell: {words[one]}")
            for one in asked
        ]
    )
    assert found.message == "the logs do not tell: did it run? why did it fail?"
    assert (found.rule, found.grade) == ("logs-silent", RiskGrade.BLIND)


def test_an_error_that_nobody_calls_permanent_needs_no_record() -> None:
    """ "Already refunded" is caught by its name, and the job goes on: there is nothing to bury. Tests
    show dead letters, so that the others need one.
    """
    asked = drafted(guessed_errors=frozenset({AWAY}))
    asked = dataclasses.replace(asked, unpromised=PROMISES - {"dead_letter"})
    told = [[fault("raise", "before:email#1"), RETURNED, ACKED]]
    found = release("dead-letter.missing", told, asked, f"raise={AWAY}@before:email#1/*")
    assert (found.verdict, found.rule) == (Verdict.RISK, "not-as-read")
    other = release("dead-letter.missing", told, asked, f"raise={NEVER}@before:email#1/*")
    assert other.verdict == Verdict.REFUTED
    killed = release("dead-letter.missing", told, asked, "kill@before:email#1")
    assert killed.verdict == Verdict.REFUTED
    # The job fails of it, and the library drops it: nobody took it for done.
    fails = [[fault("raise", "before:email#1"), raised(AWAY), ACKED]]
    dropped = release("dead-letter.missing", fails, asked, f"raise={AWAY}@before:email#1/*")
    assert dropped.verdict == Verdict.REFUTED


def test_an_answer_that_nobody_looks_at_is_a_risk_as_an_error_that_is_swallowed() -> None:
    """Nobody has said that a 503 is to be tried again; what a failing store loses is lost."""
    schedule = "fail@before:email#1"
    answered = [fault("fail", "before:email#1", status=503), RETURNED, ACKED]
    found = release("effect.lost", [answered], drafted(), schedule)
    assert (found.verdict, found.rule, found.grade) == (
        Verdict.RISK,
        "effect-swallowed",
        RiskGrade.LOST,
    )
    agreed = dataclasses.replace(drafted(), unpromised=frozenset())
    assert release("effect.lost", [answered], agreed, schedule).verdict == Verdict.REFUTED
    # A store that fails, a death besides, and an effect that takes place twice are another matter.
    stored = [fault("fail", "before:commit#1", text="locked"), RETURNED, ACKED]
    assert (
        release("effect.lost", [stored], drafted(), "fail@before:commit#1").verdict
        == Verdict.REFUTED
    )
    killed = [fault("fail", "before:email#1", status=503), KILLED]
    late = drafted(acks_late=True)
    assert release("effect.lost", [killed], late, schedule).verdict == Verdict.REFUTED
    assert release("effect.repeated", [answered], drafted(), schedule).verdict == Verdict.REFUTED
