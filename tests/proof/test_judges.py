"""The judges are pure functions: small histories, written down, and what each judge says of
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from histories import (
    ACKED,
    BEGAN,
    DONE,
    KILLED,
    ONCE,
    RETURNED,
    commit,
    effect,
    fault,
    history,
    raised,
    retry,
)

from skillrun.contract.job import DeadLetter, Effect, JobSpec
from skillrun.probe.facts import BootFacts
from skillrun.proof.history import Delivery, Event, History
from skillrun.proof.judges import attempts, effects, logs, state, unknowns
from skillrun.proof.judges.registry import judge_history
from skillrun.proof.reference import INCOMPLETE, REFUTED, InTurn, Judgement, Reference

AWAY, NEVER = "app.mail:Away", "app.mail:Never"
RETRY = {
    "max_attempts": 3,
    "backoff": {"kind": "exponential", "base": "10s", "factor": 2, "cap": "1h"},
}


def spec(guarantee: str = "keyed", **more: Any) -> JobSpec:
    one = Effect(
        name="email", call="app.mail:send", key_arg="key", guarantee=guarantee, reason="said"
    )
    values: dict[str, Any] = {
        "version": 1,
        "job": "job",
        "effects": (one,),
        "retry": RETRY,
        "dead_letter": DeadLetter(kind="table"),
        "failures": {"transient": [AWAY], "permanent": [NEVER]},
        "idempotency": {
            "strategy": "keyed",
            "key": ["id"],
            "dedupe": {"store": "table rows", "window": "7d"},
        },
    }
    return JobSpec(**(values | more))


def against(made: JobSpec, once: History = ONCE, **more: Any) -> Reference:
    return Reference(made, once, **more)


def rules(judge: Any, seen: History, reference: Reference) -> list[str]:
    return [judgement.rule for judgement in judge(seen, reference)]


KILLED_AFTER = [*effect(), fault("kill", "after:email#1"), KILLED]
TWICE = history("kill@after:email#1", KILLED_AFTER, DONE)
OTHER_KEY = history(
    "kill@after:email#1", KILLED_AFTER, [*effect(key="'other'"), *commit(), RETURNED, ACKED]
)
LOST = history("kill@before:email#1", [fault("kill", "before:email#1"), KILLED], [RETURNED, ACKED])
REPEATED = history("redeliver", DONE, DONE)

# -- effects


@pytest.mark.parametrize(
    ("guarantee", "seen", "expected"),
    [
        ("keyed", TWICE, []),  # the receiver drops the second call
        ("keyed", OTHER_KEY, ["effect.other-key"]),
        ("keyed", LOST, ["effect.lost"]),
        ("transactional", TWICE, ["effect.repeated"]),
        ("transactional", LOST, ["effect.lost"]),
        ("at_least_once", TWICE, []),
        ("at_least_once", LOST, ["effect.lost"]),
        ("at_most_once", TWICE, ["effect.repeated"]),
        ("at_most_once", LOST, []),
    ],
)
def test_each_guarantee_allows_what_it_says(
    guarantee: str, seen: History, expected: list[str]
) -> None:
    assert rules(effects.judge, seen, against(spec(guarantee))) == expected


def test_a_repetition_that_was_accepted_is_no_refutation() -> None:
    (said,) = effects.judge(REPEATED, against(spec("at_least_once")))
    assert said.verdict == "hint"


def test_an_effect_that_only_a_fault_may_lose_is_not_lost_without_one() -> None:
    nothing = history("redeliver", [RETURNED, ACKED], [RETURNED, ACKED])
    assert rules(effects.judge, nothing, against(spec("at_most_once"))) == ["effect.lost"]


def test_a_job_in_the_dead_letters_is_not_lost() -> None:
    kept = history("kill@before:email#1", [fault("kill", "before:email#1"), KILLED], dead_letters=1)
    assert rules(effects.judge, kept, against(spec())) == []


def test_a_keyed_effect_without_its_key_is_refuted() -> None:
    assert "effect.no-key" in rules(
        effects.judge, history("once", [*effect(key=None), ACKED]), against(spec())
    )


def test_one_key_for_two_things_in_one_run_is_refuted() -> None:
    first, second = effect(), effect()
    second[1] = ("performed", {**second[1][1], "args": "to='b'"})
    assert "effect.key-shared" in rules(
        effects.judge, history("once", [*first, *second, ACKED]), against(spec())
    )


def test_two_distinct_jobs_need_keys_of_their_own() -> None:
    both = history("job=1", DONE, DONE)
    shared = against(spec(), jobs={1: ONCE})
    apart = against(spec(), jobs={1: history("once", [*effect(key="'other'"), *commit(), ACKED])})
    assert "effect.key-of-two-jobs" in rules(effects.judge, both, shared)
    two = history("job=1", DONE, [*effect(key="'other'"), *commit(), ACKED])
    assert rules(effects.judge, two, apart) == []


def test_a_job_that_fails_takes_no_other_job_along() -> None:
    """`update ... set status = 'dead' where event = ?` lacks the partner: the other partner's
    delivery finds itself dead, and does nothing.
    """
    given_up = [fault("raise", "before:email#1"), raised(NEVER), ACKED]
    alone = history("once", [*effect(key="'other'"), *commit(), ACKED])
    single = against(spec(), jobs={1: alone})
    text = f"raise={NEVER}@before:email#1 job=1"
    for other, letters, found in (
        ([RETURNED, ACKED], 1, ["effect.others-lost"]),
        ([*effect(key="'other'"), *commit(), ACKED], 1, []),
        ([raised(NEVER, injected=False), ACKED], 2, []),  # recorded: what failed is in its way too
    ):
        seen = history(text, given_up, other, dead_letters=letters)
        first, second = seen.deliveries
        seen = replace(seen, deliveries=(first, replace(second, job=1)))
        assert rules(effects.judge, seen, single) == found
        assert rules(attempts.judge, seen, single) == []


def mail(user: str, digest: str = "w41") -> list[Any]:
    """One of several mails of one run, with a key of its own."""
    about = {"subject": f"to='{user}', subject='{digest}'", "key": f"'{digest}/{user}'"}
    return [(kind, {**data, **about}) for kind, data in effect()]


def test_two_batches_may_be_about_some_of_the_same_things() -> None:
    first = [*mail("ann"), *mail("bob"), *commit(), RETURNED, ACKED]
    once, other = history("once", first), history("once", [*mail("bob"), *mail("cid"), ACKED])
    later = history("once", [*mail("bob", "w42"), ACKED])
    shared = [(kind, {**data, "key": "'w41/bob'"}) for kind, data in mail("bob", "w42")]
    seen = history("job=1", first, [*mail("cid"), ACKED])
    for alone in (other, later):
        assert "effect.key-of-two-jobs" not in rules(
            effects.judge, seen, against(spec(), once, jobs={1: alone})
        )
    alone = history("once", [*shared, ACKED])
    both = history("job=1", first, [*shared, ACKED])
    assert "effect.key-of-two-jobs" in rules(
        effects.judge, both, against(spec(), once, jobs={1: alone})
    )


def test_a_faulty_place_that_is_not_reached_again_after_a_death_asks_for_no_dead_letter() -> None:
    dying = [*effect(), MET, fault("kill", "after:insert-dead#1"), KILLED]
    schedule = f"raise={NEVER}@before:email#2/* kill@after:insert-dead#1"
    done = history(schedule, dying, [RETURNED, ACKED], dead_letters=0)
    assert rules(attempts.judge, done, against(spec())) == []
    undone = history(schedule, dying[3:], [RETURNED, ACKED], dead_letters=0)
    assert "dead-letter.missing" in rules(attempts.judge, undone, against(spec()))


def test_a_call_after_the_receivers_window_is_another_one() -> None:
    once = spec()
    made = once.model_copy(
        update={"effects": (once.effects[0].model_copy(update={"window": 3600.0}),)}
    )
    second = Delivery(
        2,
        "deliver",
        0,
        7300.0,
        tuple(Event(50 + n, *told) for n, told in enumerate([BEGAN, *DONE])),
    )
    late = History(REPEATED.schedule, (REPEATED.deliveries[0], second), {"rows": [[1]]})
    assert rules(effects.judge, late, against(made)) == ["effect.window"]
    assert rules(effects.judge, REPEATED, against(made)) == []


def calls(schedule: str, *arguments: str) -> History:
    """Deliveries that each call the effect once, with these arguments and one key."""
    told = [[(kind, {**data, "subject": said}) for kind, data in effect()] for said in arguments]
    return history(schedule, *([*one, RETURNED, ACKED] for one in told))


SAYS = calls("once", "file='a-1.csv'")


@pytest.mark.parametrize(
    ("seen", "later", "expected"),
    [
        (calls("kill@before:email#1", "file=None"), SAYS, ["effect.other-arguments"]),
        (
            calls("kill@before:email#1", "file='a-2.csv'"),
            SAYS,
            [],
        ),  # a number may count, or name a row
        (
            calls("kill@after:email#1", "file='a-1.csv'", "file=None"),
            SAYS,
            [],
        ),  # the receiver has the first one
        (
            calls("kill@before:email#1", "file='b'"),
            calls("late=61", "file='c'"),
            [],
        ),  # it always differs
        (calls("kill@before:email#1 fresh", "file='Mo'"), SAYS, []),
    ],
)
def test_the_first_call_of_a_key_says_what_the_single_run_says(
    seen: History, later: History, expected: list[str]
) -> None:
    assert rules(effects.judge, seen, against(spec(), SAYS, later=later)) == expected


def plain(schedule: str, *deliveries: Mapping[str, str], guarantee: str = "keyed") -> History:
    """Deliveries that each call the effect once, with these amounts and flags."""
    key = {} if guarantee == "keyed" else {"key": None}
    told = [
        [(kind, {**data, **key, "plain": given}) for kind, data in effect()] for given in deliveries
    ]
    return history(schedule, *([*one, RETURNED, ACKED] for one in told))


@pytest.mark.parametrize("guarantee", ["keyed", "at_least_once"])
@pytest.mark.parametrize(
    ("seen", "again", "expected"),
    [
        ({"cents": "1000"}, {"cents": "700"}, ["effect.other-arguments"]),
        ({"sandbox": "True"}, {"sandbox": "False"}, ["effect.other-arguments"]),
        ({"cents": "700"}, {"cents": "700"}, []),
        (
            {"attempt": "2", "row_id": "9"},
            {"attempt": "1", "row_id": "8"},
            [],
        ),  # they count, or name a row
        ({"cents": "1000"}, {"cents": "800"}, []),  # another one in each single run
    ],
)
def test_an_amount_is_that_of_the_single_run(
    guarantee: str, seen: dict[str, str], again: dict[str, str], expected: list[str]
) -> None:
    first = {
        name: {"1000": "700", "2": "1", "9": "8", "True": "False"}.get(value, value)
        for name, value in seen.items()
    }
    once, later = (
        plain(which, told, guarantee=guarantee)
        for which, told in (("once", first), ("late=61", again))
    )
    killed = plain("kill@before:email#1", seen, guarantee=guarantee)
    assert rules(effects.judge, killed, against(spec(guarantee), once, later=later)) == expected


@pytest.mark.parametrize("guarantee", ["at_least_once", "at_most_once"])
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["to='support'"], ["effect.other-arguments"]),
        (["to='ann'"], []),
        (["to='ann', try=2"], ["effect.other-arguments"]),
    ],
)
def test_without_a_key_some_call_says_what_the_single_run_says(
    guarantee: str, arguments: list[str], expected: list[str]
) -> None:
    once, later, seen = (
        calls("once", "to='ann'"),
        calls("late=61", "to='ann'"),
        calls("kill@before:email#1", *arguments),
    )
    assert rules(effects.judge, seen, against(spec(guarantee), once, later=later)) == expected


def test_a_call_in_a_transaction_that_is_not_committed_is_undone() -> None:
    opened = (
        "at",
        {"when": "after", "kind": "sql", "name": "insert-a#1", "verb": "insert", "open": True},
    )
    fault_, done = fault("kill", "after:email#1"), [opened, *effect(), *commit(), RETURNED, ACKED]
    undone = history("kill@after:email#1", [opened, *effect(), fault_, KILLED], done)
    outside = history("kill@after:email#1", [*effect(), fault_, KILLED], done)
    assert rules(effects.judge, undone, against(spec("transactional"))) == []
    assert rules(effects.judge, outside, against(spec("transactional"))) == ["effect.repeated"]


def test_one_jobs_key_with_the_other_ones_arguments_is_no_other_key() -> None:
    def call(key: str, to: str) -> list[Any]:
        told = [
            (kind, {**data, "subject": to, "args": f"{to}, key={key}"})
            for kind, data in effect(key=key)
        ]
        return [*told, *commit(), RETURNED, ACKED]

    once, other = history("once", call("'k'", "to='a'")), history("once", call("'l'", "to='b'"))
    mixed, right = (
        history("job=1", call("'k'", "to='a'"), call("'l'", to)) for to in ("to='a'", "to='b'")
    )
    assert rules(effects.judge, mixed, against(spec(), once, jobs={1: other})) == [
        "effect.other-arguments"
    ]
    assert rules(effects.judge, right, against(spec(), once, jobs={1: other})) == []


def test_keys_are_not_compared_where_no_argument_is_named() -> None:
    once = spec()
    made = once.model_copy(
        update={"effects": (once.effects[0].model_copy(update={"key_arg": None}),)}
    )
    two = history(
        "job=1", [*effect(key=None), *commit(), ACKED], [*effect(key=None), *commit(), ACKED]
    )
    assert rules(effects.judge, two, against(made, jobs={1: ONCE})) == []


@pytest.mark.parametrize(
    ("letters", "expected"), [(2, []), (1, ["dead-letter.missing"]), (3, ["dead-letter.repeated"])]
)
def test_two_jobs_that_are_given_up_have_two_dead_letters(
    letters: int, expected: list[str]
) -> None:
    each = [
        fault("raise", "before:email#1", error="app.mail:Never"),
        raised("app.mail:Never"),
        ACKED,
    ]
    both = history("raise=app.mail:Never@before:email#1/* job=1", each, each, dead_letters=letters)
    other = replace(both.deliveries[1], job=1)
    both = replace(both, deliveries=(both.deliveries[0], other))
    assert rules(attempts.judge, both, against(spec())) == expected


# -- state


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


def test_an_unreadable_state_is_incomplete() -> None:
    broken = history("redeliver", DONE, state="error: no such table")
    assert [j.verdict for j in state.judge(broken, against(spec()))] == [INCOMPLETE]


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
        (history(FAILS, [*FAILED, RETURNED, ACKED], state=[], dead_letters=1), []),
    ],
)
def test_a_write_that_failed_is_not_taken_for_done(seen: History, expected: list[str]) -> None:
    assert [j.rule for j in judge_history(seen, against(spec()))] == expected


# -- attempts

MET = fault("raise", "before:email#1", error=AWAY)
FAILING = f"raise={AWAY}@before:email#*/*"


def exhausted(*delays: float, dead: int = 1) -> History:
    """As many attempts as there are delays, and one more."""
    tries = [[MET, raised(AWAY), retry(delay), ACKED] for delay in delays]
    return history(FAILING, *tries, [MET, raised(AWAY), ACKED], dead_letters=dead)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (exhausted(10.0, 20.0), []),
        (exhausted(10.0), ["attempts.too-few"]),
        (exhausted(10.0, 20.0, 40.0), ["attempts.too-many"]),
        (exhausted(10.0, 10.0), ["delays.too-short"]),
        (exhausted(10.0, 60.0), ["delays.too-long"]),
        (exhausted(0.0, 0.0), ["delays.too-short"]),
        (exhausted(10.0, 20.0, dead=0), ["dead-letter.missing"]),
        (exhausted(10.0, 20.0, dead=2), ["dead-letter.repeated"]),
    ],
)
def test_an_error_that_does_not_pass_ends_as_declared(seen: History, expected: list[str]) -> None:
    assert (
        rules(attempts.judge, seen, against(spec(), history("once", DONE, dead_letters=0)))
        == expected
    )


def test_what_still_waits_at_the_limit_is_unbounded() -> None:
    assert rules(attempts.judge, history(FAILING, [MET, ACKED], pending=1), against(spec())) == [
        "attempts.unbounded"
    ]


def test_a_permanent_error_is_tried_once() -> None:
    met = fault("raise", "before:email#1", error=NEVER)
    given_up = [met, raised(NEVER), ACKED]
    tried = history(
        f"raise={NEVER}@before:email#1/*",
        [met, raised(NEVER), retry(), ACKED],
        given_up,
        dead_letters=1,
    )
    once = history(f"raise={NEVER}@before:email#1/*", given_up, dead_letters=1)
    assert rules(attempts.judge, tried, against(spec())) == ["attempts.permanent-retried"]
    assert rules(attempts.judge, once, against(spec())) == []


def test_what_may_happen_once_may_be_given_up_when_its_outcome_is_unknown() -> None:
    given_up = history(
        f"raise={AWAY}@after:email#1",
        [*effect()[:2], fault("raise", "after:email#1", error=AWAY), ACKED],
        dead_letters=1,
    )
    assert rules(attempts.judge, given_up, against(spec("at_most_once"))) == []
    assert rules(attempts.judge, given_up, against(spec("keyed"))) == ["dead-letter.unexpected"]
    assert rules(attempts.judge, exhausted(dead=1), against(spec("at_most_once"))) == []
    assert rules(attempts.judge, exhausted(dead=0), against(spec("at_most_once"))) != []


def test_a_dead_letter_that_comes_after_the_message_was_let_go() -> None:
    tries = [[MET, raised(AWAY), retry(delay), ACKED] for delay in (10.0, 20.0)]
    let_go: Any = ("settled", {"how": "dead", "delay": 0.0})
    text = f"{FAILING} kill@before:commit#1/3"
    late = history(
        text,
        *tries,
        [MET, raised(AWAY), let_go, fault("kill", "before:commit#1"), KILLED],
        dead_letters=0,
        kept=1,
    )
    soon = history(
        text,
        *tries,
        [MET, raised(AWAY), fault("kill", "before:commit#1"), KILLED],
        dead_letters=0,
        kept=1,
    )
    assert rules(attempts.judge, late, against(spec())) == ["dead-letter.missing"]
    assert rules(attempts.judge, soon, against(spec())) == []


def poisoned(**more: Any) -> JobSpec:
    """Its first poison message breaks the payload's schema, the second one does not."""
    number = {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}
    failures = {"transient": [AWAY], "permanent": ["app.jobs:Malformed"]}
    return spec(
        payload={**number, "examples": [{"id": 7}]},
        proof={"poison": [{}, {"id": 8}]},
        failures=failures,
        dead_letter={"kind": "table", "where": "dead"},
        **more,
    )


