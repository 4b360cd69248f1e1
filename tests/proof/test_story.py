"""A refutation reads like a story: numbered steps, the fault marked, the place of each, and a
cause.
"""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest
from histories import (
    ACKED,
    DONE,
    KILLED,
    ONCE,
    RETURNED,
    Told,
    commit,
    effect,
    fault,
    history,
    raised,
    refuted,
    retry,
)

from skillrun.proof.cause import UNKNOWN, find_cause
from skillrun.proof.history import History
from skillrun.proof.schedule import parse_schedule
from skillrun.proof.story import MOST_STEPS, replay_command, tell_story

KILL = [*effect(), fault("kill", "after:email#1"), KILLED]
MARKED_FIRST: list[Told] = [*commit(), fault("kill", "before:email#1"), KILLED]
AWAY = fault("raise", "before:email#1", error="app.mail:Away")


@pytest.mark.parametrize(
    ("job", "payloads", "text"),
    [
        (1, {1: {"id": 8}}, "begins, with a distinct job: {'id': 8}"),
        (-2, {-2: {"id": "no"}}, "begins, with a job that cannot be done: {'id': 'no'}"),
        (901, {}, "begins, with a distinct job: the tick of another day"),
    ],
)
def test_another_job_shows_its_payload(
    job: int, payloads: dict[int, dict[str, object]], text: str
) -> None:
    told = history("redeliver", DONE, payloads=payloads)
    other = replace(told, deliveries=(replace(told.deliveries[0], job=job),))
    assert tell_story(other)[0].text == text


def test_a_story_has_what_matters_in_order_with_places() -> None:
    steps = tell_story(history("kill@after:email#1", KILL, DONE))
    assert [(step.process, step.text) for step in steps] == [
        ("delivery 1", "begins"),
        ("delivery 1", "email takes place: email#1(to='a')"),
        ("delivery 1", "the process is killed after email#1"),
        ("delivery 2", "begins"),
        ("delivery 2", "email takes place: email#1(to='a')"),
        ("delivery 2", "commits (commit#1)"),
        ("delivery 2", "the handler returns"),
        ("delivery 2", "the message is acknowledged"),
    ]
    assert [step.number for step in steps] == list(range(1, 9))
    assert [step.number for step in steps if step.fault] == [3]
    assert (steps[1].place, steps[5].place) == (("app/jobs.py", 5), ("app/jobs.py", 7))


def test_a_story_is_bounded_and_safe_for_a_terminal() -> None:
    nasty: Told = (
        "performed",
        {"name": "email#1", "effect": "email", "args": "\x1b[31m‮" + "x" * 2000},
    )
    steps = tell_story(history("redeliver", *[[nasty, RETURNED, ACKED]] * 40))
    assert len(steps) <= MOST_STEPS + 1
    assert any("more steps" in step.text for step in steps)
    assert all(len(step.text) <= 300 and step.text.isprintable() for step in steps)


def test_a_secret_in_an_argument_is_masked() -> None:
    told: Told = (
        "performed",
        {"name": "pay#1", "effect": "pay", "args": "password='hunter2hunter2'"},
    )
    assert "hunter2" not in " ".join(step.text for step in tell_story(history("once", [told])))


