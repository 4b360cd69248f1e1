"""A coded skill that is installed beside skillrun runs as the bundled one does."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import helpers
import pytest
from plugged_environment import HERE, Environment, make_environment

NAME = "changelog-entry"
OLD = "# Changelog\n\n## 1.1\n- It is there.\n"
NEW = OLD.replace("## 1.1", "## 1.2\n- It runs.\n- It stops.\n\n## 1.1")
SPEC = ".skillrun/changelog/release.yaml"

MakeRepo = Callable[..., Path]


def read_statuses(report: dict[str, Any]) -> dict[str, str]:
    return {stage["id"]: stage["status"] for stage in report["stages"]}


def read_telemetry(repo: Path) -> dict[str, Any]:
    """The newest row, as the ledger has it."""
    with sqlite3.connect(repo / ".skillrun" / "ledger.db") as connection:
        connection.row_factory = sqlite3.Row
        row = connection.execute("SELECT * FROM telemetry ORDER BY invocation DESC").fetchone()
    return dict(row)


@pytest.mark.real
def test_it_runs_from_blocked_to_success_and_the_ledger_has_its_fields(
    with_changelog_entry: Environment, make_repo: MakeRepo
) -> None:
    """Its spec lies in a folder of its own; the fields that have no column are kept together."""
    repo = make_repo({"CHANGELOG.md": OLD, SPEC: "version: '1.2'\n"})
    report = with_changelog_entry.report(repo, NAME, code=3)
    assert report["run"]["skill"] == "docs/changelog-entry"
    assert report["run"]["job"] == "release-1.2"
    assert read_statuses(report) == {"changelog": "passed", "entry": "blocked"}
    assert [check["status"] for check in report["checks"]] == ["blocked"]
    assert "CHANGELOG.md says nothing of 1.2" in report["next"][0]["detail"]

    (repo / "CHANGELOG.md").write_text(NEW, encoding="utf-8")
    report = with_changelog_entry.report(repo, NAME, code=0)
    assert read_statuses(report) == {"changelog": "passed", "entry": "passed"}
    assert [(check["id"], check["status"]) for check in report["checks"]] == [
        ("says-what-changed", "passed")
    ]
    row = read_telemetry(repo)
    assert (row["skill"], row["outcome"]) == ("docs/changelog-entry", "success")
    assert json.loads(row["fields"]) == {"bullets": 2, "version": "1.2"}
    assert (row["trigger"], row["idempotency"], row["retries"]) == (None, None, None)


@pytest.mark.real
def test_nothing_changed_is_repeated_and_a_changed_file_makes_its_stage_stale(
    with_changelog_entry: Environment, make_repo: MakeRepo
) -> None:
    repo = make_repo({"CHANGELOG.md": NEW})
    given = (NAME, "--set", "version=1.2")
    with_changelog_entry.report(repo, *given, code=0)
    again = with_changelog_entry.report(repo, *given, code=0)
    assert all(stage["cached"] for stage in again["stages"])
    (repo / "CHANGELOG.md").write_text(OLD, encoding="utf-8")
    status = with_changelog_entry.report(repo, "status", code=1)
    assert [stage["id"] for stage in status["stages"] if stage["stale"]] == ["changelog", "entry"]
    assert read_statuses(with_changelog_entry.report(repo, *given, code=3))["entry"] == "blocked"


@pytest.mark.real
def test_another_version_of_its_code_is_asked_again(
    bare: Environment, tmp_path: Path, make_repo: MakeRepo
) -> None:
    pytest.importorskip("hatchling", reason="the plug-in's build backend; it comes with [dev]")
    bare.install(HERE / "changelog_entry")
    repo = make_repo({"CHANGELOG.md": NEW})
    given = (NAME, "--set", "version=1.2")
    bare.report(repo, *given, code=0)
    stages = bare.packages / "changelog_entry" / "stages.py"
    text = stages.read_text("utf-8")
    stages.write_text(text.replace("if not bullets:", "if len(bullets) < 3:"), encoding="utf-8")
    status = bare.report(repo, "status", code=1)
    assert [stage["changed"] for stage in status["stages"]] == [["the plug-in's code"]] * 2
    assert read_statuses(bare.report(repo, *given, code=3))["entry"] == "blocked"


@pytest.mark.real
def test_a_job_spec_is_none_of_its_specs_and_its_own_is_read_with_its_own_words(
    with_changelog_entry: Environment, make_repo: MakeRepo
) -> None:
    repo = make_repo({"CHANGELOG.md": NEW, ".skillrun/jobs/a.yaml": "version: 1\njob: a\n"})
    report = with_changelog_entry.report(repo, NAME, code=3)
    assert report["run"]["job"] == "-"
    assert "no version is given" in report["next"][0]["detail"]
    (repo / SPEC).parent.mkdir()
    (repo / SPEC).write_text("job: a\n", encoding="utf-8")
    _, said = with_changelog_entry.run(repo, NAME, code=4)
    assert said.startswith(f"skillrun: {SPEC}: a release has a version and nothing else\n")


WITHOUT_SPECS = """
from pathlib import Path
from skillrun.core.verdict import Grade, StageResult, status_of
from skillrun.runner.case import Case
from skillrun.runner.coded import CodedSkill, SpecFormat, wording


