"""`docs/attacks.md` names a test for each attack, and each is there, and is run."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import helpers
import pytest

TEXT = (helpers.ROOT / "docs" / "attacks.md").read_text(encoding="utf-8")
# What is still open is stopped by nothing, so that no test is named there.
ROWS = [
    line
    for line in TEXT.partition("## What it costs")[0].splitlines()
    if re.match(r"\| (?!attack|what went|---)", line)
]


@cache
def functions(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip()[:60])
def test_each_attack_has_its_test(row: str) -> None:
    _, attack, stopped_by, tests, _ = row.split("|")
    assert attack.strip()
    assert stopped_by.strip()
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", tests)
    assert named, "no test is named"
    for path, name in named:
        assert name in functions(helpers.ROOT / path), f"{path} has no {name}"


def test_there_are_attacks() -> None:
    assert len(ROWS) > 40


def test_what_is_not_stopped_is_listed() -> None:
    """And what a page is named for is on it."""
    open_rows = TEXT.partition("## Still open")[2]
    pages = re.findall(r"\[[\w.]+\]\((\w+\.md)\), \"([^\"]+)\"", open_rows)
    assert len(pages) >= 2
    for page, heading in pages:
        assert heading in (helpers.ROOT / "docs" / page).read_text(encoding="utf-8")


def test_what_the_wheel_is_tried_with_is_run() -> None:
    """Scripts are no tests that pytest collects: the list is what is run."""
    source = (helpers.ROOT / "tests/wheel/try_wheel.py").read_text(encoding="utf-8")
    listed = source.split("ATTEMPTS: ")[1]
    for name in re.findall(r"try_wheel\.py::(\w+)", TEXT):
        assert re.search(rf"^    {name},$", listed, re.MULTILINE), name
