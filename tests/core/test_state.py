"""The user's own folder is for its owner alone, whatever umask is set and whoever begins with
it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import helpers
import pytest

from skillrun.core.state import explain_distrust, read_own, state_dir, write_own
from skillrun.ledger.rows import NewEvent
from skillrun.runner.signing import SIGNED, explain_key, sign_event

EVENT = NewEvent("invocation.started", actor="me", actor_kind="human", invocation=1)


@pytest.fixture
def group_umask() -> Iterator[None]:
    """As Debian and Fedora set it where each user has a group of his own."""
    before = os.umask(0o002)
    yield
    os.umask(before)


def find_mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.usefixtures("group_umask")
def test_every_folder_that_is_made_is_for_its_owner_alone() -> None:
    path = state_dir() / "consent" / "deep" / "one.json"
    write_own(path, b"text")
    folders = (state_dir(), state_dir() / "consent", path.parent)
    assert [find_mode(folder) for folder in folders] == [0o700, 0o700, 0o700]
    assert find_mode(path) == 0o600
    assert read_own(path) == b"text"
    assert [entry.name for entry in path.parent.iterdir()] == ["one.json"]


def test_what_an_earlier_version_made_is_mended() -> None:
    (state_dir() / "consent").mkdir(parents=True)
    state_dir().chmod(0o775)
    (state_dir() / "consent").chmod(0o775)
    write_own(state_dir() / "consent" / "one.json", b"text")
    assert (find_mode(state_dir()), find_mode(state_dir() / "consent")) == (0o755, 0o755)
    assert read_own(state_dir() / "consent" / "one.json") == b"text"


def test_a_key_is_believed_again_once_its_folder_is_mended() -> None:
    signed = sign_event("run", EVENT)
    state_dir().chmod(0o775)
    said = explain_key()
    assert said is not None
    assert said.endswith(f"run: chmod go-w {state_dir()}")
    assert sign_event("run", EVENT).data == signed.data
    assert explain_key() is None


def test_a_folder_where_anybody_writes_is_said_and_not_mended(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sign_event("run", EVENT)
    state_dir().chmod(0o777)
    assert SIGNED not in sign_event("run", EVENT).data
    assert SIGNED not in sign_event("run", EVENT).data
    (line,) = capsys.readouterr().err.splitlines()
    assert f"chmod go-w {state_dir()}" in line
    assert find_mode(state_dir()) == 0o777


def test_a_link_in_the_place_of_a_folder_is_not_followed(tmp_path: Path) -> None:
    state_dir().mkdir(parents=True, mode=0o700)
    (tmp_path / "elsewhere").mkdir()
    (state_dir() / "consent").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError):
        write_own(state_dir() / "consent" / "one.json", b"text")
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert "a link" in (explain_distrust(state_dir() / "consent" / "one.json") or "")


def test_a_file_that_is_to_stay_stays() -> None:
    write_own(state_dir() / "one", b"old")
    with pytest.raises(FileExistsError):
        write_own(state_dir() / "one", b"new", replace=False)
    assert read_own(state_dir() / "one") == b"old"
    assert [entry.name for entry in state_dir().iterdir()] == ["one"]


@pytest.mark.real
def test_whoever_begins_with_another_command_can_sign(tmp_path: Path) -> None:
    root = helpers.build_tree(tmp_path / "repo", {"a.py": "a = 1\n"})
    for words in ("detect --write", "spec init --set job=x", "run job-worker-orchestration"):
        done = run_with_umask(root, *words.split())
        assert "counts for nothing" not in done.stderr
    said = run_with_umask(root, "status")
    assert said.stdout
    assert "not recorded" not in said.stderr
    assert (state_dir() / "ledger.key").exists()


def run_with_umask(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "skillrun", *words]
    env = helpers.clean_env(state_dir().parent)
    return subprocess.run(
        command, cwd=root, env=env, umask=0o002, capture_output=True, text=True, timeout=120
    )
