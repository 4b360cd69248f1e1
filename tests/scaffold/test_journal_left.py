"""What a write that was killed left is finished by the next command, and seen by all others."""

from __future__ import annotations

import shutil
from pathlib import Path

import helpers
import pytest
from journals import READING, WRITING, journals, leave, repo, run_cli, tree

from skillrun.core.journal import Intent, Journal, draft_name

pytestmark = pytest.mark.real


@pytest.mark.parametrize("command", WRITING, ids=" ".join)
def test_the_next_command_that_writes_finishes_it(tmp_path: Path, command: tuple[str, ...]) -> None:
    root = repo(tmp_path / "repo")
    leave(root)
    done = run_cli(root, *command)
    assert "skillrun: finished what an interrupted skillrun was writing: a.py" in done.stderr
    assert (root / "a.py").read_text() == "a = 2\n"
    assert not [path for path in tree(root) if "writing" in path or path.startswith(".a.py")]
    assert journals() == []


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_a_command_that_reads_says_it_and_changes_nothing(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    root = repo(tmp_path / "repo")
    leave(root)
    before, left = tree(root), [path.read_bytes() for path in journals()]
    done = run_cli(root, *command)
    line = (
        "skillrun: an interrupted skillrun has written half of a.py; the next command that writes"
        " finishes it"
    )
    assert done.stderr.splitlines().count(line) == 1, done.stderr
    assert [path.read_bytes() for path in journals()] == left
    ours = (".skillrun",)  # a run keeps its ledger there
    now = {path: was for path, was in tree(root).items() if not path.startswith(ours)}
    assert now == before


def test_drafts_alone_are_said_and_removed(tmp_path: Path) -> None:
    root = repo(tmp_path / "repo")
    draft = draft_name("a.py")
    Journal(root).note_drafting(Intent((), (draft, draft_name("e.py")), ("new",)))
    helpers.write_files(root, {draft: "half of"})
    (root / "new").mkdir()
    assert "has left drafts here" in run_cli(root, "status").stderr
    assert (root / draft).exists()
    run_cli(root, "detect", "--write")
    assert not (root / draft).exists()
    assert not (root / "new").exists()
    assert journals() == []


def test_a_file_that_somebody_changed_since(tmp_path: Path) -> None:
    root = repo(tmp_path / "repo")
    leave(root, edited=True)
    done = run_cli(root, "detect", "--write")
    assert done.stderr.splitlines()[0].startswith(
        "skillrun: a.py: changed after skillrun was interrupted"
    )
    assert (root / "a.py").read_text() == "mine\n"
    assert not [path for path in tree(root) if "writing" in path or path.startswith(".a.py")]


def test_in_the_home_folder(tmp_path: Path, home: Path) -> None:
    root = repo(tmp_path / "repo")
    helpers.write_files(home, {"a.py": "a = 1\n"})
    leave(home)
    looked = run_cli(root, "install", "claude", "--user", "--dry-run", HOME=str(home))
    assert "has written half of a.py" in looked.stderr
    assert (home / "a.py").read_text() == "a = 1\n"
    done = run_cli(root, "install", "claude", "--user", HOME=str(home))
    assert "finished what an interrupted" in done.stderr
    assert (home / "a.py").read_text() == "a = 2\n"


def test_another_worktree_is_another_place(tmp_path: Path) -> None:
    """A copy, and what stands at the same path later, has files of its own."""
    root = repo(tmp_path / "repo")
    leave(root)
    shutil.copytree(root, tmp_path / "copy", symlinks=True)
    root.rename(tmp_path / "moved")
    shutil.copytree(tmp_path / "copy", root, symlinks=True)
    for other in (root, tmp_path / "copy", tmp_path / "moved"):
        done = run_cli(other, "detect", "--write")
        assert "interrupted" not in done.stderr
        assert (other / "a.py").read_bytes() == b"a = 1\r\n"
    shutil.rmtree(root)
    (tmp_path / "moved").rename(root)
    assert "finished what" in run_cli(root, "detect", "--write").stderr
