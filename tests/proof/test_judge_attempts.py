"""The judge of attempts: bounded, with the declared waits, and with a record at the end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from histories import (
    ACKED,
    AWAY,
    DONE,
    KILLED,
    MET,
    NEVER,
    ONCE,
    RETURNED,
    Told,
    against,
    commit,
    effect,
    fault,
    history,
    log,
    raised,
    retry,
    rules,
    spec,
)

from skillrun.contract.job import JobSpec
from skillrun.probe.facts import BootFacts
from skillrun.proof.history import History
from skillrun.proof.judges import attempts
from skillrun.proof.judges.met_errors import count_attempts
from skillrun.proof.judges.waits import measure_delays

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


@pytest.mark.parametrize(
    ("waits", "spread", "expected"),
    [
        # Shortened down to nothing; to a half; and made up to twice as long by the library.
        ((0.0, 0.0, 0.0), 1.0, []),
        ((10.0, 20.0, 30.0), 1.0, []),
        ((20.0, 40.0, 60.0), 2.0, []),
        ((20.0, 40.0, 60.0), 1.0, ["delays.no-jitter"]),
        ((40.0, 60.0, 60.0), 2.0, ["delays.no-jitter"]),
    ],
)
def test_random_waits_differ_somewhere_from_the_longest(
    waits: tuple[float, ...], spread: float, expected: list[str]
) -> None:
    """The last of them may stand at the cap either way."""
    backoff = {"kind": "exponential", "base": "20s", "cap": "60s", "jitter": True}
    declared = spec(retry={"max_attempts": 4, "backoff": backoff})
    tries = [[MET, raised(AWAY), retry(wait), ACKED] for wait in waits]
    seen = history(f"{FAILING} jitter=low", *tries, [MET, raised(AWAY), ACKED], dead_letters=1)
    reference = against(
        declared, history("once", DONE, dead_letters=0), facts=BootFacts(spread=spread)
    )
    assert rules(attempts.judge, seen, reference) == expected


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


@pytest.mark.parametrize(
    ("guarantee", "expected"), [("keyed", ["attempts.too-few"]), ("at_most_once", [])]
)
def test_two_deaths_may_end_what_may_happen_once(guarantee: str, expected: list[str]) -> None:
    """The second delivery finds the mark of the first, gives the job to a person, and dies then."""
    killed = [fault("kill", "after:commit#1"), KILLED]
    seen = history(
        "kill@after:email#1 kill@after:commit#1/2 sweep",
        [*effect(), fault("kill", "after:email#1"), KILLED],
        [*commit(), *killed],
        dead_letters=1,
    )
    facts = BootFacts(bounded_kills=True)
    judged = against(spec(guarantee), replace(ONCE, dead_letters=0), facts=facts)
    assert rules(attempts._judge_untried_after_death, seen, judged) == expected


def test_a_death_before_another_effect_is_not_excused_by_what_may_happen_once() -> None:
    """The charge comes before the mail that may be lost, and was never made."""
    made = spec("at_most_once")
    charge = made.effects[0].model_copy(update={"name": "charge", "guarantee": "keyed"})
    made = made.model_copy(update={"effects": (charge, *made.effects)})
    once = replace(history("once", [*effect("charge"), *DONE]), dead_letters=0)
    judged = against(made, once, facts=BootFacts(bounded_kills=True))
    for before, expected in (([], ["attempts.too-few"]), (effect("charge"), [])):
        killed = [*before, fault("kill", "before:commit#1"), KILLED]
        seen = history("kill@before:commit#1", killed, dead_letters=1)
        assert rules(attempts._judge_untried_after_death, seen, judged) == expected


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


@pytest.mark.parametrize("after", ["", " job=1"])
def test_a_job_that_was_done_after_a_permanent_error_was_never_given_up(after: str) -> None:
    schedule = f"raise={NEVER}@before:email#1{after}"
    seen = history(schedule, [MET, raised(NEVER), retry(10.0), ACKED], DONE, dead_letters=0)
    found = rules(attempts.judge, seen, against(spec(), history("once", DONE, dead_letters=0)))
    assert set(found) == {"attempts.permanent-retried"}


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


def test_the_same_call_for_each_of_several_mails_is_one_try() -> None:
    """A batch of ten equal mails that fails three times was tried three times, and not thirty."""
    before = effect()[0]
    once = history("once", [*effect(), *effect(), ("returned", {}), ACKED])
    both = [before, MET, before, MET, raised(AWAY)]
    seen = history(FAILING, [*both, retry(10), ACKED], [*both, retry(20), ACKED], [*both, ACKED])
    assert count_attempts(seen, against(spec(), once)) == 3
    # Of a handler that goes on trying by itself each is one.
    patient = history(FAILING, [*both, before, MET, before, MET, raised(AWAY), ACKED])
    assert count_attempts(patient, against(spec(), once)) == 2


def send_part(name: str, *, delay: float = 10.0) -> Told:
    """A retry for one part of a job."""
    message = {"arguments": f"mails=[{name}]"}
    return ("published", {"to_handler": True, "delay": delay, "label": "job", "message": message})


def meet_error(name: str) -> list[Told]:
    """The error that the mail to somebody meets."""
    at = {"when": "before", "kind": "effect", "effect": "email", "name": "email#1", "args": name}
    return [("at", at), fault("raise", "before:email#1", error=AWAY)]


def chunk_of_two(other: str, parents: tuple[int, ...]) -> History:
    """Mails to a and b that both fail, each with a retry of its own: b's say `other`."""
    first = [*meet_error("a"), send_part("a"), *meet_error(other), send_part(other), ACKED]
    again = {"a": [*meet_error("a"), send_part("a"), ACKED]}
    again["b"] = [*meet_error(other), send_part(other), ACKED]
    last = {"a": [*meet_error("a"), raised(AWAY)], "b": [*meet_error(other), raised(AWAY)]}
    seen = history(
        f"raise={AWAY}@before:email#*/*", first, again["a"], again["b"], last["a"], last["b"]
    )
    clocks = (1.0, 12.0, 13.0, 33.0, 34.0)
    made = []
    for run, parent, clock in zip(seen.deliveries, parents, clocks, strict=True):
        made.append(replace(run, parent=parent, clock=clock))
    return replace(seen, deliveries=tuple(made), dead_letters=1)


def test_each_part_of_a_job_that_divides_itself_has_its_own_attempts() -> None:
    once = history("once", [*effect(), *effect(), RETURNED, ACKED])
    reference = against(spec(), once)
    each_its_own = (0, 1, 1, 2, 3)
    assert count_attempts(chunk_of_two("b", each_its_own), reference) == 3
    assert measure_delays(chunk_of_two("b", each_its_own)) == (11.0, 21.0)


def test_two_messages_for_the_same_part_are_attempts_of_it() -> None:
    """A retry that is published twice doubles them each time."""
    once = history("once", [*effect(), *effect(), RETURNED, ACKED])
    assert count_attempts(chunk_of_two("a", (0, 1, 1, 2, 3)), against(spec(), once)) > 3


def test_a_part_that_is_tried_by_a_line_of_messages_without_end_is_seen() -> None:
    line = chunk_of_two("b", (0, 1, 2, 3, 4))
    once = history("once", [*effect(), *effect(), RETURNED, ACKED])
    assert count_attempts(line, against(spec(), once)) == 5
