"""The judge of state: what is left must be what a single run leaves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from histories import (
    ACKED,
    DONE,
    RETRY,
    RETURNED,
    against,
    commit,
    effect,
    fault,
    history,
    raised,
    retry,
    rules,
    spec,
)

from skillrun.probe.facts import BootFacts
from skillrun.proof.history import Delivery, History
from skillrun.proof.judgement import Verdict
from skillrun.proof.judges import effects, late, state
from skillrun.proof.judges.registry import judge_history
from skillrun.proof.reference import InTurn


def test_a_distinct_job_leaves_no_trace_where_it_changes_nothing() -> None:
    once, alone = (
        history("once", DONE, state=[[1, "done"], [2, "new"]]),
        history("job=1", DONE, state=[[1, "new"]]),
    )
    both = history("job=1", DONE, DONE, state=[[1, "done"], [2, "new"]])
    apart, before = {1: alone}, {"rows": [[1, "new"], [2, "new"]]}
    assert rules(state.judge, both, against(spec(), once, jobs=apart)) == ["state.distinct-job"]
    assert rules(state.judge, both, against(spec(), once, jobs=apart, before=before)) == []


def test_the_state_must_be_that_of_a_single_run() -> None:
    assert rules(
        state.judge, history("redeliver", DONE, DONE, state=[[1], [1]]), against(spec())
    ) == ["state.differs"]
    assert rules(state.judge, history("redeliver", DONE, DONE), against(spec())) == []


def test_a_month_that_ended_meanwhile_is_no_repetition() -> None:
    """A clock publishes the job, and a single run at that time leaves the same."""
    clock = spec(trigger={"type": "cron", "schedule": "15 2 * * *"})
    soon = history("wait=90000 redeliver", DONE, DONE, state=[[1], [2]])
    first, second = soon.deliveries
    seen = replace(soon, deliveries=(first, replace(second, clock=90002.0)))
    assert not late.is_published_late(soon, against(clock))
    assert not late.is_published_late(seen, against(spec()))
    assert late.is_published_late(seen, against(clock))
    alone = history("late=90001", DONE, state=[[1], [2]])
    assert rules(state.judge, seen, against(clock, as_due=(alone,))) == []
    other = history("late=90001", DONE, state=[[2]])
    for due in ((other,), (alone, other)):
        assert rules(state.judge, seen, against(clock, as_due=due)) == ["state.differs"]
    # Who fails, or is not done, is no comparison.
    failed = history("late=90001", [raised(), ACKED], state=[[1], [2]])
    assert rules(state.judge, seen, against(clock, as_due=(failed,))) == ["state.differs"]


def test_what_two_ticks_leave_that_come_months_later() -> None:
    """The schedule itself begins there: on the day on which clocks are turned back."""
    clock = spec(trigger={"type": "cron", "schedule": "15 2 * * *"})
    ticks = history("tick=1824941700 tick=1824945300", DONE, DONE, state=[[1], [2]])
    first, second = ticks.deliveries
    months = (replace(first, clock=2.8e7), replace(second, clock=2.8e7 + 3600))
    seen = replace(ticks, deliveries=months)
    assert late.count_seconds(seen, against(clock)) > 2.8e7
    assert late.is_published_late(seen, against(clock))


def test_a_delivery_that_makes_a_part_of_the_calls_has_not_done_the_job() -> None:
    """Of three mails the first one is in doubt, and is given to a person."""
    three = [*effect(key="'1'"), *effect(key="'2'"), *effect(key="'3'"), *commit(), RETURNED, ACKED]
    rest = [*effect(key="'2'"), *effect(key="'3'"), *commit(), RETURNED, ACKED]
    killed = [*effect(key="'1'"), fault("kill", "after:email#1"), ("died", {})]
    once = replace(history("once", three), dead_letters=0)
    seen = history("kill@after:email#1", killed, rest, state=[[2]], dead_letters=1)
    assert rules(state.judge, seen, against(spec(**LETTER), once)) == []


LETTER = {"dead_letter": {"kind": "table", "where": "dead_jobs"}, "retry": RETRY}


@pytest.mark.parametrize(
    ("second", "expected"),
    [(DONE, ["state.differs"]), ([raised(), ACKED], [])],
    ids=["done", "not"],
)
def test_a_job_that_was_done_is_not_given_up(second: list[Any], expected: list[str]) -> None:
    """A delivery that nothing disturbed did all of it, and the job ends among the dead letters."""
    killed = [*effect(), fault("kill", "after:email#1"), ("died", {})]
    given_up = [raised("app.jobs:TooOften", injected=False), ACKED]
    seen = history("kill@after:email#1", killed, second, given_up, state=[[2]], dead_letters=1)
    once = replace(history("once", DONE), dead_letters=0)
    assert rules(state.judge, seen, against(spec(**LETTER), once)) == expected


@pytest.mark.parametrize(
    ("text", "swept", "expected"),
    [
        ("kill@before:email#1 sweep", True, ["state.differs"]),
        ("kill@before:email#1 sweep", False, []),
        ("kill@before:email#1", True, []),
    ],
)
def test_what_a_library_loses_a_sweep_of_the_spec_brings_back(
    text: str, swept: bool, expected: list[str]
) -> None:
    """Huey loses a job whose process dies. That is not blamed, unless a sweep is promised."""
    recovers = [{"call": "app.jobs:sweep", "every": "5m"}] if swept else []
    killed = [fault("kill", "before:email#1"), ("died", {})]
    seen = history(text, killed, state=[[2]], lost=True)
    known = against(spec(recovers=recovers), facts=BootFacts(lossy=True))
    assert rules(state.judge, seen, known) == expected


def test_an_unreadable_state_is_incomplete() -> None:
    broken = history("redeliver", DONE, state="error: no such table")
    assert [j.verdict for j in state.judge(broken, against(spec()))] == [Verdict.INCOMPLETE]


def test_a_query_that_differs_between_single_runs_is_not_compared() -> None:
    seen = history("redeliver", DONE, state=[[2]])
    assert rules(state.judge, seen, against(spec(), volatile=frozenset(("rows",)))) == []


def test_a_distinct_job_that_leaves_no_trace_was_swallowed() -> None:
    alone = history("once", DONE, state=[[2]])
    swallowed = history("job=1", DONE, DONE, state=[[1]])
    both = history("job=1", DONE, DONE, state=[[1], [2]])
    assert rules(state.judge, swallowed, against(spec(), jobs={1: alone})) == ["state.distinct-job"]
    assert rules(state.judge, both, against(spec(), jobs={1: alone})) == []


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[1, "a"], [2, "b"]], []),
        ([[1, "b"], [2, "a"]], []),  # as in the other order
        ([[2, "a"], [1, "b"]], []),
        ([[1, "a"]], ["state.lost-update"]),
        ([[1, "a"], [2, "a"]], ["state.lost-update"]),
    ],
)
def test_two_jobs_at_once_leave_what_one_of_their_orders_does(
    rows: Any, expected: list[str]
) -> None:
    orders = InTurn(
        history("job=1", DONE, DONE, state=[[1, "a"], [2, "b"]]),
        history("first=1", DONE, DONE, state=[[1, "b"], [2, "a"]]),
    )
    seen = history("beside=1 switch@before:email#1", DONE, DONE, state=rows)
    assert rules(state.judge, seen, against(spec(), orders={1: orders})) == expected


@pytest.mark.parametrize(("supersedes", "expected"), [(True, []), (False, ["effect.lost"])])
def test_a_job_may_supersede_an_older_one_that_runs_beside_it(
    supersedes: bool, expected: list[str]
) -> None:
    newer, nothing = [*effect(key="'2'"), *commit(), RETURNED, ACKED], [RETURNED, ACKED]
    orders = InTurn(
        history("job=1", DONE, newer),
        history("first=1", newer, nothing if supersedes else DONE),
    )
    reference = against(spec(), jobs={1: history("once", newer)}, orders={1: orders})
    beside = history("beside=1 switch@before:email#1", newer, nothing)
    assert rules(effects.judge, beside, reference) == expected


OLDER, NEWER, BOTH = [["v2"]], [["v3"]], [["v2"], ["v3"]]
"""What is left of two versions of one thing."""


@pytest.mark.parametrize(
    ("late", "in_order", "expected"),
    [
        # (the older job after the newer one, the newer one after the older), each what is left
        ((False, NEWER), (True, NEWER), [("risk", "superseded", "minor")]),
        ((False, NEWER), (True, BOTH), [("risk", "superseded", "lost")]),
        # Each is taken for the other.
        (
            (False, NEWER),
            (False, OLDER),
            [("refuted", "effect.lost", None), ("refuted", "state.distinct-job", None)],
        ),
        ((True, NEWER), (True, NEWER), [("risk", "superseded", "minor")]),
        ((True, NEWER), (True, OLDER), [("refuted", "state.distinct-job", None)]),
        ((True, BOTH), (True, BOTH), []),
    ],
)
def test_a_job_that_comes_late_is_superseded_where_it_goes_otherwise_in_the_other_order(
    late: tuple[bool, Any], in_order: tuple[bool, Any], expected: list[Any]
) -> None:
    """The proof's own job is the newer one: it supersedes, or takes the other one for itself."""
    older, nothing = [*effect(key="'2'"), *commit(), RETURNED, ACKED], [RETURNED, ACKED]
    alone = history("once", older, state=OLDER)
    (runs_late, left_late), (runs_in_order, left) = late, in_order
    own_first = history("job=1", DONE, older if runs_late else nothing, state=left_late)
    other_first = history("first=1", older, DONE if runs_in_order else nothing, state=left)
    orders = InTurn(number_jobs(own_first, 0, 1), number_jobs(other_first, 1, 0))
    once = history("once", DONE, state=NEWER)
    reference = against(spec(), once=once, jobs={1: alone}, orders={1: orders})
    found = judge_history(orders.own_first, reference)
    assert [(one.verdict, one.rule, one.grade) for one in found] == expected
    assert not any(j.rule == "superseded" for j in judge_history(orders.other_first, reference))


