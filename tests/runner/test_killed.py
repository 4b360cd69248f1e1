"""A process that is killed at any commit of the ledger loses at most the stage in flight; the same
command resumes.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import helpers
import pytest
import shops

pytestmark = pytest.mark.real  # seconds each

KILL_AT = Path(__file__).with_name("kill_at.py")
COMMITS = 15  # of an undisturbed run: migration, run, words, one consent, nine stages, the end, and one to spare
SAMPLE = (2, 12)


def killed(repo: Path, when: str, k: int) -> bool:
    """Whether the process was killed beside its k-th commit, or else came to its end."""
    command = [sys.executable, str(KILL_AT), when, str(k), shops.SKILL, "--trust"]
    env = helpers.clean_env(repo.with_name("repo.home"), KILL_AT_COUNT=str(repo.with_name("count")))
    done = subprocess.run(
        command, cwd=repo, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


def final_state(ledger: Path) -> dict[str, Any]:
    """What does not depend on ids, times and the number of invocations."""
    latest = "select max(n) from event where type = 'stage.finished' group by run_id, stage"
    columns = "stage, outcome, fingerprint, exit_code"
    stages = shops.select(ledger, f"select {columns} from event where n in ({latest}) order by n")
    repeatable = "path not like '%skillrun_broken%'"  # pytest prints how long it took
    evidence = shops.select(
        ledger,
        f"select role, path, sha, size, line from evidence where n in ({latest}) and {repeatable}"
        " order by n, i",
    )
    last = shops.telemetry(ledger)[-1]
    not_ours = ("run_id", "invocation", "ts_utc", "duration_ms", "repo")
    return {
        "stages": stages,
        "evidence": evidence,
        "row": {k: v for k, v in last.items() if k not in not_ours},
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    repo = shops.shop(tmp_path_factory.mktemp("undisturbed") / "repo")
    assert not killed(repo, "after", 0)
    commits = int(repo.with_name("count").read_text())
    assert commits in (
        COMMITS - 1,
        COMMITS,
    ), "the number of commits has changed: change COMMITS, too"
    return final_state(shops.ledger_of(repo))


def kill_and_resume(repo: Path, when: str, k: int, undisturbed: dict[str, Any]) -> bool:
    """Kills a run and resumes it; whether it was killed at all."""
    died = killed(repo, when, k)
    ledger = shops.ledger_of(repo)
    began = 0
    if died and ledger.exists():
        helpers.run_cli("status", cwd=repo)  # looks, and must not be in the way
    report = shops.report(repo, "--trust", code=0)
    assert set(shops.stages(report).values()) == {"passed"}
    assert final_state(ledger) == undisturbed
    began = len(shops.events(ledger, "invocation.started"))
    check_rows(ledger, began, died)
    verified = shops.asked(repo, "ledger verify")
    assert (verified["integrity"], verified["completeness"]) == ("whole", "complete")
    check_examined_once(ledger, died)
    return died


def check_rows(ledger: Path, began: int, died: bool) -> None:
    """One row for each invocation that began; one that died is partial, and marked as
    interrupted.
    """
    rows = shops.telemetry(ledger)
    assert len(rows) == began
    assert rows[-1]["outcome"] == "success"
    interrupted = [row for row in rows if json.loads(row["fields"]).get("interrupted")]
    assert [row["outcome"] for row in interrupted] == ["partial"] * len(interrupted)
    assert len(interrupted) == len(shops.events(ledger, "invocation.interrupted"))
    others = [row for row in rows if row not in interrupted]
    assert {row["outcome"] for row in others} == {"success"}
    assert len(interrupted) <= (1 if died else 0)
    assert len({row["run_id"] for row in rows}) == 1


def check_examined_once(ledger: Path, died: bool) -> None:
    """No stage that was recorded is examined again."""
    finished = [event["stage"] for event in shops.events(ledger, "stage.finished")]
    assert sorted(finished) == sorted(shops.STAGES)


@pytest.mark.parametrize("k", SAMPLE)
def test_killed_before_a_commit(k: int, tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    assert kill_and_resume(shops.shop(tmp_path / "repo"), "before", k, undisturbed)


@pytest.mark.parametrize("k", SAMPLE)
def test_killed_after_a_commit(k: int, tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    assert kill_and_resume(shops.shop(tmp_path / "repo"), "after", k, undisturbed)


@pytest.mark.long
@pytest.mark.parametrize("when", ("before", "after"))
def test_killed_at_every_commit(when: str, tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    for k in range(1, COMMITS + 2):
        folder = tmp_path / str(k)
        folder.mkdir()
        if not kill_and_resume(shops.shop(folder / "repo"), when, k, undisturbed):
            assert k >= COMMITS
            return
    raise AssertionError("no run came to its end")


@pytest.mark.long
def test_killed_at_every_sync_to_disk(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    """Below SQLite, at every fdatasync and fsync, when pages are on their way to the disk; Linux
    with strace.
    """
    if shutil.which("strace") is None:
        pytest.skip("strace is not here")
    for k in range(1, 200):
        folder = tmp_path / str(k)
        folder.mkdir()
        repo = shops.shop(folder / "repo")
        # Not its children: a killed test runner is a stage to be examined again, not a death of
        # skillrun.
        inject = ["strace", "-qq", "-o", os.devnull, "-e", "trace=fdatasync,fsync"]
        inject += ["-e", f"inject=fdatasync,fsync:signal=KILL:when={k}"]
        done = helpers.run_cli("run", shops.SKILL, "--trust", cwd=repo, prefix=inject)
        assert done.returncode in (0, -signal.SIGKILL, 128 + signal.SIGKILL), done.stderr
        report = shops.report(repo, "--trust", code=0)
        assert set(shops.stages(report).values()) == {"passed"}
        ledger = shops.ledger_of(repo)
        assert final_state(ledger) == undisturbed
        assert shops.asked(repo, "ledger verify")["integrity"] == "whole"
        shutil.rmtree(folder)
        if done.returncode == 0:
            assert k > COMMITS
            return
    raise AssertionError("no run came to its end")


def test_several_deaths_of_one_run(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    """Each death gets its own row when the run is next opened, and no stage is lost."""
    repo = shops.shop(tmp_path / "repo")
    deaths = sum(killed(repo, "after", k) for k in (4, 4, 4))
    shops.run(repo, "--trust", code=0)
    ledger = shops.ledger_of(repo)
    assert final_state(ledger) == undisturbed
    rows = shops.telemetry(ledger)
    assert deaths == 3
    assert len(rows) == len(shops.events(ledger, "invocation.started"))
    assert [row["outcome"] for row in rows].count("partial") == len(rows) - 1
    assert shops.asked(repo, "ledger verify")["completeness"] == "complete"


def test_status_of_a_run_that_died(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "repo")
    assert killed(repo, "after", 6)
    done = helpers.run_cli("status", cwd=repo)
    assert done.returncode == 1
    assert "it is at work, or it died" in done.stdout
    shops.run(repo, "--trust", code=0)
    helpers.write_files(repo, {"shop/new.py": ""})
    assert killed(repo, "before", 3)
    done = helpers.run_cli("status", cwd=repo)
    assert "an invocation has not ended" in done.stdout
