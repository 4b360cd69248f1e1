"""The figures count what a reader would count, and a package may only get better."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import figures
import helpers
import pytest

TEXT = """
# Why there is a limit.
LIMIT = 3  # beside code it is none


def run(rows):
    # noqa: E501
    kept = [row for row in rows if row]
    return kept if kept else None


def find_rows():
    pass
"""


def measured(text: str) -> dict[str, float]:
    found = figures.Figures()
    figures.measure_file(text, found)
    return {name: figure.value for name, figure in found.as_dict().items()}


def test_each_kind_is_counted() -> None:
    found = measured(TEXT)
    assert found["own-line comments per 100"] == round(100 / 7, 2)
    assert found["conditional expressions per 100"] == round(100 / 7, 2)
    assert found["comprehensions per 100"] == round(100 / 7, 2)
    assert found["one-word function names, %"] == 50.0
    assert found["wide lines per 100"] == 0.0


def test_a_wide_line_and_a_long_function_are_seen() -> None:
    body = "    a = 1\n" * 50
    found = measured(f"def run_it():\n{body}\n\nname = {'x' * 100!r}\n")
    assert found["functions over 50 lines"] == 1.0
    assert found["wide lines per 100"] > 0


def test_the_mean_complexity_is_that_of_functions_and_not_of_lines() -> None:
    assert (
        measured("def choose(a):\n    if a:\n        return 1\n    return 2\n")["mean complexity"]
        == 2
    )
    assert measured("LIMIT = 3\n")["mean complexity"] == 0


def figures_of(values: dict[str, float], of_one_line: float = 0.0) -> dict[str, figures.Figure]:
    return {name: figures.Figure(value, of_one_line) for name, value in values.items()}


def test_worse_is_said_and_better_is_kept() -> None:
    budget = {"wide lines per 100": 1.0, "own-line comments per 100": 2.0}
    worse = {"wide lines per 100": 1.5, "own-line comments per 100": 1.0}
    better = {"wide lines per 100": 0.5, "own-line comments per 100": 3.0}
    assert len(figures.compare(figures_of(worse), budget)) == 2
    assert figures.compare(figures_of(better), budget) == []
    assert figures.tighten(figures_of(better), budget) == better
    assert figures.tighten(figures_of(worse), budget) == budget


def test_one_line_is_let_pass_and_two_are_not() -> None:
    """Forty figures had slid under a slack that was the same for every package."""
    wide = {"wide lines per 100": 0.2}
    one_more = figures.Figure.of(100 * 5, 2_000, one_more=100)
    two_more = figures.Figure.of(100 * 6, 2_000, one_more=100)
    assert figures.compare({"wide lines per 100": one_more}, wide) == []
    assert figures.compare({"wide lines per 100": two_more}, wide)
    complex = {"mean complexity": 3.9}
    slid = figures.Figure.of(3.94 * 6_000, 6_000, one_more=1)
    assert figures.compare({"mean complexity": slid}, complex)


def test_a_figure_without_a_budget_is_refused() -> None:
    (words,) = figures.compare(figures_of({"wide lines per 100": 0.0}), {})
    assert "no budget" in words


def test_every_package_and_figure_has_a_budget() -> None:
    budget = json.loads(figures.BUDGET.read_text("utf-8"))
    folders = {path.name for path in (figures.ROOT / "skillrun").iterdir() if path.is_dir()}
    folders.discard("__pycache__")
    assert budget.keys() == folders | {"skillrun", "all"}
    names = set(figures.Figures().as_dict())
    assert all(kept.keys() == names for kept in budget.values())


def test_without_radon_nothing_is_measured(tmp_path: Path) -> None:
    """Complexity was left out there, and nobody was told."""
    (tmp_path / "radon.py").write_text("raise ImportError\n")
    done = subprocess.run(
        [sys.executable, figures.__file__, "--check"],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "radon is missing" in done.stderr) == (1, True)


BEFORE = {"repo": {"comprehensions per 100": 2.0, "own-line comments per 100": 1.5}}


@pytest.mark.parametrize(
    ("name", "value", "is_loosened"),
    (
        ("comprehensions per 100", 2.1, True),
        ("comprehensions per 100", 1.9, False),
        ("own-line comments per 100", 1.4, True),
        ("own-line comments per 100", 1.6, False),
        ("wide lines per 100", 9.0, False),
    ),
)
def test_a_budget_that_is_made_looser_is_seen(name: str, value: float, is_loosened: bool) -> None:
    """A figure that was never kept is no looser one, and a package may go."""
    budget = {"repo": {**BEFORE["repo"], name: value}}
    assert bool(list(figures.list_loosened(budget, BEFORE))) is is_loosened
    assert list(figures.list_loosened({}, BEFORE)) == []


def test_the_budget_before_is_gits(tmp_path: Path) -> None:
    """Of the commit before; without a history there is none."""
    assert figures.read_earlier_budget(tmp_path) is None
    file = figures.BUDGET.relative_to(figures.ROOT).as_posix()
    repo = helpers.build_tree(tmp_path / "repo", {file: json.dumps(BEFORE)})
    assert figures.read_earlier_budget(repo) is None
    (repo / file).write_text("{}")
    helpers.commit(repo, "Another budget")
    assert figures.read_earlier_budget(repo) == BEFORE