@pytest.mark.parametrize(("last", "expected"), [(BOTH, []), (NEWER, ["state.set-back"])])
def test_a_message_that_comes_again_after_another_job_changes_nothing(
    last: Any, expected: list[str]
) -> None:
    other = [*effect(key="'2'"), *commit(), RETURNED, ACKED]
    alone = history("once", other, state=OLDER)
    both = number_jobs(history("job=1", DONE, other, state=BOTH), 0, 1)
    orders = InTurn(both, number_jobs(history("first=1", other, DONE, state=BOTH), 1, 0))
    once = history("once", DONE, state=NEWER)
    reference = against(spec(), once=once, jobs={1: alone}, orders={1: orders})
    again = history("job=1 redeliver", DONE, other, [RETURNED, ACKED], state=last)
    assert rules(state.judge, number_jobs(again, 0, 1, 0), reference) == expected


def number_jobs(seen: History, *jobs: int) -> History:
    """The history of deliveries for these jobs."""
    numbered = [replace(one, job=job) for one, job in zip(seen.deliveries, jobs, strict=True)]
    return replace(seen, deliveries=tuple(numbered))


@pytest.mark.parametrize(
    ("store", "sql", "expected"),
    [
        ("db:app", "select 1 from claims where until < now()", ["clock.server"]),
        ("db:app", "update claims set at = now()", ["state.differs"]),
        (
            "sqlite:/app.db",
            "select 1 from claims where until < current_timestamp",
            ["state.differs"],
        ),
    ],
)
def test_what_hangs_on_a_servers_clock_is_not_refuted(
    store: str, sql: str, expected: list[str]
) -> None:
    asked: Any = (
        "at",
        {"when": "before", "name": "select-claims#1", "kind": "sql", "store": store, "sql": sql},
    )
    seen = history("wait=90000 redeliver", [asked, *DONE], DONE, state=[[2]])
    later = Delivery(2, "deliver", 0, 90_000.0, seen.deliveries[1].events)
    seen = History(seen.schedule, (seen.deliveries[0], later), seen.state)
    assert [j.rule for j in judge_history(seen, against(spec()))] == expected


