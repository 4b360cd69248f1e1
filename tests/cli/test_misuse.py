"""A command line that says something impossible: exit code 2, a line that says what, and nothing
written.
"""

from __future__ import annotations

from pathlib import Path

import helpers
import pytest
import shops

CASES: dict[str, tuple[list[str], str]] = {
    "unknown option": (["--bogus"], "--bogus"),
    "option without its value": (["--until"], "--until"),
    "unknown stage": (["--until", "lunch"], "--until lunch: no such stage"),
    "--set without =": (["--set", "retry.max_attempts"], "--set retry.max_attempts: no ="),
    "--waive without =": (["--waive", "tests"], "--waive tests: no ="),
    "--waive without a reason": (["--waive", "tests="], "tests: no reason"),
    "--waive of nothing": (["--waive", "lunch=hungry"], "nothing is called lunch"),
    "--waive idempotency": (["--waive", "idempotency=later"], "idempotency can never be waived"),
    "--waive its check": (["--waive", "idempotency-explicit=later"], "can never be waived"),
    "--attest of no step": (
        ["--attest", "lunch=eaten", "--evidence", "lunch=Makefile"],
        "--attest lunch",
    ),
    "--attest of a stage with code": (
        ["--attest", "retry=is fine", "--evidence", "retry=Makefile"],
        "--attest retry",
    ),
    "--evidence alone": (["--evidence", "lunch=Makefile"], "without --attest"),
}


def misused(repo: Path, *args: str | Path, says: str, **options: object) -> str:
    before = shops.listing(repo)
    done = helpers.run_cli(*args, cwd=repo, **options)  # type: ignore[arg-type]
    assert done.returncode == 2, done.stdout + done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert shops.listing(repo) == before
    return done.stderr


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shops.shop(tmp_path_factory.mktemp("misuse") / "repo")


@pytest.mark.parametrize("name", CASES)
def test_misuse(name: str, repo: Path) -> None:
    args, says = CASES[name]
    misused(repo, "run", shops.SKILL, *args, says=says)


@pytest.mark.parametrize(
    ("args", "says"),
    (
        (["run"], "skill"),
        (["spec"], "Usage: skillrun spec"),
        (["ledger", "list", "--limit", "many"], "--limit"),
        (["why"], "stage"),
        (["status", "--nonsense"], "--nonsense"),
    ),
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_misuse_of_other_commands(args: list[str], says: str, repo: Path) -> None:
    misused(repo, *args, says=says)


def test_several_specs_are_listed(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "repo")
    helpers.write_files(repo, {".skillrun/jobs/other.yaml": "version: 1\njob: other\n"})
    message = misused(repo, shops.SKILL, says="several job specs")
    assert ".skillrun/jobs/other.yaml" in message
    assert shops.SPEC in message
    assert "--spec" in message


def test_a_spec_cannot_waive_idempotency(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "repo")
    with (repo / shops.SPEC).open("a") as spec:
        spec.write("waivers: [{item: idempotency, reason: later, by: me}]\n")
    done = helpers.run_cli(shops.SKILL, cwd=repo)
    assert done.returncode in (2, 4)
    assert "never be waived" in done.stderr
    assert not shops.ledger_of(repo).exists()


def test_waiting_for_no_number_of_seconds(repo: Path) -> None:
    misused(repo, shops.SKILL, says="SKILLRUN_WAIT_S=soon", env={"SKILLRUN_WAIT_S": "soon"})


@pytest.mark.real
def test_questions_about_what_is_not_there(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "repo")
    before = shops.listing(repo)
    for command in ("status", "next", "why retry"):
        done = helpers.run_cli(*command.split(), cwd=repo)
        assert (done.returncode, "no run has been made here yet" in done.stderr) == (3, True)
    for command in ("ledger list", "ledger verify", "ledger show 1", "ledger query waivers"):
        done = helpers.run_cli(*command.split(), cwd=repo)
        assert (done.returncode, "no ledger here yet" in done.stderr) == (4, True), command
    assert shops.listing(repo) == before
    shops.run(repo, code=3)
    misused(repo, "why", "lunch", says="lunch: no such stage")
    misused(repo, "ledger", "show", "zzz", says="no run 'zzz'")
    misused(repo, "status", "--run", "zzz", says="no run 'zzz'")
