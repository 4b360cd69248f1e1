"""A journal that somebody forged leads nowhere."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import helpers
import pytest
from journals import READING, WRITING, journals, leave, repo, run_cli, step, tree, writer

from skillrun.core.errors import Refused
from skillrun.core.files import Files, write
from skillrun.core.journal import LEFTOVER, Place
from skillrun.core.state import state_dir
from skillrun.repo import stray_journal
from skillrun.repo.git import open_to_write

pytestmark = pytest.mark.real


def forged(root: Path, *steps: dict[str, Any], drafts: tuple[str, ...] = ()) -> str:
    """A journal that says that all is ready."""
    place = asdict(Place.find(root))
    value = {
        "version": 2,
        "state": "ready",
        "place": place,
        "steps": steps,
        "drafts": drafts,
        "folders": [],
    }
    return json.dumps(value)


def put_journal(root: Path, text: str | bytes) -> Path:
    """As the user's own file."""
    (state_dir() / "writing").mkdir(parents=True, mode=0o700)
    path = state_dir() / "writing" / f"{Place.find(root).key}.json"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(
    ("path", "draft", "drafts"),
    (
        ("../out.py", "../.out.py.skillrun-1", ()),
        ("pkg/../../out.py", "pkg/../../.out.py.skillrun-1", ()),
        ("link/out.py", "link/.out.py.skillrun-1", ()),
        (".git/hooks/post-checkout", ".git/hooks/.post-checkout.skillrun-1", ()),
        (".GIT/hooks/post-checkout", ".GIT/hooks/.post-checkout.skillrun-1", ()),
        ("a.py", "other.txt", ()),
        ("a.py", "pkg/.a.py.skillrun-1", ()),
        ("a.py", None, ("other.txt",)),
        ("a.py", None, ("../.out.py.skillrun-1",)),
        ("a.py", None, ("link/.out.py.skillrun-1",)),
    ),
)
def test_a_journal_leads_nowhere_else(
    tmp_path: Path, path: str, draft: str | None, drafts: tuple[str, ...]
) -> None:
    """Whatever it says, and whatever the repository has put in the place of a folder since."""
    root = repo(tmp_path / "repo")
    (root / "link").symlink_to(tmp_path)
    names = (
        "../.out.py.skillrun-1",
        ".git/hooks/.post-checkout.skillrun-1",
        "pkg/.a.py.skillrun-1",
    )
    (root / ".git" / "hooks").mkdir(exist_ok=True)
    helpers.write_files(root, dict.fromkeys(names, "forged\n"))
    if path == "a.py" and draft is None and drafts == ("link/.out.py.skillrun-1",):
        path = "gone-already.py"  # nothing is in the way of this step
    before = tree(tmp_path)
    put_journal(root, forged(root, step(path, draft, root), drafts=drafts))
    open_to_write(root)
    assert tree(tmp_path) == before
    assert not (root / ".git" / "hooks" / "post-checkout").exists()
    assert journals() == []


@pytest.mark.parametrize(
    "text", ("", "{", "[1]", '{"state": "ready"}', "[" * 100_000, '{"steps": [{"path": 1}]}')
)
def test_a_journal_that_is_none(tmp_path: Path, text: str) -> None:
    root = repo(tmp_path / "repo")
    put_journal(root, text)
    run_cli(root, "status")
    open_to_write(root)
    assert journals() == []


@pytest.mark.parametrize("kind", ("pipe", "link", "others", "elsewhere"))
def test_a_journal_of_somebody_else(tmp_path: Path, kind: str) -> None:
    """One that others could have written, or that speaks of another folder, moves nothing; nobody
    waits for it.
    """
    root = repo(tmp_path / "repo")
    draft = ".a.py.skillrun-1"
    helpers.write_files(root, {draft: "forged\n"})
    path = put_journal(root, forged(root, step("a.py", draft, root), drafts=(draft,)))
    if kind == "pipe":
        path.unlink()
        os.mkfifo(path)
    elif kind == "link":
        path.rename(tmp_path / "kept")
        path.symlink_to(tmp_path / "kept")
    elif kind == "others":
        path.chmod(0o666)
    else:
        path.write_text(path.read_text().replace(f'"inode": {root.stat().st_ino}', '"inode": 1'))
    assert "has left drafts here" in run_cli(root, "status").stderr
    open_to_write(root)
    assert (root / "a.py").read_bytes() == b"a = 1\r\n"
    assert (root / draft).exists()


