"""Names that nobody means well with: bytes that are no text, and folders deeper than a stack."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import helpers
import hostile
import pytest
from rows import real_but

PATIENCE_S = 60.0
SKILL = "job-worker-orchestration"
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("detect",),
    ("detect", "--json"),
    ("detect", "--write"),
    ("run", SKILL),
    ("run", SKILL, "--implement", "scaffold", "--dry-run"),
    ("status",),
    ("verify", "--ci"),
    ("verify", "--ci", "--format", "sarif"),
    ("prove", "--list"),
    ("spec", "check"),
)
TASK = b"""\
import time

from celery import Celery

app = Celery("shop")


@app.task
def work(order_id):
    while True:
        time.sleep(1)
"""
# Each of these is looked at by another part: code, a start, a package, a test, a manifest.
ODD_NAMES = (
    b"shop/\xff\xfe.py",
    b"shop/__main__\xff.py",
    b"\xff/__main__.py",
    b"\xff/management/commands/poll.py",
    b"tests/test_\xff.py",
    b"\xfe/Makefile",
    b"\xfe/requirements.txt",
    b"src/\xff.ts",
    b"docs/\xc3.md",
)


def ends_well(repo: Path, *args: str) -> str:
    done = helpers.run_cli(*args, cwd=repo, timeout=PATIENCE_S)
    assert done.returncode in (0, 1, 2, 3, 4), done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    repo = helpers.build_tree(tmp_path / "repo", hostile.FILES)
    for name in ODD_NAMES:
        path = repo / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(TASK)
    helpers.commit(repo)
    return repo


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    repo = helpers.build_tree(tmp_path / "repo", hostile.FILES)
    folder = os.open(repo, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=folder)
        inner = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    file = os.open("deep.py", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=folder)
    os.write(file, TASK)
    os.close(file)
    os.close(folder)
    helpers.commit(repo)
    yield repo
    # Python's own removal of a tree would be too deep for its stack.
    subprocess.run(["rm", "-rf", str(repo)], check=True)


@pytest.mark.real
@pytest.mark.parametrize("args", real_but(COMMANDS, ("detect",), ("run", SKILL)), ids=" ".join)
def test_a_name_that_is_no_text_stops_no_command(odd: Path, args: tuple[str, ...]) -> None:
    ends_well(odd, *args)


def test_a_profile_names_it_so_that_it_is_read_back(odd: Path) -> None:
    ends_well(odd, "detect", "--write")
    assert r"\udcff" in (odd / "REPO_PROFILE.json").read_text(encoding="utf-8")
    assert "cannot be read" not in ends_well(odd, "detect")


@pytest.mark.real
def test_a_job_spec_of_such_a_name_stops_no_command(tmp_path: Path) -> None:
    files = {name: data for name, data in hostile.FILES.items() if not name.endswith(".yaml")}
    files[os.fsdecode(b".skillrun/jobs/\xff.yaml")] = hostile.SPEC
    repo = helpers.build_tree(tmp_path / "repo", files)
    for args in COMMANDS:
        ends_well(repo, *args)


@pytest.mark.real
def test_folders_deeper_than_the_stack_stop_no_command(deep: Path) -> None:
    for args in COMMANDS:
        ends_well(deep, *args)


@pytest.mark.parametrize(
    "name", ["Makefile", ".github/workflows/ci.yml", "pyproject.toml", "shop/big.py"]
)
def test_gigabytes_in_the_place_of_a_file_hold_no_command_up(tmp_path: Path, name: str) -> None:
    repo = helpers.build_tree(tmp_path / "repo", hostile.FILES)
    (repo / name).parent.mkdir(parents=True, exist_ok=True)
    with (repo / name).open("wb") as file:
        file.truncate(3_000_000_000)
    ends_well(repo, "detect", "--json")