def verdicts(seen: History, made: JobSpec) -> dict[str, str]:
    return {one.rule: one.verdict for one in attempts.judge(seen, against(made))}


def test_a_malformed_message_ends_within_the_attempts_and_is_found_by_somebody() -> None:
    kept = [raised("builtins:KeyError", injected=False)]
    made = poisoned(retry={"max_attempts": 3})
    thrice = history("poison=0", [*kept, retry()], [*kept, retry()], kept, dead_letters=1)
    assert verdicts(thrice, made) == {"attempts.poison-retried": "hint"}
    often = history("poison=0", *([[*kept, retry()]] * 4), dead_letters=1)
    assert verdicts(often, made) == {"attempts.too-many": "refuted"}
    dropped = history("poison=0", kept, dead_letters=0)
    assert verdicts(dropped, made) == {"poison-unrecorded": "risk"}
    told = history("poison=0", [log("bad message", level="ERROR"), *kept], dead_letters=0)
    graded = [attempts.judge(one, against(made)) for one in (dropped, told)]
    assert [[found.grade for found in each] for each in graded] == [["blind"], ["minor"]]


def test_what_the_schema_allows_still_needs_its_dead_letter() -> None:
    dropped = history("poison=1", [raised("builtins:KeyError", injected=False)], dead_letters=0)
    assert verdicts(dropped, poisoned()) == {"dead-letter.missing": "refuted"}


