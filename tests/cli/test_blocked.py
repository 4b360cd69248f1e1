"""What is blocked: exit code 3, exactly one telemetry row, and words that say what to do."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import fixtures_repos as odd
import helpers
import pytest
import shops


def blocked(repo: Path, *args: str) -> dict[str, Any]:
    """The report of one invocation that was blocked and left one row."""
    report = shops.report(repo, *args, code=3)
    assert report["outcome"] == "blocked"
    (row,) = shops.telemetry(shops.ledger_of(repo))
    assert (row["outcome"], row["invocation"]) == ("blocked", 1)
    assert report["next"]
    assert shops.asked(repo, "ledger verify")["integrity"] == "whole"
    return report


@pytest.mark.real
def test_no_spec(tmp_path: Path) -> None:
    repo = odd.plain(tmp_path / "repo")
    report = blocked(repo)
    assert shops.stages(report)["contract"] == "blocked"
    (command,) = [a["detail"] for a in report["next"] if "spec init" in a["detail"]]
    assert report["run"]["job"] == "-"
    # It knows the job: what the code says need not be written by hand.
    assert "skillrun spec init --from " in command


@pytest.mark.real
def test_no_spec_is_one_screen_of_jobs(tmp_path: Path) -> None:
    """Seven stages that all wait for the same file would hide what can be done without it."""
    repo = odd.plain(tmp_path / "repo")
    for _ in range(2):
        done = helpers.run_cli(shops.SKILL, "--repo", str(repo), cwd=repo)
        assert done.returncode == 3
        assert "skillrun spec init --from " in done.stdout
        assert "blocked: there is no job spec" in done.stdout
        assert "dead-letter" not in done.stdout
        assert len(done.stdout.splitlines()) < 24


@pytest.mark.real
def test_no_job_is_one_screen_that_says_so(tmp_path: Path) -> None:
    """Nine stages that all wait for a job say neither that none was found nor what to do."""
    repo = helpers.build_tree(tmp_path / "repo", {"shop/mail.py": "def send():\n    pass\n"})
    done = helpers.run_cli(shops.SKILL, "--repo", str(repo), cwd=repo)
    assert done.returncode == 3
    assert "no job was found here\n  looked for: jobs of " in done.stdout
    assert "a job that is there: name its handler in a spec: skillrun spec init " in done.stdout
    assert "--implement scaffold" in done.stdout
    assert "blocked: there is no job yet, and no spec of one" in done.stdout
    assert "dead-letter" not in done.stdout
    assert len(done.stdout.splitlines()) < 12


def test_a_name_that_is_no_job_where_there_is_none_says_how_to_name_it(tmp_path: Path) -> None:
    repo = helpers.build_tree(tmp_path / "repo", {"shop/mail.py": "def send():\n    pass\n"})
    done = helpers.run_cli("prove", "shop.mail:send", cwd=repo)
    assert done.returncode == 2
    named = done.stderr[done.stderr.index("skillrun spec init") :].split()
    assert (
        helpers.run_cli(
            *["send" if w == "NAME" else w.replace("=NAME", "=send") for w in named[1:]], cwd=repo
        ).returncode
        == 0
    )
    assert (repo / ".skillrun/jobs/send.yaml").is_file()


@pytest.mark.real
def test_the_spec_init_command_that_is_proposed_works(tmp_path: Path) -> None:
    repo = odd.plain(tmp_path / "repo")
    report = blocked(repo)
    (detail,) = [a["detail"] for a in report["next"] if "spec init" in a["detail"]]
    words = shlex.split(detail[detail.index("skillrun spec init") :])
    done = helpers.run_cli(*words[1:], cwd=repo)
    assert done.returncode == 0, done.stderr
    assert list((repo / ".skillrun" / "jobs").glob("*.yaml"))


@pytest.mark.real
def test_a_handler_that_does_not_exist(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "repo")
    report = blocked(repo, "--set", "handler=shop.tasks:send_nothing")
    assert shops.stages(report)["handler"] == "blocked"
    assert any("send_nothing" in action["detail"] for action in report["next"])


@pytest.mark.real
def test_no_framework(tmp_path: Path) -> None:
    report = blocked(odd.no_framework(tmp_path / "repo"))
    assert shops.stages(report)["identify"] == "blocked"
    assert "personalize-repo" in [r["skill"] for r in report["recommendations"]]


@pytest.mark.real
def test_several_apps_equally_likely(tmp_path: Path) -> None:
    report = shops.report(odd.two_apps(tmp_path / "repo"), code=3)
    assert shops.stages(report)["identify"] in ("blocked", "passed")


@pytest.mark.real
def test_consent_not_given(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "repo")
    report = blocked(repo)
    statuses = shops.stages(report)
    assert (statuses.pop("tests"), statuses.pop("validate")) == ("blocked", "blocked")
    assert set(statuses.values()) == {"passed"}
    breaking, validating = report["next"]
    assert breaking["action"] == validating["action"] == "consent"
    assert "-m pytest" in breaking["detail"]
    assert "make lint; make test" in validating["detail"]


@pytest.mark.real
def test_idempotency_unknown(tmp_path: Path) -> None:
    report = blocked(shops.shop(tmp_path / "repo", "1-idempotency-unknown"))
    assert shops.stages(report)["idempotency"] == "blocked"
    assert shops.stages(report)["validate"] == "pending"


@pytest.mark.real
def test_every_independent_problem_at_once(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "repo", "1-idempotency-unknown", "2-permanent-error-retried")
    statuses = shops.stages(blocked(repo))
    assert statuses["idempotency"] == "blocked"
    assert statuses["retry"] == "failed"


@pytest.mark.real
def test_a_profile_that_contradicts_the_code_is_a_finding(finished_shop: Path) -> None:
    repo = finished_shop
    helpers.write_files(
        repo,
        {
            "REPO_PROFILE.json": (
                """
            {"stack": {"frontend": "none", "backend": "celery", "language": ["python"]},
             "commands": {"lint": "make lint", "typecheck": "none", "test": "none", "build": "none"},
             "jobs": {"framework": "celery", "app": "shop/elsewhere.py:app"}}
            """
            )
        },
    )
    report = shops.report(repo, "--trust", code=1)
    places = [f["path"] for s in report["stages"] for f in s["findings"] if s["id"] == "identify"]
    assert "REPO_PROFILE.json" in places
    assert "validate.none-but-declared" in shops.rules(report)
