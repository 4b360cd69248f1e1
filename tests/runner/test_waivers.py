"""Waivers: in the spec, on the command line, recorded; and never of idempotency."""

from __future__ import annotations

import json
from pathlib import Path

import helpers
import pytest
import shops

from skillrun.repo.git import open_repo
from skillrun.validations.consent import Consent


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A shop whose retry stage fails."""
    return shops.shop(tmp_path / "repo", "2-permanent-error-retried")


@pytest.mark.real
def test_on_the_command_line_and_recorded(repo: Path) -> None:
    report = shops.report(repo, "--waive", "retry=the provider asks for it", "--trust", code=1)
    assert shops.stages(report)["retry"] == "waived"
    assert report["outcome"] == "partial"
    (given,) = shops.events(shops.ledger_of(repo), "waiver.given")
    assert given["data"]["item"] == "retry"
    assert given["data"]["reason"] == "the provider asks for it"
    later = shops.report(repo, code=1)
    assert shops.stages(later)["retry"] == "waived"
    assert len(shops.events(shops.ledger_of(repo), "waiver.given")) == 1


@pytest.mark.real
def test_a_waived_stage_holds_up_nothing_and_makes_no_success(repo: Path) -> None:
    """Nor do the shop's own tests, which say of the handler what the stage retry says."""
    report = shops.report(repo, "--waive", "retry=x", "--waive", "tests=x", "--trust", code=1)
    statuses = shops.stages(report)
    assert statuses["validate"] == "passed"
    assert not [action for action in report["next"] if action["stage"] == "retry"]
    (summary,) = [s["summary"] for s in report["stages"] if s["id"] == "retry"]
    assert summary.startswith("waived by ")


@pytest.mark.real
def test_one_whose_reason_looks_like_a_secret_is_recorded_once(repo: Path) -> None:
    spec = repo / shops.SPEC
    text = spec.read_text()
    spec.write_text(text + "waivers: [{item: retry, reason: password=hunter2hunter2}]\n")
    for number in range(3):
        (repo / "README.md").write_text(f"{number}\n")
        shops.run(repo, code=3)
    (given,) = shops.events(shops.ledger_of(repo), "waiver.given")
    assert given["data"]["reason"] == "password=[masked]"


@pytest.mark.real
def test_in_the_spec_until_it_leaves_the_spec(repo: Path) -> None:
    spec = repo / shops.SPEC
    text = spec.read_text()
    spec.write_text(text + "waivers: [{item: retry, reason: agreed, by: The Team}]\n")
    report = shops.report(repo, code=3)
    assert shops.stages(report)["retry"] == "waived"
    assert shops.events(shops.ledger_of(repo), "waiver.given")[0]["data"]["by"] == "The Team"
    spec.write_text(text)
    assert shops.stages(shops.report(repo, code=1))["retry"] == "failed"


@pytest.mark.real
def test_a_check_and_a_recommendation_can_be_waived(finished_shop: Path) -> None:
    report = shops.report(
        finished_shop, "--waive", "system/state-machine-mapper=one state only", code=0
    )
    (mapper,) = [
        r for r in report["recommendations"] if r["skill"] == "system/state-machine-mapper"
    ]
    assert mapper["waived"] == "one state only"


@pytest.mark.real
def test_a_waiver_of_what_has_passed_changes_nothing(finished_shop: Path) -> None:
    report = shops.report(finished_shop, "--waive", "tests=not now", code=0)
    assert shops.stages(report)["tests"] == "passed"


@pytest.mark.real
def test_a_costly_stage_can_be_waived_without_running(tmp_path: Path) -> None:
    repo = shops.shop(
        tmp_path / "repo", "2-permanent-error-retried", makefile="test:\n\ttouch ran\n"
    )
    report = shops.report(repo, "--waive", "validate=runs elsewhere", code=1)
    assert shops.stages(report)["validate"] == "waived"
    assert not (repo / "ran").exists()


@pytest.mark.real
def test_a_waiver_ends_with_its_run(repo: Path) -> None:
    shops.run(repo, "--waive", "retry=x", code=3)
    assert shops.stages(shops.report(repo, "--new-run", code=1))["retry"] == "failed"


AGENT = {"CLAUDECODE": "1"}


@pytest.mark.parametrize("more", [{}, {"SKILLRUN_ACTOR": "human:me"}])
def test_an_agent_may_not_waive_whatever_it_calls_itself(repo: Path, more: dict[str, str]) -> None:
    done = helpers.run_cli(
        "run", shops.SKILL, "--waive", "retry=no time", cwd=repo, env={**AGENT, **more}
    )
    assert done.returncode == 4
    assert "claude-code is an agent, and waivers are for people" in done.stderr
    assert not shops.ledger_of(repo).exists()


@pytest.mark.real
def test_an_agents_waiver_in_the_spec_counts_once_it_is_committed(repo: Path) -> None:
    spec = repo / shops.SPEC
    spec.write_text(spec.read_text() + "waivers:\n  - {item: retry, reason: later, by: Alice}\n")
    done = helpers.run_cli("run", shops.SKILL, "--trust", cwd=repo, env=AGENT)
    assert done.returncode == 4
    assert "HEAD does not hold this waiver" in done.stderr
    helpers.commit(repo, "A person's waiver")
    assert shops.stages(shops.report(repo, code=3, env=AGENT))["retry"] == "waived"


@pytest.mark.real
def test_a_profile_allows_an_agent_nothing(repo: Path) -> None:
    """A clone brings it along, and an agent can edit it."""
    profile = shops.asked(repo, "detect")["profile"]
    profile["quality_bar"]["agent_waivers"] = True
    (repo / "REPO_PROFILE.json").write_text(json.dumps(profile))
    helpers.commit(repo, "Agents may")
    done = helpers.run_cli("run", shops.SKILL, "--waive", "retry=later", cwd=repo, env=AGENT)
    assert done.returncode == 4
    assert "skillrun trust --agent-waivers" in done.stderr


@pytest.mark.real
def test_where_a_person_allows_it_an_agents_waiver_is_recorded_as_one(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKILLRUN_STATE_DIR", str(repo.with_name("repo.home") / "state"))
    Consent(open_repo(repo)).allow_agents(waive=True)
    report = shops.report(repo, "--waive", "retry=later", code=3, env=AGENT)
    assert shops.stages(report)["retry"] == "waived"
    (event,) = shops.events(shops.ledger_of(repo), "waiver.given")
    assert event["actor_kind"] == "agent"
