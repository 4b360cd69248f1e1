"""A risk in a run: partial until a person accepts it by name, and never hidden."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import helpers
import pytest
import shops

pytestmark = pytest.mark.real

AGENT = {"CLAUDECODE": "1"}
PROVEN = ["idempotency", "retry", "dead-letter", "observability"]
ACCEPTED = "waivers: [{item: rival-overwritten, reason: nobody edits orders, by: Ada}]\n"


DESK = """\
def move(connection, order_id, email):
    connection.execute("UPDATE orders SET email = ? WHERE id = ?", (email, order_id))
"""


def overwriting_shop(root: Path) -> Path:
    """A shop that writes into the order what the message said of it: a change made meanwhile is
    lost.
    """
    repo = shops.shop(root, proof=True)
    module = repo / "shop/receipts.py"
    last = '        connection.execute("DELETE FROM dead_jobs'
    order = "UPDATE orders SET email = ?, settled_at = 'sent' WHERE id = ?"
    whole = f'        connection.execute("{order}", (email, order_id))\n'
    text = module.read_text()
    assert last in text
    module.write_text(text.replace(last, whole + last))
    (repo / "shop/desk.py").write_text(DESK)
    helpers.commit(repo, "The order is written whole")
    return repo


def test_a_lost_change_is_no_success_until_a_person_accepts_it(tmp_path: Path) -> None:
    repo = overwriting_shop(tmp_path / "shop")
    report = shops.report(repo, "--trust", code=1, timeout=300)
    assert report["outcome"] == "partial"
    # It changes no status: all that was promised is proved.
    assert [shops.stages(report)[stage] for stage in PROVEN] == ["passed"] * 4
    (risk,) = [one for one in report["risks"] if one["grade"] in ("money", "lost")]
    assert (risk["rule"], risk["grade"], risk["accepted"]) == ("rival-overwritten", "lost", None)
    others = [one["grade"] for one in report["risks"] if one is not risk]
    rest = f"{others.count('stuck')} stuck, {others.count('minor')} minor"
    assert shops.telemetry(shops.ledger_of(repo))[-1]["outcome"] == "partial"

    told = shops.run(repo, code=1)
    assert f"2 executed, 3 read; risks: 1 lost, {rest}\n" in told
    order = shops.asked(repo, "next", code=1)
    (mine,) = order["orders"]
    assert (mine["stage"], mine["status"]) == ("idempotency", "passed")
    assert "write only the columns that the job changes" in mine["do"][0]
    assert "waive" not in json.dumps(mine)
    assert "rival=orders.*@before:" in mine["witness"]["replay"]
    hook = helpers.run_cli("hook", "claude", "stop", cwd=repo, input="{}")
    assert "risks: 1 lost" in hook.stdout

    spec = repo / shops.SPEC
    spec.write_text(spec.read_text() + ACCEPTED)
    refused = helpers.run_cli("run", shops.SKILL, cwd=repo, env=AGENT)
    assert refused.returncode == 4
    assert "HEAD does not hold this waiver" in refused.stderr
    accepted = shops.report(repo, code=0)
    (risk,) = [one for one in accepted["risks"] if one["rule"] == "rival-overwritten"]
    assert risk["accepted"] == "nobody edits orders"
    assert shops.run(repo, code=0).count(f"; risks: {rest}, 1 accepted\n") == 1
    assert not [one for one in accepted["next"] if "is overwritten" in one["detail"]]


def test_a_risk_that_nothing_looks_for_is_no_contract(tmp_path: Path) -> None:
    """It would be taken for refused."""
    repo = shops.shop(tmp_path / "shop")
    profile = {"quality_bar": {"risks": ["broker-losst"]}}
    (repo / "REPO_PROFILE.json").write_text(json.dumps(profile))
    done = helpers.run_cli("run", shops.SKILL, cwd=repo)
    assert done.returncode == 2
    assert "quality_bar.risks: no risk is called broker-losst" in done.stderr
    policy = json.dumps({"schema_version": 1, "risks": ["broker-losst"]})
    (repo / "fleet.json").write_text(policy)
    pinned = {"file": "fleet.json", "sha256": hashlib.sha256(policy.encode()).hexdigest()}
    (repo / "REPO_PROFILE.json").write_text(json.dumps({"extends": pinned}))
    done = helpers.run_cli("run", shops.SKILL, cwd=repo)
    assert "extends: fleet.json: no risk is called broker-losst" in done.stderr