CAUSES: dict[str, tuple[History, str, str]] = {
    "effect, then marker": (
        history("kill@after:email#1", KILL, DONE),
        "effect.repeated",
        "the effect takes place before its marker is committed, and the redelivery does not see it",
    ),
    "marker, then effect": (
        history("kill@before:email#1", MARKED_FIRST, [RETURNED, ACKED]),
        "effect.lost",
        "the marker is committed before the effect, or a claim that outlives its process",
    ),
    "acknowledged early": (
        history("kill@before:email#1", [fault("kill", "before:email#1"), KILLED], lost=1),
        "effect.lost",
        "the message is acknowledged before the work is done: a death loses it",
    ),
    "kept by the library": (
        history("kill@before:email#1", [fault("kill", "before:email#1"), KILLED], kept=1),
        "effect.lost",
        "the library counts a dead worker's job as failed, and nobody runs it again",
    ),
    "check, then act": (
        history("copies=2 switch@before:email#1", DONE, DONE),
        "effect.repeated",
        "two deliveries both pass the check before either writes its marker (check, then act)",
    ),
    "swallowed": (
        history("raise=app.mail:Away@before:email#*/*", [AWAY, RETURNED, ACKED]),
        "attempts.too-few",
        "the handler swallows the error",
    ),
    "marked before the error": (
        history(
            "raise=app.mail:Away@before:email#*/*",
            [*commit(), AWAY, raised(), retry(), ACKED],
            [RETURNED, ACKED],
        ),
        "attempts.too-few",
        "the marker is committed before the effect",
    ),
    "before commit": (
        history("caller-pause@after:publish#1", [RETURNED, ACKED]),
        "effect.lost",
        (
            "the job is published before its transaction commits: the delivery does not find what"
            " it needs"
        ),
    ),
    "published before its commit": (
        history(
            "caller-kill@after:publish#1", [retry(), fault("kill", "after:publish#1"), KILLED], DONE
        ),
        "state.differs",
        "the job is published before its transaction commits",
    ),
    "swallowed by the store's caller": (
        history(
            "fail@before:commit#1", [fault("fail", "before:commit#1", text="away"), RETURNED, ACKED]
        ),
        "state.error-swallowed",
        (
            "the error of the store is swallowed: the job is acknowledged although its work was"
            " not done"
        ),
    ),
    "message id": (
        history("re-enqueue", DONE, effect(key="'other'")),
        "effect.other-key",
        "the key contains the message's id, or something random",
    ),
    "interpreter": (
        history("kill@after:email#1 fresh", KILL, effect(key="'other'")),
        "effect.other-key",
        "the key depends on the interpreter: its hash seed, its time zone, or something random",
    ),
    "time": (
        history("wait=90000 redeliver", DONE, effect(key="'other'")),
        "effect.other-key",
        "the key contains the time",
    ),
    "attempt": (
        history(
            "raise=app.mail:Away@after:email#1",
            [
                *effect(),
                fault("raise", "after:email#1", error="app.mail:Away"),
                raised(),
                retry(),
                ACKED,
            ],
            effect(key="'other'"),
        ),
        "effect.other-key",
        "the key contains the attempt, or something random",
    ),
    "unbounded": (
        history("once", DONE, pending=1),
        "attempts.unbounded",
        "nothing counts the attempts",
    ),
    "unknown rule": (ONCE, "something.new", UNKNOWN),
    "nothing usual": (ONCE, "effect.lost", UNKNOWN),
}


@pytest.mark.parametrize("name", CAUSES)
def test_the_cause_is_one_sentence_that_the_steps_bear_out(name: str) -> None:
    seen, rule, said = CAUSES[name]
    assert find_cause(seen, refuted(rule)) == said


def test_a_first_call_with_another_key_is_no_matter_of_the_attempt() -> None:
    seen = history(
        "raise=app.mail:Away@after:email#1",
        [*effect(key="'x'"), raised(), retry()],
        effect(key="'y'"),
    )
    first = seen.performed("email")[0].number
    assert "a random value" in find_cause(seen, refuted("effect.other-key", first))


@pytest.mark.parametrize(
    "text", ("once", "kill@before:email#1", "copies=2 switch@before:email#1", "wait=9 redeliver")
)
def test_the_replay_is_a_command_for_the_same_schedule(text: str) -> None:
    words = shlex.split(replay_command(parse_schedule(text), " --spec a.yaml"))
    assert words[:-1] == ["skillrun", "prove", "--spec", "a.yaml", "--schedule"]
    assert parse_schedule(words[-1]) == parse_schedule(text)
