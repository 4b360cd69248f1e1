"""Real Celery tasks meet the breaks: the bundled shop, and a task that retries by itself."""

from __future__ import annotations

from pathlib import Path

import fixtures_repos
import pytest
from breaking_repo import breaks, cases, rules
from bundled import bundled_skill

from skillrun.contract.spec import load_spec
from skillrun.core.verdict import StageResult
from skillrun.repo.git import open_repo
from skillrun.repo.tree import Tree
from skillrun.skills.job_worker.job_case import JobCase

pytestmark = pytest.mark.real

NOTICED = {
    "effect-dropped": "noticed",
    "transient-swallowed": "noticed",
    "permanent-retried": "noticed",
}
TESTS = """
    import pytest
    from shop import dead_jobs, mailer, tasks

    @pytest.fixture(autouse=True)
    def dead(monkeypatch):
        found = []
        monkeypatch.setattr(dead_jobs, "record", lambda *args: found.append(args))
        return found

    @pytest.fixture
    def mail(monkeypatch):
        calls, failures = [], []
        def send(order_id, email, *, idempotency_key):
            calls.append(idempotency_key)
            if failures:
                raise failures.pop(0)
        monkeypatch.setattr(mailer, "send", send)
        return calls, failures

    def run():
        return tasks.send_receipt.apply(args=(7, "a@example.com")).state

    def test_happy(mail):
        assert run() == "SUCCESS"
        assert mail[0] == ["receipt-7"]

    def test_retryable(mail):
        mail[1].append(mailer.Unavailable("down"))
        run()
        assert len(mail[0]) == 2

    def test_terminal(mail, dead):
        mail[1].extend([mailer.BadAddress("bad")] * 9)
        assert run() == "FAILURE"
        {then}
    """


def tried(case: JobCase) -> StageResult:
    case.clean, case.consent = True, lambda plan: True
    return cases.examine("tests", case)


def test_the_bundled_shop_notices_every_break(tmp_path: Path) -> None:
    root = fixtures_repos.example_shop(tmp_path / "repo")
    case = JobCase(
        bundled_skill(), load_spec(root / cases.SPEC_PATH, root=root), open_repo(root), Tree(root)
    )
    result = tried(case)
    assert (result.status, result.grade, breaks(result)) == ("passed", "executed", NOTICED), (
        result.findings
    )


def test_a_task_that_calls_retry_itself(tmp_path: Path) -> None:
    good = cases.build(
        tmp_path / "a",
        {"tests/test_tasks.py": TESTS.format(then="assert len(dead) == 1 == len(mail[0])")},
    )
    result = tried(good)
    assert (result.status, breaks(result)) == ("passed", NOTICED), result.findings
    weak = cases.build(tmp_path / "b", {"tests/test_tasks.py": TESTS.format(then="assert mail[0]")})
    assert rules(tried(weak)) == ["tests.missed-permanent-retried"]
