"""A proof that the spec asks for and that does not come to its end: the run is partial, and says
what to do.
"""

from __future__ import annotations

from pathlib import Path

import helpers
import pytest
import shops

pytestmark = pytest.mark.real

PROVEN = ["idempotency", "retry", "dead-letter", "observability"]
SETUP = "setup: python -m shop.schema"
BROKEN = "setup: python -m shop.no_such_module"


def edit_spec(repo: Path, before: str, after: str) -> None:
    spec = repo / shops.SPEC
    text = spec.read_text()
    assert before in text
    spec.write_text(text.replace(before, after))


def test_an_incomplete_proof_is_no_success_until_it_is_mended(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "shop", proof=True)
    edit_spec(repo, SETUP, BROKEN)

    report = shops.report(repo, "--trust", code=1)
    assert report["outcome"] == "partial"
    assert [stage["id"] for stage in report["stages"] if stage["status"] == "pending"] == PROVEN
    # What reads clean keeps nobody waiting: the tests and the validations have run all the same.
    assert report["counts"] == {"executed": 2, "read": 3, "pending": 4}
    (step,) = [action for action in report["next"] if action["action"] == "prove"]
    assert step["stage"] == "idempotency"
    assert step["detail"].startswith("not proved: ")
    assert shops.telemetry(shops.ledger_of(repo))[-1]["outcome"] == "partial"

    status = helpers.run_cli("status", cwd=repo)
    assert status.returncode == 1
    assert "\npartial: 2 executed, 3 read, 4 pending\n" in status.stdout
    order = shops.asked(repo, "next", code=1)
    assert [one["stage"] for one in order["orders"]] == ["idempotency"]
    assert order["orders"][0]["do"][0].startswith("prove: not proved: ")
    hook = helpers.run_cli("hook", "claude", "stop", cwd=repo, input="{}")
    assert "is partial: 2 executed, 3 read, 4 pending (idempotency, retry," in hook.stdout

    edit_spec(repo, BROKEN, SETUP)
    mended = shops.run(repo, "--trust", code=0)
    counted = shops.report(repo, "--trust", code=0)
    schedules, grades = counted["counts"]["schedules"], [one["grade"] for one in counted["risks"]]
    # No sweep of the shop's publishes again what the broker has lost; the order shows it.
    assert set(grades) == {"stuck", "minor"}
    risks = f"{grades.count('stuck')} stuck, {grades.count('minor')} minor"
    line = f"success: 4 proved ({schedules} schedules), 2 executed, 3 read; risks: {risks}"
    assert f"\n{line}\n" in mended
    assert "weakest grade" not in mended
    page = tmp_path / "run.html"
    run = shops.report(repo, "--trust", code=0)["run"]["id"]
    assert helpers.run_cli("ledger", "show", run, "--html", page, cwd=repo).returncode == 0
    text = page.read_text()
    assert line in text
    # The invocations that found everything as it was show what they kept.
    assert "not reached" not in text


def test_a_proof_that_nobody_has_allowed_is_no_success(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "shop", proof=True)
    report = shops.report(repo, code=3)
    waiting = {stage["id"]: stage["status"] for stage in report["stages"]}
    assert [waiting[stage] for stage in PROVEN] == ["pending"] * 4
    consents = [action for action in report["next"] if action["action"] == "consent"]
    assert {action["stage"] for action in consents} >= {"idempotency", "tests", "validate"}


def test_without_the_wish_for_a_proof_the_rest_is_a_success(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "shop", proof=True)
    edit_spec(repo, SETUP, BROKEN)
    shops.run(repo, "--trust", code=1)
    spec = repo / shops.SPEC
    text = spec.read_text()
    spec.write_text(text[: text.index("\nproof:")] + "\n")
    assert shops.report(repo, "--trust", code=0)["counts"] == {"executed": 2, "read": 7}


def test_an_interpreter_that_is_not_there_leaves_a_report(tmp_path: Path) -> None:
    """It ended the run without one: an agent that asked for JSON got nothing."""
    repo = shops.shop(tmp_path / "shop", proof=True)
    edit_spec(repo, SETUP, f"{SETUP}\n  python: .venv/bin/python")
    value = shops.report(repo, "--trust", code=1)
    pending = {stage["id"]: stage for stage in value["stages"] if stage["status"] == "pending"}
    assert list(pending) == PROVEN
    said = [finding["message"] for finding in pending["idempotency"]["findings"]]
    assert any("there is no interpreter .venv/bin/python" in message for message in said)
    assert shops.report(repo, "--trust", code=1)["outcome"] == "partial"
