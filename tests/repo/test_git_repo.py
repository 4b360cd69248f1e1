"""Opening a checkout, and what a run has touched."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import helpers
import pytest

from skillrun.core.errors import RepoUnusable
from skillrun.repo.git import (
    Snapshot,
    _list_children,
    _read_time_asleep,
    _wait_for,
    list_touched,
    list_uncommitted,
    open_repo,
    take_snapshot,
)

MakeRepo = Callable[..., Path]


def test_a_checkout_is_opened_from_any_folder_in_it(make_repo: MakeRepo) -> None:
    root = make_repo({"shop/app.py": "x = 1\n"})
    repo = open_repo(root / "shop")
    assert (repo.root, repo.common_root) == (root, root)
    assert repo.head == helpers.git(root, "rev-parse", "HEAD")
    assert (repo.branch, repo.detached, repo.unborn, repo.worktree) == ("main", False, False, False)


def test_a_detached_head(make_repo: MakeRepo) -> None:
    root = make_repo({"a": "1"})
    helpers.git(root, "checkout", "--quiet", "--detach")
    repo = open_repo(root)
    assert (repo.branch, repo.detached, repo.unborn) == (None, True, False)


def test_an_unborn_head(tmp_path: Path) -> None:
    helpers.git(tmp_path, "init", "--quiet")
    repo = open_repo(tmp_path)
    assert (repo.head, repo.branch, repo.detached, repo.unborn) == (None, "main", False, True)


def test_a_linked_worktree_knows_the_main_checkout(make_repo: MakeRepo, tmp_path: Path) -> None:
    root = make_repo({"a": "1"})
    helpers.git(root, "worktree", "add", "--quiet", "-b", "side", str(tmp_path / "side"))
    repo = open_repo(tmp_path / "side")
    assert (repo.root, repo.common_root, repo.worktree) == (tmp_path / "side", root, True)


def test_a_worktree_of_a_bare_repository_stands_alone(make_repo: MakeRepo, tmp_path: Path) -> None:
    make_repo({"a": "1"})
    helpers.git(tmp_path, "clone", "--quiet", "--bare", "repo", "bare.git")
    helpers.git(tmp_path / "bare.git", "worktree", "add", "--quiet", str(tmp_path / "side"))
    assert open_repo(tmp_path / "side").common_root == tmp_path / "side"


def test_a_submodule_is_a_checkout_of_its_own(make_repo: MakeRepo, tmp_path: Path) -> None:
    make_repo({"a": "1"}, name="inner")
    root = make_repo({"b": "1"})
    helpers.git(root, "submodule", "add", "--quiet", str(tmp_path / "inner"), "sub")
    repo = open_repo(root / "sub")
    assert (repo.root, repo.common_root, repo.worktree) == (root / "sub", root / "sub", False)


@pytest.mark.parametrize("variable", ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"])
def test_a_surrounding_git_hook_does_not_redirect_it(
    make_repo: MakeRepo, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    root, other = make_repo({"a": "1"}), make_repo({"b": "1"}, name="other")
    monkeypatch.setenv(variable, str(other / ".git"))
    assert open_repo(root).root == root
    assert list_touched(open_repo(root), take_snapshot(open_repo(root))) == []


def check_refused(path: Path, words: str) -> RepoUnusable:
    with pytest.raises(RepoUnusable, match=words) as caught:
        open_repo(path)
    assert "\n" not in caught.value.message
    assert caught.value.hint
    return caught.value


def test_what_cannot_be_opened_is_refused_in_one_line(make_repo: MakeRepo, tmp_path: Path) -> None:
    root = make_repo({"a": "1"})
    helpers.git(tmp_path, "init", "--quiet", "--bare", "bare.git")
    (tmp_path / "plain").mkdir()
    check_refused(tmp_path / "absent", "does not exist")
    check_refused(root / "a", "is not a folder")
    check_refused(tmp_path / "plain", "no git repository")
    check_refused(tmp_path / "bare.git", "bare")
    check_refused(root / ".git", "git's own folder")


def test_a_missing_git_is_said(
    make_repo: MakeRepo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = make_repo({"a": "1"})
    monkeypatch.setenv("PATH", str(tmp_path))
    check_refused(root, "git is not installed")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_foreign_repository_names_the_command_that_trusts_it(make_repo: MakeRepo) -> None:
    root = make_repo({"a": "1"})
    for folder in (root, root / ".git"):
        os.chown(folder, 65534, 65534)
    assert "safe.directory" in str(check_refused(root, "another user").hint)


def run_changes(root: Path, change: Callable[[], object]) -> list[str]:
    """What `list_touched` says of a change; the snapshot goes through JSON, as the ledger keeps it."""
    repo = open_repo(root)
    start = Snapshot.from_json(json.loads(json.dumps(take_snapshot(repo).as_json())))
    change()
    return list_touched(open_repo(root), start)


def test_nothing_done_touches_nothing_also_in_a_dirty_tree(make_repo: MakeRepo) -> None:
    root = make_repo({"a": "1", "b": "1", "c": "1"})
    (root / "a").write_text("2")
    (root / "b").unlink()
    (root / "new").write_text("1")
    helpers.git(root, "rm", "--quiet", "--cached", "c")
    assert run_changes(root, lambda: None) == []
    assert run_changes(root, lambda: helpers.git(root, "add", "--all")) == []


def test_edits_new_files_and_deletions_count_committed_or_not(make_repo: MakeRepo) -> None:
    def change(root: Path) -> None:
        (root / "edited").write_text("2")
        (root / "gone").unlink()
        helpers.write_files(root, {"deep/new": "1"})

    root = make_repo({"edited": "1", "gone": "1", "same": "1"})
    assert run_changes(root, lambda: change(root)) == ["deep/new", "edited", "gone"]
    root = make_repo({"edited": "1", "gone": "1", "same": "1"}, name="second")
    assert run_changes(root, lambda: (change(root), helpers.commit(root))) == [
        "deep/new",
        "edited",
        "gone",
    ]


def test_a_file_that_was_dirty_counts_when_it_changes_again(make_repo: MakeRepo) -> None:
    root = make_repo({"a": "1", "b": "1"})
    helpers.write_files(root, {"a": "2", "b": "2", "untracked": "1"})
    changed = {"a": "3", "b": "1", "untracked": "2"}
    assert run_changes(root, lambda: helpers.write_files(root, changed)) == ["a", "b", "untracked"]


def test_a_file_put_back_does_not_count(make_repo: MakeRepo) -> None:
    root = make_repo({"a": "1"})
    (root / "dirty").write_text("1")

    def there_and_back() -> None:
        helpers.write_files(root, {"a": "2", "dirty": "2"})
        helpers.commit(root)
        helpers.write_files(root, {"a": "1", "dirty": "1"})
        os.utime(root / "a", (1, 1))

    assert run_changes(root, there_and_back) == []


def test_ignored_files_do_not_count(make_repo: MakeRepo) -> None:
    root = make_repo({".gitignore": "*.log\n"})
    assert run_changes(root, lambda: helpers.write_files(root, {"x.log": "1"})) == []


def test_a_mode_a_link_and_odd_names_count(make_repo: MakeRepo) -> None:
    root = make_repo({"script": "1", "kept": "1"})
    odd = os.fsdecode(b"n\xff\nline")

    def change() -> None:
        (root / "script").chmod(0o755)
        (root / "link").symlink_to("kept")
        (root / odd).write_text("1")

    assert run_changes(root, change) == sorted(["link", odd, "script"])


def test_leaving_the_index_is_no_change_of_the_file(make_repo: MakeRepo) -> None:
    root = make_repo({"a": "1"})
    assert run_changes(root, lambda: helpers.git(root, "rm", "--quiet", "--cached", "a")) == []


def test_the_first_commit_of_an_unborn_head(tmp_path: Path) -> None:
    helpers.git(tmp_path, "init", "--quiet")
    helpers.write_files(tmp_path, {"before": "1"})
    change = {"during": "1"}
    assert run_changes(
        tmp_path, lambda: (helpers.write_files(tmp_path, change), helpers.commit(tmp_path))
    ) == ["during"]


@pytest.mark.real
def test_a_submodule_is_one_path(make_repo: MakeRepo, tmp_path: Path) -> None:
    make_repo({"a": "1"}, name="inner")
    root = make_repo({"b": "1"})
    helpers.git(root, "submodule", "add", "--quiet", str(tmp_path / "inner"), "sub")
    helpers.commit(root)
    assert run_changes(root, lambda: None) == []
    assert run_changes(root, lambda: (root / "sub/a").write_text("2")) == ["sub"]
    assert run_changes(root, lambda: (root / "sub/a").write_text("3")) == ["sub"]
    assert run_changes(root, lambda: helpers.commit(root / "sub")) == ["sub"]


HIDING = ("--assume-unchanged", "--skip-worktree")


@pytest.mark.parametrize("how", HIDING)
def test_what_git_is_told_not_to_look_at_is_compared(make_repo: MakeRepo, how: str) -> None:
    root = make_repo({"a": "1", "rates.json": "1"})
    helpers.git(root, "update-index", how, "rates.json")
    assert list_uncommitted(open_repo(root)) == []
    (root / "rates.json").write_text("2")
    assert helpers.git(root, "status", "--short") == ""
    assert list_uncommitted(open_repo(root)) == ["rates.json"]


@pytest.mark.parametrize("how", HIDING)
def test_a_change_of_what_git_is_told_not_to_look_at_is_seen(make_repo: MakeRepo, how: str) -> None:
    """Whoever changes a file may hide it; and one that was hidden and edited before is the user's."""
    root = make_repo({"a": "1", "b": "1", "gone": "1"})

    def hide_and_edit() -> None:
        helpers.git(root, "update-index", how, "a", "gone")
        (root / "a").write_text("2")
        (root / "gone").unlink()

    assert run_changes(root, hide_and_edit) == ["a", "gone"]
    assert run_changes(root, lambda: None) == []
    assert run_changes(root, lambda: (root / "a").write_text("3")) == ["a"]
    assert run_changes(root, lambda: (root / "a").write_text("1")) == ["a"]


