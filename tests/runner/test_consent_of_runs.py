"""Consent: asked once for what will run, kept outside the repository; and what validations do is told."""

from __future__ import annotations

from pathlib import Path

import helpers
import pytest
import shops

COUNTING = "lint:\n\ttrue\n\ntest:\n\techo run >> ../runs\n"


def runs(repo: Path) -> int:
    path = repo.with_name("runs")
    return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A shop that has not been looked at."""
    return shops.shop(tmp_path / "repo", makefile=COUNTING)


@pytest.fixture
def tested(finished_shop: Path) -> Path:
    """A shop of which the validations alone are still to be run."""
    (finished_shop / "Makefile").write_text(COUNTING)
    helpers.commit(finished_shop, "Count the runs")
    return finished_shop


def test_nothing_runs_without_consent(repo: Path) -> None:
    out = shops.run(repo, code=3)
    assert "make lint; make test" in out
    assert "-m pytest" in out
    assert runs(repo) == 0
    shops.run(repo, code=3)
    assert runs(repo) == 0


def test_trust_once_until_what_runs_changes(repo: Path) -> None:
    shops.run(repo, "--trust", code=0)
    assert runs(repo) == 1
    (repo / "README.md").write_text("Another.\n")
    shops.run(repo, code=0)
    assert runs(repo) == 2
    (repo / "Makefile").write_text(COUNTING + "\n# More.\n")
    report = shops.report(repo, code=3)
    assert "validate.no-consent" in shops.rules(report)
    assert runs(repo) == 2
    shops.run(repo, "--trust", code=0)
    assert runs(repo) == 3
    given = shops.events(shops.ledger_of(repo), "consent.given")
    assert [event["data"]["how"] for event in given] == ["--trust"] * 3
    assert given[0]["data"]["commands"][0].endswith("-m pytest")
    assert given[1]["data"]["commands"] == given[2]["data"]["commands"] == ["make lint", "make test"]


def test_the_answer_is_kept_outside_the_repository(repo: Path) -> None:
    shops.run(repo, "--trust", code=0)
    kept = list((repo.with_name("repo.home") / "state" / "consent").iterdir())
    assert len(kept) == 2  # the tests against a broken handler, and the validations
    assert not [path for path in repo.rglob("*") if "consent" in path.name]


def test_a_repository_cannot_bring_its_own_consent(repo: Path) -> None:
    done = helpers.run_cli(shops.SKILL, cwd=repo, env={"SKILLRUN_STATE_DIR": str(repo / ".skillrun" / "state")})
    assert done.returncode == 3


def test_a_validation_that_fails_is_told_and_run_again(tested: Path) -> None:
    (tested / "Makefile").write_text("test:\n\techo run >> ../runs; echo it broke; exit 7\n")
    report = shops.report(tested, "--trust", code=1)
    (finding,) = [f for s in report["stages"] for f in s["findings"] if f["rule"] == "validate.test-failed"]
    assert "make test" in finding["message"]
    assert finding["path"] == "Makefile"
    *_, evidence = shops.select(shops.ledger_of(tested), "select * from evidence where path = 'make test' order by n")
    assert '"exit_code":2' in evidence["detail"]
    assert "it broke" in evidence["detail"]
    shops.run(tested, code=1)
    assert runs(tested) == 2


def test_what_passed_is_not_run_again(tested: Path) -> None:
    for _ in range(3):
        shops.run(tested, "--trust", code=0)
    assert runs(tested) == 1


def test_a_validation_that_changes_tracked_files(tested: Path) -> None:
    (tested / "Makefile").write_text("test:\n\techo >> shop/orders.py; touch new.txt\n")
    report = shops.report(tested, "--trust", code=1)
    changed = [f["path"] for s in report["stages"] for f in s["findings"] if f["rule"] == "validate.changed-files"]
    assert changed == ["shop/orders.py"]


def test_a_validation_that_writes_only_ignored_files(tested: Path) -> None:
    (tested / ".gitignore").write_text("build/\n.skillrun/ledger.db*\n")
    (tested / "Makefile").write_text("test:\n\tmkdir -p build; date > build/out\n")
    shops.run(tested, "--trust", code=0)


def test_secrets_in_the_output_are_masked(tested: Path) -> None:
    (tested / "Makefile").write_text("test:\n\techo password=hunter2hunter2; exit 1\n")
    out = shops.run(tested, "--trust", code=1)
    assert "hunter2" not in out
    assert b"hunter2hunter2" not in shops.ledger_of(tested).read_bytes()
