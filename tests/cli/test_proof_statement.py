"""`skillrun prove --intoto FILE`: an in-toto statement about the commit that was proved, and about
nothing else.
"""

from __future__ import annotations

import colorsys
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import helpers
import pytest
from jsonschema import Draft202012Validator

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "proof"))

from plain_job import JOBS, plain_repo

FILE = "proof.intoto.json"
SPEC_PATH = ".skillrun/jobs/handle-order.yaml"
# What https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md requires: each subject
# has a digest; the lengths of a gitCommit are those of spec/v1/digest_set.md.
STATEMENT_V1 = {
    "type": "object",
    "required": ["_type", "subject", "predicateType"],
    "properties": {
        "_type": {"const": "https://in-toto.io/Statement/v1"},
        "subject": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["digest"],
                "properties": {
                    "digest": {
                        "type": "object",
                        "properties": {"gitCommit": {"pattern": "^([0-9a-f]{40}|[0-9a-f]{64})$"}},
                    }
                },
            },
        },
        "predicateType": {"type": "string", "pattern": "^[a-z][a-z0-9+.-]*:"},
        "predicate": {"type": "object"},
    },
}


def prove(repo: Path, *args: str, code: int) -> str:
    done = helpers.run_cli("prove", "--trust", "--intoto", FILE, *args, cwd=repo, timeout=300)
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def schema() -> dict[str, Any]:
    text = (helpers.ROOT / "schemas/proof-statement.v1.json").read_text()
    value: dict[str, Any] = json.loads(text)
    return value


def valid(statement: Any) -> None:
    """Against in-toto's own rules and the predicate's schema, which names all that is there."""
    problems = [*Draft202012Validator(STATEMENT_V1).iter_errors(statement)]
    problems += Draft202012Validator(schema()).iter_errors(statement["predicate"])
    assert [f"{error.json_path}: {error.message}" for error in problems] == []
    assert statement["predicateType"] == schema()["$id"]
    assert set(statement["predicate"]) <= set(schema()["properties"])


@pytest.mark.real
def test_a_proof_is_stated_about_its_commit(tmp_path: Path) -> None:
    repo = plain_repo(tmp_path / "repo")
    assert "cosign attest-blob --statement" in prove(repo, code=0)
    text = (repo / FILE).read_text()
    assert text.isascii()
    statement = json.loads(text)
    valid(statement)
    head = helpers.git(repo, "rev-parse", "HEAD")
    assert statement["subject"] == [{"name": "gitCommit", "digest": {"gitCommit": head}}]
    found = statement["predicate"]
    assert found["verdict"] == "proved"
    assert found["promises"]["effects"]["verdict"] == "proved"
    assert found["schedules"]["total"] == sum(found["schedules"]["families"].values()) > 50
    assert found["effects"][0]["call"] == "jobs:send"
    assert found["effects"][0]["called"] is False
    assert found["spec"]["name"] == SPEC_PATH
    for described in (found["spec"], *found["imported"]):
        held = (repo / described["name"]).read_bytes()  # git status is clean, but for the statement
        assert described["digest"] == {"sha256": hashlib.sha256(held).hexdigest()}
    assert helpers.git(repo, "status", "--short") == f"?? {FILE}"
    assert [one["name"] for one in found["imported"]] == ["jobs.py"]


@pytest.mark.real
def test_a_refutation_is_stated_too(tmp_path: Path) -> None:
    """And a document on stdout stays alone there."""
    jobs = JOBS.replace("if db.execute", "if False and db.execute")
    repo = plain_repo(
        tmp_path / "repo", jobs=jobs.replace('f"order-{order_id}"', "str(time.time())")
    )
    words = ("--json", "--pytest", "test_order.py", "--intoto", FILE)
    done = helpers.run_cli("prove", "--trust", *words, cwd=repo, timeout=300)
    assert done.returncode == 1
    assert (repo / "test_order.py").is_file()  # a new file, and no reason against the statement
    report = json.loads(done.stdout)
    assert f"written: {FILE}" in done.stderr
    statement = json.loads((repo / FILE).read_text())
    valid(statement)
    found = statement["predicate"]
    assert found["verdict"] == "refuted"
    expected = [(one["rule"], one["schedule"]) for one in report["witnesses"]]
    assert [(one["rule"], one["schedule"]) for one in found["refutations"]] == expected


UNHELD: dict[str, dict[str, str]] = {
    "edited": {"schema.py": "import this\n"},
    "untracked": {"more.py": "x = 1\n"},
}


@pytest.mark.parametrize("name", UNHELD)
def test_what_the_commit_does_not_hold_is_not_stated(name: str, tmp_path: Path) -> None:
    """Before anything runs: nobody waits for a proof that cannot be used."""
    repo = plain_repo(tmp_path / "repo")
    helpers.write_files(repo, UNHELD[name])
    said = prove(repo, code=3)
    assert f"HEAD does not hold: {next(iter(UNHELD[name]))}" in said
    assert "schedules" not in said
    assert not (repo / FILE).exists()