def test_what_a_sparse_checkout_leaves_out_is_no_change(make_repo: MakeRepo) -> None:
    root = make_repo({"one/a": "1", "two/b": "1"})
    helpers.git(root, "sparse-checkout", "set", "one")
    assert take_snapshot(open_repo(root)).dirty == {}
    assert run_changes(root, lambda: None) == []
    assert run_changes(root, lambda: (root / "one/a").write_text("2")) == ["one/a"]


def test_what_a_sparse_checkout_leaves_out_is_not_there(make_repo: MakeRepo) -> None:
    root = make_repo({"one/a": "1", "two/b": "1"})
    helpers.git(root, "sparse-checkout", "set", "one")
    assert list_uncommitted(open_repo(root)) == ["two/b"]
    helpers.git(root, "sparse-checkout", "disable")
    assert list_uncommitted(open_repo(root)) == []


@pytest.mark.real
def test_a_committed_link_is_held_with_what_it_leads_to(make_repo: MakeRepo) -> None:
    root = make_repo({"real.py": "1", ".gitignore": "own.py\n", "own.py": "1"})
    for name, target in {"a.py": "real.py", "b.py": "own.py", "c.py": "../out.py"}.items():
        (root / name).symlink_to(target)
    helpers.commit(root)
    repo = open_repo(root)
    assert list_uncommitted(repo, read=["a.py"]) == []
    assert list_uncommitted(repo, read=["b.py"]) == ["own.py"]
    assert list_uncommitted(repo, read=["c.py"]) == [str(root.resolve().parent / "out.py")]
    helpers.git(root, "update-index", "--assume-unchanged", "a.py")
    (root / "a.py").unlink()
    (root / "a.py").symlink_to(".gitignore")
    assert list_uncommitted(repo) == ["a.py"]


