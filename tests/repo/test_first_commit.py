"""The commit that the tests write themselves is the one that git would have made."""

from __future__ import annotations

from pathlib import Path

import helpers
import pytest
from first_commit import is_plain

FILES: dict[str, str | bytes] = {
    "a.py": "A = 1\n",
    "a/b.py": "B = 1\n",
    "a-b.py": "",
    "shop/deep/down/tasks.py": b"\x00\xff\r\n",
    "shop/tasks.py": "A = 1\n",
    "Makefile": "test:\n\ttrue\n",
}


def make_by_git(root: Path) -> Path:
    """As `build_tree`, by git alone."""
    root.mkdir()
    helpers.git(root, "init", "--quiet")
    helpers.write_files(root, FILES)
    helpers.git(root, "add", "--all")
    helpers.git(root, "commit", "--quiet", "--message", "First")
    return root


def test_it_has_the_id_that_git_gives_it_and_git_finds_nothing_to_say(tmp_path: Path) -> None:
    made, wanted = helpers.build_tree(tmp_path / "made", FILES), make_by_git(tmp_path / "git")
    assert helpers.git(made, "rev-parse", "HEAD") == helpers.git(wanted, "rev-parse", "main")
    assert helpers.git(made, "ls-files", "--stage") == helpers.git(wanted, "ls-files", "--stage")
    assert helpers.git(made, "status", "--porcelain") == ""
    assert helpers.git(made, "fsck", "--strict") == ""
    # What is added to it is a change, what is taken back is none.
    (made / "a.py").write_text("A = 2\n")
    (made / "new.py").write_text("")
    assert helpers.git(made, "status", "--porcelain").split() == ["M", "a.py", "??", "new.py"]


def test_no_files_are_a_commit_too(tmp_path: Path) -> None:
    made = helpers.build_tree(tmp_path / "made", {})
    assert helpers.git(made, "ls-tree", "-r", "HEAD") == ""
    assert helpers.git(made, "status", "--porcelain") == ""


@pytest.mark.parametrize(
    "name", [".gitignore", "a/.gitattributes", "\u00e9.py", "./a.py", "a//b.py", "../a.py", "/a.py"]
)
def test_what_git_reads_or_spells_itself_is_left_to_git(name: str) -> None:
    assert not is_plain(["a.py", name])
