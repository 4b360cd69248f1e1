"""`skillrun lint`, and the hooks of pre-commit that call it: what is certain is told, and only of the
files that were given.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import cases
import helpers
import pytest
import yaml

from skillrun.cli.plain_lint import lint_plainly

HOOKS: list[dict[str, Any]] = yaml.safe_load((helpers.ROOT / ".pre-commit-hooks.yaml").read_text())
# A retry that nothing bounds.
UNBOUNDED = ("max_retries=4", "max_retries=None")


def build(folder: Path, *change: str) -> Path:
    files = dict(cases.FILES)
    if change:
        files["shop/tasks.py"] = files["shop/tasks.py"].replace(*change)
    return helpers.build_tree(folder, {cases.SPEC_PATH: yaml.safe_dump(cases.SPEC)} | files)


def lint(repo: Path, *files: str) -> tuple[int, str]:
    done = helpers.run_cli("lint", *files, cwd=repo)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def test_files_in_which_nothing_is_wrong_say_nothing(tmp_path: Path) -> None:
    repo = build(tmp_path / "repo")
    assert lint(repo, "shop/tasks.py", "shop/mailer.py", cases.SPEC_PATH) == (0, "")
    assert helpers.git(repo, "status", "--porcelain") == ""


@pytest.mark.real
def test_what_is_certain_is_told_of_the_file_that_was_given_alone(tmp_path: Path) -> None:
    repo = build(tmp_path / "repo", *UNBOUNDED)
    code, said = lint(repo, "shop/tasks.py")
    assert code == 1
    (line,) = said.splitlines()
    assert line.startswith("shop/tasks.py:")
    assert line.endswith("[celery.retry-unbounded]")
    assert lint(repo, "shop/mailer.py") == (0, "")


def test_a_secret_in_a_spec_is_not_repeated(tmp_path: Path) -> None:
    repo = build(tmp_path / "repo")
    (repo / ".skillrun/jobs/other.yaml").write_text(
        "version: 1\njob: other\nretry: {max_attempts: 'DB_PASS=Tr0ub4dor-and-3'}\n"
    )
    code, said = lint(repo, ".skillrun/jobs/other.yaml")
    assert code == 1
    assert "max_attempts" in said and "Tr0ub4dor" not in said


def test_each_violation_of_a_spec_is_told_with_its_line(tmp_path: Path) -> None:
    repo = build(tmp_path / "repo")
    (repo / ".skillrun/jobs/other.yaml").write_text(
        "version: 1\njob: other\nretry: {max: 3}\nx: 1\n"
    )
    code, said = lint(repo, ".skillrun/jobs/other.yaml")
    assert code == 1
    assert ".skillrun/jobs/other.yaml:3: retry" in said
    assert ".skillrun/jobs/other.yaml:4: x" in said


@pytest.mark.real
def test_as_a_hook_calls_it_typer_is_not_loaded(tmp_path: Path) -> None:
    """And what is said is what the parser's way says, which an option takes."""
    repo = build(tmp_path / "repo", *UNBOUNDED)
    assert lint(repo, "shop/tasks.py") == lint(repo, "--repo", ".", "shop/tasks.py")
    script = (
        "import sys\nfrom skillrun.__main__ import main\n"
        "try:\n    main(['lint', 'shop/tasks.py'])\n"
        "finally:\n    print('typer' in sys.modules, 'skillrun.cli.app' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=repo,
        env=helpers.clean_env(tmp_path / "home", PYTHONPATH=str(helpers.ROOT)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "False False"


@pytest.mark.parametrize("words", [(), ("--help",), ("--nonsense", "a.py"), ("--", "-a.py")])
def test_what_is_no_file_is_the_parsers(words: tuple[str, ...]) -> None:
    assert lint_plainly(words) is None


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: str(hook["id"]))
def test_the_hooks_call_a_command_that_there_is(hook: dict[str, Any], tmp_path: Path) -> None:
    assert hook["entry"] == "skillrun lint"
    assert hook["language"] == "python"
    if "files" in hook:
        assert re.search(hook["files"], cases.SPEC_PATH)
        assert not re.search(hook["files"], "shop/tasks.py")
    repo = build(tmp_path / "repo")
    assert lint(repo, cases.SPEC_PATH)[0] == 0


LINT = "import sys; from skillrun.cli.plain_lint import lint_plainly; lint_plainly(sys.argv[1:])"
SAYS = "; print(*(name for name in sys.modules if name.startswith('skillrun.')))"
ONLY_FOR_JOBS = ("skillrun.frameworks", "skillrun.proof", "skillrun.runner", "skillrun.ledger")


@pytest.mark.real
def test_a_spec_that_is_fine_loads_nothing_that_reads_jobs(tmp_path: Path) -> None:
    """A hook runs before each commit, and most of its time was the start."""
    repo = build(tmp_path / "repo")
    words = [sys.executable, "-c", LINT + SAYS, cases.SPEC_PATH]
    done = subprocess.run(words, cwd=repo, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = done.stdout.split()
    assert "skillrun.repo.python" in loaded
    assert [name for name in loaded if name.startswith(ONLY_FOR_JOBS)] == []