@pytest.mark.real
def test_a_file_of_a_submodule_is_held_by_the_commit_that_is_named(
    make_repo: MakeRepo, tmp_path: Path
) -> None:
    make_repo({"a.py": "1", ".gitignore": "own.py\n"}, name="inner")
    root = make_repo({"b": "1"})
    helpers.git(root, "submodule", "add", "--quiet", str(tmp_path / "inner"), "sub")
    helpers.commit(root)
    repo = open_repo(root)
    (root / "sub/own.py").write_text("1")
    assert list_uncommitted(repo, read=["sub/a.py"]) == []
    assert list_uncommitted(repo, read=["sub/own.py"]) == ["sub/own.py"]
    helpers.git(root / "sub", "update-index", "--assume-unchanged", "a.py")
    (root / "sub/a.py").write_text("2")
    assert list_uncommitted(repo) == ["sub"]
    assert list_uncommitted(repo, read=["sub/a.py"]) == ["sub", "sub/a.py"]


def test_no_hook_and_no_monitor_of_the_repository_runs(make_repo: MakeRepo, tmp_path: Path) -> None:
    root = make_repo({"a": "1"})
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\n")
    trap.chmod(0o755)
    helpers.git(root, "config", "core.fsmonitor", str(trap))
    shutil.copy(trap, root / ".git/hooks/post-index-change")
    (root / "a").write_text("2")
    assert list_touched(open_repo(root), Snapshot(open_repo(root).head)) == ["a"]
    assert not (tmp_path / "sprung").exists()


def test_a_start_commit_that_is_gone_is_said(make_repo: MakeRepo) -> None:
    root = make_repo({"a": "1"})
    with pytest.raises(RepoUnusable, match="git diff failed"):
        list_touched(open_repo(root), Snapshot("1" * 40))


@pytest.mark.real
@pytest.mark.parametrize(
    "name", (".gitattributes", ".gitignore", ".git/info/exclude", ".git/config", ".git/included")
)
def test_a_pipe_that_git_reads_is_said(make_repo: MakeRepo, name: str) -> None:
    """Git would wait for somebody who writes into it."""
    root = make_repo({"a": "1"})
    helpers.git(root, "config", "include.path", "included")
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).unlink(missing_ok=True)
    os.mkfifo(root / name)
    done = helpers.run_cli("run", "job-worker-orchestration", cwd=root, timeout=60)
    assert (done.returncode, len(done.stderr.splitlines())) == (4, 2), done.stderr
    assert f"{name}: a pipe or a device, not a file: git waits on it for ever" in done.stderr


def test_a_git_whose_child_is_at_work_is_not_said_to_sleep() -> None:
    command = ["sh", "-c", "sh -c 'while :; do :; done' & echo; wait"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as waiting:
        assert waiting.stdout is not None
        waiting.stdout.readline()
        (child,) = _list_children(waiting.pid)
        assert _read_time_asleep(waiting.pid) is None
        os.kill(child, signal.SIGKILL)


@pytest.mark.real
def test_a_git_that_sleeps_for_a_while_is_waited_for(make_repo: MakeRepo) -> None:
    """As on a disk of the network: it is idle for longer than a look, and there is no pipe."""
    root = make_repo({"a": "1"})
    with subprocess.Popen(["sleep", "14"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as slow:
        assert _wait_for(slow, b"", root)[0] == b""
