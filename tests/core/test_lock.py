"""One invocation of a run at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from skillrun.core.errors import LedgerUnusable
from skillrun.core.lock import RunLock

HOLD = """
import sys, time
from pathlib import Path
from skillrun.core.lock import RunLock
lock = RunLock(Path(sys.argv[1]))
print(lock.acquire(), flush=True)
time.sleep(float(sys.argv[2]))
"""


@contextmanager
def other_process_holds(path: Path, seconds: float = 60) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLD, str(path), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        yield holder
        holder.kill()


def test_two_objects_exclude_each_other(tmp_path: Path) -> None:
    first, second = RunLock(tmp_path / "deep" / "run.lock"), RunLock(tmp_path / "deep" / "run.lock")
    assert first.acquire()
    assert first.acquire()
    assert not second.acquire()
    first.release()
    first.release()
    assert second.acquire()
    second.release()


def test_the_second_says_who_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    with other_process_holds(path) as holder:
        lock = RunLock(path)
        assert not lock.acquire(0.1)
        assert lock.holder().startswith(f"process {holder.pid} on this machine, since ")


def test_a_killed_holder_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    with other_process_holds(path) as holder:
        holder.send_signal(signal.SIGKILL)
        with RunLock(path) as lock:
            assert lock.acquire(10)


@pytest.mark.real
def test_waiting_ends_when_the_holder_ends(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    with other_process_holds(path, 0.3), RunLock(path) as lock:
        begin = time.monotonic()
        assert lock.acquire(20)
        assert time.monotonic() - begin < 15


def test_a_process_that_the_holder_starts_does_not_keep_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    with RunLock(path) as lock:
        assert lock.acquire()
        child = subprocess.Popen(["sleep", "60"])
    try:
        assert RunLock(path).acquire()
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"pid": "x"}', b"\xff\xfe", b'{"pid": 1, "since": "2020", "host": 3}'],
)
def test_an_odd_note_is_still_somebody(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run.lock"
    path.write_bytes(content)
    assert RunLock(path).holder()


def test_a_place_that_cannot_be_written_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerUnusable, match=r"cannot be locked: .+") as caught:
        RunLock(tmp_path / "file" / "run.lock").acquire()
    assert "--ledger" in str(caught.value.hint)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(LedgerUnusable, match="no permission"):
        RunLock(tmp_path / "run.lock").acquire()
    tmp_path.chmod(0o700)


def test_a_full_disk_is_refused_in_words(tmp_path: Path) -> None:
    code = """import resource, sys; from pathlib import Path; from skillrun.core.lock import RunLock
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
RunLock(Path(sys.argv[1])).acquire()"""
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "x.lock"], capture_output=True, text=True
    )
    assert (
        f"{tmp_path}/x.lock: the run cannot be locked: File too large"
        in done.stderr.splitlines()[-1]
    )


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "run.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LedgerUnusable, match="symbolic link"):
        RunLock(tmp_path / "run.lock").acquire()
    assert not (tmp_path / "elsewhere").exists()
