"""The tests of both sides as skillrun runs them: where, with which runner, and what cannot be run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from counted_sides import (
    BASE,
    DIED,
    NOT_RUN,
    RED,
    WORK,
    conftest,
    count,
    errors,
    settings,
)

from skillrun.core.verdict import Severity
from skillrun.wall.counting.places import find_django_settings

pytestmark = pytest.mark.real


def test_what_is_red_on_both_sides_is_said_and_stops_nobody(tmp_path: Path) -> None:
    """It needs something that is not here, say a database."""
    base = {
        **BASE,
        "tests/test_database.py": "def test_connects():\n    raise ConnectionRefusedError\n",
    }
    tests = count(tmp_path / "repo", {"README.md": "# Work\n"}, base)
    assert errors(tests) == set()
    (finding,) = tests.findings
    assert (finding.rule, finding.severity, finding.path) == (
        RED,
        Severity.NOTE,
        "tests/test_database.py",
    )


def test_a_test_that_hangs_at_the_base_may_be_skipped(tmp_path: Path) -> None:
    slow = "import time\n\n\ndef test_slow():\n    time.sleep(600)\n"
    limit = '{"version": 1, "quality_bar": {"validation_timeout": 20}}\n'
    base = {**BASE, "tests/test_slow.py": slow, "REPO_PROFILE.json": limit}
    skipped = slow.replace("def test", "import pytest\n\n\n@pytest.mark.skip\ndef test")
    tests = count(tmp_path / "repo", {"tests/test_slow.py": skipped}, base)
    assert errors(tests) == set()
    assert any("time limit" in finding.message for finding in tests.findings)


def test_what_cannot_be_set_up_twice_is_said_and_stops_nobody(tmp_path: Path) -> None:
    once = """
        import os

        import pytest


        @pytest.fixture(scope="session", autouse=True)
        def once():
            if "ONCE" in os.environ:
                os._exit(3)
            os.environ["ONCE"] = "1"
        """
    tests = count(tmp_path / "repo", {"README.md": "# Work\n"}, {**BASE, **conftest(once)})
    assert errors(tests) == set()
    assert [str(finding.severity) for finding in tests.findings] == ["warning"]
    assert "a body that fails" in tests.findings[0].message


def test_projects_in_folders_are_run_where_their_settings_stand(tmp_path: Path) -> None:
    api = {f"services/api/{name}": text for name, text in BASE.items()}
    base = {
        **api,
        "tests/test_all.py": "def test_all():\n    pass\n",
        "pyproject.toml": "[project]\nname = 'all'\n",
    }
    changes = {"services/api/pyproject.toml": settings(addopts='"-k test_one"')}
    tests = count(tmp_path / "repo", changes, base)
    assert tests.base is not None
    assert tests.base.collected == 7
    assert {finding.path for finding in tests.findings} == {"services/api/tests/test_work.py"}


def test_where_there_is_nothing_to_count_that_is_said(tmp_path: Path) -> None:
    tests = count(
        tmp_path / "repo", {"a.txt": "x\n"}, {"package.json": "{}\n", "test/a.test.js": "test()\n"}
    )
    assert tests.missing is not None
    assert "JavaScript" in tests.missing


def test_the_tests_of_other_languages_are_named(tmp_path: Path) -> None:
    tests = count(tmp_path / "repo", {"a.txt": "x\n"}, {**BASE, "web/package.json": "{}\n"})
    assert [finding.message for finding in tests.findings] == ["not counted: tests in JavaScript"]


# -- where there is no pytest, and Django

UNITTEST = """
    import unittest

    from work import double


    class Doubling(unittest.TestCase):
        def test_one(self):
            self.assertEqual(double(1), 2)

        def test_two(self):
            self.assertEqual(double(2), 4)
    """


LOADS_NOTHING = """
    def load_tests(loader, tests, pattern):
        return tests.__class__()
    """


def without_pytest(root: Path) -> str:
    """A virtual environment's interpreter that has nothing installed."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root / "bare"], check=True)
    return str(root / "bare" / "bin" / "python")


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"README.md": "# Work\n"}, set()),
        (
            {
                "test_work.py": UNITTEST.replace(
                    "def test_two", "@unittest.skip('x')\n        def test_two"
                )
            },
            {NOT_RUN},
        ),
        ({"test_work.py": UNITTEST + LOADS_NOTHING}, {NOT_RUN}),
        ({"work.py": "def double(number):\n    return number * number\n"}, {RED}),
        ({"work.py": "import os\n\nos._exit(0)\n"}, {DIED}),
    ],
)
def test_where_pytest_is_not_installed_unittest_runs_the_tests(
    changes: Mapping[str, str | bytes | None], found: set[str], tmp_path: Path
) -> None:
    base: dict[str, str | bytes] = {"work.py": WORK, "test_work.py": UNITTEST}
    tests = count(tmp_path / "repo", changes, base, python=without_pytest(tmp_path))
    assert (tests.runner, errors(tests)) == ("unittest", found)


DJANGO: dict[str, str | bytes] = {
    "manage.py": "import os\n\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site_settings')\n",
    "site_settings.py": (
        """
        SECRET_KEY = "x"
        INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth"]
        DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "site.db"}}
        """
    ),
    "users/__init__.py": "",
    "users/tests.py": (
        """
        from django.contrib.auth.models import User
        from django.test import TestCase


        class Users(TestCase):
            def test_made(self):
                User.objects.create(username="ann")
                self.assertEqual(User.objects.count(), 1)
        """
    ),
    "users/test_none.py": (
        """
        from django.contrib.auth.models import User
        from django.test import TestCase


        class Nobody(TestCase):
            def test_nobody(self):
                self.assertEqual(User.objects.count(), 0)
        """
    ),
}


def test_djangos_tests_are_found_where_pytest_django_is_there_and_not_set_up(
    tmp_path: Path,
) -> None:
    """The plug-in of the environment, which sets Django up, does not look into tests.py by itself."""
    plugin = {"pytest_django.py": "", "conftest.py": "import django\n\ndjango.setup()\n"}
    tests = count(tmp_path / "repo", {"users/test_none.py": "# nothing\n"}, {**DJANGO, **plugin})
    assert tests.base is not None
    assert tests.base.collected == 2


def test_djangos_tests_have_their_database(tmp_path: Path) -> None:
    leaves_out = {"conftest.py": "collect_ignore = ['users/tests.py']\n"}
    tests = count(tmp_path / "repo", leaves_out, DJANGO)
    assert errors(tests) == {NOT_RUN}
    assert tests.base is not None
    assert (tests.base.collected, tests.base.passed) == (2, 1)


@pytest.mark.parametrize("name", ("manage.py", "conftest.py"))
def test_a_link_to_what_never_ends_is_no_settings(name: str, tmp_path: Path) -> None:
    """Nobody waits for a pipe, and a device is not read into memory."""
    (tmp_path / "manage.py").write_text(
        "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n"
    )
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / "pipe")
    for target in ("pipe", "/dev/zero"):
        (tmp_path / name).symlink_to(target)
        found = find_django_settings(tmp_path)
        assert found == (None if name == "manage.py" else "shop.settings")
        (tmp_path / name).unlink()
