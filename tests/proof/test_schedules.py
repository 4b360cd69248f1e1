"""A schedule has a text that means the same schedule again; what cannot be read is refused in one
line.
"""

from __future__ import annotations

from typing import Any

import pytest
from histories import commit, effect, fault, history, raised

from skillrun.contract.job import Effect, JobSpec
from skillrun.core.errors import Misuse
from skillrun.probe.facts import BootFacts
from skillrun.proof.families.boundaries import switch_points
from skillrun.proof.families.deaths import kill_while_giving_up
from skillrun.proof.families.registry import plan_schedules
from skillrun.proof.families.situation import Situation
from skillrun.proof.history import Event
from skillrun.proof.schedule import EVERY, Fault, Schedule, parse_schedule

TEXTS = {
    "once": "once",
    "sweep": "sweep",
    "kill@after:email#1 lose sweep": "kill-lose",
    "caller-kill@after:publish#1 sweep": "publish-fault",
    "redeliver": "redeliver",
    "re-enqueue": "re-enqueue",
    "wait=90000 redeliver": "window",
    "kill@after:email#1": "kill",
    "kill-worker@before:commit#1": "kill",
    "kill@after:email#1 kill@before:commit#1/2": "double-kill",
    "kill@after:email#1 lose re-enqueue": "kill-lose",
    "raise=shop.mailer:Unavailable@before:email#1": "error",
    "raise=requests:HTTPError~1@after:charge#2": "error",
    "raise=TimeoutError@before:email#*/*": "exhaustion",
    "copies=2 switch@before:insert-receipts#1": "at-once",
    "stall@before:email#1 wait=3600 redeliver": "stall",
    "poison=0": "poison",
    "fail@before:commit#1": "store-error",
    "same-process wait=90000 redeliver": "same-process",
    "drop@before:commit#1 same-process job=1": "store-dropped",
    "restore job=1": "store-restored",
    "silent@before:email#1": "effect-hangs",
    "wait=1296000 sweep redeliver": "window-swept",
    "job=1": "distinct",
    "raise=TimeoutError@before:email#1 job=1": "after-failure",
    "raise=TimeoutError@before:email#1/* job=1": "distinct",
    "raise=TimeoutError@before:email#2!/*": "exhaustion",
    "stall@before:email#1 raise=TimeoutError@before:email#1 wait=3600 redeliver": "late-error",
    "raise=TimeoutError@before:email#1 stall@after:email#1/2 wait=3600 redeliver": "late-success",
    "stall@after:email#1/2 wait=3600 redeliver": "stall",
    "raise=TimeoutError@before:email#1 kill@before:email#1/2 lose sweep": "last-attempt-lost",
    "raise=TimeoutError@before:email#1 same-process job=1": "same-process",
    "fail@before:commit#1 same-process redeliver": "same-process",
    "beside=1 switch@before:insert-receipts#1": "distinct-at-once",
    "kill@after:email#1 fresh": "fresh-interpreter",
    "caller-kill@after:publish#1": "publish-fault",
    "raise=shop.mailer:Away@before:email#1 raise=kombu.exceptions:OperationalError@before:publish#1": (
        "retry-lost"
    ),
    "raise=shop.feed:Away@before:publish#1 raise=shop.feed:Away@before:publish#1/2": "error",
    "raise=TimeoutError@before:email#*/* fail@before:commit#1/4": "letter-lost",
    "raise=TimeoutError@before:email#*/* raise=ConnectionError@before:publish-dead#1/4": "letter-lost",
    "kill@before:email#1/*": "crash-loop",
    "kill@after:email#1 lose wait=95040 redeliver": "late-back",
    "kill@after:email#1 lose wait=95040 sweep": "late-back",
    "raise=TimeoutError@before:email#*/* waiting=3": "copies",
    "caller-pause@after:publish#1": "before-commit",
    "called=0,1 sweep": "queued-together",
    "refuse@before:email#1": "receiver-away",
    "answer=503@before:email#1": "receiver-away",
}


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_comes_back(text: str) -> None:
    made = parse_schedule(text)
    assert parse_schedule(str(made)) == made
    assert set(str(made).split()) == set(text.split())


@pytest.mark.parametrize(("text", "family"), TEXTS.items())
def test_a_schedule_knows_its_family(text: str, family: str) -> None:
    assert parse_schedule(text).family == family


def test_a_fault_in_every_delivery() -> None:
    made = parse_schedule("raise=TimeoutError@before:email#*/*")
    assert made.faults == (Fault("raise", "before:email#*", EVERY, "TimeoutError"),)


def test_no_fault_is_once() -> None:
    assert str(Schedule("once")) == "once"


@pytest.mark.parametrize(
    "text", ["kill", "kill@email#1", "kil@after:email#1", "copies=two", "wait=", "redeliver now"]
)
def test_what_cannot_be_read_is_misuse(text: str) -> None:
    with pytest.raises(Misuse, match="--schedule: cannot read"):
        parse_schedule(text)


