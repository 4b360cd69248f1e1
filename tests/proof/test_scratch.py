"""The scratch folder: what it keeps, what it refuses, and what a killed skillrun leaves behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from skillrun.core.errors import Blocked
from skillrun.proof import scratch
from skillrun.proof.scratch import Workplace, remove_left_folders


def test_what_is_no_file_is_left_alone() -> None:
    place = Workplace()
    try:
        (place.scratch / "kept").write_text("a")
        (place.scratch / "dangling").symlink_to("nowhere")
        os.mkfifo(place.scratch / "pipe")
        assert place.snapshot() == {"kept": b"a"}
        (place.scratch / "kept").write_text("b")
        place.restore()
        assert (place.scratch / "kept").read_text() == "a"
    finally:
        place.remove()


def test_what_another_place_wrote_down_of_itself_is_of_the_one_that_adopts_it() -> None:
    """Two of them try one proof's schedules side by side; the second takes the first one's files."""
    one, two = Workplace(), Workplace()
    try:
        (one.scratch / "settings.py").write_text(f"NAME = '{one.scratch}/app.db'")
        one.snapshot()
        two.adopt(one)
        assert (two.scratch / "settings.py").read_text() == f"NAME = '{two.scratch}/app.db'"
    finally:
        one.remove()
        two.remove()


def test_a_snapshot_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "_MOST", 1 << 20)
    place = Workplace()
    try:
        with (place.scratch / "huge").open("wb") as file:
            file.truncate(3 << 20)
        with pytest.raises(
            Blocked, match=r"the scratch holds 3 MB after proof\.setup; at most 1 MB can be kept"
        ):
            place.snapshot()
    finally:
        place.remove()


def test_what_a_dead_process_left_is_swept(tmp_path: Path) -> None:
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    left, mine = (
        tmp_path / f"skillrun-{int(dead.stdout)}-abc",
        tmp_path / f"skillrun-{os.getpid()}-abc",
    )
    other = tmp_path / "skillrun-notes-abc"
    for folder in (left, mine, other):
        (folder / "scratch").mkdir(parents=True)
    remove_left_folders(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted((mine.name, other.name))


def test_no_room_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scratch.tempfile, "mkdtemp", full)
    with pytest.raises(
        Blocked, match=r"no scratch folder can be made in .*: No space left on device"
    ):
        Workplace()
