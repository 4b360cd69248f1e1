"""Several files are written as one: killed at any step, on a full disk, or with somebody else at
work in them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import helpers
import pytest
from journals import (
    WANTED,
    WRITER,
    copies,
    leave,
    repo,
    run_cli,
    same_state,
    tree,
    writer,
)

from skillrun.core import journal
from skillrun.core.errors import Refused
from skillrun.core.files import Change, Files, write
from skillrun.core.journal import hold_journal
from skillrun.core.state import state_dir
from skillrun.repo.git import open_to_write

pytestmark = pytest.mark.real


def test_killed_at_every_step(tmp_path: Path, old_and_new: tuple[Any, Any], capsys: Any) -> None:
    """After the next command the tree is the old one or the new one; from one step on it is the new
    one.
    """
    seen: list[str] = []
    finished = 0
    for number, root in enumerate(copies(tmp_path), 1):
        done = writer(root, f"kill={number}")
        if done.returncode != -signal.SIGKILL:
            assert done.returncode == 0, done.stderr
            break
        open_to_write(root)
        said = capsys.readouterr().err
        found = tree(root)
        found.pop(".skillrun", None)  # an empty folder, which git does not see
        assert found in old_and_new, f"step {number}"
        seen.append("new" if found == old_and_new[1] else "old")
        assert not said or seen[-1] == "new", said
        finished += bool(said)
        open_to_write(root)
        assert capsys.readouterr().err == ""
    assert seen == sorted(seen, reverse=True)
    assert seen.count("old") > 10
    assert seen.count("new") - 2 <= finished > 5  # the last steps are after the journal is gone


SYSCALLS = (
    "openat",
    "write",
    "rename",
    "unlink",
    "mkdir",
    "rmdir",
    "fchmod",
    "fsync",
    "flock",
    "close",
)


@pytest.mark.long
@pytest.mark.parametrize("call", SYSCALLS)
def test_killed_at_every_system_call(
    tmp_path: Path, call: str, old_and_new: tuple[Any, Any]
) -> None:
    """Below Python; Linux with strace, which is attached when the files are about to be written."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not here")
    died = 0
    for number, root in enumerate(copies(tmp_path), 1):
        code = writer_under_strace(root, call, number)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        died += 1
        open_to_write(root)
        found = tree(root)
        found.pop(".skillrun", None)
        assert found in old_and_new, f"{call} {number}"
    assert died or call == "rmdir"