def test_what_a_process_remembers_changes_nothing() -> None:
    apart = history("redeliver job=1", DONE, DONE, state=[[1]])
    skipped = history("redeliver job=1 same-process", DONE, [RETURNED, ACKED], state=[[1]])
    other = history("redeliver job=1 same-process", DONE, DONE, state=[[2]])
    nothing = history("redeliver job=1 same-process", [RETURNED, ACKED], state=[[1]])
    found = [
        [j.rule for j in judge_history(seen, against(spec(), apart=apart))]
        for seen in (skipped, other, nothing)
    ]
    assert found == [[], ["process.remembers"], ["process.remembers"]]


def test_what_differs_in_each_single_run_is_no_memory() -> None:
    """A request's id that is made at random, or a time: no two processes call alike."""

    def mails(args: str) -> list[Any]:
        about = {"args": args, "subject": args}
        return [(kind, {**data, **about}) for kind, data in effect()]

    def mail_of(args: str) -> History:
        return history("redeliver same-process", [*mails(args), ACKED])

    once, later = mail_of("to='a', request='5f1d2c3b4a'"), mail_of("to='a', request='0a9b8c7d6e'")
    apart = mail_of("to='a', request='77aa88bb99'")
    single = against(spec(), once, later=later, apart=apart)
    for seen, found in (
        (mail_of("to='a', request='11bb22cc33'"), []),
        (mail_of("to='b', request='11bb22cc33'"), ["process.remembers"]),
        (history("redeliver same-process", [ACKED]), ["process.remembers"]),
    ):
        assert [j.rule for j in judge_history(seen, single)] == found
    fixed = against(spec(), once, later=once, apart=once)
    assert [j.rule for j in judge_history(later, fixed)] == ["process.remembers"]


