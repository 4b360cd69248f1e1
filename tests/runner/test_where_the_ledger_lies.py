"""A ledger inside the repository is no part of the work; the profile may say where it lies, but not
outside.
"""

from __future__ import annotations

import json
from pathlib import Path

import helpers
import pytest
from shops import SKILL, report, shop, stages, telemetry


@pytest.mark.real
def test_a_ledger_in_the_repository_is_neither_touched_nor_looked_at(tmp_path: Path) -> None:
    repo = shop(tmp_path / "shop")
    first = report(repo, "--trust", "--ledger", "audit.db", code=0)
    again = report(repo, "--ledger", "audit.db", code=0)
    assert first["outcome"] == again["outcome"] == "success"
    assert again["telemetry"]["files_touched"] == []
    assert all(stage["cached"] for stage in again["stages"])


@pytest.mark.real
def test_the_profile_says_where_the_ledger_lies(tmp_path: Path) -> None:
    repo = shop(tmp_path / "shop")
    (repo / "REPO_PROFILE.json").write_text(
        json.dumps({"ledger": "audit/runs.db"}), encoding="utf-8"
    )
    helpers.commit(repo)
    assert report(repo, code=3)["outcome"] == "blocked"
    assert (repo / "audit" / "runs.db").is_file()
    assert not (repo / ".skillrun" / "ledger.db").exists()


def test_the_profile_cannot_lead_out_of_the_repository(tmp_path: Path) -> None:
    repo = shop(tmp_path / "shop")
    (repo / "REPO_PROFILE.json").write_text(json.dumps({"ledger": "../runs.db"}), encoding="utf-8")
    done = helpers.run_cli("run", SKILL, "--trust", cwd=repo)
    assert done.returncode == 4
    assert "leads out of the repository" in done.stderr
    assert not (tmp_path / "runs.db").exists()


@pytest.mark.real
def test_a_start_commit_that_is_gone_leaves_the_touched_files_unknown(finished_shop: Path) -> None:
    repo = finished_shop
    helpers.git(repo, "checkout", "--quiet", "--orphan", "other")
    helpers.commit(repo, "Rewritten")
    helpers.git(repo, "branch", "-D", "main")
    helpers.git(repo, "reflog", "expire", "--expire=now", "--all")
    helpers.git(repo, "gc", "--quiet", "--prune=now")
    (repo / "note.txt").write_text("x", encoding="utf-8")
    done = report(repo, "--trust", code=0)
    assert done["outcome"] == "success"
    assert done["telemetry"]["files_touched"] is None
    assert len(telemetry(repo / ".skillrun" / "ledger.db")) == 2
    assert len(stages(done)) == 9
