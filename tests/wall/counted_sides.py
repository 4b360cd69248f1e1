"""A small project with tests, and both sides of a branch that changes it, counted."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

import helpers

from skillrun.core.verdict import Severity
from skillrun.repo.git import open_repo
from skillrun.wall.counting.count import Sides, count_both
from skillrun.wall.diff import read_diff
from skillrun.wall.verification import Tests

WORK = "def double(number):\n    return number * 2\n"
TEST_WORK = """
    import pytest

    from work import double


    def test_one():
        assert double(1) == 2


    def test_two():
        assert double(2) == 4


    @pytest.mark.parametrize("number", [3, 4, 5])
    def test_more(number):
        assert double(number) == number + number


    class TestZero:
        def test_zero(self):
            assert double(0) == 0
    """
BASE: dict[str, str | bytes] = {
    "work.py": WORK,
    "conftest.py": "",
    "pyproject.toml": '[tool.pytest.ini_options]\naddopts = "-q"\n',
    "tests/test_work.py": TEST_WORK,
    "Makefile": "test:\n\tpython -m pytest -q\n",
}
NOT_RUN, RED, DEAF, DIED = (f"verify.tests-{name}" for name in ("not-run", "red", "deaf", "died"))


def count(
    root: Path,
    changes: Mapping[str, str | bytes | None],
    base: Mapping[str, str | bytes] = BASE,
    python: str | None = None,
) -> Tests:
    """Both sides of a branch that makes these changes; None takes a file away."""
    repo = helpers.build_tree(root, base)
    was = helpers.git(repo, "rev-parse", "HEAD")
    helpers.write_files(repo, {name: text for name, text in changes.items() if text is not None})
    for name in (name for name, text in changes.items() if text is None):
        (repo / name).unlink()
    now = helpers.commit(repo)
    sides = Sides(open_repo(repo), was, now, (python,) if python else (), lambda _: None)
    return count_both(sides, read_diff(repo, was, now))


def errors(tests: Tests) -> set[str]:
    return {finding.rule for finding in tests.findings if finding.severity == Severity.ERROR}


def settings(**options: str) -> str:
    lines = [f"{name} = {value}" for name, value in options.items()]
    return "\n".join(["[tool.pytest.ini_options]", *lines]) + "\n"


def conftest(text: str) -> dict[str, str | bytes]:
    return {"conftest.py": textwrap.dedent(text)}
