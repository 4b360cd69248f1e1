"""No command starts a program that a repository's git configuration names; reading commands change
nothing at all.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import helpers
import hostile_git
import pytest
import shops
import typer

from skillrun.cli.app import app
from skillrun.repo.git import list_touched, open_repo, run_git, take_snapshot

pytestmark = pytest.mark.real

SKILL = shops.SKILL
STATEMENT = "../statement.json"
READING = (
    "list",
    "list --json",
    f"show {SKILL}",
    f"show {SKILL} --json",
    "jobs",
    "jobs --json",
    "check .",
    "check . --json",
    "rules",
    "rules rq --json",
    "spec check",
    "spec check --json",
    "detect",
    "detect --json",
    "prove",
    "prove --json",
    "prove --list",
    "verify",
    "verify --format json",
    "status",
    "status --json",
    "why retry",
    "why retry --json",
    "next",
    "next --json",
    "comment nowhere.json",
    "lint shop/tasks.py .skillrun/jobs/send-receipt.yaml",
    "doctor",
    "doctor --json",
    "install claude --dry-run",
    "install github-actions --dry-run",
    "uninstall claude --dry-run",
    f"run {SKILL} --implement scaffold --dry-run",
    "ledger list",
    "ledger list --json",
    "ledger show RUN",
    "ledger show RUN --json",
    "ledger query runs",
    "ledger stats",
    "ledger stats --json",
    "ledger verify",
    "ledger verify --json",
    "ledger export --format jsonl",
    f"ledger archive --before 2020-01-01 --to {STATEMENT}",
    "ledger redact RUN --containing - --dry-run",
    "hook claude pre-tool",
)
WRITING = (
    f"run {SKILL}",
    f"run {SKILL} --json --new-run",
    f"run {SKILL} --trust",
    f"run {SKILL} --implement scaffold --trust",
    f"run {SKILL} --implement true --trust --attempts 1",
    "trust",
    "trust --revoke",
    "verify --ci",
    "prove --trust",
    "baseline --trust",
    "spec init --set job=other --set handler=shop.tasks:other",
    "detect --write",
    "install claude",
    "install agents",
    "install github-actions",
    "uninstall claude",
    "uninstall agents",
    "hook claude stop",
    "ledger import telemetry.jsonl",
    "ledger redact RUN",
    "ledger ship --to postgresql://nobody@127.0.0.1:1/none",
    "ledger anchor",
    "ledger anchor --json",
    f"ledger anchor --to {STATEMENT}",
    "ledger anchor --to intoto statement.json",
)
LASTING = ("mcp", "ledger serve")
ELSEWHERE = ("demo",)  # it makes a repository of its own
FINE = (0, 1, 2, 3, 4)


@dataclass(frozen=True)
class Attacked:
    root: Path
    markers: hostile_git.Markers
    run: str


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Attacked:
    """With a run in its ledger, so that every command has something to say."""
    root = tmp_path_factory.mktemp("hostile") / "repo"
    markers = hostile_git.repository(root)
    shops.run(root, code=3)
    (run,) = shops.select(shops.ledger_of(root), "select run_id from run")
    return Attacked(root, markers, run["run_id"])


def call(attacked: Attacked, command: str) -> subprocess.CompletedProcess[str]:
    hostile_git.age(attacked.root)
    words = [attacked.run if word == "RUN" else word for word in command.split()]
    payload = json.dumps({"hook_event_name": "Stop", "cwd": str(attacked.root), "session_id": "1"})
    done = helpers.run_cli(*words, cwd=attacked.root, input=payload, timeout=300)
    assert done.returncode in FINE, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done


def test_the_programs_are_really_there(tmp_path: Path) -> None:
    """Git itself starts them: a test that saw none would prove nothing."""
    root = tmp_path / "repo"
    markers = hostile_git.repository(root)
    (root / "shop" / "tasks.py").write_text("x = 1\n")
    hostile_git.age(root)
    hostile_git.ask_git(root, "status")
    assert {"fsmonitor", "filter-process"} <= markers.take()
    # That program does not speak git's language, and git ends there.
    helpers.git(root, "config", "filter.process.process", "")
    hostile_git.ask_git(root, "status")
    filters = {
        f"filter-{name}" for name in ("plain", "a=b", "", "lfs", "inner", "included", "worktree")
    }
    assert filters | {"inner-fsmonitor"} <= markers.take()
    hostile_git.ask_git(root, "diff", "main", "HEAD")
    assert {"diff-command"} <= markers.take()
    hostile_git.ask_git(root, "show", "HEAD")
    assert {"textconv"} <= markers.take()
    hostile_git.ask_git(root, "worktree", "add", str(tmp_path / "other"))
    assert {"path-post-checkout", "filter-plain"} <= markers.take()
    hostile_git.make_partial(root)
    hostile_git.ask_git(root, "show", "main:shop/mailer.py")
    assert "ext" in markers.take()


@pytest.mark.parametrize("command", READING)
def test_a_command_that_reads(attacked: Attacked, command: str) -> None:
    before = shops.listing(attacked.root)
    call(attacked, command)
    assert attacked.markers.take() == set()
    after = shops.listing(attacked.root)
    assert {
        path for path in {*before, *after} if before.get(path) != after.get(path)
    } - VERIFIED == set()


VERIFIED = {".git/worktrees"}  # an empty folder, which git leaves


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which skillrun has never run."""
    return shops.shop(tmp_path_factory.mktemp("untouched") / "repo")


