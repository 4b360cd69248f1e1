"""--json: stdout is one document that satisfies the published schema, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import helpers
import pytest
import shops
from jsonschema import Draft202012Validator
from rows import real_but

from skillrun.core.resources import resource


def valid(value: Any, name: str) -> None:
    schema = json.loads(resource("schemas", name).read_text())
    problems = [
        f"{error.json_path}: {error.message}"
        for error in Draft202012Validator(schema).iter_errors(value)
    ]
    assert problems == []


def json_of(done: Any) -> Any:
    assert done.stderr == ""
    assert done.stdout.endswith("}\n")
    return json.loads(done.stdout)


CASES: dict[str, tuple[tuple[str, ...], list[str], int]] = {
    "blocked": (("1-idempotency-unknown",), [], 3),
    "no consent": ((), [], 3),
    "partial": (("2-permanent-error-retried",), ["--trust"], 1),
    "until": ((), ["--until", "contract"], 1),
    "waived": (("2-permanent-error-retried",), ["--trust", "--waive", "retry=agreed"], 1),
    "success": ((), ["--trust"], 0),
}


@pytest.mark.real
@pytest.mark.parametrize("name", real_but(CASES, "until"))
def test_the_report_is_as_published(name: str, tmp_path: Path) -> None:
    overlays, args, code = CASES[name]
    repo = shops.shop(tmp_path / "repo", *overlays)
    for _ in range(2):  # the second time most of it comes from the ledger
        done = helpers.run_cli(shops.SKILL, "--json", *args, cwd=repo)
        assert done.returncode == code
        report = json_of(done)
        valid(report, "report.v1.json")
        assert report["outcome"] == {0: "success", 1: "partial", 3: "blocked"}[code]
    assert report["telemetry"]["invocation"] == 2
    status = helpers.run_cli("status", "--json", cwd=repo)
    valid(json_of(status), "report.v1.json")


@pytest.mark.real
def test_the_report_and_the_ledger_agree(finished_shop: Path) -> None:
    repo = finished_shop
    (repo / "README.md").write_text("Another.\n")
    report = shops.report(repo, "--trust", code=0)
    *_, row = shops.telemetry(shops.ledger_of(repo))
    for name, value in report["telemetry"].items():
        if name != "ts_utc":
            assert value == (
                json.loads(row[name]) if isinstance(value, list | dict) else row[name]
            ), name
    last = shops.events(shops.ledger_of(repo))[-1]
    assert report["ledger"] == {"path": str(shops.ledger_of(repo)), "head": last["hash"]}
    assert report["run"]["id"] == row["run_id"]


@pytest.mark.real
def test_no_spec_and_no_framework(tmp_path: Path) -> None:
    repo = helpers.build_tree(tmp_path / "repo", {"a.py": ""})
    valid(json_of(helpers.run_cli(shops.SKILL, "--json", cwd=repo)), "report.v1.json")


def test_detect(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "repo")
    found = json_of(helpers.run_cli("detect", "--json", cwd=repo))
    valid(found, "detect.v1.json")
    assert found["primary"] == "celery"


@pytest.mark.real
def test_detect_writes_a_profile_as_published(finished_shop: Path) -> None:
    repo = finished_shop
    helpers.run_cli("detect", "--write", cwd=repo)
    valid(json.loads((repo / "REPO_PROFILE.json").read_text()), "repo-profile.v1.json")
    report = shops.report(repo, "--trust", code=0)
    assert set(shops.stages(report).values()) == {"passed"}


@pytest.fixture(scope="module")
def looked_at(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop with a run that waits for consent; these commands write nothing into it."""
    repo = shops.shop(tmp_path_factory.mktemp("json") / "repo")
    shops.run(repo, code=3)
    return repo


@pytest.mark.parametrize(
    "command",
    (
        "list",
        f"show {shops.SKILL}",
        "next",
        "why retry",
        "ledger list",
        "ledger verify",
        "ledger query recent-runs",
    ),
)
def test_every_other_command_prints_one_document(command: str, looked_at: Path) -> None:
    done = helpers.run_cli(*command.split(), "--json", cwd=looked_at)
    assert done.returncode in (0, 3)
    assert done.stderr == ""
    json.loads(done.stdout)


@pytest.mark.real
def test_errors_go_to_stderr_with_their_exit_code(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "repo")
    for args, code in (
        ([shops.SKILL, "--until", "x"], 2),
        ([shops.SKILL, "--spec", "x.yaml"], 4),
        (["status"], 3),
    ):
        done = helpers.run_cli(*args, "--json", cwd=repo)
        assert (done.returncode, done.stdout) == (code, "")
        assert done.stderr.startswith("skillrun: ")
