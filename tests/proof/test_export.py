"""The regression test that `--pytest` writes: fails now, passes once the handler is mended,
overwrites nothing.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import helpers
import pytest
from plain_job import JOBS, plain_repo, proof_of, target_of

from skillrun.core.errors import Misuse
from skillrun.proof.export import test_text as text_of_test
from skillrun.proof.export import write_test
from skillrun.proof.replay import assert_holds
from skillrun.proof.report import proof_report

SEND = '            send(order_id, key=f"order-{order_id}")\n'
MARK = '            db.execute("insert into done values (?) on conflict do nothing", (order_id,))\n'
MARKED_FIRST = JOBS.replace(SEND + MARK, MARK + "            db.commit()\n" + SEND)
SCHEDULE = "kill@before:send#1"


def written(repo: Path, name: str = "tests/test_again.py") -> Path:
    """The test of the refutation of a handler that marks first."""
    (repo / name).parent.mkdir(exist_ok=True)
    report = proof_report(proof_of(repo, SCHEDULE), target_of(repo))
    said = write_test(report, target_of(repo), repo, repo / name)
    assert "it fails until the handler is mended" in said
    return repo / name


def run_pytest(repo: Path, file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)],
        cwd=repo,
        env=helpers.clean_env(repo.parent / "home"),
        capture_output=True,
        text=True,
    )


@pytest.mark.real
def test_it_fails_now_and_passes_once_the_handler_is_mended(tmp_path: Path) -> None:
    repo = plain_repo(tmp_path / "repo", jobs=MARKED_FIRST)
    file = written(repo)
    broken = run_pytest(repo, file)
    assert broken.returncode == 1
    assert "cause: the marker is committed before the effect" in broken.stdout
    assert "[FAULT] the process is killed before send#1" in broken.stdout
    helpers.write_files(repo, {"jobs.py": JOBS})
    mended = run_pytest(repo, file)
    assert mended.returncode == 0, mended.stdout


@pytest.mark.real
def test_it_is_skipped_with_a_reason_where_skillrun_is_not_installed(tmp_path: Path) -> None:
    file = written(plain_repo(tmp_path / "repo", jobs=MARKED_FIRST))
    # A package of that name without the proof.
    helpers.write_files(file.parent, {"skillrun/__init__.py": ""})
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-rs",
            "-p",
            "no:cacheprovider",
            "--import-mode=append",
            str(file),
        ],
        cwd=file.parent,
        env={**helpers.clean_env(tmp_path / "home"), "PYTHONPATH": str(file.parent)},
        capture_output=True,
        text=True,
    )
    assert "skillrun is not installed" in done.stdout, done.stdout


@pytest.mark.real
def test_nothing_is_overwritten(tmp_path: Path) -> None:
    repo = plain_repo(tmp_path / "repo", jobs=MARKED_FIRST)
    file = written(repo)
    report = proof_report(proof_of(repo, SCHEDULE), target_of(repo))
    with pytest.raises(Misuse, match="exists already"):
        write_test(report, target_of(repo), repo, file)


@pytest.mark.real
def test_a_proof_without_a_witness_writes_nothing(tmp_path: Path) -> None:
    repo = plain_repo(tmp_path / "repo")
    report = proof_report(proof_of(repo, SCHEDULE), target_of(repo))
    assert "no test was written" in write_test(report, target_of(repo), repo, repo / "test_x.py")
    assert not (repo / "test_x.py").exists()


@pytest.mark.parametrize(
    "text", ('"""; import os #', "a\\", "{root}", 'it\'s "both"', "line\nbreak")
)
def test_text_of_a_repository_cannot_leave_its_literal(text: str, tmp_path: Path) -> None:
    repo = plain_repo(tmp_path / "repo")
    witness = {
        "message": text,
        "cause": text,
        "rule": "effect.lost",
        "effect": text,
        "schedule": text,
    }
    source = text_of_test(
        {"job": text}, witness, target_of(repo), repo, repo / "tests" / "test_x.py"
    )
    module = ast.parse(source)
    kinds = [type(node).__name__ for node in module.body]
    assert kinds == ["Expr", "ImportFrom", "Import", "Assign", "Assign", "FunctionDef"]
    call = module.body[-1].body[-1].value  # type: ignore[attr-defined]
    assert ast.literal_eval(call.keywords[1].value) == text


def test_a_test_of_a_job_without_a_spec_names_no_file_of_this_machine(tmp_path: Path) -> None:
    """Its draft lies in the state folder, which no clone has."""
    repo = plain_repo(tmp_path / "repo")
    witness = dict.fromkeys(("message", "cause", "effect"), "said")
    witness |= {"rule": "effect.lost", "schedule": SCHEDULE}
    file = repo / "test_again.py"
    report = {"job": "handle", "verdict": "refuted", "witnesses": [witness]}
    write_test(report, target_of(repo), repo, file, is_drafted=True)
    source = file.read_text()
    assert f'holding.assert_job_holds("jobs:handle", schedule="{SCHEDULE}", root=ROOT)' in source
    assert str(tmp_path) not in source
    assert ".yaml" not in source
    ast.parse(source)


@pytest.mark.real
def test_a_schedule_that_shows_nothing_is_no_pass(tmp_path: Path) -> None:
    repo = plain_repo(tmp_path / "repo")
    spec = ".skillrun/jobs/handle-order.yaml"
    assert_holds(spec=spec, schedule=SCHEDULE, root=repo)
    with pytest.raises(AssertionError, match="the job never came to before:gone#1"):
        assert_holds(spec=spec, schedule="kill@before:gone#1", root=repo)
