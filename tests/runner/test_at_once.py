"""Several invocations at the same time: of one run, and of eight runs in one ledger."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import helpers
import pytest
import shops

pytestmark = pytest.mark.real  # seconds each

SLOW = "lint:\n\ttrue\n\ntest:\n\ttouch ../begun; while [ ! -e ../go ]; do sleep 0.05; done\n"


def start(repo: Path, *args: str, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "skillrun", shops.SKILL, "--trust", *args],
        cwd=repo,
        env=helpers.clean_env(repo.with_name("repo.home"), **env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def at_work(repo: Path) -> Iterator[subprocess.Popen[str]]:
    """An invocation in the middle of its last stage; it goes on when the file `go` appears."""
    first = start(repo)
    try:
        deadline = time.monotonic() + 60
        while not repo.with_name("begun").exists():
            assert first.poll() is None, first.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield first
    finally:
        repo.with_name("go").touch()
        first.communicate(timeout=60)


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return shops.shop(tmp_path / "repo", makefile=SLOW)


def test_the_second_leaves_and_says_who_holds_the_run(repo: Path) -> None:
    with at_work(repo) as first:
        before = shops.ledger_of(repo).read_bytes()
        done = helpers.run_cli(shops.SKILL, "--trust", cwd=repo, env={"SKILLRUN_WAIT_S": "0.3"})
        assert done.returncode == 4
        assert (
            f"another invocation of this run is at work: process {first.pid} on this machine"
            in done.stderr
        )
        assert shops.ledger_of(repo).read_bytes() == before
    assert first.returncode == 0
    assert [row["outcome"] for row in shops.telemetry(shops.ledger_of(repo))] == ["success"]


def test_the_second_waits_and_goes_on(repo: Path) -> None:
    with at_work(repo) as first:
        second = start(repo, "--json", SKILLRUN_WAIT_S="60")
        assert second.stderr is not None
        words = second.stderr.readline()
        assert f"waiting for another invocation of this run: process {first.pid}" in words
    out, _ = second.communicate(timeout=60)
    assert (first.returncode, second.returncode) == (0, 0)
    report = json.loads(out)
    assert set(shops.stages(report, "cached").values()) == {True}
    assert [row["invocation"] for row in shops.telemetry(shops.ledger_of(repo))] == [1, 2]


def test_what_was_edited_during_the_wait_is_seen(repo: Path) -> None:
    with at_work(repo):
        second = start(repo, "--json", SKILLRUN_WAIT_S="60")
        assert second.stderr is not None
        second.stderr.readline()
        tasks = repo / "shop/tasks.py"
        tasks.write_text(tasks.read_text().replace("max_retries=4", "max_retries=9"))
    out, _ = second.communicate(timeout=60)
    assert second.returncode == 1
    assert shops.stages(json.loads(out))["retry"] == "failed"


def test_the_same_run_under_another_path_of_the_skill_is_the_same_run(
    repo: Path, tmp_path: Path
) -> None:
    text = (helpers.ROOT / "skills" / shops.SKILL / "SKILL.md").read_bytes()
    helpers.write_files(tmp_path / "elsewhere", {"SKILL.md": text})
    with at_work(repo):
        done = helpers.run_cli(
            *(shops.SKILL, "--skill", tmp_path / "elsewhere"),
            cwd=repo,
            env={"SKILLRUN_WAIT_S": "0.2"},
        )
        assert "another invocation of this run is at work" in done.stderr


def test_status_while_a_run_is_at_work(repo: Path) -> None:
    with at_work(repo):
        done = helpers.run_cli("status", cwd=repo)
        assert done.returncode == 1
        assert "it is at work, or it died" in done.stdout
        assert helpers.run_cli("ledger", "verify", cwd=repo).returncode in (0, 1)


def test_eight_processes_on_eight_specs_in_one_ledger(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "repo")
    text = (repo / shops.SPEC).read_text()
    specs = {f"job-{n}": text.replace("job: send-receipt", f"job: job-{n}") for n in range(8)}
    helpers.write_files(repo, {f"specs/{job}.yaml": spec.encode() for job, spec in specs.items()})
    helpers.commit(repo, "Eight jobs")
    processes = [start(repo, "--spec", f"specs/{job}.yaml", "--json") for job in specs]
    for process in processes:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        assert err == ""
        assert json.loads(out)["outcome"] == "success"
    ledger = shops.ledger_of(repo)
    rows = shops.telemetry(ledger)
    assert len(rows) == 8
    assert {row["job"] for row in shops.select(ledger, "select job from run")} == set(specs)
    assert len(shops.events(ledger, "stage.finished")) == 8 * 9
    verified = shops.asked(repo, "ledger verify")
    assert (verified["integrity"], verified["completeness"], verified["runs"]) == (
        "whole",
        "complete",
        8,
    )
    assert {json.loads(row["files_touched"]) == [] for row in rows} == {True}