def writer_under_strace(root: Path, call: str, number: int) -> int:
    command = [sys.executable, str(WRITER), str(root), json.dumps(WANTED), "wait"]
    process = subprocess.Popen(
        command, env=same_state(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.readline()
    inject = ["-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={number}"]
    strace = subprocess.Popen(
        ["strace", "-o", os.devnull, "-p", str(process.pid), *inject],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert strace.stderr is not None
    assert "attached" in strace.stderr.readline()
    process.stdin.write("\n")
    process.stdin.close()
    strace.wait()
    return process.wait()


def test_an_undo_that_is_killed(tmp_path: Path, capsys: Any) -> None:
    """Somebody edits a file when others are in place already: they are put back, and a death then
    leaves no litter.
    """
    model = repo(tmp_path / "undone")
    before = tree(model)
    done = writer(model, "edit=pkg/b.py")
    assert "pkg/b.py: somebody else has just changed it; nothing was written" in done.stderr
    mine = {**before, "pkg/b.py": (0o750, b"mine\n")}
    assert tree(model) == mine
    ends = []
    for number, root in enumerate(copies(tmp_path), 1):
        if writer(root, "edit=pkg/b.py", f"kill={number}").returncode != -signal.SIGKILL:
            break
        open_to_write(root)
        found = tree(root)
        found.pop(".skillrun", None)
        ends.append(found)
        assert not [path for path in found if ".skillrun" in path], number
        assert found.keys() <= {*before, *WANTED, "pkg/new", "pkg/new/deep"}
        assert found["other.txt"] == before["other.txt"]
        assert found["pkg/b.py"] in (before["pkg/b.py"], mine["pkg/b.py"])
        said = capsys.readouterr().err
        if found not in (before, mine):
            assert "pkg/b.py: changed after skillrun was interrupted" in said
    assert ends[0] == before
    assert ends[-1] == mine


# -- no room


def test_a_file_that_may_not_be_so_large(tmp_path: Path) -> None:
    root = repo(tmp_path / "repo")
    before = tree(root)
    done = writer(root, "limit=20000")
    assert "refused: " in done.stderr
    assert "nothing was changed" in done.stderr
    assert tree(root) == before


FULL = """
mount -t tmpfs -o size=$2 tmpfs "$1" && cp -a "$1-model/." "$1" && shift 2 || exit 99
"$@"; code=$?
rm -rf "$COPY"; mkdir "$COPY"; cp -a "$ROOT/." "$COPY"; exit $code
"""


@pytest.mark.parametrize(
    "size", ("24k", "28k", "60k", "100k", "120k", "124k", "128k", "132k", "136k", "180k")
)
def test_a_full_disk(tmp_path: Path, size: str) -> None:
    """A file system of a few pages: whatever does not fit any more, nothing is different
    afterwards.
    """
    model, root, copy = repo(tmp_path / "repo-model"), tmp_path / "repo", tmp_path / "copy"
    root.mkdir()
    shutil.rmtree(model / ".git")
    before = tree(model)
    (tmp_path / "full.sh").write_text(FULL)
    inside = (
        "env",
        f"ROOT={root}",
        f"COPY={copy}",
        "unshare",
        "-rm",
        "sh",
        str(tmp_path / "full.sh"),
        str(root),
        size,
    )
    done = writer(root, prefix=inside, wanted={**WANTED, "huge.py": "h = 1\n" * 10_000})
    if done.returncode not in (0, 1):
        pytest.skip(f"no file system can be mounted here: {done.stderr}")
    after = tree(copy)
    if done.returncode == 0:
        assert after["huge.py"][1].count(b"h") == 10_000
    else:
        assert "No space left on device; nothing was changed" in done.stderr
        assert after == before


# -- where journals cannot be kept


@pytest.mark.parametrize("kind", ("file", "link", "others"))
def test_without_a_place_for_the_journal_nothing_is_begun(tmp_path: Path, kind: str) -> None:
    root = repo(tmp_path / "repo")
    before = tree(root)
    place = state_dir() / "writing"
    place.parent.mkdir()
    if kind == "file":
        place.write_text("")
    elif kind == "link":
        (tmp_path / "elsewhere").mkdir()
        place.symlink_to(tmp_path / "elsewhere")
    else:
        place.mkdir()
        place.chmod(0o777)
    for command in (
        ("detect", "--write"),
        ("install", "agents"),
        ("spec", "init", "--set", "job=x"),
    ):
        done = run_cli(root, *command)
        assert done.returncode == 4, done.stdout
        said = done.stderr.splitlines()
        assert "what is about to be written cannot be noted there" in said[0]
        assert said[0].endswith("; nothing was written")
        assert "SKILLRUN_STATE_DIR" in said[1]
        assert len(said) == 2
        assert tree(root) == before
    assert not (tmp_path / "elsewhere").exists() or not list((tmp_path / "elsewhere").iterdir())


def test_a_state_folder_that_cannot_be_made(tmp_path: Path) -> None:
    root = repo(tmp_path / "repo")
    before = tree(root)
    done = run_cli(root, "install", "agents", SKILLRUN_STATE_DIR="/proc/none/state")
    assert (done.returncode, len(done.stderr.splitlines())) == (4, 2), done.stderr
    assert tree(root) == before


# -- somebody else at work


def test_a_write_that_is_alive_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "_PATIENCE_S", 0.1)
    root = repo(tmp_path / "repo")
    with hold_journal(root.resolve()):
        leave(root)
        open_to_write(root)
        assert (root / "a.py").read_bytes() == b"a = 1\r\n"
        with pytest.raises(Refused, match="another skillrun is writing here"):
            write(root, [Change("e.py", root.resolve() / "e.py", None, b"e\n")])
    open_to_write(root)
    assert (root / "a.py").read_bytes() == b"a = 2\n"


def test_many_at_once(tmp_path: Path, old_and_new: tuple[Any, Any]) -> None:
    """One of them writes; the others find what they wanted changed meanwhile."""
    root = repo(tmp_path / "repo")
    command = [sys.executable, str(WRITER), str(root), json.dumps(WANTED), "wait"]
    env = same_state()
    pipes: dict[str, Any] = {
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
    }
    processes = [subprocess.Popen(command, env=env, text=True, **pipes) for _ in range(6)]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    said = [process.communicate("\n")[1] for process in processes]
    assert sum(process.returncode == 0 for process in processes) == 1
    assert all("somebody else has just changed it" in text for text in said if text)
    assert tree(root) == old_and_new[1]


def test_a_folder_that_becomes_a_link(tmp_path: Path) -> None:
    """Between plan and write, somebody lets a folder lead out of the repository."""
    root = repo(tmp_path / "repo")
    files = Files(root)
    files.put("pkg/b.py", b"b = 2\n")
    files.put("pkg/new.py", b"n = 2\n")
    changes = files.changes()
    (root / "pkg").rename(tmp_path / "outside")
    (root / "pkg").symlink_to(tmp_path / "outside")
    before = tree(tmp_path)
    with pytest.raises(Refused, match="somebody else has just changed it"):
        write(root, changes)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("name", ("locks", "locks/scaffold.json"))
def test_the_note_of_a_scaffold_is_written_through_no_link(tmp_path: Path, name: str) -> None:
    """The repository holds a link where the note would come."""
    from skillrun.runner import written
    from skillrun.runner.changes import Plan

    root = repo(tmp_path / "repo")
    helpers.write_files(tmp_path, {"outside/scaffold.json": "theirs\n"})
    link = root / ".skillrun" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "outside" / ("scaffold.json" if "/" in name else ""))
    with contextlib.suppress(Refused):
        written.begin(root / ".skillrun" / "ledger.db", "run", Plan())
    assert (tmp_path / "outside" / "scaffold.json").read_text() == "theirs\n"