@pytest.mark.real
def test_an_edit_that_git_is_told_not_to_look_at_is_not_stated(tmp_path: Path) -> None:
    repo = plain_repo(tmp_path / "repo")
    helpers.write_files(repo, {"rates.json": "1"})
    helpers.commit(repo)
    helpers.git(repo, "update-index", "--assume-unchanged", "rates.json")
    helpers.write_files(repo, {"rates.json": "2"})
    assert "HEAD does not hold: rates.json" in prove(repo, code=3)


@pytest.mark.real
def test_without_a_commit_nothing_is_stated(tmp_path: Path) -> None:
    repo = plain_repo(tmp_path / "repo")
    helpers.git(repo, "checkout", "--quiet", "--orphan", "other")
    assert "HEAD does not hold: " in prove(repo, code=3)


@pytest.mark.real
def test_a_spec_that_git_ignores_is_not_stated(tmp_path: Path) -> None:
    repo = plain_repo(tmp_path / "repo")
    helpers.write_files(repo, {".gitignore": "mine/\n"})
    helpers.commit(repo)
    helpers.write_files(repo, {"mine/job.yaml": (repo / SPEC_PATH).read_text()})
    assert "does not hold: mine/job.yaml" in prove(repo, "--spec", "mine/job.yaml", code=3)


@pytest.mark.real
def test_a_module_that_git_ignores_is_not_stated(tmp_path: Path) -> None:
    """Only the proof knows that it was imported; the verdict is shown all the same."""
    jobs = JOBS.replace("import logging", "import local_settings\n    import logging", 1)
    repo = plain_repo(tmp_path / "repo", jobs=jobs)
    helpers.write_files(repo, {".gitignore": "local_settings.py\n"})
    helpers.commit(repo)
    helpers.write_files(repo, {"local_settings.py": "SAFE = True\n"})
    said = prove(repo, code=3)
    assert "proved: handle-order" in said
    assert "HEAD does not hold: local_settings.py" in said
    assert not (repo / FILE).exists()


WITH_SETTINGS = JOBS.replace("import logging", "import local_settings\n    import logging", 1)
# A file that every proof's sandbox shows, and that no repository holds.
OUTSIDE = colorsys.__file__


@pytest.mark.real
@pytest.mark.parametrize("ignored", [True, False])
def test_a_module_that_is_a_link_out_of_the_repository_is_not_stated(
    ignored: bool, tmp_path: Path
) -> None:
    """Where the commit holds the link, it still does not hold what stands at its other end."""
    repo = plain_repo(tmp_path / "repo", jobs=WITH_SETTINGS)
    if ignored:
        helpers.write_files(repo, {".gitignore": "local_settings.py\n"})
        helpers.commit(repo)
    (repo / "local_settings.py").symlink_to(OUTSIDE)
    if not ignored:
        helpers.commit(repo)
    said = prove(repo, code=3)
    assert "proved: handle-order" in said
    assert "HEAD does not hold: " in said
    assert (str(Path(OUTSIDE).resolve()) in said) or "local_settings.py" in said
    assert not (repo / FILE).exists()


@pytest.mark.real
def test_a_link_that_git_ignores_is_not_stated_though_its_target_is_held(tmp_path: Path) -> None:
    """A clone of the commit has no such module."""
    repo = plain_repo(tmp_path / "repo", jobs=WITH_SETTINGS)
    helpers.write_files(
        repo, {".gitignore": "local_settings.py\n", "settings_of_tests.py": "SAFE = True\n"}
    )
    helpers.commit(repo)
    (repo / "local_settings.py").symlink_to("settings_of_tests.py")
    assert "HEAD does not hold: local_settings.py" in prove(repo, code=3)


@pytest.mark.real
def test_a_link_that_the_commit_holds_is_stated_by_the_file_it_leads_to(tmp_path: Path) -> None:
    repo = plain_repo(tmp_path / "repo", jobs=WITH_SETTINGS)
    helpers.write_files(repo, {"settings_of_tests.py": "SAFE = True\n"})
    (repo / "local_settings.py").symlink_to("settings_of_tests.py")
    helpers.commit(repo)
    prove(repo, code=0)
    statement = json.loads((repo / FILE).read_text())
    valid(statement)
    imported = [one["name"] for one in statement["predicate"]["imported"]]
    assert imported == ["jobs.py", "settings_of_tests.py"]


PARTS = {
    "handler": ("jobs:handle",),
    "set": ("--set", "job=other"),
    "schedule": ("--schedule", "once"),
    "list": ("--list",),
    "acks-late": ("--acks-late",),
}


@pytest.mark.parametrize("name", PARTS)
def test_less_than_the_whole_proof_is_not_stated(name: str, tmp_path: Path) -> None:
    repo = plain_repo(tmp_path / "repo")
    assert "--intoto states the whole proof" in prove(repo, *PARTS[name], code=2)


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    repo = plain_repo(tmp_path / "repo")
    (repo / FILE).symlink_to(tmp_path / "elsewhere.json")
    assert "exists already" in prove(repo, code=2)
    assert not (tmp_path / "elsewhere.json").exists()
    assert "no such folder" in prove(repo, "--intoto", "no/where.json", code=2)


def test_every_job_is_not_one_statement(tmp_path: Path) -> None:
    assert "--all takes every job" in prove(plain_repo(tmp_path / "repo"), "--all", code=2)
