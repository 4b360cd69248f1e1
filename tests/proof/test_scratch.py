"""The scratch folder: what it keeps, what it refuses, and what a killed skillrun leaves behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from plain_job import plain_repo, target_of

from skillrun.core.errors import Blocked
from skillrun.proof import scratch
from skillrun.proof.attempt import try_prove
from skillrun.proof.scratch import Folders, remove_left_folders
from skillrun.proof.workplace import Workplace, raise_loss


def test_what_is_no_file_is_left_alone() -> None:
    place = Folders()
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


def test_what_a_file_carries_besides_its_content_is_put_back() -> None:
    place = Folders()
    try:
        kept, folder = place.scratch / "kept", place.scratch / "folder"
        kept.write_text("a")
        folder.mkdir()
        place.snapshot()
        before = kept.stat()
        for path in (kept, folder):
            os.setxattr(path, "user.sent", b"1")
        os.utime(kept, (1, 1))
        kept.chmod(0)
        folder.chmod(0o700)
        place.restore()
        after = kept.stat()
        assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)
        assert (os.listxattr(kept), os.listxattr(folder)) == ([], [])
    finally:
        place.remove()


@pytest.mark.parametrize("replaced", [False, True])
def test_what_a_delivery_removed_comes_back_with_its_mode(replaced: bool) -> None:
    place = Folders()
    try:
        key, folder = place.scratch / "key.pem", place.scratch / "keys"
        key.write_text("secret")
        folder.mkdir()
        for path, mode in ((key, 0o600), (folder, 0o700)):
            path.chmod(mode)
        place.snapshot()
        key.unlink()
        folder.rmdir()
        if replaced:
            key.mkdir()
            folder.write_text("x")
        place.restore()
        assert [path.stat().st_mode & 0o777 for path in (key, folder)] == [0o600, 0o700]
        assert key.read_text() == "secret"
    finally:
        place.remove()


def test_an_attribute_that_nobody_may_change_ends_no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "not permitted")

    place = Folders()
    try:
        kept = place.scratch / "kept"
        kept.write_text("a")
        os.setxattr(kept, "user.first", b"1")
        place.snapshot()
        os.removexattr(kept, "user.first")
        os.setxattr(kept, "user.second", b"1")
        monkeypatch.setattr(os, "setxattr", refuse)
        monkeypatch.setattr(os, "removexattr", refuse)
        kept.write_text("b")
        place.restore()
        assert kept.read_text() == "a"
    finally:
        place.remove()


def test_what_another_place_wrote_down_of_itself_is_of_the_one_that_adopts_it() -> None:
    """Two of them try one proof's schedules side by side; the second takes the first one's files."""
    one, two = Folders(), Folders()
    try:
        (one.scratch / "settings.py").write_text(f"NAME = '{one.scratch}/app.db'")
        one.snapshot()
        two.adopt(one)
        assert (two.scratch / "settings.py").read_text() == f"NAME = '{two.scratch}/app.db'"
    finally:
        one.remove()
        two.remove()


def test_what_a_setup_drew_at_random_is_the_same_in_both_from_the_beginning() -> None:
    """Before the application's own call, too: a schedule may begin there."""
    one, two = Folders(), Folders()
    try:
        for place, key in ((one, "8a"), (two, "f3")):
            (place.scratch / "key").write_text(key)
            place.snapshot()
        (one.scratch / "called").write_text("")
        one.snapshot()
        two.adopt(one)
        two.restore(first=True)
        assert [path.name for path in two.scratch.iterdir()] == ["key"]
        assert (two.scratch / "key").read_text() == "8a"
    finally:
        one.remove()
        two.remove()


def test_a_snapshot_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "_MOST", 1 << 20)
    place = Folders()
    try:
        with (place.scratch / "huge").open("wb") as file:
            file.truncate(3 << 20)
        with pytest.raises(
            Blocked, match=r"the scratch holds 3 MB after proof\.setup; at most 1 MB can be kept"
        ):
            place.snapshot()
    finally:
        place.remove()