@pytest.mark.parametrize("command", [line for line in READING if "RUN" not in line])
def test_a_command_that_reads_begins_nothing(untouched: Path, command: str) -> None:
    """No ledger, no folder, no note in the state folder."""
    home = untouched.with_name("repo.home")
    before = shops.listing(untouched)
    done = helpers.run_cli(*command.split(), cwd=untouched, input="{}", timeout=300)
    assert done.returncode in FINE, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    after = shops.listing(untouched)
    assert {
        path for path in {*before, *after} if before.get(path) != after.get(path)
    } - VERIFIED == set()
    assert not (home / "state").exists()


@pytest.mark.parametrize("command", WRITING)
def test_a_command_that_writes(attacked: Attacked, command: str) -> None:
    call(attacked, command)
    assert attacked.markers.take() == set()


@pytest.mark.parametrize("command", LASTING)
def test_a_command_that_lasts(attacked: Attacked, command: str) -> None:
    """MCP, each of whose tools is one of the others in a process; and the pages of the ledger."""
    hostile_git.age(attacked.root)
    env = helpers.clean_env(attacked.root.with_name("repo.home"))
    words = [sys.executable, "-m", "skillrun", *command.split()]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(words, cwd=attacked.root, env=env, text=True, **pipes)  # type: ignore[call-overload]
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert "Traceback" not in said
    assert attacked.markers.take() == set()


def commands(of: typer.Typer, before: str = "") -> Iterator[str]:
    for command in of.registered_commands:
        yield f"{before}{command.name}"
    for group in of.registered_groups:
        assert group.typer_instance is not None
        yield from commands(group.typer_instance, f"{before}{group.name} ")


def test_every_command_is_here() -> None:
    known = (*READING, *WRITING, *LASTING, *ELSEWHERE)
    for command in commands(app):
        assert any(line == command or line.startswith(f"{command} ") for line in known), command


@pytest.mark.parametrize("command", ("verify --ci", f"run {SKILL}", "status", "detect", "doctor"))
def test_nothing_is_fetched(tmp_path: Path, command: str) -> None:
    """A partial clone names the program that would bring what it lacks."""
    root = tmp_path / "repo"
    attacked = Attacked(root, hostile_git.repository(root), "-")
    hostile_git.make_partial(root)
    done = call(attacked, command)
    assert attacked.markers.take() == set()
    if command.startswith("verify"):
        assert done.returncode == 4
        assert (
            "this clone lacks objects of its history, and skillrun fetches nothing" in done.stderr
        )
        assert "do: get them: git fetch --refetch --no-filter" in done.stderr


# -- and yet git tells what is so


