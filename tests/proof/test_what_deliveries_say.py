"""A delivery writes what it says into a file; it is read whole, once, and in the order in which
several said it.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from skillrun.probe.channel import Channel
from skillrun.proof.sandbox.sandbox import Sandbox
from skillrun.proof.sandbox.visible import Plan
from skillrun.proof.zygote import Running, Zygote, memory_file


@pytest.fixture
def zygote(tmp_path: Path) -> Iterator[Zygote]:
    """One that was not started: what it hears is what the test says."""
    sandbox = Sandbox(Plan(str(tmp_path / "root"), readable=["/usr"]), tmp_path)
    zygote = Zygote(sandbox, "python3", {}, {}, tmp_path, tmp_path / "output")
    zygote.control, theirs = socket.socketpair()
    yield zygote
    theirs.close()
    zygote.stop()
    sandbox.close()


def running(zygote: Zygote, number: int) -> tuple[Running, Channel]:
    """A delivery as seen from here, and its own end."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    file = memory_file()
    said = zygote._running[number] = Running(number, ours.detach(), file)
    return said, Channel(theirs.detach(), os.dup(file))


def kinds(said: Running) -> list[str]:
    return [event["e"] for event in said.events]


def test_two_deliveries_are_heard_in_the_order_in_which_they_spoke(zygote: Zygote) -> None:
    (first, one), (second, other) = running(zygote, 1), running(zygote, 2)
    for channel, kind in ((other, "a"), (one, "b"), (other, "c"), (one, "d")):
        channel.send({"e": kind})
    assert zygote.hear(0)
    heard = sorted((event["heard"], event["e"]) for event in (*first.events, *second.events))
    assert [kind for _, kind in heard] == ["a", "b", "c", "d"]
    assert all("t" not in event for event in first.events)


def test_half_a_line_waits_for_its_other_half(zygote: Zygote) -> None:
    said, channel = running(zygote, 1)
    channel.send({"e": "whole"})
    os.write(channel.file, b'{"e": "ha')
    zygote.hear(0)
    assert kinds(said) == ["whole"]
    os.write(channel.file, b'lf", "t": 1}\n')
    zygote.hear(0)
    assert kinds(said) == ["whole", "half"]


def test_nobody_is_woken_by_what_is_said_but_by_a_knock(zygote: Zygote) -> None:
    said, channel = running(zygote, 1)
    channel.send({"e": "fault", "do": "pause"})
    ours = zygote._running[1].fd
    with pytest.raises(BlockingIOError):
        os.read(ours, 1)
    channel.knock()
    assert zygote.hear(5)
    assert said.paused
    assert not zygote.hear(0)  # one knock wakes once


def test_what_was_said_before_a_death_is_there_when_the_death_is_known(zygote: Zygote) -> None:
    said, channel = running(zygote, 1)
    pid = os.fork()
    if pid == 0:
        channel.send({"e": "fault", "do": "kill", "alone": True})
        os.kill(os.getpid(), signal.SIGKILL)
    for fd in (channel.fd, channel.file):
        os.close(fd)
    os.waitpid(pid, 0)
    assert zygote.hear(5)
    assert kinds(said) == ["fault"]
    assert said.gone
    assert said.status == signal.SIGKILL