def test_a_token_that_is_made_for_one_job_is_no_memory_and_another_jobs_is() -> None:
    mine, new, others = "a1b2c3d4e5f6a7b8c9", "00ff11ee22dd33cc44", "77aa88bb99cc00dd11"

    def calls(token: str) -> list[Any]:
        about = {"args": f"to='a', token='{token}'", "key": token, "subject": token}
        return [*((kind, {**data, **about}) for kind, data in effect()), ACKED]

    def two(first: str, second: str, *same: str) -> History:
        made = history(" ".join(["job=1", *same]), calls(first), calls(second))
        return replace(made, deliveries=(made.deliveries[0], replace(made.deliveries[1], job=1)))

    single = against(spec(), apart=two(others, mine))
    assert list(judge_history(two(others, new, "same-process"), single)) == []
    (found,) = judge_history(two(others, others, "same-process"), single)
    assert found.rule == "process.remembers"


def test_what_a_process_remembers_beyond_the_receivers_window_does_it_again() -> None:
    apart = history("redeliver wait=90000", DONE, [RETURNED, ACKED])
    again = history("wait=90000 redeliver same-process", DONE, DONE)
    soon = history("redeliver same-process", DONE, DONE)
    keyed, once = against(spec(), apart=apart), against(spec("at_least_once"), apart=apart)
    found = [
        [j.rule for j in judge_history(h, r)]
        for h, r in ((again, keyed), (soon, keyed), (soon, once))
    ]
    assert found == [["process.remembers"], [], ["process.remembers"]]


FAILED = [*effect(), fault("fail", "before:commit#1", text="OperationalError: database is locked")]
FAILS = "fail@before:commit#1"


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (history(FAILS, [*FAILED, RETURNED, ACKED], state=[]), ["state.error-swallowed"]),
        (
            history(FAILS, [*FAILED, RETURNED, ACKED], state=[[1], [2]]),
            [],
        ),  # too much may be a lease
        (
            history(FAILS, [*FAILED, raised("sqlite3:OperationalError", injected=False)], state=[]),
            [],
        ),
        (history(FAILS, [*FAILED, retry(), ACKED], DONE), []),
        # Nothing is swallowed where the job is given up; that it was done is another question.
        (
            history(FAILS, [*FAILED, RETURNED, ACKED], state=[], dead_letters=1),
            ["store-failed"],
        ),
    ],
)
def test_a_write_that_failed_is_not_taken_for_done(seen: History, expected: list[str]) -> None:
    assert [j.rule for j in judge_history(seen, against(spec()))] == expected


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[1], [2]], ["state.error-swallowed"]),
        ([[1]], []),
        # A lease that it has taken and not given back.
        ([[1], [3]], []),
    ],
)
def test_a_row_that_the_job_should_have_removed_is_not_taken_for_removed(
    rows: list[list[int]], expected: list[str]
) -> None:
    """The single run leaves [[1]]."""
    seen = history(FAILS, [*FAILED, RETURNED, ACKED], state=rows)
    wanted = replace(against(spec()), before={"rows": [[1], [2]]})
    assert [j.rule for j in judge_history(seen, wanted)] == expected


def count_exports(first: list[Any], second: list[Any], marks: list[Any], *, job: int) -> History:
    """Two deliveries of jobs after which `exports` has these rows: the highest number stays."""
    text = "job=1" if job == 0 else "first=1"
    seen = number_jobs(history(text, DONE, DONE), job, 1 - job)
    return replace(seen, state={"highest": second or first, "marks": marks})


@pytest.mark.parametrize(
    ("after_older", "expected"),
    [
        # The newer one's number stays in either order.
        ([[2]], []),
        # The older one is taken for the newer one where it comes last.
        ([[1]], ["state.distinct-job"]),
    ],
)
def test_a_number_that_only_grows_shows_no_job_that_was_taken_for_another(
    after_older: list[Any], expected: list[str]
) -> None:
    older = replace(history("once", DONE), state={"highest": [[1]], "marks": [[1, "done"]]})
    newer = replace(history("once", DONE), state={"highest": [[2]], "marks": [[2, "done"]]})
    both = [[1, "done"], [2, "done"]]
    newer_first = count_exports([], [[2]], both, job=1)
    older_first = count_exports([], after_older, both, job=0)
    orders = {1: InTurn(older_first, newer_first)}
    reference = against(spec(), older, jobs={1: newer}, orders=orders)
    assert rules(state.judge, newer_first, reference) == expected