def test_poison_whose_error_is_declared_permanent_is_tried_once() -> None:
    malformed = raised("app.jobs:Malformed", injected=False)
    twice = history("poison=0", [malformed, retry()], [malformed], dead_letters=1)
    assert verdicts(twice, poisoned()) == {"attempts.permanent-retried": "refuted"}


def test_a_job_whose_attempts_a_locked_store_used_up_may_be_a_dead_letter() -> None:
    made = poisoned(retry={"max_attempts": 3})
    locked = [raised("sqlite3:OperationalError", injected=False)]
    used_up = history("redeliver", [*locked, retry()], [*locked, retry()], locked, dead_letters=1)
    assert verdicts(used_up, made) == {}
    too_soon = history("redeliver", [*locked, retry()], locked, dead_letters=1)
    assert verdicts(too_soon, made) == {"dead-letter.unexpected": "refuted"}


def test_poison_has_no_effect() -> None:
    assert "poison.effect" in rules(
        attempts.judge, history("poison=0", DONE, dead_letters=1), against(spec())
    )


# -- what is not known


def test_an_exception_in_neither_list_is_incomplete() -> None:
    seen = history("once", [raised("app.mail:Surprise", injected=False), ACKED])
    assert rules(unknowns.judge, seen, against(spec())) == ["failures.unlisted"]
    listed = history("once", [raised(AWAY, injected=False), ACKED])
    assert rules(unknowns.judge, listed, against(spec())) == []


