"""A state folder that cannot be used, and a disk that is full: one line, and what to do."""

from __future__ import annotations

import os
from pathlib import Path

import helpers
import hostile
import pytest

SKILL = "job-worker-orchestration"
# No file can grow: what a full disk is like for whoever writes.
FULL = ("bash", "-c", 'ulimit -f 0; trap "" XFSZ; exec "$@"', "full")


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return helpers.build_tree(tmp_path / "repo", hostile.FILES)


def says(repo: Path, *args: str, code: int, **options: object) -> str:
    done = helpers.run_cli(*args, cwd=repo, timeout=60.0, **options)  # type: ignore[arg-type]
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_home_that_is_a_file_is_named_when_an_answer_is_taken_back(
    repo: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    env = {"SKILLRUN_STATE_DIR": str(tmp_path / "file" / "state")}
    said = says(repo, "trust", "--revoke", code=4, env=env)
    assert (
        "state/consent: the state folder cannot be used: Not a directory\n  do: set"
        " SKILLRUN_STATE_DIR" in said
    )


def test_a_pipe_in_the_place_of_the_answers_is_named(repo: Path, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    os.mkfifo(tmp_path / "state" / "consent")
    env = {"SKILLRUN_STATE_DIR": str(tmp_path / "state")}
    assert "state/consent: the state folder cannot be used" in says(
        repo, "trust", "--revoke", code=4, env=env
    )


def test_a_folder_in_the_place_of_the_key_is_named(repo: Path, tmp_path: Path) -> None:
    (tmp_path / "state" / "ledger.key").mkdir(mode=0o700, parents=True)
    (tmp_path / "state").chmod(0o700)
    said = says(repo, "run", SKILL, code=4, env={"SKILLRUN_STATE_DIR": str(tmp_path / "state")})
    assert "ledger.key: the state folder cannot be used: there is a folder" in said


def test_an_agent_that_gives_trust_is_told_whose_that_is(repo: Path) -> None:
    said = says(repo, "trust", code=4, env={"SKILLRUN_ACTOR": "agent"})
    assert (
        said
        == "skillrun: skillrun trust: agent is an agent, and this is for people to do\n  do: ask a"
        " person to do it\n"
    )


@pytest.mark.real
def test_a_full_disk_leaves_no_draft_and_names_the_file_that_was_asked_for(repo: Path) -> None:
    says(repo, "run", SKILL, code=4, prefix=FULL)
    assert sorted(path.name for path in (repo / ".skillrun").iterdir()) == ["jobs"]
    said = says(repo, "detect", "--write", code=4, prefix=FULL)
    assert ".skillrun-" not in said


def test_a_hook_says_what_to_do_about_a_ledger(repo: Path) -> None:
    (repo / ".skillrun" / "ledger.db").symlink_to("elsewhere.db")
    (repo / ".skillrun" / "elsewhere.db").write_text("")
    said = says(repo, "hook", "claude", "stop", code=0, input="{}")
    assert "LedgerUnusable" not in said
    assert "ledger.db: a symbolic link; nothing is held up\n  do: remove it" in said
