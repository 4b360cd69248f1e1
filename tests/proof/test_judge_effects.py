"""The judge of effects: what each guarantee allows, keys, arguments, and jobs that are told apart."""

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
    LOST,
    MET,
    NEVER,
    ONCE,
    OTHER_KEY,
    REPEATED,
    RETURNED,
    TWICE,
    against,
    commit,
    effect,
    fault,
    history,
    raised,
    reference,
    rules,
    spec,
)

from skillrun.contract.job import Effect, JobSpec
from skillrun.proof.history import Delivery, Event, History
from skillrun.proof.judgement import Verdict
from skillrun.proof.judges import attempts, effects
from skillrun.proof.judges.unpromised import UNKEYED
from skillrun.proof.world import _judge_effects


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
    assert (said.verdict, said.rule, said.grade) == ("risk", "repeated-without-fault", "minor")


def make_unkeyed(name: str, reason: str = UNKEYED) -> JobSpec:
    """The spec of a draft whose effect takes no key."""
    one = Effect(name=name, call=f"app.desk:{name}", guarantee="at_least_once", reason=reason)
    return spec(effects=(one,))


def make_repetition(name: str, **plain: str) -> History:
    """The effect took place, its process died, and it takes place again."""
    made = []
    for kind, fields in effect(name, key=None):
        is_call = kind == "performed"
        made.append((kind, {**fields, "plain": plain} if is_call else fields))
    killed = [*made, fault("kill", f"after:{name}#1"), KILLED]
    return history(f"kill@after:{name}#1", killed, [*made, *commit(), RETURNED, ACKED])


@pytest.mark.parametrize(
    ("name", "plain", "grade"),
    [
        ("charge", {}, "money"),
        ("order_parcel", {"amount_cents": "700"}, "money"),
        ("order_parcel", {"weight": "700"}, "minor"),
        ("send_invoice", {"total": "700"}, "minor"),  # a mail about money pays nothing
        ("mail_refund", {}, "minor"),
    ],
)
def test_an_effect_without_a_key_that_nobody_has_allowed_twice(
    name: str, plain: dict[str, str], grade: str
) -> None:
    """A draft guesses `at_least_once`: nobody has accepted what a second time costs."""
    once = history("once", [*effect(name, key=None), *commit(), RETURNED, ACKED])
    reference = against(make_unkeyed(name), once)
    (said,) = effects.judge(make_repetition(name, **plain), reference)
    assert (said.verdict, said.rule, said.grade) == ("risk", "unkeyed-repeated", grade)
    assert rules(effects.judge, once, reference) == []


def test_an_effect_without_a_key_that_somebody_has_allowed_twice() -> None:
    once = history("once", [*effect("charge", key=None), *commit(), RETURNED, ACKED])
    reference = against(make_unkeyed("charge", reason="the desk tells them apart"), once)
    assert rules(effects.judge, make_repetition("charge"), reference) == []


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


@pytest.mark.parametrize(
    ("given", "rules"),
    [
        ({}, ["effect.no-guarantee"]),
        ({"guarantee": "keyed"}, ["effect.key-not-named"]),
        ({"key_arg": "key"}, []),
        ({"guarantee": "at_least_once", "reason": "said"}, []),
    ],
)
def test_an_effect_of_which_nothing_is_promised_is_never_proved(
    given: dict[str, str], rules: list[str]
) -> None:
    """Also in a spec by hand: what it may do twice is a decision, and no default."""
    one = Effect.model_validate({"name": "email", "call": "app.mail:send", **given})
    single = replace(reference(), spec=JobSpec(version=1, job="job", effects=(one,)))
    found = list(_judge_effects(single))
    assert [judgement.rule for judgement in found] == rules
    assert all(judgement.verdict is Verdict.INCOMPLETE for judgement in found)
    assert list(effects.judge(REPEATED, single)) == []
