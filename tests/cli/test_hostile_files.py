"""A file that nobody means well with: every command that opens it ends at once, with one line and a
designed code.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import helpers
import hostile
import pytest

CODES = (0, 1, 2, 3, 4)  # what success, partial, misuse, blocked and refused end with
PATIENCE_S = 60.0  # many times what any of these takes on a busy machine; a hang is for ever
# Of the quick rows: a pipe, where a command would hang, is put before every command; the others, which
# one way of opening and parsing answers, before the first command of each file.
HANGS = "pipe"
QUICK_KINDS = ("device", "million brackets", "surrogate", "no target", "loop")
QUICK_NAMES = (
    "REPO_PROFILE.json",
    ".claude/skills/local/SKILL.md",
    ".skillrun/ledger.db",
    ".mcp.json",
)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return helpers.build_tree(tmp_path_factory.mktemp("hostile") / "repo", hostile.FILES)


@pytest.fixture
def repo(kept: Path, tmp_path: Path) -> Path:
    return shutil.copytree(kept, tmp_path / "repo", symlinks=True)


def ends_well(repo: Path, *args: str) -> None:
    done = helpers.run_cli(*args, cwd=repo, timeout=PATIENCE_S)
    assert done.returncode in CODES, done.stderr
    assert "Traceback" not in done.stderr
    if done.returncode == 4:
        told = [line for line in done.stderr.splitlines() if line.startswith("skillrun: ")]
        assert told, done.stderr
        assert len(told[0]) < 400


def given(*, quick: bool) -> Iterator[tuple[tuple[str, ...], str]]:
    for args in hostile.GIVEN:
        for kind in hostile.BAD:
            if (kind == HANGS) == quick:
                yield args, kind


@pytest.mark.real
@pytest.mark.parametrize("name", QUICK_NAMES)
def test_a_pipe_opened_by_its_name_stops_no_command(repo: Path, name: str) -> None:
    hostile.put(repo, name, HANGS)
    for args in hostile.OPENED[name]:
        ends_well(repo, *args)


@pytest.mark.parametrize("kind", QUICK_KINDS)
@pytest.mark.parametrize("name", QUICK_NAMES)
def test_a_file_opened_by_its_name_stops_nothing(repo: Path, name: str, kind: str) -> None:
    hostile.put(repo, name, kind)
    ends_well(repo, *hostile.OPENED[name][0])


@pytest.mark.hostile
@pytest.mark.parametrize("kind", hostile.BAD)
@pytest.mark.parametrize("name", hostile.OPENED)
def test_no_file_opened_by_its_name_stops_a_command(repo: Path, name: str, kind: str) -> None:
    for args in hostile.OPENED[name]:
        hostile.put(repo, name, kind)
        ends_well(repo, *args)


def is_verified_well(repo: Path, name: str, kind: str) -> None:
    """As a commit on a base that has nothing of it: the wall reads blobs, and no working tree."""
    hostile.put(repo, name, kind)
    helpers.git(repo, "add", "--all", "--force")
    helpers.commit(repo)
    done = helpers.run_cli("verify", "--ci", "--base", "HEAD~1", cwd=repo, timeout=3 * PATIENCE_S)
    assert done.returncode in CODES, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    # It was compared, or there is no spec any more that could be.
    assert "changes  against HEAD~1" in done.stdout or done.stderr.startswith("skillrun: ")


COMMITTED_NAMES = ("REPO_PROFILE.json", ".skillrun/jobs/send.yaml", "Makefile", "policy/fleet.json")


@pytest.mark.real
@pytest.mark.parametrize("kind", ["million brackets", "device"])
@pytest.mark.parametrize("name", COMMITTED_NAMES)
def test_a_committed_file_stops_no_verification(repo: Path, name: str, kind: str) -> None:
    is_verified_well(repo, name, kind)


@pytest.mark.hostile
@pytest.mark.parametrize("kind", sorted(hostile.BAD.keys() - {*hostile.UNKEPT}))
@pytest.mark.parametrize("name", [name for name in hostile.OPENED if name != ".skillrun/ledger.db"])
def test_no_committed_file_stops_one_either(repo: Path, name: str, kind: str) -> None:
    is_verified_well(repo, name, kind)


@pytest.mark.parametrize(("args", "kind"), list(given(quick=True)))
def test_a_file_given_on_the_command_line_stops_nothing(
    repo: Path, args: tuple[str, ...], kind: str
) -> None:
    path = hostile.put(repo, "given.bad", kind)
    ends_well(repo, *(word.replace("FILE", str(path)) for word in args))


@pytest.mark.hostile
@pytest.mark.parametrize(("args", "kind"), list(given(quick=False)))
def test_no_other_given_file_does_either(repo: Path, args: tuple[str, ...], kind: str) -> None:
    path = hostile.put(repo, "given.bad", kind)
    ends_well(repo, *(word.replace("FILE", str(path)) for word in args))


@pytest.mark.real  # git itself is waited for
@pytest.mark.parametrize("name", [".gitignore", "deep/down/.gitattributes"])
def test_a_pipe_that_git_would_wait_for_is_named(repo: Path, name: str) -> None:
    hostile.put(repo, name, "pipe")
    (repo / name).parent.joinpath("new.py").write_text("x = 1\n")
    done = helpers.run_cli("detect", cwd=repo, timeout=PATIENCE_S)
    if name == ".gitignore":
        assert done.returncode == 4
        assert f"{name}: a pipe or a device, not a file" in done.stderr
    else:
        assert done.returncode in CODES


def test_a_profile_that_is_a_pipe_is_said_to_be_one(repo: Path) -> None:
    hostile.put(repo, "REPO_PROFILE.json", "pipe")
    done = helpers.run_cli("detect", cwd=repo, timeout=PATIENCE_S)
    assert done.returncode == 4
    assert done.stderr.startswith(
        "skillrun: REPO_PROFILE.json: cannot be read: a pipe, not a file\n"
    )


def test_a_file_behind_a_link_is_read_as_ever(repo: Path) -> None:
    (repo / "REPO_PROFILE.json").symlink_to("profile.json")
    (repo / "profile.json").write_text('{"commands": {"test": "true"}}')
    done = helpers.run_cli("detect", cwd=repo)
    assert "cannot be read" not in done.stderr


@pytest.mark.parametrize(
    "payload", ['{"cwd": "\\ud800"}', "[" * 3_000, '{"cwd": "\\u0000"}', "\x00", "{}"]
)
@pytest.mark.parametrize("agent", ["claude", "codex", "cursor", "gemini"])
def test_no_payload_stops_a_hook(repo: Path, agent: str, payload: str) -> None:
    done = helpers.run_cli("hook", agent, "stop", cwd=repo, input=payload, timeout=PATIENCE_S)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
