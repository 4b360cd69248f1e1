"""The figures count what a reader would count, and a package may only get better."""

from __future__ import annotations

import figures

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
    return found.as_dict()


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
    assert "mean complexity" not in measured("LIMIT = 3\n")


def test_worse_is_said_and_better_is_kept() -> None:
    budget = {"wide lines per 100": 1.0, "own-line comments per 100": 2.0}
    worse = {"wide lines per 100": 1.5, "own-line comments per 100": 1.0}
    better = {"wide lines per 100": 0.5, "own-line comments per 100": 3.0}
    assert len(figures.compare(worse, budget)) == 2
    assert figures.compare(better, budget) == []
    assert figures.tighten(better, budget) == better
    assert figures.tighten(worse, budget) == budget