BUSY = [raised("app.claims:Busy", injected=False), retry(), ACKED]


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
    found = [Judgement(INCOMPLETE, "failures.unlisted", said.format(f"a{n}")) for n in range(3)]
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
    assert found and {judgement.verdict for judgement in found} == {INCOMPLETE}


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
    assert verdicts[0] == REFUTED
    assert verdicts[-1] == INCOMPLETE


# -- logs


def log(text: str, logger: str = "app", **more: Any) -> tuple[str, dict[str, Any]]:
    return (
        "log",
        {"logger": logger, "level": "INFO", "template": None, "text": text, "extra": {}, **more},
    )


def test_whoever_waits_for_another_delivery_need_not_say_why() -> None:
    did = history("once", [log("started id=7"), *DONE, log("sent id=7")])
    error = "raise=app.mail:Away@before:email#1"
    tried = [log("started id=7"), fault("raise", "before:email#1"), raised(AWAY)]
    failed = history(error, [*tried, log("id=7 failed: away"), retry(), ACKED])
    waits = history("copies=2 switch@before:email#1", DONE, [log("started id=7"), *BUSY])
    alone = history("redeliver", DONE, [log("started id=7"), *BUSY])
    for last, by in ((waits, "application"), (alone, "no")):
        found = logs.answers([did, failed, last], against(spec()), {0: {"id": 7}})
        assert (found["why"].by, found["retry"].by) == (by, by)


