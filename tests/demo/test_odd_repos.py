"""The odd repositories are what their names say, as git sees it."""

from __future__ import annotations

import ast
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import fixtures_repos as odd
import helpers
import pytest

CHECKOUTS = (
    odd.plain,
    odd.example_shop,
    odd.detached,
    odd.dirty,
    odd.linked_worktree,
    odd.with_submodule,
    odd.hostile_names,
    odd.hostile_content,
    odd.django_shop,
    odd.two_apps,
    odd.no_framework,
    odd.no_files,
)


@pytest.mark.parametrize("build", CHECKOUTS, ids=lambda build: build.__name__)
def test_a_checkout_with_a_commit(build: Callable[[Path], Path], tmp_path: Path) -> None:
    root = build(tmp_path / "repo")
    assert Path(helpers.git(root, "rev-parse", "--show-toplevel")) == root
    assert len(helpers.git(root, "rev-parse", "HEAD")) == 40


@pytest.mark.parametrize(
    "build", (odd.plain, odd.django_shop, odd.two_apps, odd.no_framework), ids=lambda b: b.__name__
)
def test_its_python_parses(build: Callable[[Path], Path], tmp_path: Path) -> None:
    for path in build(tmp_path / "repo").rglob("*.py"):
        ast.parse(path.read_text())


def test_what_is_odd(tmp_path: Path) -> None:
    assert helpers.git(odd.bare(tmp_path / "bare"), "rev-parse", "--is-bare-repository") == "true"
    assert not (odd.no_git(tmp_path / "none") / ".git").exists()
    assert helpers.git(
        odd.unborn(tmp_path / "unborn"), "status", "--porcelain=v2", "--branch"
    ).startswith("# branch.oid (initial)")
    assert helpers.git(odd.detached(tmp_path / "detached"), "branch", "--show-current") == ""
    assert (odd.linked_worktree(tmp_path / "linked") / ".git").is_file()
    assert "160000" in helpers.git(
        odd.with_submodule(tmp_path / "sub"), "ls-files", "--stage", "vendor/lib"
    )


def test_the_dirty_tree_is_dirty_in_four_ways(tmp_path: Path) -> None:
    status = helpers.git(odd.dirty(tmp_path / "repo"), "status", "--porcelain").splitlines()
    assert sorted(line.strip() for line in status) == [
        "?? untracked.txt",
        "D gone.txt",
        "M  staged.txt",
        "M Procfile",
    ]


def test_hostile_names_are_in_the_commit(tmp_path: Path) -> None:
    root = odd.hostile_names(tmp_path / "repo")
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True
    ).stdout.split(b"\0")
    assert {b"shop/line\nbreak.py", b"shop/-rf.py"} <= set(names)


def test_many_files_are_many(tmp_path: Path) -> None:
    root = odd.many_files(tmp_path / "repo", 1200)
    assert len(helpers.git(root, "ls-files", "lots").splitlines()) == 1200
    assert helpers.git(root, "status", "--porcelain") == ""


def test_a_read_only_tree_cannot_be_written(tmp_path: Path) -> None:
    root = odd.plain(tmp_path / "repo")
    with odd.read_only(root) as prefix:
        write = [*prefix, "sh", "-c", f"echo x > '{root}/new' || exit 1; exit 0"]
        assert subprocess.run(write, capture_output=True, cwd=root).returncode == 1
        outside = [*prefix, "sh", "-c", f"echo x > '{tmp_path}/new'"]
        assert subprocess.run(outside, cwd=root).returncode == 0
    assert os.access(root, os.W_OK)
    assert not (root / "new").exists()
