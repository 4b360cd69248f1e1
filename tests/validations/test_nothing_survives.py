"""Nothing that a command starts outlives it, nor skillrun, however it hides and however skillrun
ends.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from rows import real_but

from skillrun.validations.run import run_command

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux has subreapers"
)

DOUBLE_FORK = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(60)
    os._exit(0)
os.wait()
"""
RUN = """
import sys
from pathlib import Path
from skillrun.validations import run
from skillrun.validations.run import run_command
run.GRACE_S = 0.5
print(run_command(sys.argv[1], cwd=Path("."), timeout_s=60), flush=True)
"""


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second between SIGTERM and SIGKILL instead of three."""
    monkeypatch.setattr("skillrun.validations.run.GRACE_S", 0.5)


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> str:
    """A word in the environment by which every process of this test is found again."""
    word = f"mark-{uuid.uuid4().hex}"
    monkeypatch.setenv("MARK", word)
    return word


def living(word: str) -> list[int]:
    """The processes, except this one, that carry the mark."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            marked = f"MARK={word}".encode() in (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if marked and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found


def eventually(condition: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.real
@pytest.mark.parametrize(
    ("command", "survivors"),
    [
        ("setsid sleep 60 & echo begun", 1),
        ("sleep 60 & echo begun", 1),
        ("nohup sh -c 'sleep 60; sleep 60' > /dev/null 2>&1 & echo begun", 2),
        (f"{sys.executable} double_fork.py && echo begun", 1),
        (
            (
                "(setsid sh -c 'trap \"\" TERM HUP; sleep 60 & sleep 60 & wait' &) ; sleep 0.1;"
                " echo begun"
            ),
            3,
        ),
    ],
    ids=["setsid that holds the output", "background", "nohup", "double fork", "ignores SIGTERM"],
)
def test_a_daemon_is_ended_counted_and_not_waited_for(
    tmp_path: Path, mark: str, command: str, survivors: int
) -> None:
    (tmp_path / "double_fork.py").write_text(DOUBLE_FORK)
    begin = time.monotonic()
    result = run_command(command, cwd=tmp_path, timeout_s=50)
    assert time.monotonic() - begin < 30
    assert (result.exit_code, result.tail, result.survivors) == (0, "begun\n", survivors)
    assert str(result.note).startswith(f"it left {survivors} process")
    assert not living(mark)


def test_what_ends_on_its_own_in_a_moment_is_no_survivor(tmp_path: Path, mark: str) -> None:
    result = run_command("(sleep 0.08; echo last words) & echo first", cwd=tmp_path)
    assert (result.survivors, result.tail) == (0, "first\nlast words\n")


@pytest.mark.real
def test_a_survivor_that_never_stops_writing_does_not_hang_us(tmp_path: Path, mark: str) -> None:
    result = run_command(
        "setsid sh -c 'trap \"\" TERM; while :; do echo more; done' & sleep 0.1; exit 4",
        cwd=tmp_path,
    )
    assert (result.exit_code, result.survivors) == (4, 1)
    assert not living(mark)


@pytest.mark.real
def test_a_process_that_forks_on_and_on_is_caught(tmp_path: Path, mark: str) -> None:
    (tmp_path / "hop.sh").write_text("trap '' TERM\nsleep 0.01\nsh hop.sh &\n")
    result = run_command("setsid sh hop.sh & sleep 0.1", cwd=tmp_path)
    assert result.error is None
    assert not living(mark)


def start_skillrun(command: str, cwd: Path) -> subprocess.Popen[str]:
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    arguments = [sys.executable, "-c", RUN, command]
    return subprocess.Popen(
        arguments, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


ENDS = real_but(
    [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP], signal.SIGKILL, signal.SIGTERM
)


@pytest.mark.real
@pytest.mark.parametrize("number", ENDS, ids=lambda n: n.name)
def test_the_end_of_skillrun_is_the_end_of_the_command(
    tmp_path: Path, mark: str, number: signal.Signals
) -> None:
    command = "setsid sh -c 'trap \"\" TERM INT HUP; sleep 60; sleep 60' & touch begun; sleep 60"
    with start_skillrun(command, tmp_path) as skillrun:
        assert eventually((tmp_path / "begun").exists)
        time.sleep(0.1)
        assert len(living(mark)) >= 5
        skillrun.send_signal(number)
        skillrun.communicate(timeout=30)
    assert skillrun.returncode == -number
    assert eventually(lambda: not living(mark))


def test_a_command_that_kills_its_supervisor_is_no_success_and_ends(
    tmp_path: Path, mark: str
) -> None:
    result = run_command("kill -9 $PPID; sleep 60", cwd=tmp_path, timeout_s=40)
    assert (result.ok, result.exit_code) == (False, None)
    assert "watches over it was ended (SIGKILL)" in str(result.error)
    assert eventually(lambda: not living(mark))


@pytest.mark.real
def test_a_command_that_stops_its_supervisor_ends_at_the_time_limit(
    tmp_path: Path, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skillrun.validations.run._END_S", 0.3)
    result = run_command(
        "setsid sleep 60 & kill -STOP $PPID; sleep 60", cwd=tmp_path, timeout_s=0.3
    )
    assert (result.ok, result.timed_out) == (False, True)
    assert eventually(lambda: not living(mark))