class Stage:
    ID, TITLE, ANSWERS, READS, COSTLY = "changelog", "Changelog", wording("find"), (), False

    def examine(self, case):
        return StageResult(status_of(()), Grade.STATIC, summary=f"spec {case.spec}")


SKILL = CodedSkill("changelog-entry", lambda skill: (Stage(),), Case, spec=SpecFormat(folder=None))
"""


def test_a_skill_of_the_whole_repository_asks_for_no_spec(
    bare: Environment, make_repo: MakeRepo
) -> None:
    """However many jobs the repository has."""
    text = (HERE / "changelog_entry" / "changelog_entry" / "SKILL.md").read_text("utf-8")
    specs = {f".skillrun/jobs/{job}.yaml": f"version: 1\njob: {job}\n" for job in "ab"}
    repo = make_repo({f".agents/skills/{NAME}/SKILL.md": text, **specs})
    bare.register(NAME, "plugged:SKILL", WITHOUT_SPECS)
    report = bare.report(repo, NAME, code=3)
    found = {stage["id"]: stage["summary"] for stage in report["stages"]}
    assert found["changelog"] == "spec None"


@pytest.mark.real
def test_its_items_are_waived_as_its_code_allows(
    with_changelog_entry: Environment, make_repo: MakeRepo
) -> None:
    repo = make_repo({"README.md": "A shop.\n"})
    given = (NAME, "--set", "version=1.2")
    _, said = with_changelog_entry.run(repo, *given, "--waive", "entry=later", code=2)
    assert "entry can never be waived\n  do: write the entry" in said
    report = with_changelog_entry.report(repo, *given, "--waive", "changelog=none", code=3)
    assert read_statuses(report) == {"changelog": "waived", "entry": "blocked"}


@pytest.mark.real
def test_list_and_show_know_it_and_its_scaffold_is_refused(
    with_changelog_entry: Environment, make_repo: MakeRepo
) -> None:
    repo = make_repo({"README.md": "A shop.\n"})
    listed = json.loads(with_changelog_entry.run(repo, "list", "--json", code=0)[0])
    mine = [skill for skill in listed if skill["id"] == "docs/changelog-entry"]
    assert [skill["where"] for skill in mine] == ["installed"]
    assert Path(mine[0]["path"]).is_relative_to(with_changelog_entry.packages.resolve())
    shown = json.loads(with_changelog_entry.run(repo, "show", NAME, "--json", code=0)[0])
    assert [(stage["id"], stage["verified"]) for stage in shown["stages"]] == [
        ("changelog", True),
        ("entry", True),
    ]
    _, said = with_changelog_entry.run(repo, NAME, "--implement", "scaffold", code=2)
    assert "changelog-entry writes no job" in said


@pytest.mark.real
def test_the_copy_of_a_repository_keeps_the_codes_stages(
    with_changelog_entry: Environment, make_repo: MakeRepo
) -> None:
    text = (HERE / "changelog_entry" / "changelog_entry" / "SKILL.md").read_text("utf-8")
    copy = text.replace("1) Find the changelog.\n2)", "1) Tell the people.\n2)")
    repo = make_repo({f".agents/skills/{NAME}/SKILL.md": copy, "CHANGELOG.md": NEW})
    report = with_changelog_entry.report(repo, NAME, "--set", "version=1.2", code=3)
    assert read_statuses(report) == {
        "changelog": "passed",
        "tell-the-people": "blocked",
        "entry": "passed",
    }


@pytest.mark.real
def test_an_installed_skillrun_finds_its_own_skill_and_a_plugin(
    tmp_path: Path, make_repo: MakeRepo
) -> None:
    """Without a checkout, by the metadata that pip wrote for both."""
    pytest.importorskip("hatchling", reason="skillrun's build backend; it comes with [dev]")
    installed = make_environment(tmp_path / "env", with_checkout=False)
    installed.install(helpers.ROOT)
    installed.install(HERE / "changelog_entry")
    repo = make_repo({"CHANGELOG.md": NEW})
    report = installed.report(repo, "job-worker-orchestration", code=3)
    assert [stage["id"] for stage in report["stages"]][:2] == ["identify", "contract"]
    assert installed.report(repo, NAME, "--set", "version=1.2", code=0)["outcome"] == "success"