def answered(*told: Any, failing: Any = (), fields: str = "id=7") -> dict[str, str]:
    """Who answers each question, for one success and one attempt that is retried."""
    good = history("once", [*told, *DONE])
    bad = history(
        f"raise={AWAY}@before:email#1",
        [MET, *failing, raised(AWAY), retry(), ACKED],
        [*told, *DONE],
    )
    found = logs.answers(
        [good, bad], against(spec(), facts=BootFacts(loggers=("library.",))), {0: {"id": 7}}
    )
    return {question: answer.by for question, answer in found.items()}


@pytest.mark.parametrize(
    ("retried", "given_up", "by"),
    [
        ({}, {}, "no"),
        (
            {"text": "failed id=7 will_retry=True"},
            {"text": "failed id=7 will_retry=False"},
            "application",
        ),
        ({"extra": {"will_retry": True}}, {"extra": {"will_retry": False}}, "application"),
    ],
)
def test_yes_and_no_are_two_records(
    retried: dict[str, Any], given_up: dict[str, Any], by: str
) -> None:
    failed = {"text": "failed id=7", "template": "failed id=%s will_retry=%s"}
    attempts = (
        [log(**{**failed, **retried}), raised(AWAY), retry(), ACKED],
        [log(**{**failed, **given_up}), raised(AWAY)],
    )
    histories = [
        history("once", DONE),
        history(f"raise={AWAY}@before:email#1/*", *([MET, *told] for told in attempts)),
    ]
    assert logs.answers(histories, against(spec()), {0: {"id": 7}})["retry"].by == by