def step(number: int, kind: str, when: str, name: str, **more: object) -> Event:
    return Event(
        number, "at", {"kind": kind, "when": when, "name": name, "store": "sqlite:a", **more}
    )


def planned(jobs: tuple[int, ...] = (), **more: Any) -> list[Schedule]:
    """The schedules of a job with two effects, from its single run."""
    made = (Effect(name="email", call="app.mail:send"), Effect(name="sms", call="app.sms:send"))
    spec = JobSpec(version=1, job="job", effects=made, **more)
    events = [*effect("email"), *effect("sms"), *commit()]
    once = history("once", events)
    return plan_schedules(Situation(spec, once, BootFacts(), jobs=jobs)).schedules


def test_each_further_job_comes_while_an_answer_is_on_its_way() -> None:
    """It may be the newer version of what the first one is about to write."""
    found: dict[int | None, set[str]] = {}
    for one in planned(jobs=(1, 2, 3)):
        if one.family == "distinct-at-once":
            found.setdefault(one.beside, set()).add(one.faults[0].at)
    assert found[2] == found[3] == {"after:email#1", "after:sms#1"}
    assert len(found[1]) > len(found[2])


def places(schedules: list[Schedule], family: str) -> set[str]:
    return {one.faults[0].at for one in schedules if one.family == family}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, {"before:email#1", "after:email#1", "before:sms#1", "after:sms#1"}),
        ({"effects": ["sms"]}, {"before:sms#1", "after:sms#1"}),
        ({"effects": []}, set()),
        # Nothing was sent: no answer is lost.
        ({"unsent": True}, {"before:email#1", "before:sms#1"}),
    ],
)
def test_an_error_comes_out_of_the_effects_that_it_names(
    said: dict[str, Any], expected: set[str]
) -> None:
    found = planned(failures={"transient": [{"type": "TimeoutError", **said}]})
    assert places(found, "error") == expected


def test_an_error_that_means_success_is_met_after_the_effect() -> None:
    """The third entry of its class: an HTTP client has one class for every status."""
    listed = [{"type": "TimeoutError", "args": [status]} for status in (1, 2, 3)]
    found = planned(
        failures={"transient": listed[:1], "permanent": listed[1:2], "success": listed[2:]}
    )
    mine = [one.faults[0] for one in found if one.family == "success"]
    assert [fault.at for fault in mine] == ["after:email#1", "after:sms#1"]
    assert {fault.index for fault in mine} == {2}


def test_an_outcome_is_met_in_the_place_of_the_effect() -> None:
    """A card that is declined: it says for certain that nothing was charged."""
    declined = {"type": "ValueError", "unsent": True, "effects": ["email"]}
    found = planned(failures={"success": [declined, {"type": "KeyError", "effects": ["sms"]}]})
    mine = [one.faults[0] for one in found if one.family == "success"]
    assert [fault.at for fault in mine] == ["before:email#1", "after:sms#1"]


def test_sweeps_come_behind_what_may_leave_a_job_undone() -> None:
    failures = {"transient": ["TimeoutError"], "permanent": ["ValueError"]}
    swept = {"recovers": [{"call": "app.sweeps:requeue", "every": "15m"}]}
    assert not any("sweep" in one.moves for one in planned(failures=failures))
    found = planned(failures=failures, **swept)
    last = {one.family: one.moves[-1:] for one in found}
    for family in ("sweep", "kill", "kill-lose", "error", "exhaustion", "permanent"):
        assert last[family] == ("sweep",), family
    assert last["redeliver"] == ("redeliver",)
    assert not any("re-enqueue" in one.moves for one in found if one.family == "kill-lose")


@pytest.mark.parametrize("begun", [True, False])
def test_another_delivery_gets_in_between_two_transactions(begun: bool) -> None:
    """One that begins with BEGIN IMMEDIATE holds the lock before its first statement is met."""
    steps = [
        step(1, "sql", "before", "select-a#1", begun=begun),
        step(2, "sql", "after", "select-a#1"),
        step(3, "commit", "before", "commit#1"),
        step(4, "commit", "after", "commit#1"),
        step(5, "sql", "before", "update-a#1", begun=begun),
        step(6, "sql", "before", "update-a#2", begun=True),
    ]
    between = ["after:commit#1"] if begun else []
    alone = ["before:select-a#1", "before:commit#1"]
    assert switch_points(steps) == [*alone, *between, "before:update-a#1", "before:update-a#2"]


def test_a_death_between_the_last_claim_and_its_effect() -> None:
    text = "raise=TimeoutError@before:email#*/*"
    before = ("at", {"when": "before", "name": "email#1", "kind": "effect"})
    attempt = [*commit(), before, fault("raise", "before:email#1"), raised("builtins:TimeoutError")]
    found = [str(schedule) for schedule in kill_while_giving_up([history(text, attempt, attempt)])]
    assert found == [f"{text} kill@before:email#1/2"]
    unclaimed = attempt[2:]
    assert list(kill_while_giving_up([history(text, unclaimed, unclaimed)])) == []
