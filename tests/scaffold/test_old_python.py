"""A repository that runs on an older Python gets no newer syntax, and no newer argument of the
standard library.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import samples
import writing

pytestmark = pytest.mark.real


@pytest.mark.parametrize("framework", samples.FRAMEWORKS)
@pytest.mark.parametrize("older", [True, False])
def test_what_is_written_is_not_newer_than_the_repository(
    tmp_path: Path, framework: str, older: bool
) -> None:
    more = {".python-version": "3.8\n" if older else "3.12\n"}
    written = writing.write(tmp_path, samples.usual(framework), more)
    sources = {c.path: c.after for c in written.plan.changes if c.path.endswith(".py")}
    assert sources
    for source in sources.values():
        ast.parse(source, feature_version=(3, 8))
    handler = "\n".join(sources.values())
    if "zip(" in handler:
        assert ("strict=" in handler) is not older


@pytest.mark.parametrize("store", ["sqlite3", "sqlalchemy", "redis", "receiver"])
def test_classes_of_unittest_enter_nothing_by_themselves(tmp_path: Path, store: str) -> None:
    """`enterContext` and `contextlib.chdir` came with 3.11."""
    case = (
        "import unittest\n\n\nclass ShopTest(unittest.TestCase):\n    def test_it(self):\n       "
        " pass\n"
    )
    classes = {
        "tests/test_shop.py": case,
        "Makefile": samples.COMMON["Makefile"].replace("pytest -q", "unittest -q"),
    }
    written = writing.write(tmp_path, samples.Combination("celery", store=store), classes)
    tests = written.text("tests/test_send_receipt.py")
    assert "TestCase" in tests
    assert "enterContext" not in tests and "contextlib.chdir" not in tests
