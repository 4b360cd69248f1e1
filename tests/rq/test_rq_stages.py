"""A small shop on RQ passes every stage that needs no command; broken, it fails where it should."""

from __future__ import annotations

from pathlib import Path

from rq_shop import FILES, build

from skillrun.skills.job_worker.job_case import JobCase
from skillrun.skills.job_worker.stages.registry import STAGES

STAGE = {stage.ID: stage for stage in STAGES}
CHEAP = (
    "identify",
    "contract",
    "idempotency",
    "handler",
    "retry",
    "dead-letter",
    "observability",
    "tests",
)


def stopping(case: JobCase) -> dict[str, list[str]]:
    """Stage -> the rules of the findings that stop it, for those that do not pass."""
    results = {stage: STAGE[stage].examine(case) for stage in CHEAP}
    return {
        stage: [f.rule for f in result.findings if f.severity in ("blocker", "error")]
        for stage, result in results.items()
        if result.status not in ("passed", "pending")  # the tests stage waits for the proof
    }


def test_the_shop_passes(tmp_path: Path) -> None:
    case = build(tmp_path / "repo")
    assert case.use is not None
    assert (case.use.id, case.use.app) == ("rq", "shop/orders.py:queue")
    assert stopping(case) == {}


def test_its_failed_jobs_may_be_the_dead_letters(tmp_path: Path) -> None:
    assert stopping(build(tmp_path / "repo", None, {"dead_letter": {"kind": "framework"}})) == {}


def test_an_option_is_no_retryable_test(tmp_path: Path) -> None:
    """Retry is an exception of Celery and an option of RQ: only one of them says that a failure is
    tested.
    """
    tests = FILES["tests/test_tasks.py"].replace("mailer.Unavailable", "ValueError")
    tests = tests.replace(
        "orders.settle(7",
        "orders.queue.enqueue(tasks.send_receipt, retry=Retry(max=3)); orders.settle(7",
    )
    assert stopping(build(tmp_path / "repo", {"tests/test_tasks.py": tests})) == {
        "tests": ["tests.no-retryable"]
    }
