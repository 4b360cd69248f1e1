"""Reading never outranks running: what a proof has shown is not held against a job because it was
read otherwise, and each such reading is kept as a fault of ours.
"""

from __future__ import annotations

from pathlib import Path

import helpers
import pytest
import shops

TASKS, SCHEMA, RECEIPTS = "shop/tasks.py", "shop/schema.py", "shop/receipts.py"
SLOW_S = 400  # a whole proof, on a busy machine
MARK = "receipts.mark_sent(order_id, email)"
# A second row of an order is dropped by a trigger: who reads the schema finds no UNIQUE.
UNIQUE = ",\n    UNIQUE (order_id)"
TRIGGER = """
CREATE TRIGGER IF NOT EXISTS once BEFORE INSERT ON receipts
WHEN EXISTS (SELECT 1 FROM receipts WHERE order_id = NEW.order_id)
BEGIN SELECT RAISE(IGNORE); END;
"""
SEND = "    mailer.send(order_id, email, idempotency_key=key)\n"


def shop_with_a_trigger(root: Path, *, proof: bool = True) -> Path:
    """The shop, whose receipts are unique by something that reading does not know."""
    repo = shops.shop(root, proof=proof)
    edit(repo, SCHEMA, UNIQUE, "")
    edit(
        repo, SCHEMA, "CREATE TABLE IF NOT EXISTS dead", f"{TRIGGER}CREATE TABLE IF NOT EXISTS dead"
    )
    edit(repo, RECEIPTS, " ON CONFLICT (order_id) DO NOTHING", "")
    helpers.commit(repo, "A trigger for a constraint")
    return repo


def edit(repo: Path, path: str, old: str, new: str) -> None:
    text = (repo / path).read_text()
    assert old in text
    (repo / path).write_text(text.replace(old, new))


def stage_of(report: dict[str, object], name: str) -> dict[str, object]:
    stages = report["stages"]
    assert isinstance(stages, list)
    return next(stage for stage in stages if stage["id"] == name)


@pytest.mark.real
def test_without_a_proof_the_reading_stands(tmp_path: Path) -> None:
    repo = shop_with_a_trigger(tmp_path / "shop", proof=False)
    report = shops.report(repo, "--trust", code=1)
    stage = stage_of(report, "idempotency")
    assert stage["status"] == "failed"
    assert "idempotency.store-not-unique" in shops.rules(report)
    assert "disagreements" not in stage
    assert shops.asked(repo, "ledger query disagreements")["rows"] == []


@pytest.mark.real
def test_a_proof_overrules_a_reading_and_it_is_recorded(tmp_path: Path) -> None:
    repo = shop_with_a_trigger(tmp_path / "shop")
    report = shops.report(repo, "--trust", code=0, timeout=SLOW_S)
    assert report["outcome"] == "success"
    stage = stage_of(report, "idempotency")
    assert (stage["status"], stage["grade"]) == ("passed", "proved")
    assert "idempotency.store-not-unique" not in shops.rules(report)
    assert "store-not-unique" not in str(report["next"])
    (found,) = stage["disagreements"]  # type: ignore[attr-defined]
    assert found["rule"] == "idempotency.store-not-unique"
    assert found["path"] == SCHEMA
    assert found["proof"] == "effects proved"
    assert found["schedules"] > 20

    (kept,) = shops.asked(repo, "ledger query disagreements")["rows"]
    assert (kept["job"], kept["stage"]) == ("send-receipt", "idempotency")
    assert (kept["rule"], kept["schedules"]) == (found["rule"], found["schedules"])
    assert kept["place"] == f"{SCHEMA}:{found['line']}"
    assert helpers.run_cli("ledger", "verify", cwd=repo).returncode == 0

    why = helpers.run_cli("why", "idempotency", cwd=repo).stdout
    assert f"read: {SCHEMA}:{found['line']}: receipts has no UNIQUE constraint" in why
    assert f"not so: effects proved under {found['schedules']} schedules" in why
    again = shops.report(repo, "--trust", code=0)
    assert stage_of(again, "idempotency")["disagreements"] == [found]
    assert shops.worked(again) == []


@pytest.mark.real
def test_a_refutation_is_hidden_by_no_reading(tmp_path: Path) -> None:
    """The mark comes first, so a death in between loses the mail."""
    repo = shop_with_a_trigger(tmp_path / "shop")
    edit(repo, TASKS, SEND, "")
    edit(repo, TASKS, f"    {MARK}\n", f"    {MARK}\n{SEND}")
    report = shops.report(repo, "--trust", code=1, timeout=SLOW_S)
    stage = stage_of(report, "idempotency")
    assert stage["status"] == "failed"
    assert "proof.effect.lost" in shops.rules(report)
    assert "disagreements" not in stage
    # What the mistake does not touch is proved all the same.
    assert stage_of(report, "observability")["grade"] == "proved"


@pytest.mark.real
def test_a_silent_job_is_refuted_for_its_logs_alone(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "shop", proof=True)
    edit(repo, TASKS, "log.info(", "say_nothing(")
    edit(repo, TASKS, "log.error(", "say_nothing(")
    edit(repo, TASKS, "log = get_task", "say_nothing = lambda *_: None\nlog = get_task")
    report = shops.report(repo, "--trust", code=3, timeout=SLOW_S)
    statuses = shops.stages(report)
    assert statuses["observability"] in ("failed", "blocked")
    assert [f for f in shops.rules(report) if f.startswith("proof.logs.")]
    grades = shops.stages(report, "grade")
    for stage in ("idempotency", "retry", "dead-letter"):
        assert (statuses[stage], grades[stage]) == ("passed", "proved")


def test_nothing_is_proved_before_the_strategy_is_decided(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "shop", proof=True)
    edit(repo, shops.SPEC, "  strategy: keyed\n", "  strategy: unknown\n")
    report = shops.report(repo, "--trust", code=3)
    assert stage_of(report, "idempotency")["status"] == "blocked"
    assert "idempotency.undefined" in shops.rules(report)
    assert not [event for event in shops.events(shops.ledger_of(repo)) if "proof" in event["data"]]
