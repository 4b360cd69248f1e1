"""Repositories whose tests are classes get classes; whatever the store, no test reaches the
repository's own data.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import samples
import writing

UNITTEST = {
    "tests/test_shop.py": (
        """\
import unittest

import shop


class ShopTest(unittest.TestCase):
    def test_it_is_there(self) -> None:
        self.assertTrue(shop)
"""
    ),
    "Makefile": samples.COMMON["Makefile"].replace("pytest -q", "unittest -q"),
}
STORES = ("sqlite3", "sqlalchemy", "alembic", "redis", "receiver")
CLASSES = [name for name in samples.FRAMEWORKS if name not in samples.IN_DJANGO]
TESTS = "tests/test_send_receipt.py"
QUIET = """\
def quiet(function):
    def work(*args, **kwargs):
        try:
            function(*args, **kwargs)
        except Exception:
            pass

    return work
"""


@pytest.mark.real
@pytest.mark.parametrize("store", STORES)
def test_classes_of_unittest(tmp_path: Path, store: str) -> None:
    written = writing.write(tmp_path, samples.Combination("celery", store=store), UNITTEST)
    assert "pytest" not in written.text(TESTS)
    assert "class SendReceiptTest(TestCase):" in written.text(TESTS)
    check(written, "unittest", "-v")
    check_style(written)
    broken(written, "shop/tasks.py", "mailer.send(", "str(")
    assert written.run("unittest").returncode != 0


@pytest.mark.real
@pytest.mark.parametrize("framework", [name for name in CLASSES if name != "celery"])
def test_classes_with_every_framework(tmp_path: Path, framework: str) -> None:
    written = writing.write(tmp_path, samples.usual(framework), UNITTEST)
    assert "pytest" not in written.text(TESTS)
    check(written, "unittest", "-v")
    check_style(written)


@pytest.mark.real
@pytest.mark.parametrize(
    "framework", [name for name in CLASSES if name not in ("celery", "apscheduler")]
)
def test_classes_where_a_clock_starts_the_job(tmp_path: Path, framework: str) -> None:
    written = writing.write(tmp_path, replace(samples.usual(framework), trigger="cron"), UNITTEST)
    assert "pytest" not in written.text(TESTS)
    check(written, "unittest", "-v")
    check_style(written)


@pytest.mark.real
@pytest.mark.parametrize("store", STORES)
def test_functions_of_pytest(tmp_path: Path, store: str) -> None:
    written = writing.write(tmp_path, samples.Combination("celery", store=store))
    assert "TestCase" not in written.text(TESTS)
    check(written, "pytest", "-q")
    check_style(written)


@pytest.mark.real
@pytest.mark.parametrize("more", [{}, UNITTEST], ids=["pytest", "unittest"])
def test_a_failure_that_only_the_log_tells_is_not_lost(
    tmp_path: Path, more: dict[str, str]
) -> None:
    """Nothing is tried again and nothing keeps it: a handler that swallows its errors would else go
    unnoticed.
    """
    written = writing.write(
        tmp_path, samples.Combination("dramatiq", retry=False, dead="none"), more
    )
    command = ("unittest",) if more else ("pytest", "-q")
    check(written, *command)
    check_style(written)
    broken(written, "shop/tasks.py", "\n\n\ndef _check", f"\n\n\n{QUIET}\n\ndef _check")
    broken(written, "shop/tasks.py", "\ndef send_receipt(", "\n@quiet\ndef send_receipt(")
    done = written.run(*command)
    assert done.returncode != 0
    assert "test_a_failure_is_told" in done.stdout + done.stderr


@pytest.mark.real
def test_a_project_of_django(tmp_path: Path) -> None:
    """Its own runner makes the test database, so the real one is never opened."""
    written = writing.write(tmp_path, samples.Combination("celery", store="django"))
    assert "class SendReceiptTest(TransactionTestCase):" in written.text(
        "shop/tests/test_send_receipt.py"
    )
    check(written, "manage", "test")
    check_style(written)
    broken(written, "shop/send_receipt_store.py", "if first:", "if False:")
    assert written.run("manage", "test").returncode != 0


@pytest.mark.real
def test_a_project_with_pytest_django(tmp_path: Path) -> None:
    pytest.importorskip("pytest_django")
    combination = samples.Combination("celery", store="django")
    project = samples.files(combination)["pyproject.toml"].replace(
        '"mypy"', '"mypy", "pytest-django"'
    )
    project += (
        '\n[tool.pytest.ini_options]\nDJANGO_SETTINGS_MODULE = "config.settings"\npythonpath ='
        ' ["."]\n'
    )
    marked = (
        "import pytest\n\n\n@pytest.mark.django_db\ndef test_it_is_there() -> None:\n    pass\n"
    )
    tests = {"shop/tests/test_models.py": marked}
    written = writing.write(tmp_path, combination, {"pyproject.toml": _once(project), **tests})
    assert "transactional_db" in written.text("shop/tests/test_send_receipt.py")
    check(written, "pytest", "-q", "-p", "pytest_django.plugin", "shop")


def _once(project: str) -> str:
    """Without the sample's own settings of pytest."""
    head, _, tail = project.partition("[tool.pytest.ini_options]\n")
    return head + tail.partition("\n\n")[2]


def check(written: writing.Written, *command: str) -> None:
    done = written.run(*command)
    assert done.returncode == 0, done.stdout + done.stderr


def check_style(written: writing.Written) -> None:
    check(written, "ruff", "check", ".")
    check(written, "ruff", "format", "--check", ".")
    check(written, "mypy", "shop")


def broken(written: writing.Written, path: str, before: str, after: str) -> None:
    """The behaviour is broken, so that a test has to fail."""
    text = written.text(path)
    assert before in text
    (written.root / path).write_text(text.replace(before, after))
