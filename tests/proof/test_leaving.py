"""A delivery that is one thread without children is over once its files are closed; any other when
it has ended.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from skillrun.probe.channel import Channel
from skillrun.probe.recorder import close_all
from skillrun.proof.zygote import Running

LIVES = {
    "one thread": ("", "True"),
    "a thread": (
        "import threading; threading.Thread(target=time.sleep, args=[9], daemon=True).start()",
        "False",
    ),
    "a child": ("subprocess.Popen(['sleep', '9'], stdout=-3)", "False"),
    "a child that ended": (
        "ended = subprocess.Popen(['true'], stdout=-1); ended.stdout.read()",
        "False",
    ),
    "a child's child": ("if os.fork(): os._exit(os.wait()[1])", "False"),
}


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="elsewhere nobody is known to be alone"
)
@pytest.mark.parametrize("life", LIVES)
def test_only_one_thread_without_children_is_alone(life: str) -> None:
    code, expected = LIVES[life]
    program = f"""
        import os, subprocess, sys, time
        from skillrun.probe.recorder import Recorder

        recorder = Recorder("/nowhere")
        recorder.begin_delivery(None, {{}})
        {code}
        os.write(1, str(recorder.is_alone()).encode())
        os._exit(0)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, timeout=30
    )
    assert done.stdout.decode() == expected


def closed_after(event: dict[str, object]) -> int | None:
    """The status of a process whose channel was closed after this event."""
    running = Running(1, os.open(os.devnull, os.O_RDONLY), events=[event])
    running.leave()
    os.close(running.fd)
    return running.status


def test_the_end_of_one_that_is_alone_is_known_at_once() -> None:
    assert closed_after({"e": "fault", "do": "kill", "alone": True}) == signal.SIGKILL
    assert closed_after({"e": "end", "alone": True}) == 0


def test_the_end_of_any_other_is_waited_for() -> None:
    assert closed_after({"e": "fault", "do": "kill", "alone": False}) is None
    assert closed_after({"e": "end", "alone": False}) is None
    assert closed_after({"e": "at", "when": "before", "name": "email#1"}) is None


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="elsewhere nobody is known to be alone"
)
def test_no_lock_is_held_once_the_channel_is_closed(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if (
        pid == 0
    ):  # the channel has a lower number than the lock; after its end the process is slow, and lives on
        close, channel = os.close, theirs.fileno()
        os.close = lambda fd: (close(fd), fd == channel and time.sleep(1))
        with (tmp_path / "lock").open("ab") as held:
            fcntl.lockf(held, fcntl.LOCK_EX)
            ours.close()
            close_all(Channel(channel, channel))
            signal.pause()
    theirs.close()
    try:
        assert ours.recv(1) == b""
        with (tmp_path / "lock").open("ab") as ask:
            fcntl.lockf(ask, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
