"""What a path says of tests: one notion, and the two that are narrower."""

from __future__ import annotations

import re

import helpers
import pytest

from skillrun.repo.places import is_plainly_test, is_taken_for_tests, is_test, is_test_module


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


@pytest.mark.parametrize(
    ("path", "plainly"),
    [
        *(("tests/conf.py", True), ("shop/test/conf.py", True), ("shop/testing/conf.py", True)),
        *(("test_a.py", True), ("shop/a_test.py", True), ("shop/tests.py", True)),
        *(("shop/conftest.py", True), ("tests/fixtures/beat.json", True)),
        *(("shop/ab_tests/conf.py", False), ("speed_test/conf.py", False), ("e2e/conf.py", False)),
        *(("x-tests/conf.py", False), ("shop/ab_tests.py", False), ("shop/test.py", False)),
        *(("shop/fixtures/beat.json", False), ("shop/conf.py", False)),
    ],
)
def test_what_an_application_may_import_is_not_plainly_a_test(path: str, plainly: bool) -> None:
    assert is_plainly_test(path) is plainly


def test_readers_of_an_application_leave_out_plain_tests_only() -> None:
    """`is_test` would hide `task_acks_late = False` in `shop/ab_tests/conf.py`."""
    found = []
    for path in sorted((helpers.ROOT / "skillrun" / "frameworks").rglob("*.py")):
        if re.search(r"\bis_test\b", path.read_text("utf-8")):
            found.append(path.name)
    assert found == []


def test_nobody_else_has_a_notion_of_a_test_module() -> None:
    """There were eight, and they disagreed about tests.py and a_tests.py."""
    pattern = re.compile(r"\[\^/\]\*_tests\?|\\w\+_tests\?|endswith\(\"_test\.py\"\)")
    found = []
    for path in sorted((helpers.ROOT / "skillrun").rglob("*.py")):
        if path.name != "places.py" and pattern.search(path.read_text("utf-8")):
            found.append(path.name)
    assert found == []
