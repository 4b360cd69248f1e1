"""A risk in a run: partial until a person accepts it by name, and never hidden."""

from __future__ import annotations

import json
from pathlib import Path

import helpers
import pytest
import shops

pytestmark = pytest.mark.real

AGENT = {"CLAUDECODE": "1"}
PROVEN = ["idempotency", "retry", "dead-letter", "observability"]
ACCEPTED = "waivers: [{item: broker-lost, reason: the queue is in two zones, by: Ada}]\n"


def blind_shop(root: Path) -> Path:
    """A shop whose only state query answers the same before and after the job."""
    repo = shops.shop(root, proof=True)
    spec = repo / shops.SPEC
    lines = spec.read_text().splitlines()
    (start,) = [n for n, line in enumerate(lines) if line.strip().startswith("state:")]
    indent = len(lines[start]) - len(lines[start].lstrip())
    end = start + 1
    while end < len(lines) and len(lines[end]) - len(lines[end].lstrip()) > indent:
        end += 1
    lines[start:end] = [f"{' ' * indent}state: {{one: select 1}}"]
    spec.write_text("\n".join(lines) + "\n")
    return repo


def test_a_lost_job_is_no_success_until_a_person_accepts_it(tmp_path: Path) -> None:
    repo = blind_shop(tmp_path / "shop")
    report = shops.report(repo, "--trust", code=1, timeout=300)
    assert report["outcome"] == "partial"
    # It changes no status: all that was promised is proved.
    assert [shops.stages(report)[stage] for stage in PROVEN] == ["passed"] * 4
    (risk,) = report["risks"]
    assert (risk["rule"], risk["grade"], risk["accepted"]) == ("broker-lost", "lost", None)
    assert risk["schedules"] == 2
    assert shops.telemetry(shops.ledger_of(repo))[-1]["outcome"] == "partial"

    told = shops.run(repo, code=1)
    assert "2 executed, 3 read; risks: 1 lost\n" in told
    order = shops.asked(repo, "next", code=1)
    (mine,) = order["orders"]
    assert (mine["stage"], mine["status"]) == ("dead-letter", "passed")
    assert "recovers" in mine["do"][0]
    assert "waive" not in json.dumps(mine)
    assert "broker-empty=0" in mine["witness"]["replay"]
    hook = helpers.run_cli("hook", "claude", "stop", cwd=repo, input="{}")
    assert "risks: 1 lost" in hook.stdout

    spec = repo / shops.SPEC
    spec.write_text(spec.read_text() + ACCEPTED)
    refused = helpers.run_cli("run", shops.SKILL, cwd=repo, env=AGENT)
    assert refused.returncode == 4
    assert "HEAD does not hold this waiver" in refused.stderr
    accepted = shops.report(repo, code=0)
    assert accepted["risks"][0]["accepted"] == "the queue is in two zones"
    assert shops.run(repo, code=0).count("; risks: 1 accepted\n") == 1
    assert not [one for one in accepted["next"] if one["stage"] == "dead-letter"]


def test_a_risk_that_nothing_looks_for_is_no_contract(tmp_path: Path) -> None:
    """It would be taken for refused."""
    repo = shops.shop(tmp_path / "shop")
    profile = {"quality_bar": {"risks": ["broker-losst"]}}
    (repo / "REPO_PROFILE.json").write_text(json.dumps(profile))
    done = helpers.run_cli("run", shops.SKILL, cwd=repo)
    assert done.returncode == 2
    assert "no risk is called broker-losst" in done.stderr
