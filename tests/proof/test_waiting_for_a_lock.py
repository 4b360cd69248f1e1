"""Who waits for a lock is told from who waits for an answer, by what the kernel says of their
sleeps.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from skillrun.proof.blocked import can_see, is_blocked

pytestmark = pytest.mark.skipif(
    not can_see(), reason="this machine does not tell what a process waits for"
)
Start = Callable[[Callable[[], object]], int]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a process that does something; returns its number."""
    started = []

    def begin(work: Callable[[], object]) -> int:
        pid = os.fork()
        if pid == 0:
            try:
                work()
            finally:
                os._exit(0)
        started.append(pid)
        return pid

    yield begin
    for pid in started:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def within(seconds: float, seen: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while not (found := seen()) and time.monotonic() < end:
        time.sleep(0.001)
    return found


def test_who_waits_for_a_file_lock_is_blocked(start: Start, tmp_path: Path) -> None:
    with (tmp_path / "lock").open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        pid = start(lambda: fcntl.flock((tmp_path / "lock").open("wb"), fcntl.LOCK_EX))
        assert within(10, lambda: is_blocked(pid))


def test_who_polls_the_lock_of_a_database_is_blocked(start: Start, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "app.db", isolation_level=None)) as connection:
        connection.execute("begin immediate")

        def second() -> None:
            sqlite3.connect(tmp_path / "app.db", timeout=60, isolation_level=None).execute(
                "begin immediate"
            )

        pid = start(second)
        assert within(10, lambda: is_blocked(pid))


def test_who_waits_for_a_server_that_rests_is_blocked(start: Start) -> None:
    ours, theirs = socket.socketpair()
    server, pid = start(lambda: ours.recv(1)), start(lambda: theirs.recv(1))
    assert within(10, lambda: is_blocked(pid, (server,)))


def test_who_waits_for_a_server_at_work_is_not(start: Start) -> None:
    ours, theirs = socket.socketpair()

    def work() -> None:
        while ours.fileno():
            pass

    server = start(work)
    pid = start(lambda: theirs.recv(1))
    assert not within(0.2, lambda: is_blocked(pid, (server,)))


def test_who_gets_answers_is_not_though_it_sleeps_at_every_look(start: Start) -> None:
    ours, theirs = socket.socketpair()

    def ask() -> None:
        while theirs.recv(1):
            pass

    def answer() -> None:
        while True:
            ours.send(b"x")
            time.sleep(0.0002)

    pid, server = start(ask), start(answer)
    assert not within(0.2, lambda: is_blocked(pid, (server,)))
    # nor is who waits for one that rests at every look, where that was woken in between
    idle = start(lambda: socket.socketpair()[0].recv(1))
    assert not within(0.2, lambda: is_blocked(idle, (pid, server)))


def test_who_looks_now_and_then_while_it_waits_is_blocked_once_it_was_quiet(start: Start) -> None:
    """As psycopg does, for Ctrl-C: on a busy machine it woke up between any two looks."""
    ours, theirs = socket.socketpair()

    def look() -> None:
        theirs.settimeout(0.001)
        while ours.fileno():
            with contextlib.suppress(TimeoutError):
                theirs.recv(1)

    pid = start(look)
    # One look at it: on a busy machine one of many may find it asleep each time.
    assert not is_blocked(pid)
    assert within(30, lambda: is_blocked(pid, quiet_s=10))


def test_who_works_is_not_blocked_however_quiet_it_was(start: Start) -> None:
    ours, theirs = socket.socketpair()

    def work() -> None:
        while ours.fileno():
            pass

    server, pid = start(work), start(lambda: theirs.recv(1))
    assert not within(0.2, lambda: is_blocked(pid, (server,), quiet_s=10))
    assert not within(0.2, lambda: is_blocked(server, quiet_s=10))


def test_who_waits_for_the_answer_of_a_zygote_at_work_is_not(start: Start) -> None:
    ours, theirs = socket.socketpair()

    def work() -> None:
        while ours.fileno():
            pass

    zygote = start(work)
    pid = start(lambda: theirs.recv(1))
    assert within(10, lambda: is_blocked(pid))
    assert not within(0.2, lambda: is_blocked(pid, (), zygote))


def test_what_a_zygote_has_forked_may_work(start: Start) -> None:
    """The other deliveries: one of them may hold what is waited for."""

    ours, theirs = socket.socketpair()

    def fork() -> None:
        parent = os.getpid()
        if os.fork() == 0:
            while os.getppid() == parent:
                pass
            os._exit(0)
        ours.recv(1)

    zygote = start(fork)
    pid = start(lambda: theirs.recv(1))
    assert within(10, lambda: is_blocked(pid, (), zygote))


def test_who_computes_is_not(start: Start) -> None:
    def work() -> None:
        while True:
            pass

    pid = start(work)
    assert not within(0.2, lambda: is_blocked(pid))