def test_the_four_questions_are_answered_by_difference() -> None:
    good = [log("started id=7"), log("done id=7")]
    bad = [log("started id=7"), log("failed id=7: Away, will retry")]
    assert set(answered(*good, failing=bad).values()) == {"application"}


def test_a_record_that_is_always_there_answers_nothing() -> None:
    same = [log("started id=7"), log("finished id=7")]
    assert answered(*same, failing=same)["succeeded"] == "no"


def test_a_record_without_the_key_answers_nothing() -> None:
    assert answered(log("started"), log("done"), failing=[log("started")])["ran"] == "no"


def test_the_library_is_counted_apart() -> None:
    good = [log("started id=7"), log("done id=7")]
    bad = [log("started id=7"), log("job id=7 failed: Away, again in 2 s", logger="library.worker")]
    found = answered(*good, failing=bad)
    assert (found["ran"], found["why"], found["retry"]) == ("application", "framework", "framework")


def test_a_failure_whose_reason_is_not_told_is_unanswered() -> None:
    good = [log("started id=7"), log("done id=7")]
    assert (
        answered(*good, failing=[log("started id=7"), log("something went wrong id=7")])["why"]
        == "no"
    )


def ended(error: str, *, control: bool, cause: Any = None) -> tuple[str, dict[str, Any]]:
    kind, data = raised(error)
    return (kind, {**data, "control": control, "cause": cause})


