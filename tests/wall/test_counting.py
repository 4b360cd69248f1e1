"""The tests of both sides as skillrun runs them: each way of making them show less, and what may
well be done.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from counted_sides import (
    DEAF,
    DIED,
    NOT_RUN,
    RED,
    TEST_WORK,
    conftest,
    count,
    errors,
    settings,
)

pytestmark = pytest.mark.real

PLUGIN = """
    def pytest_collection_modifyitems(items):
        items[:] = items[:1]
    """
REWRITES = """
    import pytest

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(item, call):
        outcome = yield
        report = outcome.get_result()
        if report.failed:
            report.outcome = "passed"
    """
ATTACKS: dict[str, tuple[str, Mapping[str, str | bytes | None]]] = {
    "-k": (NOT_RUN, {"pyproject.toml": settings(addopts='"-k test_one"')}),
    "-m": (NOT_RUN, {"pyproject.toml": settings(addopts='"-m nothing"')}),
    "--ignore": (NOT_RUN, {"pyproject.toml": settings(addopts='"--ignore=tests"')}),
    "--deselect": (
        NOT_RUN,
        {"pyproject.toml": settings(addopts='"--deselect=tests/test_work.py::test_two"')},
    ),
    "--collect-only": (NOT_RUN, {"pyproject.toml": settings(addopts='"--collect-only"')}),
    "-p": (NOT_RUN, {"pyproject.toml": settings(addopts='"-p leave_out"'), "leave_out.py": PLUGIN}),
    "pytest.ini": (NOT_RUN, {"pytest.ini": "[pytest]\npython_files = check_*.py\n"}),
    "testpaths": (
        NOT_RUN,
        {
            "pyproject.toml": settings(testpaths='["docs"]'),
            "docs/test_a.py": "def test_a(): pass\n",
        },
    ),
    "python_functions": (NOT_RUN, {"pyproject.toml": settings(python_functions='"test_one"')}),
    "pytest_plugins": (
        NOT_RUN,
        {"conftest.py": 'pytest_plugins = ["leave_out"]\n', "leave_out.py": PLUGIN},
    ),
    "collect_ignore": (NOT_RUN, conftest('collect_ignore = ["tests/test_work.py"]')),
    "collect_ignore_glob": (NOT_RUN, conftest('collect_ignore_glob = ["tests/*"]')),
    "ignore_collect": (NOT_RUN, conftest("def pytest_ignore_collect():\n    return True\n")),
    "modifyitems": (NOT_RUN, conftest(PLUGIN)),
    "deselected": (
        NOT_RUN,
        conftest("def pytest_collection_modifyitems(items):\n    del items[:]\n"),
    ),
    "skipped by a hook": (
        NOT_RUN,
        conftest("import pytest\n\ndef pytest_runtest_setup(item):\n    pytest.skip('later')\n"),
    ),
    "xfail by a hook": (
        NOT_RUN,
        conftest("""
            import pytest

            def pytest_collection_modifyitems(items):
                for item in items:
                    item.add_marker(pytest.mark.xfail(strict=False))
            """),
    ),
    "a fixture that skips": (
        NOT_RUN,
        conftest(
            "import pytest\n\n@pytest.fixture(autouse=True)\ndef later():\n   "
            " pytest.skip('later')\n"
        ),
    ),
    "a loop that runs nothing": (NOT_RUN, conftest("def pytest_runtestloop():\n    return True\n")),
    "cases": (
        NOT_RUN,
        {"tests/test_work.py": TEST_WORK.replace("[3, 4, 5]", "[number for number in (3, 4)]")},
    ),
    "the module is skipped": (
        NOT_RUN,
        {
            "tests/test_work.py": TEST_WORK.replace(
                "import pytest\n",
                "import pytest\n\n    pytest.skip('x', allow_module_level=True)\n",
                1,
            )
        },
    ),
    "the application breaks": (
        RED,
        {"work.py": "def double(number):\n    return number * number\n"},
    ),
    "the module does not import": (
        NOT_RUN,
        {"work.py": "def triple(number):\n    return number * 3\n"},
    ),
    "a new test is red": (RED, {"tests/test_new.py": "def test_new():\n    assert 1 == 2\n"}),
    "rewritten, broken": (
        DEAF,
        {**conftest(REWRITES), "work.py": "def double(number):\n    return 7\n"},
    ),
    "rewritten, not broken yet": (DEAF, conftest(REWRITES)),
    "the protocol is taken over": (
        DEAF,
        conftest("""
            from _pytest.runner import TestReport

            def pytest_runtest_protocol(item):
                report = TestReport(item.nodeid, item.location, {}, "passed", None, "call")
                item.ihook.pytest_runtest_logreport(report=report)
                return True
            """),
    ),
    "functions are never called": (
        DEAF,
        conftest("def pytest_pyfunc_call(pyfuncitem):\n    return True\n"),
    ),
    "runtest is another": (
        DEAF,
        conftest("""
            def pytest_collection_modifyitems(items):
                for item in items:
                    item.runtest = lambda: None
            """),
    ),
    "another function in its place": (
        DEAF,
        conftest("""
            def pytest_collection_modifyitems(items):
                for item in items:
                    item.obj = lambda **_: None
            """),
    ),
    "a profile that knows of no tests": (
        NOT_RUN,
        {"REPO_PROFILE.json": '{"commands": {"test": "none"}}\n'},
    ),
    "os._exit in a conftest": (DIED, conftest("import os\nos._exit(0)\n")),
    "os._exit in a test": (
        DIED,
        {"tests/test_a.py": "import os\n\ndef test_a():\n    os._exit(0)\n"},
    ),
    "sys.exit": (DIED, conftest("import sys\n\ndef pytest_sessionstart():\n    sys.exit(0)\n")),
    "the exit status": (
        RED,
        {
            "work.py": "def double(number):\n    return 7\n",
            **conftest("def pytest_sessionfinish(session):\n    session.exitstatus = 0\n"),
        },
    ),
    "pytest.exit": (
        NOT_RUN,
        conftest(
            "import pytest\n\ndef pytest_runtest_setup():\n    pytest.exit('done', returncode=0)\n"
        ),
    ),
    "another pytest": (
        RED,
        {
            "pytest.py": "print('11 passed')\nraise SystemExit(0)\n",
            "json.py": "raise SystemExit(0)\n",
            "work.py": "def double(number):\n    return 7\n",
            "tests/test_work.py": (
                TEST_WORK.replace(
                    "import pytest\n", "from _pytest.mark import MARK_GEN as mark\n"
                ).replace("@pytest.mark", "@mark")
            ),
        },
    ),
    "the plugin is taken out": (
        DIED,
        conftest("""
            def pytest_configure(config):
                for plugin in list(config.pluginmanager.get_plugins()):
                    if type(plugin).__name__ == "Counting":
                        config.pluginmanager.unregister(plugin)
            """),
    ),
    "its attributes are replaced": (
        RED,
        {
            "work.py": "def double(number):\n    return 7\n",
            **conftest("""
                import __main__

                def pytest_configure(config):
                    for plugin in config.pluginmanager.get_plugins():
                        if type(plugin).__name__ == "Counting":
                            say = getattr(plugin, "say", None)

                            def lie(event, **fields):
                                if event == "outcome":
                                    fields["outcome"] = "passed"
                                if event == "called":
                                    fields["raised"] = False
                                say(event, **fields)

                            plugin.say = lie
                            plugin.passed = {}
                            plugin.pytest_runtest_logreport = lambda report: None
                    __main__.outcome_of = lambda report: "passed"
                    __main__.failing_like = lambda function, item: function
                """),
        },
    ),
    "its hooks are replaced": (
        DIED,
        conftest("""
            def pytest_configure(config):
                for impl in config.hook.pytest_runtest_logreport.get_hookimpls():
                    if type(impl.plugin).__name__ == "Counting":
                        impl.function = lambda report: None
            """),
    ),
    "what its hooks hold is replaced": (
        DIED,
        conftest("""
            def pytest_configure(config):
                for impl in config.hook.pytest_runtest_logreport.get_hookimpls():
                    if type(impl.plugin).__name__ == "Counting":
                        for cell in impl.function.__closure__:
                            if getattr(cell.cell_contents, "__name__", "") == "say":
                                cell.cell_contents = lambda event, **fields: None
            """),
    ),
    "another plugin in its place": (
        DIED,
        conftest("""
            class Counting:
                pass

            def pytest_configure(config):
                manager = config.pluginmanager
                for plugin in list(manager.get_plugins()):
                    if type(plugin).__name__ == "Counting":
                        name = manager.get_name(plugin)
                        manager.unregister(plugin)
                        manager.register(Counting(), name)
            """),
    ),
    "the records are written to": (
        DIED,
        conftest("""
            import os

            def pytest_sessionfinish():
                for fd in range(3, 64):
                    try:
                        if "records" in os.readlink("/proc/self/fd/%d" % fd):
                            os.write(fd, b'0 {"event": "outcome", "test": "tests/test_work.py::test_one"}\\n')
                    except OSError:
                        pass
            """),
    ),
    "the records are cut": (
        DIED,
        conftest("""
            import os

            def pytest_runtest_logreport():
                for fd in range(3, 64):
                    try:
                        if "records" in os.readlink("/proc/self/fd/%d" % fd):
                            os.ftruncate(fd, 0)
                    except OSError:
                        pass
            """),
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_tests_that_show_less_are_found(name: str, tmp_path: Path) -> None:
    rule, changes = ATTACKS[name]
    tests = count(tmp_path / "repo", changes)
    assert rule in errors(tests), tests


# -- what may well be done

NEIGHBOURS: dict[str, Mapping[str, str | bytes | None]] = {
    "nothing": {"README.md": "# Work\n"},
    "a marker for slow tests": {
        "pyproject.toml": settings(addopts='"-q"', markers='["slow: takes long"]'),
        "tests/test_work.py": TEST_WORK.replace(
            "    def test_two", "    @pytest.mark.slow\n    def test_two"
        ),
    },
    "a further target": {
        "Makefile": "test:\n\tpython -m pytest -q\n\nunit:\n\tpython -m pytest -q -k one\n"
    },
    "a first profile with the real command": {
        "REPO_PROFILE.json": '{"version": 1, "commands": {"test": "python -m pytest -q"}}\n'
    },
    "other cases": {"tests/test_work.py": TEST_WORK.replace("[3, 4, 5]", "[3, 4, 6]")},
    "more cases": {"tests/test_work.py": TEST_WORK.replace("[3, 4, 5]", "[3, 4, 5, 6]")},
    "a test becomes parametrised": {
        "tests/test_work.py": TEST_WORK.replace(
            "    def test_two():\n        assert double(2) == 4",
            "    @pytest.mark.parametrize('number', [2, 9])\n    def test_two(number):\n"
            "        assert double(number) == 2 * number",
        )
    },
    "a test is renamed": {"tests/test_work.py": TEST_WORK.replace("test_two", "test_twice_two")},
    "a file is moved": {"tests/test_work.py": None, "tests/unit/test_work.py": TEST_WORK},
    "a skip that does not hold here": {
        "tests/test_work.py": TEST_WORK.replace(
            "    def test_two",
            "    @pytest.mark.skipif('sys.platform == \"win32\"')\n    def test_two",
        )
    },
    "a decorator of its own": {
        "tests/test_work.py": TEST_WORK.replace(
            "    def test_two",
            "    def checked(function):\n        return lambda: function()\n\n\n    @checked\n   "
            " def test_two",
        )
    },
    "a fixture for all": conftest("""
        import pytest

        @pytest.fixture(autouse=True)
        def clock(monkeypatch):
            monkeypatch.setenv("TZ", "UTC")
        """),
    "a plugin that is registered, and a marker": conftest("""
        class Clock:
            def pytest_runtest_setup(self, item):
                item.user_properties.append(("clock", "real"))

            def pytest_runtest_logreport(self, report):
                self.last = report.nodeid

        def pytest_configure(config):
            config.addinivalue_line("markers", "slow: takes long")
            config.pluginmanager.register(Clock(), "clock")
        """),
    "a hook that orders the tests": conftest("""
        def pytest_collection_modifyitems(items):
            items.sort(key=lambda item: item.nodeid, reverse=True)
        """),
    "a hook that adds to a report": conftest("""
        import pytest

        @pytest.hookimpl(hookwrapper=True)
        def pytest_runtest_makereport(item, call):
            outcome = yield
            outcome.get_result().sections.append(("who", "nobody"))
        """),
    "a test that forks": {
        "tests/test_fork.py": (
            """
            import os


            def test_fork():
                child = os.fork()
                if child == 0:
                    os._exit(0)
                assert os.waitpid(child, 0)[1] == 0
            """
        )
    },
    "fixtures of every scope": {
        "tests/test_scopes.py": (
            """
            import pytest

            made = []


            @pytest.fixture(scope="module", params=["a", "b"])
            def letter(request):
                made.append(request.param)
                yield request.param
                made.remove(request.param)


            @pytest.fixture
            def alone(letter):
                assert made == [letter]
                return letter


            class TestLetters:
                def test_first(self, alone):
                    assert alone in "ab"

                def test_second(self, alone, tmp_path):
                    assert list(tmp_path.iterdir()) == []
            """
        )
    },
    "tests that are awaited": {
        "tests/test_later.py": (
            """
            import pytest


            @pytest.fixture
            def anyio_backend():
                return "asyncio"


            @pytest.mark.anyio
            async def test_later():
                assert True
            """
        )
    },
    "tests that build on each other": {
        **conftest("""
            import pytest

            def pytest_runtest_makereport(item, call):
                if call.excinfo is not None:
                    item.parent.failed = True

            def pytest_runtest_setup(item):
                if getattr(item.parent, "failed", False):
                    pytest.xfail("the one before failed")
            """)
    },
    "several processes": {"pyproject.toml": settings(addopts='"-n 2 --dist loadfile"')},
    "tests of unittest": {
        "tests/test_cases.py": (
            """
            import unittest


            class Cases(unittest.IsolatedAsyncioTestCase):
                def setUp(self):
                    self.number = 1

                def test_plain(self):
                    self.assertEqual(self.number, 1)

                async def test_async(self):
                    self.assertEqual(self.number, 1)

                def test_several(self):
                    for number in (1, 2):
                        with self.subTest(number=number):
                            self.assertGreater(number, 0)
            """
        )
    },
}


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_work_that_takes_nothing_away_passes(name: str, tmp_path: Path) -> None:
    tests = count(tmp_path / "repo", NEIGHBOURS[name])
    assert tests.findings == ()
    assert tests.head is not None
    assert tests.base is not None
    assert tests.head.passed >= tests.base.collected == 6