def commit_journal(root: Path) -> None:
    """A repository that brings one: it would have a bad file replaced by a good one, and another
    one removed.
    """
    draft = ".a.py.skillrun-1"
    helpers.write_files(root, {draft: "good = 1\n"})
    text = forged(root, step("a.py", draft, root), step("other.txt", None, root), drafts=(draft,))
    helpers.write_files(root, {LEFTOVER: text})
    helpers.git(root, "add", "--force", "--all")
    helpers.git(root, "commit", "--quiet", "--message", "A journal")


@pytest.mark.parametrize("command", (*READING, *WRITING), ids=" ".join)
def test_a_journal_in_the_repository_is_not_followed(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    """It is said once, also where a verification makes a checkout that has it too."""
    root = repo(tmp_path / "repo")
    helpers.write_files(root, {".skillrun/jobs/x.yaml": "version: 1\njob: x\n"})
    commit_journal(root)
    (root / ".skillrun" / "jobs" / "x.yaml").rename(root / ".skillrun" / "jobs" / "y.yaml")
    before = {
        name: (root / name).read_bytes()
        for name in ("a.py", "other.txt", LEFTOVER, ".a.py.skillrun-1")
    }
    done = run_cli(root, *command)
    assert done.stderr.count(f"skillrun: {LEFTOVER} is not followed") == 1, done.stderr
    assert {name: (root / name).read_bytes() for name in before} == before


def told(root: Path) -> bool:
    return f"{LEFTOVER} is not followed" in run_cli(root, "status").stderr


def test_a_journal_in_the_repository_is_told_of_once(tmp_path: Path) -> None:
    """By each user, of each repository, until it is another journal."""
    root = repo(tmp_path / "repo")
    commit_journal(root)
    assert [told(root) for _ in range(3)] == [True, False, False]
    (root / LEFTOVER).write_text("{}")
    assert [told(root) for _ in range(2)] == [True, False]
    other = repo(tmp_path / "other")
    commit_journal(other)
    assert told(other)


class Terminal(io.StringIO):
    """Where a person reads."""

    def isatty(self) -> bool:
        return True


def test_what_a_hook_was_told_a_person_is_told_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = repo(tmp_path / "repo")
    commit_journal(root)
    said = []
    for stream in (io.StringIO(), io.StringIO(), Terminal(), Terminal()):
        monkeypatch.setattr(stray_journal, "_MET", set())  # each is a process of its own
        monkeypatch.setattr(sys, "stderr", stream)
        said.append(stray_journal.explain_stray(root) is not None)
    assert said == [True, False, True, False]


def test_what_cannot_be_remembered_is_told_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = repo(tmp_path / "repo")
    commit_journal(root)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SKILLRUN_STATE_DIR", str(tmp_path / "file" / "state"))
    assert [told(root) for _ in range(2)] == [True, True]
    # What lies in the repository came with it: it could say that all is known.
    monkeypatch.setenv("SKILLRUN_STATE_DIR", str(root / "state"))
    assert [told(root) for _ in range(2)] == [True, True]


def test_a_folder_that_leads_out(tmp_path: Path) -> None:
    root = repo(tmp_path / "repo")
    leave(root)
    (tmp_path / "outside").mkdir()
    (root / ".skillrun").symlink_to(tmp_path / "outside")
    with pytest.raises(Refused, match="a symbolic link; nothing was written"):
        open_to_write(root)
    assert list((tmp_path / "outside").iterdir()) == []
    assert (root / "a.py").read_bytes() == b"a = 1\r\n"
    files = Files(root)
    files.put("e.py", b"e = 1\n")
    with pytest.raises(Refused, match="a symbolic link; nothing was written"):
        write(root, files.changes())


def test_a_folder_that_became_a_link_after_the_crash(tmp_path: Path) -> None:
    """The drafts of a write that died lie in a folder whose place a link has taken: nothing outside
    is moved.
    """
    root = repo(tmp_path / "repo")
    done = writer(
        root, "kill=20", wanted={"pkg/b.py": "b = 2\n", "pkg/c.py": "c = 2\n", "a.py": "a = 2\n"}
    )
    assert done.returncode == -signal.SIGKILL
    assert journals()
    (root / "pkg").rename(tmp_path / "outside")
    (root / "pkg").symlink_to(tmp_path / "outside")
    before = tree(tmp_path / "outside")
    open_to_write(root)
    assert tree(tmp_path / "outside") == before
    assert journals() == []