@pytest.mark.parametrize(
    ("cause", "expected"),
    [(None, "application"), (["app.mail:Away", "away"], "no")],
)
def test_a_retry_that_met_no_error_tells_why_in_its_own_words(cause: Any, expected: str) -> None:
    """`raise Retry()` because a lock is taken; within an except clause it names the error."""
    good = [log("started id=7"), log("done id=7")]
    again = [
        log("started id=7"),
        log("somebody else is at it id=7"),
        ended("arq.worker:Retry", control=True, cause=cause),
    ]
    seen = history("redeliver", [*again, retry(), ACKED], [*good, *DONE])
    found = logs.answers([history("once", [*good, *DONE]), seen], against(spec()), {0: {"id": 7}})
    assert found["why"].by == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [("mail deferred: 421", "application"), ("(421, 'busy')", "application"), ("later", "no")],
)
def test_an_error_under_the_adapters_name_is_the_reason_too(said: str, expected: str) -> None:
    """`except SMTPException as e: raise Away(f"mail deferred: {e.smtp_code}") from e`, and the
    handler retries with that one: either tells why.
    """
    good = [log("started id=7"), log("done id=7")]
    again = [
        log("started id=7"),
        fault(
            "raise", "before:email#1", error="smtplib:SMTPResponseException", text="(421, 'busy')"
        ),
        log(f"not told yet id=7: {said}"),
        ended("library:Retry", control=True, cause=["app.mail:Away", "mail deferred: 421"]),
    ]
    seen = history("redeliver", [*again, retry(), ACKED], [*good, *DONE])
    found = logs.answers([history("once", [*good, *DONE]), seen], against(spec()), {0: {"id": 7}})
    assert found["why"].by == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [("asyncio.exceptions:CancelledError", "not asked"), ("app.mail:Away", "no")],
)
def test_what_the_library_cancels_is_not_asked_why(error: str, expected: str) -> None:
    good = [log("started id=7"), log("done id=7")]
    seen = history(
        "redeliver", [log("started id=7"), ended(error, control=False), ACKED], [*good, *DONE]
    )
    found = logs.answers([history("once", [*good, *DONE]), seen], against(spec()), {0: {"id": 7}})
    assert found["why"].by == expected


