"""What a path says of tests: one notion, and the two that are narrower."""

from __future__ import annotations

import re

import helpers
import pytest

from skillrun.repo.places import is_taken_for_tests, is_test, is_test_module


@pytest.mark.parametrize(
    ("path", "of_tests", "taken", "module"),
    [
        *(("tests/test_a.py", True, True, True), ("shop/a_test.py", True, True, True)),
        *(("shop/tests.py", True, True, True), ("tests/orders.py", True, True, False)),
        *(("tests/unit/orders.py", True, False, False), ("shop/conftest.py", True, False, False)),
        *(("shop/testing/fakes.py", True, False, False), ("e2e/run.py", True, False, False)),
        *(("shop/orders.py", False, False, False), ("shop/contest.py", False, False, False)),
    ],
)
def test_who_takes_a_path_for_a_test(path: str, of_tests: bool, taken: bool, module: bool) -> None:
    assert (is_test(path), is_taken_for_tests(path), is_test_module(path)) == (
        of_tests,
        taken,
        module,
    )


def test_nobody_else_has_a_notion_of_a_test_module() -> None:
    """There were eight, and they disagreed about tests.py and a_tests.py."""
    pattern = re.compile(r"\[\^/\]\*_tests\?|\\w\+_tests\?|endswith\(\"_test\.py\"\)")
    found = []
    for path in sorted((helpers.ROOT / "skillrun").rglob("*.py")):
        if path.name != "places.py" and pattern.search(path.read_text("utf-8")):
            found.append(path.name)
    assert found == []