DIES = """
import os, signal, sys, tempfile
tempfile.tempdir = sys.argv[1]
from pathlib import Path
from skillrun.proof import scratch
scratch.SHARED_MEMORY = Path("/nowhere")
print(scratch.Folders().folder, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_dead_process_left_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = subprocess.run(
        [sys.executable, "-c", DIES, str(tmp_path)], capture_output=True, text=True
    )
    left = Path(told.stdout.strip())
    assert left.is_dir() and left.parent == tmp_path
    monkeypatch.setattr("skillrun.proof.scratch.SHARED_MEMORY", Path("/nowhere"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    other = tmp_path / "skillrun-notes-abc"
    other.mkdir()
    mine = Folders()
    remove_left_folders(tmp_path)
    assert left.is_dir()  # it may be that of a proof that is about to take its lock
    for folder in (left, mine.folder, other):
        os.utime(folder, (0, 0))
    remove_left_folders(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted((mine.folder, other))
    mine.remove()


def test_a_living_proof_whose_number_is_not_known_here_keeps_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two containers share /dev/shm, and each counts its processes from 1."""
    monkeypatch.setattr("skillrun.proof.scratch.SHARED_MEMORY", Path("/nowhere"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    place = Folders()
    elsewhere = tmp_path / "skillrun-4194303-abc"
    place.folder.rename(elsewhere)
    os.utime(elsewhere, (0, 0))
    remove_left_folders(tmp_path)
    assert (elsewhere / "scratch").is_dir()
    place.remove()
    remove_left_folders(tmp_path)
    assert not elsewhere.exists()


def test_a_folder_that_is_being_made_is_left_alone(tmp_path: Path) -> None:
    young = tmp_path / "skillrun-4194303-abc"
    young.mkdir()
    remove_left_folders(tmp_path)
    assert young.is_dir()
    os.utime(young, (0, 0))
    remove_left_folders(tmp_path)
    assert not young.exists()


def test_no_room_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scratch.tempfile, "mkdtemp", full)
    with pytest.raises(
        Blocked, match=r"no scratch folder can be made in .*: No space left on device"
    ):
        Folders()


@pytest.mark.real
@pytest.mark.parametrize("part", [".", "scratch"])
@pytest.mark.parametrize("at_end", [False, True])
def test_a_place_that_vanishes_under_its_proof_is_said_and_nothing_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, at_end: bool
) -> None:
    """A cleaner of temporary files: while all is set up, and once the last schedule has ended."""
    places: list[Folders] = []
    make_place = Folders.__init__

    def keep_place(place: Folders) -> None:
        make_place(place)
        places.append(place)

    def remove_place(what: str, done: int, of: int) -> None:
        if at_end == (0 < done == of):
            shutil.rmtree(places[0].folder / part)

    monkeypatch.setattr(Folders, "__init__", keep_place)
    proof = try_prove(target_of(plain_repo(tmp_path)), only="redeliver", progress=remove_place)
    assert proof.verdict == "incomplete"
    (why,) = [judgement.message for judgement in proof.incomplete]
    assert why.startswith(str(places[0].folder))
    assert why.endswith("was removed while the proof ran")
    assert not places[0].folder.exists()


def make_workplace(tmp_path: Path) -> Workplace:
    target = target_of(plain_repo(tmp_path / "repo"))
    return Workplace(target.spec, target.root, target.driver, target.paths)


def test_who_interrupts_a_proof_hears_of_nothing_else(tmp_path: Path) -> None:
    workplace = make_workplace(tmp_path)
    workplace.close()
    raise_loss([workplace], KeyboardInterrupt())
    with pytest.raises(Blocked, match="was removed while the proof ran"):
        raise_loss([workplace], FileNotFoundError())


def test_a_repository_that_vanishes_is_said(tmp_path: Path) -> None:
    with (
        pytest.raises(Blocked, match="repo was removed while the proof ran"),
        make_workplace(tmp_path),
    ):
        shutil.rmtree(tmp_path / "repo")
