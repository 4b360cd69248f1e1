"""One answer holds for whatever is made in the tree."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import helpers
import pytest
from consenting import covered, edit, give

# -- made here


def test_one_answer_holds_for_the_tree_whatever_is_edited_in_it(clone: Path) -> None:
    assert covered(clone)
    edit(clone)
    (clone / "new.py").write_text("print()\n")
    assert covered(clone)


def commit_twice(root: Path) -> None:
    edit(root)
    helpers.commit(root, "One")
    helpers.commit(root, "Two: merge: pull: of words")


def amend(root: Path) -> None:
    edit(root)
    helpers.git(root, "commit", "--all", "--quiet", "--amend", "--message", "Other words")


def commit_and_go_back(root: Path) -> None:
    commit_twice(root)
    helpers.git(root, "reset", "--quiet", "--hard", "HEAD~1")


def commit_on_a_branch(root: Path) -> None:
    helpers.git(root, "checkout", "--quiet", "-b", "work")
    commit_twice(root)
    helpers.git(root, "checkout", "--quiet", "main")
    helpers.git(root, "checkout", "--quiet", "work")


def squash(root: Path) -> None:
    commit_twice(root)
    helpers.git(root, "reset", "--quiet", "--soft", "HEAD~2")
    helpers.commit(root, "One of two")


def merge_own_branch(root: Path) -> None:
    commit_on_a_branch(root)
    helpers.git(root, "checkout", "--quiet", "main")
    helpers.git(root, "merge", "--quiet", "work")


def branch_off(root: Path) -> None:
    """A branch and main, each with a commit of its own."""
    helpers.git(root, "checkout", "--quiet", "-b", "work")
    edit(root)
    helpers.commit(root, "One")
    helpers.git(root, "checkout", "--quiet", "main")
    (root / "own.txt").write_text("mine\n")
    helpers.commit(root, "Beside it")


def merge_own_beside(root: Path) -> None:
    branch_off(root)
    helpers.git(root, "merge", "--quiet", "--no-edit", "work")


def merge_own_in_two_steps(root: Path) -> None:
    branch_off(root)
    helpers.git(root, "merge", "--quiet", "--no-commit", "work")
    assert covered(root)
    helpers.git(root, "commit", "--quiet", "--no-edit")


def squash_own_branch(root: Path) -> None:
    branch_off(root)
    helpers.git(root, "merge", "--quiet", "--squash", "work")
    assert covered(root)
    helpers.git(root, "commit", "--quiet", "--no-edit")


def stash_and_pop(root: Path) -> None:
    edit(root)
    helpers.git(root, "stash", "--quiet")
    assert covered(root)
    helpers.git(root, "stash", "pop", "--quiet")


def push_what_was_amended(root: Path) -> None:
    edit(root)
    helpers.commit(root, "One")
    helpers.git(root, "commit", "--quiet", "--amend", "--message", "Other words")
    helpers.git(root, "push", "--quiet", "origin", "HEAD:refs/heads/mine")


def stash_and_apply(root: Path) -> None:
    """The stash stays, with the same files."""
    edit(root)
    helpers.git(root, "stash", "--quiet")
    helpers.git(root, "stash", "apply", "--quiet")
    helpers.commit(root, "One")


def take_what_history_had(root: Path) -> None:
    """An edit is taken back in a commit that has something else besides."""
    commit_twice(root)
    helpers.git(root, "checkout", "--quiet", "HEAD~2", "--", "Makefile")
    (root / "own.txt").write_text("mine\n")
    helpers.commit(root, "Three")


def take_of_another_worktree(root: Path) -> None:
    side = root.with_name("side")
    helpers.git(root, "worktree", "add", "--quiet", "-b", "beside", str(side))
    edit(side)
    (side / "other.txt").write_text("mine\n")
    helpers.commit(side, "Made there")
    helpers.git(root, "checkout", "--quiet", "beside", "--", "Makefile")
    helpers.commit(root, "One")


def push_and_merge_it_there(root: Path) -> None:
    """Others merge it, and what they merge is fetched: the merge changed nothing of its own."""
    push_what_was_amended(root)
    there = root.with_name("upstream")
    (there / "their.txt").write_text("theirs\n")
    helpers.commit(there, "Beside it")
    helpers.git(there, "merge", "--quiet", "--no-edit", "mine")
    helpers.git(root, "fetch", "--quiet")
    (root / "own.txt").write_text("mine\n")
    helpers.commit(root, "Two")


def merge_own_with_conflict(root: Path) -> None:
    branch_off(root)
    edit(root, "test:\n\techo main\n")
    helpers.commit(root, "Another edit")
    with contextlib.suppress(AssertionError):  # it stops at the conflict
        helpers.git(root, "merge", "--quiet", "work")
    edit(root, "test:\n\techo both\n")
    helpers.git(root, "add", "--all")
    helpers.git(root, "commit", "--quiet", "--no-edit")


@pytest.mark.parametrize(
    "work",
    [
        *(commit_twice, amend, commit_and_go_back, commit_on_a_branch, squash, merge_own_branch),
        *(merge_own_beside, merge_own_in_two_steps, squash_own_branch, stash_and_pop),
        *(push_what_was_amended, stash_and_apply, take_what_history_had),
        *(take_of_another_worktree, push_and_merge_it_there, merge_own_with_conflict),
    ],
)
def test_what_is_committed_here_asks_nothing_more(
    clone: Path, work: Callable[[Path], None]
) -> None:
    work(clone)
    assert covered(clone)


def test_taking_back_the_last_commit_of_those_that_were_agreed_to_asks_nothing(
    upstream: Path, tmp_path: Path
) -> None:
    """Its tree is the one before, which is part of what was agreed to; only to stand there is
    not.
    """
    edit(upstream)
    helpers.commit(upstream, "Two")
    root = tmp_path / "later"
    helpers.git(tmp_path, "clone", "--quiet", str(upstream), str(root))
    give(root)
    helpers.git(root, "revert", "--no-edit", "HEAD")
    assert covered(root)


# Git before 2.42: "fatal: options not supported in --stdin mode".
OLDER_GIT = """\
#!/bin/sh
case " $* " in
*" log "*" --stdin"*)
    asked=$(cat)
    if printf '%s\\n' "$asked" | grep -q '^-'; then exit 128; fi
    printf '%s\\n' "$asked" | exec {git} "$@" ;;
*) exec {git} "$@" ;;
esac
"""


@pytest.mark.parametrize("work", [commit_twice, push_and_merge_it_there, stash_and_pop])
def test_an_older_git_lists_what_was_fetched(
    clone: Path, work: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    work(clone)
    program = clone.with_name("bin") / "git"
    program.parent.mkdir()
    program.write_text(OLDER_GIT.format(git=shutil.which("git")))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(program.parent), os.environ["PATH"]]))
    assert covered(clone)


def test_a_repository_before_its_first_commit(tmp_path: Path) -> None:
    root = tmp_path / "new"
    root.mkdir()
    helpers.git(root, "init", "--quiet")
    assert not covered(root)
    give(root)
    edit(root)
    helpers.commit(root, "First")
    helpers.commit(root, "Second")
    assert covered(root)


def test_what_git_forgets_of_its_own_steps_is_not_asked_again(clone: Path) -> None:
    commit_twice(clone)
    assert covered(clone)
    helpers.git(clone, "reflog", "expire", "--expire=all", "--all")
    assert covered(clone)