def piece(number: int, *, fails: bool = False) -> list[Any]:
    """One of several calls of one tick, for a piece of work of its own; it may meet an error."""
    fields = {"name": f"email#{number}", "subject": f"'{number}'", "key": f"'{number}'"}
    before, done, after = [(kind, {**data, **fields}) for kind, data in effect()]
    return (
        [before, fault("raise", f"before:email#{number}", error=AWAY)]
        if fails
        else [before, done, after]
    )


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("mail 1 failed: Away, tried again", ("application", "application")),
        ("trouble", ("no", "application")),
    ],
)
def test_a_tick_without_a_key_tells_why_a_piece_of_its_work_failed(
    told: str, expected: tuple[str, str]
) -> None:
    ticking = spec(
        idempotency={
            "strategy": "invariant",
            "invariant": {"statement": "one", "guarded_by": "rows"},
        },
        trigger={"type": "poller", "every": "1m"},
    )
    sent = [[*piece(number), log(f"mail {number} sent")] for number in (1, 2)]
    once = history("once", [log("started"), *sent[0], *sent[1], RETURNED, ACKED])
    first = [log("started"), *piece(1, fails=True), log(told), *sent[1], RETURNED, ACKED]
    failing = history(
        f"raise={AWAY}@before:email#1!", first, [log("started"), *sent[0], RETURNED, ACKED]
    )
    found = logs.answers(
        [once, failing], against(ticking, once, facts=BootFacts(ticks=True)), {0: {}}
    )
    assert (found["why"].by, found["retry"].by) == expected


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("export succeeded id=7", ["logs.lie"]),
        ("export succeeded", []),  # whose?
        ("export ended id=7", []),
        ("export success=False id=7", []),
        ("something else succeeded id=7", []),  # not what a success says
    ],
)
def test_a_delivery_that_fails_does_not_say_success(told: str, expected: list[str]) -> None:
    made = spec(payload={"type": "object", "examples": [{"id": 7}]})
    once = history(
        "once", [*effect(), log("export succeeded id=7"), log("export ended id=7"), RETURNED, ACKED]
    )
    failing = [log("export succeeded id=7"), MET, log(told), raised(AWAY), retry(), ACKED]
    seen = history(f"raise={AWAY}@before:email#1", failing, DONE)
    assert rules(logs.lies, seen, against(made, once)) == expected


def test_what_the_library_says_of_a_handler_whose_decorator_gave_up_is_no_lie() -> None:
    made = spec(payload={"type": "object", "examples": [{"id": 7}]})
    said = log("job export id=7 ended with status: Success", logger="procrastinate.worker")
    once = history("once", [*effect(), said, RETURNED, ACKED])
    seen = history(f"raise={AWAY}@before:email#1", [MET, raised(AWAY), said, ACKED])
    assert (
        rules(logs.lies, seen, against(made, once, facts=BootFacts(loggers=("procrastinate",))))
        == []
    )
    assert rules(logs.lies, seen, against(made, once)) == ["logs.lie"]
