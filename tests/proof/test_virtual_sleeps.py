"""Sleeps of a delivery: a thread that sleeps without an end is held up, and no other one."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from skillrun.probe import clock as clocks
from skillrun.probe.channel import Channel
from skillrun.probe.clock import Clock
from skillrun.probe.recorder import Recorder

MOST = 50


class Sleeper:
    """The clock of a delivery in which a thread may sleep 50 times."""

    def __init__(self, said: Path) -> None:
        self.said = said
        recorder = Recorder(str(said.parent))
        recorder.channel = Channel(-1, os.open(said, os.O_WRONLY | os.O_CREAT))
        self.clock = Clock(recorder)

    def count_told(self) -> int:
        """How many sleeps the delivery has told of."""
        events = [json.loads(line) for line in self.said.read_text().splitlines()]
        return sum(event["e"] == "slept" for event in events)


@pytest.fixture
def sleeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sleeper:
    monkeypatch.setattr(clocks, "_MOST_SLEEPS", MOST)
    return Sleeper(tmp_path / "said")


def take_time(work: Callable[[], object]) -> float:
    """The seconds that it really takes in a thread of its own, where it ends at all."""
    took: list[float] = []

    def run() -> None:
        begun = time.monotonic()
        work()
        took.append(time.monotonic() - begun)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(10.0)
    assert took, "it has not ended, or has raised"
    return took[0]


def test_a_heartbeat_does_not_hold_up_the_handler(sleeper: Sleeper) -> None:
    done = threading.Event()

    def beat() -> None:
        while not done.is_set():
            sleeper.clock.sleep(0.01)

    threading.Thread(target=beat, daemon=True).start()
    while sleeper.count_told() < MOST:
        time.sleep(0.01)
    assert take_time(lambda: sleeper.clock.sleep(60.0)) < 5.0
    assert sleeper.count_told() == MOST + 1
    done.set()


def test_who_has_slept_too_often_really_sleeps_and_says_no_more(sleeper: Sleeper) -> None:
    def sleep_often() -> None:
        for _ in range(MOST):
            sleeper.clock.sleep(60.0)
        sleeper.clock.sleep(0.2)

    assert take_time(sleep_often) >= 0.2
    assert sleeper.count_told() == MOST
    assert sleeper.clock.offset == 60.0 * MOST


def test_a_task_that_sleeps_without_an_end_leaves_the_loop_to_others(
    sleeper: Sleeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The patch changes the code of `asyncio.sleep` itself.
    real = asyncio.sleep
    monkeypatch.setattr(real, "__code__", real.__code__)
    monkeypatch.setattr(real, "__defaults__", real.__defaults__)
    sleeper.clock._patch_asyncio()

    async def beat() -> None:
        while True:
            await asyncio.sleep(0.01)

    async def work() -> None:
        heartbeat = asyncio.create_task(beat())
        while sleeper.count_told() < MOST:
            await asyncio.sleep(0)
        await asyncio.wait_for(asyncio.sleep(0.05), 5.0)
        heartbeat.cancel()

    take_time(lambda: asyncio.run(work()))
    assert sleeper.count_told() == MOST
