"""What a history cannot answer is said to be unknown, and what is unknown never hides what is refuted."""

from __future__ import annotations

import pytest
from histories import (
    ACKED,
    AWAY,
    BUSY,
    DONE,
    KILLED,
    KILLED_AFTER,
    ONCE,
    TWICE,
    against,
    fault,
    history,
    raised,
    rules,
    spec,
)

from skillrun.probe.facts import BootFacts
from skillrun.proof.history import History
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.judges import unknowns
from skillrun.proof.judges.registry import judge_history
from skillrun.proof.reference import Reference


def test_an_exception_in_neither_list_is_incomplete() -> None:
    seen = history("once", [raised("app.mail:Surprise", injected=False), ACKED])
    assert rules(unknowns.judge, seen, against(spec())) == ["failures.unlisted"]
    listed = history("once", [raised(AWAY, injected=False), ACKED])
    assert rules(unknowns.judge, listed, against(spec())) == []


def test_who_gives_up_a_crash_loop_may_say_so_by_an_error_of_its_own() -> None:
    """Nothing but deaths came before it: no list has to name it."""
    gives_up = [raised("app.mail:GaveUp", injected=False), ACKED]
    for text, found in (
        ("kill-worker@after:email#1/*", []),
        ("kill-worker@after:email#1", ["failures.unlisted"]),
    ):
        seen = history(text, KILLED_AFTER, KILLED_AFTER, gives_up)
        assert rules(unknowns.judge, seen, against(spec())) == found


def test_a_last_error_of_its_own_needs_a_record_and_no_error_before_it() -> None:
    gives_up = [raised("app.mail:GaveUp", injected=False), ACKED]
    unlisted = ["failures.unlisted"]
    kept = {"dead_letters": 1}
    text = "kill-worker@after:email#1"
    for seen, found in (
        (history(text, KILLED_AFTER, gives_up, **kept), []),
        (history(text, KILLED_AFTER, gives_up), unlisted),
        (history(text, KILLED_AFTER, gives_up, DONE, **kept), []),
        (history(text, gives_up, **kept), unlisted),
        # A delivery that met nothing is no reason to give up.
        (history("redeliver", DONE, gives_up, **kept), unlisted),
        (
            history(text, KILLED_AFTER, [fault("raise", "before:email#1"), *gives_up], **kept),
            unlisted,
        ),
    ):
        assert rules(unknowns.judge, seen, against(spec())) == found


@pytest.mark.parametrize(
    ("error", "place", "found"),
    [
        ("app.errors:Again", ["app/jobs.py", 9], []),
        ("app.errors:Again", None, []),
        ("jobs:Again", ["src/jobs.py", 9], []),
        ("shop_errors:Again", ["worker/tasks.py", 9], []),
        ("builtins:KeyError", ["app/jobs.py", 9], ["failures.unlisted"]),
        ("redis.exceptions:ConnectionError", ["app/redis/cache.py", 9], ["failures.unlisted"]),
        ("celery.exceptions:TaskError", ["app/celery.py", 9], ["failures.unlisted"]),
    ],
)
def test_an_own_error_stands_for_the_one_that_the_delivery_met(
    error: str, place: list[object] | None, found: list[str]
) -> None:
    """Raised outside of the `except`, so that it has no cause: the injected one is listed."""
    kind, data = raised(error, injected=False)
    ends = (kind, {**data, "place": place})
    met = fault("raise", "before:email#1", error=AWAY)
    seen = history("raise=app.mail:Away@before:email#1", [met, ends, ACKED], DONE)
    facts = BootFacts(modules=("app/errors.py", "app/celery.py", "shop_errors/__init__.py"))
    assert rules(unknowns.judge, seen, against(spec(), facts=facts)) == found
    undisturbed = history("redeliver", DONE, [ends, ACKED])
    assert rules(unknowns.judge, undisturbed, against(spec())) == ["failures.unlisted"]


@pytest.mark.parametrize(
    ("error", "found"),
    [
        ("queue.errors:NoMoreTries", []),
        ("app.mail:NoMoreTries", ["failures.unlisted"]),
    ],
)
def test_the_librarys_own_end_needs_no_list(error: str, found: list[str]) -> None:
    """A job that waited for somebody else's lock until the library let it wait no more."""
    seen = history("stall@after:email#1 redeliver", DONE, [raised(error, injected=False), ACKED])
    facts = BootFacts(exhausted_error="queue.errors:NoMoreTries")
    assert rules(unknowns.judge, seen, against(spec(), facts=facts)) == found


@pytest.mark.parametrize(
    ("seen", "found"),
    [
        (history("copies=2 switch@before:email#1", DONE, BUSY, DONE), []),
        (history("kill@after:email#1", KILLED_AFTER, BUSY, DONE), []),
        (history("copies=2 switch@before:email#1", DONE, BUSY[:1]), ["failures.unlisted"]),
        (history("redeliver", DONE, BUSY, DONE), ["failures.unlisted"]),
    ],
)
def test_a_delivery_may_wait_for_the_one_that_has_the_job(seen: History, found: list[str]) -> None:
    """A lease that another delivery holds, or has left at its death: it comes again, and nobody has
    to list that.
    """
    assert rules(unknowns.judge, seen, against(spec())) == found


def test_one_class_from_one_line_is_one_row() -> None:
    """A claim's token, which is in the words, is another one each time."""
    said = "app.claims:Busy: 7 is with {} (app/claims.py:4) is in neither list of failures"
    found = [
        Judgement(Verdict.INCOMPLETE, "failures.unlisted", said.format(f"a{n}")) for n in range(3)
    ]
    (row,) = unknowns.merge_undeclared(found)
    assert row.message == f"{said.format('a0')} and 2 more"


def test_a_script_says_by_its_exit_status_that_something_failed_before() -> None:
    left = raised("builtins:SystemExit", injected=False)
    later = history("kill@after:email#1", KILLED_AFTER, [left])
    assert rules(unknowns.judge, later, against(spec())) == []
    assert rules(unknowns.judge, history("redeliver", DONE, [left]), against(spec())) == [
        "failures.unlisted"
    ]


def test_an_undeclared_effect_is_incomplete() -> None:
    seen = history(
        "once", [("undeclared", {"kind": "network", "detail": "example.org:443"}), ACKED]
    )
    assert rules(unknowns.judge, seen, against(spec())) == ["effect.undeclared"]


def test_a_judge_that_crashes_says_incomplete() -> None:
    broken = Reference(None, ONCE)  # type: ignore[arg-type]
    found = judge_history(TWICE, broken)
    assert found and {judgement.verdict for judgement in found} == {Verdict.INCOMPLETE}


def test_an_empty_history_says_incomplete() -> None:
    assert [j.rule for j in judge_history(History(ONCE.schedule, ()), against(spec()))] == [
        "proof.empty"
    ]


def test_refuted_comes_before_incomplete() -> None:
    both = history(
        "kill@before:email#1",
        [fault("kill", "before:email#1"), KILLED],
        [raised("x:Y", injected=False)],
    )
    verdicts = [judgement.verdict for judgement in judge_history(both, against(spec()))]
    assert verdicts[0] == Verdict.REFUTED
    assert verdicts[-1] == Verdict.INCOMPLETE