def test_what_a_filter_would_have_hidden_is_no_change(tmp_path: Path) -> None:
    """Line ends are git's own doing, and stay: files with CR LF are the same as those that are
    committed.
    """
    root = helpers.build_tree(
        tmp_path / "repo", {".gitattributes": "* text=auto eol=crlf\n", "a.txt": "1\n2\n"}
    )
    helpers.git(root, "config", "filter.plain.clean", "false")
    (root / "a.txt").unlink()
    helpers.git(root, "checkout", "--", "a.txt")
    assert (root / "a.txt").read_bytes() == b"1\r\n2\r\n"
    repo = open_repo(root)
    before = take_snapshot(repo)
    assert before.dirty == {}
    (root / "a.txt").touch()
    assert list_touched(repo, before) == []
    (root / "a.txt").write_bytes(b"1\r\n3\r\n")
    assert list_touched(repo, before) == ["a.txt"]


CLEAN = """
import hashlib, sys
data = sys.stdin.buffer.read()
print("version https://git-lfs.github.com/spec/v1")
print(f"oid sha256:{hashlib.sha256(data).hexdigest()}")
print(f"size {len(data)}")
"""


def test_a_file_that_git_lfs_keeps_elsewhere_is_no_change(tmp_path: Path) -> None:
    """Its pointer is what git holds; skillrun compares the two itself."""
    root = tmp_path / "repo"
    helpers.build_tree(root, {"README": "x\n"})
    (tmp_path / "clean.py").write_text(CLEAN)
    helpers.git(root, "config", "filter.lfs.clean", f"{sys.executable} {tmp_path / 'clean.py'}")
    files: dict[str, str | bytes] = {
        ".gitattributes": "*.bin filter=lfs -text\n",
        "a.bin": b"\0" * 5000,
    }
    helpers.write_files(root, files)
    helpers.commit(root)
    assert helpers.git(root, "show", "HEAD:a.bin").startswith("version https://git-lfs")
    (root / "a.bin").touch()
    repo = open_repo(root)
    before = take_snapshot(repo)
    assert before.dirty == {}
    assert list_touched(repo, before) == []
    (root / "a.bin").write_bytes(b"\1" * 5000)
    assert list_touched(repo, before) == ["a.bin"]
    assert list(take_snapshot(repo).dirty) == ["a.bin"]


def test_an_edit_in_a_submodule_is_seen(tmp_path: Path) -> None:
    root = tmp_path / "repo"
    markers = hostile_git.repository(root)
    repo = open_repo(root)
    before = take_snapshot(repo)
    assert "sub" not in before.dirty
    (root / "sub" / "a.txt").write_text("2\n")
    assert list_touched(repo, before) == ["sub"]
    assert "sub" in take_snapshot(repo).dirty
    assert markers.take() == set()


def test_files_that_lie_elsewhere_are_not_the_repository(tmp_path: Path) -> None:
    """`core.worktree` would have a command write into any folder."""
    root = helpers.build_tree(tmp_path / "repo", {"a": "1\n"})
    for where in (tmp_path, tmp_path / "victim"):
        where.mkdir(exist_ok=True)
        helpers.git(root, "config", "core.worktree", str(where))
        done = helpers.run_cli("detect", "--write", cwd=root)
        assert done.returncode == 4, done.stdout
        assert "its git configuration says that its files lie elsewhere" in done.stderr
        assert not (where / "REPO_PROFILE.json").exists()


def test_a_git_folder_apart_is_the_repository(tmp_path: Path) -> None:
    root = tmp_path / "repo"
    helpers.git(
        tmp_path, "init", "--quiet", "--separate-git-dir", str(tmp_path / "apart"), str(root)
    )
    assert open_repo(root).root == root


def test_a_configuration_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    root = helpers.build_tree(tmp_path / "repo", {"a": "1\n"})
    with (root / ".git" / "config").open("a") as file:
        file.write("[broken\n")
    done = helpers.run_cli("status", cwd=root)
    assert (done.returncode, len(done.stderr.splitlines())) == (4, 2), done.stderr


def test_options_of_git_itself_do_not_hide_the_command(tmp_path: Path) -> None:
    root = tmp_path / "repo"
    markers = hostile_git.repository(root)
    run_git(root, "-c", "core.autocrlf=false", "status", "--porcelain", "--ignore-submodules=dirty")
    assert markers.take() == set()
