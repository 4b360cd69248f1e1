"""The confirmation with a real worker: what is chosen, how two workers are compared, and Huey's
consumer for real.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from test_sandbox import DENY, can_deny

from skillrun.contract.spec import load_spec
from skillrun.frameworks.broker import NotConfirmed
from skillrun.proof.confirm.compare import (
    choose_histories,
    compare_runs,
    confirm_one,
    find_untried,
    judge_differences,
    read_simulated,
)
from skillrun.proof.confirm.interface import Confirmed, ScheduleOutcome
from skillrun.proof.confirm.run import Stage, Watch, outcomes, plans, unsupported
from skillrun.proof.history import Delivery, Event, History
from skillrun.proof.result import Target
from skillrun.proof.schedule import parse_schedule

CORPUS = Path(__file__).parent / "corpus"
sys.path.insert(0, str(CORPUS))
import run as corpus  # noqa: E402

pytestmark = pytest.mark.real

SEEN = ScheduleOutcome(
    ("died", "returned"), (("email", "'7'"), ("email", "'7'")), {"rows": [[7]]}, 0, (10.0,)
)


def differing(**fields: Any) -> list[str]:
    return [
        name
        for name, _ in compare_runs(
            SEEN, dataclasses.replace(SEEN, **fields), frozenset(), delays=True
        )
    ]


def test_the_same_is_the_same() -> None:
    assert differing() == []
    assert differing(delays=(9.2,), seconds=3.0) == []


def test_each_difference_is_named() -> None:
    assert differing(outcomes=("died",)) == ["deliveries"]
    assert differing(performed=(("email", "'7'"),)) == ["effects"]
    assert differing(performed=(("email", "'7'"), ("email", "'8'"))) == ["effects"]
    assert differing(state={"rows": []}) == ["state"]
    assert differing(dead_letters=1) == ["dead letters"]
    assert differing(delays=(60.0,)) == ["delays"]
    assert differing(delays=()) == ["delays"]


def test_what_is_cut_off_a_wait_is_told_once(tmp_path: Path) -> None:
    told = [("waits", 95.0, 1), ("waits", 0.1, 1), ("waits", 60.0, -1), ("entered", 0.0, 1)]
    watch = Watch(tmp_path / "events")
    watch.events = [{"e": kind, "s": seconds, "delivery": number} for kind, seconds, number in told]
    assert watch.cut(0.2) == pytest.approx(94.8)
    assert watch.cut(0.2) == 0.0
    watch.events.append({"e": "waits", "s": 5.0, "delivery": 2})
    assert watch.cut(None) == 0.0


def test_a_worker_that_died_before_it_was_up_is_waited_for_no_longer(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    watch = Watch(file)
    dead = [
        {"e": "entered", "delivery": 1},
        {"e": "fault", "do": "kill-worker", "at": "after:pay#1", "delivery": 1},
    ]
    file.write_text("".join(json.dumps(event) + "\n" for event in dead))
    watch.read()
    assert not watch.at_rest
    watch.started = len(watch.events)
    later = [
        {"e": "entered", "delivery": 2},
        {"e": "over", "delivery": 2},
        {"e": "ready", "delivery": 2},
    ]
    for event, rests in zip(later, (False, False, True), strict=True):
        with file.open("a") as stream:
            stream.write(json.dumps(event) + "\n")
        watch.read()
        assert watch.at_rest is rests


def test_random_keys_are_compared_by_their_repetition() -> None:
    assert differing(performed=(("email", "'x'"), ("email", "'x'"))) == []
    assert differing(performed=(("email", "'x'"), ("email", "'y'"))) == ["effects"]


def test_what_is_volatile_is_not_compared() -> None:
    other = dataclasses.replace(SEEN, state={"rows": []}, delays=())
    assert list(compare_runs(SEEN, other, frozenset({"rows"}), delays=False)) == []


def test_a_difference_makes_a_proof_incomplete() -> None:
    same, other = (
        Confirmed("once", SEEN, SEEN),
        Confirmed("once", SEEN, SEEN, ("state",), "state: a simulated, b real"),
    )
    untried = Confirmed("once", SEEN, None, note="no Redis")
    assert (same.agrees, other.agrees, untried.agrees) == (True, False, None)
    assert [judgement.rule for judgement in judge_differences([same, other, untried])] == [
        "confirm.differs"
    ]


OTHERS = """copies=2 switch@before:email#1
stall@before:email#1 wait=5
kill@after:a.b#1
caller-kill@after:publish#1
fail@before:commit#1 wait=900 re-enqueue
kill@after:email#1 fresh
wait=5 redeliver""".splitlines()


@pytest.mark.parametrize("text", OTHERS)
def test_what_needs_another_clock_is_not_repeated(text: str) -> None:
    assert unsupported(parse_schedule(text))


@pytest.mark.parametrize(
    "text",
    [
        "once",
        "redeliver",
        "kill@after:email#1 lose re-enqueue",
        "poison=0",
        "raise=TimeoutError@before:email#*/*",
        "fail@before:commit#1",
        "rival=orders.*@before:email#1",
    ],
)
def test_what_can_be_repeated(text: str) -> None:
    assert unsupported(parse_schedule(text)) is None


def test_a_delivery_meets_its_own_faults_and_those_of_every_one() -> None:
    made = plans(
        parse_schedule("raise=E@before:email#*/* kill@after:sql#1/2"),
        lambda fault, lose: {"do": fault.do},
    )
    assert made["*"] == {"before:email#*": {"do": "raise"}, "jitter": "high"}
    assert made["2"] == {**made["*"], "after:sql#1": {"do": "kill"}}


def test_outcomes_are_read_from_events() -> None:
    events = [("entered", 1), ("returned", 1), ("entered", 2), ("raised", 2), ("entered", 3)]
    assert outcomes([{"e": kind, "delivery": n} for kind, n in events]) == (
        "returned",
        "raised",
        "died",
    )


def history(text: str, *, raised: bool = False) -> History:
    fault = Event(2, "fault", {"at": parse_schedule(text).faults[0].at, "do": "kill"})
    end = Event(3, "raised", {}) if raised else Event(3, "died", {})
    return History(
        parse_schedule(text), (Delivery(1, "deliver", 0, 0.0, (Event(1, "entered"), fault, end)),)
    )


def test_deaths_of_child_and_worker_after_the_effect_come_first() -> None:
    texts = (
        "kill@before:sql#1",
        "kill@before:email#1",
        "kill@after:email#1",
        "kill-worker@after:email#1",
    )
    tried = [
        SimpleNamespace(schedule=parse_schedule(text), history=history(text)) for text in texts
    ]
    spec = SimpleNamespace(effects=[SimpleNamespace(name="email")])
    proof: Any = SimpleNamespace(
        witnesses=[], risks=[], tried=tried, reference=SimpleNamespace(spec=spec)
    )
    assert [str(found.schedule) for found in choose_histories(proof)] == [
        texts[2],
        texts[3],
        texts[1],
    ]


def test_the_time_in_which_a_death_is_noticed_is_no_delay() -> None:
    settled = Event(4, "settled", {"how": "requeued", "delay": 700.0})
    died = Delivery(2, "died", 0, 0.0, (settled,))
    made = history("kill-worker@after:email#1")
    made = dataclasses.replace(made, deliveries=(*made.deliveries, died))
    assert read_simulated(made, 690.0).delays == (10.0,)
    assert read_simulated(made, 700.0).delays == ()


# -- for real


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    root = corpus.build(
        "huey_shipment", None, tmp_path_factory.mktemp("confirm").resolve() / "huey"
    )
    spec = load_spec(next((root / ".skillrun" / "jobs").glob("*.yaml")), root=root)
    with Stage(Target(spec, root, "huey"), redelivery_s=1.0) as made:
        yield made
        assert not made.processes
    assert not made.workplace.folders.folder.exists()


def test_a_real_worker_runs_the_job_once(stage: Stage) -> None:
    seen = stage.run(parse_schedule("once"))
    assert seen.outcomes == ("returned",)
    assert seen.performed == (("booking", "'shipment-7'"),)
    assert seen.state == {"shipments": [[7, "1 Quay Street"]]}


def test_a_real_death_loses_hueys_message(stage: Stage) -> None:
    seen = stage.run(parse_schedule("kill-worker@after:booking#1"))
    assert (seen.outcomes, seen.state) == (("died",), {"shipments": []})


def test_a_fault_that_is_never_reached_shows_nothing(stage: Stage) -> None:
    with pytest.raises(NotConfirmed, match="never came to after:booking#2"):
        stage.run(parse_schedule("kill@after:booking#2"))


def test_a_worker_that_does_otherwise_is_told(stage: Stage) -> None:
    """A history that claims a redelivery which Huey does not make."""
    made = history("kill@after:booking#1")
    again = Delivery(2, "deliver", 0, 0.0, (Event(5, "entered"), Event(6, "returned")))
    found = confirm_one(
        stage, dataclasses.replace(made, deliveries=(*made.deliveries, again)), 1.0, frozenset()
    )
    assert found.agrees is False
    assert "deliveries: died, returned simulated, died real" in found.note


def test_what_is_published_by_nobody_is_said(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        stage, "target", dataclasses.replace(stage.target, spec=_publishing_nothing(stage))
    )
    with pytest.raises(NotConfirmed, match="published nothing"):
        stage.run(parse_schedule("once"))


def _publishing_nothing(stage: Stage) -> Any:
    spec = stage.target.spec
    assert spec.enqueue is not None
    return spec.model_copy(
        update={
            "enqueue": spec.enqueue.model_copy(
                update={"call": "depot.tasks:is_booked", "args": {"order_id": 1}}
            )
        }
    )


CONFIRM = """
import sys
from pathlib import Path
import run as corpus
from skillrun.contract.spec import load_spec
from skillrun.frameworks.broker import NotConfirmed
from skillrun.proof.confirm.run import Stage
from skillrun.proof.result import Target
root = corpus.build("huey_shipment", None, Path(sys.argv[1]))
spec = load_spec(next((root / ".skillrun" / "jobs").glob("*.yaml")), root=root)
try:
    Stage(Target(spec, root, "huey"), redelivery_s=1.0)
    print("begun")
except NotConfirmed as error:
    print(error)
"""


@pytest.mark.skipif(not can_deny(), reason="namespaces cannot be denied here on purpose")
def test_without_a_network_of_its_own_no_real_worker_is_started(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": f"{CORPUS.parent.parent}:{CORPUS}", "HOME": str(tmp_path)}
    command = [*DENY, sys.executable, "-c", CONFIRM, str(tmp_path / "huey")]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=120)
    assert "a real worker could reach somebody's broker" in done.stdout, done.stderr


def test_events_are_whole_lines(stage: Stage) -> None:
    stage.run(parse_schedule("once"))
    lines = stage.events.read_text().splitlines()
    assert {json.loads(line)["delivery"] for line in lines} >= {1}


def test_where_nothing_could_be_tried_the_proof_is_not_confirmed() -> None:
    seen = ScheduleOutcome(("returned",), ())
    untried = Confirmed("kill@after:send#1", seen, None, note="there is no worker for it")
    tried = Confirmed("kill@after:send#1", seen, seen)
    (found,) = find_untried([untried, untried])
    assert found.rule == "confirm.not-tried"
    assert "there is no worker for it" in found.message
    assert find_untried([untried, tried]) == []
    assert find_untried([]) == []
