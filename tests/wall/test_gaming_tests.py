"""The looks at tests that are gone, skipped or left out: what each finds, and which refactorings it
leaves alone.
"""

from __future__ import annotations

import pytest
from looks import everything, found, severities

PATH = "tests/test_receipts.py"
TESTS = """
import pytest

from shop.tasks import run


def test_happy(shop):
    assert run(7).state == "SUCCESS"
    assert shop.receipts() == [7]


def test_bad_address(shop):
    assert run(8).state == "FAILURE"


class TestTwice:
    def test_once(self, shop):
        run(7)
        run(7)
        assert shop.receipts() == [7]
"""
BAD = """def test_bad_address(shop):
    assert run(8).state == "FAILURE"
"""


CHECK = '    assert run(8).state == "FAILURE"'


def changed(before: str, after: str) -> str:
    assert before in TESTS
    return TESTS.replace(before, after)


# -- deleted


@pytest.mark.parametrize(
    ("after", "words"),
    (
        (changed(BAD, ""), "test_bad_address is gone"),
        (changed("def test_bad_address", "def _test_bad_address"), "no runner collects"),
        (changed("def test_bad_address", "def bad_address"), "no runner collects"),
        (changed("class TestTwice", "class Twice"), "no runner collects"),
        (
            changed("    def test_once(self, shop):", "    def once(self, shop):"),
            "no runner collects",
        ),
        (
            changed(BAD, 'def test_other(shop):\n    assert run(9).retries == "1"\n'),
            "test_bad_address is gone",
        ),
    ),
)
def test_a_test_that_is_gone_is_found(after: str, words: str) -> None:
    findings = found("deleted-test", {PATH: TESTS}, {PATH: after})
    assert severities(findings) == ["error"]
    assert words in findings[0].message


def test_a_file_that_is_gone_is_one_finding_with_its_tests() -> None:
    (finding,) = found("deleted-test", {PATH: TESTS}, {})
    assert "gone with 3 tests" in finding.message
    assert "TestTwice.test_once" in finding.message


def test_the_line_is_where_the_test_was() -> None:
    (finding,) = found("deleted-test", {PATH: TESTS}, {PATH: changed(BAD, "")})
    assert finding.line == TESTS.splitlines().index("def test_bad_address(shop):") + 1
    assert "`def test_bad_address(shop):`" in finding.message


def test_a_file_renamed_so_that_it_is_not_collected_is_found() -> None:
    findings = found(
        "deleted-test", {PATH: TESTS}, {"tests/receipts.py": TESTS}, {PATH: "tests/receipts.py"}
    )
    assert severities(findings) == ["error"] * 3


def test_tests_that_go_with_their_module_are_a_warning() -> None:
    old = {PATH: TESTS, "shop/tasks.py": "def run(n): ...\n"}
    assert severities(found("deleted-test", old, {})) == ["warning"]


PARAMETRISED = """
import pytest

from shop.tasks import run


@pytest.mark.parametrize(("order", "state"), [(7, "SUCCESS"), (8, "FAILURE")])
def test_states(shop, order, state):
    assert run(order).state == state


class TestTwice:
    def test_happy(self, shop):
        assert run(7).state == "SUCCESS"
        assert shop.receipts() == [7]

    def test_once(self, shop):
        run(7)
        run(7)
        assert shop.receipts() == [7]
"""


@pytest.mark.parametrize(
    ("new", "renamed"),
    (
        ({PATH: changed("def test_bad_address", "def test_wrong_address")}, {}),
        ({PATH: changed("class TestTwice", "class TestRedelivery")}, {}),
        (
            {
                PATH: changed(BAD, ""),
                "tests/test_failures.py": "from shop.tasks import run\n\n\n" + BAD,
            },
            {},
        ),
        ({"tests/unit/test_receipts.py": TESTS}, {PATH: "tests/unit/test_receipts.py"}),
        ({"tests/unit/test_receipts.py": TESTS}, {}),
        ({PATH: PARAMETRISED}, {}),
        (
            {
                PATH: changed(
                    "def test_happy(shop):", 'def test_happy(shop, caplog):\n    """It works."""'
                )
            },
            {},
        ),
        ({PATH: TESTS + "\n\ndef test_more():\n    assert run(1)\n"}, {}),
        ({PATH: "# reformatted\n" + TESTS.replace('"', "'")}, {}),
    ),
)
def test_moved_renamed_and_merged_tests_are_no_finding(
    new: dict[str, str], renamed: dict[str, str]
) -> None:
    assert everything({PATH: TESTS}, new, renamed) == []


# -- skipped

CASES = """
import pytest


@pytest.mark.parametrize(("n", "state"), [(7, "SUCCESS"), (8, "FAILURE"), (9, "SUCCESS")])
def test_states(n, state):
    assert run(n).state == state
"""


@pytest.mark.parametrize(
    ("look", "after"),
    (
        ("deleted-test", CASES.replace(', (8, "FAILURE")', "")),
        ("skipped-test", CASES.replace('[(7, "SUCCESS"), (8, "FAILURE"), (9, "SUCCESS")]', "[]")),
        (
            "skipped-test",
            CASES.replace('(8, "FAILURE")', 'pytest.param(8, "FAILURE", marks=pytest.mark.xfail)'),
        ),
        ("skipped-test", CASES + "\n\ndel test_states\n"),
        ("skipped-test", CASES + "\n\ntest_states.__test__ = False\n"),
    ),
)
def test_cases_that_no_longer_run_are_found(look: str, after: str) -> None:
    assert after != CASES
    findings = everything({PATH: CASES}, {PATH: after})
    assert [(f.rule, str(f.severity)) for f in findings] == [(f"gaming.{look}", "error")]


@pytest.mark.parametrize(
    "after",
    (
        CASES.replace('(8, "FAILURE"), (9, "SUCCESS")', '(9, "SUCCESS"), (8, "FAILURE")'),
        CASES.replace("(8,", "(88,"),
        CASES.replace('(9, "SUCCESS")', '(9, "SUCCESS"), (10, "SUCCESS")'),
        CASES.replace('[(7, "SUCCESS"), (8, "FAILURE"), (9, "SUCCESS")]', "STATES"),
    ),
)
def test_other_cases_are_no_finding(after: str) -> None:
    assert everything({PATH: CASES}, {PATH: after}) == []


def test_a_class_that_is_not_collected_is_found() -> None:
    after = changed("class TestTwice:\n", "class TestTwice:\n    __test__ = False\n\n")
    assert severities(found("skipped-test", {PATH: TESTS}, {PATH: after})) == ["error"]


UNITTEST = """
import unittest


class Receipts(unittest.TestCase):
    def test_sent(self):
        self.assertEqual(run(7).state, "SUCCESS")
"""


@pytest.mark.parametrize(
    ("after", "severity"),
    (
        (changed("def test_bad", "@pytest.mark.skip(reason='flaky')\ndef test_bad"), "error"),
        (changed("def test_bad", "@pytest.mark.xfail\ndef test_bad"), "error"),
        (changed("def test_bad", "@pytest.mark.skipif(True, reason='x')\ndef test_bad"), "error"),
        (
            changed(
                "def test_bad",
                "@pytest.mark.skipif(sys.platform == 'win32', reason='x')\ndef test_bad",
            ),
            "warning",
        ),
        (
            changed("def test_bad", "@pytest.mark.skipif(len('a') == 1, reason='x')\ndef test_bad"),
            "error",
        ),
        (changed("class TestTwice", "@pytest.mark.skip\nclass TestTwice"), "error"),
        (changed("import pytest\n", "import pytest\n\npytestmark = pytest.mark.skip\n"), "error"),
        (
            changed(
                "import pytest\n", "import pytest\n\npytestmark = [pytest.mark.xfail(reason='x')]\n"
            ),
            "error",
        ),
        (
            changed(
                "import pytest\n",
                "import pytest\n\npytest.skip('later', allow_module_level=True)\n",
            ),
            "error",
        ),
        (
            changed("import pytest\n", "import pytest\n\nredis = pytest.importorskip('redis')\n"),
            "warning",
        ),
        (changed(CHECK, f'    pytest.skip("x")\n{CHECK}'), "error"),
        (changed(CHECK, f"    return\n{CHECK}"), "error"),
        (changed(CHECK, f"    if False:\n    {CHECK}"), "error"),
        (
            changed(
                CHECK,
                f'    if shutil.which("make") is None:\n        pytest.skip("no make")\n{CHECK}',
            ),
            "warning",
        ),
    ),
)
def test_a_newly_skipped_test_is_found(after: str, severity: str) -> None:
    findings = found("skipped-test", {PATH: TESTS}, {PATH: after})
    assert severities(findings)[:1] == [severity], findings
    assert len(set(findings)) <= 2


@pytest.mark.parametrize(
    "mark", ("@unittest.skip('x')", "@unittest.expectedFailure", "@unittest.skipIf(True, 'x')")
)
def test_unittest_marks_are_found(mark: str) -> None:
    after = UNITTEST.replace("    def test_sent", f"    {mark}\n    def test_sent")
    assert severities(found("skipped-test", {PATH: UNITTEST}, {PATH: after})) == ["error"]


def test_skiptest_in_a_body_is_found() -> None:
    after = UNITTEST.replace(
        "        self.assert", "        self.skipTest('x')\n        self.assert"
    )
    assert severities(found("skipped-test", {PATH: UNITTEST}, {PATH: after})) == ["error"]


SKIPPED = changed("def test_bad", "@pytest.mark.skip(reason='flaky')\ndef test_bad")


@pytest.mark.parametrize(
    ("old", "new"),
    (
        (SKIPPED, SKIPPED.replace("flaky", "needs a broker")),  # another reason is no other skip
        (SKIPPED, TESTS),
        (
            TESTS,
            TESTS + "\n\n@pytest.mark.skip\ndef test_new():\n    assert run(1)\n",
        ),  # takes nothing away
        (TESTS, changed("def test_bad", "@pytest.mark.slow\ndef test_bad")),
        (
            TESTS,
            changed(
                "    run(7)\n    ", "    run(7)\n    if shop.is_empty():\n            return\n    "
            ),
        ),
    ),
)
def test_old_skips_and_new_tests_are_no_finding(old: str, new: str) -> None:
    assert found("skipped-test", {PATH: old}, {PATH: new}) == []


# -- left out

CONFIGURES = "def pytest_configure(config):\n"
PYPROJECT = '[tool.pytest.ini_options]\ntestpaths = ["tests"]\naddopts = "-q"\n'


@pytest.mark.parametrize(
    ("path", "old", "new", "severity"),
    (
        (
            "tests/conftest.py",
            "import sys\n",
            'import sys\n\ncollect_ignore = ["test_receipts.py"]\n',
            "error",
        ),
        (
            "conftest.py",
            "collect_ignore = ['a.py']\n",
            "collect_ignore = ['a.py', 'test_b.py']\n",
            "error",
        ),
        (
            "conftest.py",
            "",
            "def pytest_collection_modifyitems(items):\n    items.clear()\n",
            "warning",
        ),
        ("conftest.py", "", 'pytest_plugins = ["shop.quiet"]\n', "warning"),
        ("pyproject.toml", PYPROJECT, PYPROJECT.replace("-q", "-q -m 'not slow'"), "error"),
        ("pyproject.toml", PYPROJECT, PYPROJECT.replace("-q", "-q -p shop.quiet"), "warning"),
        ("pyproject.toml", PYPROJECT, PYPROJECT.replace("-q", "-q --collect-only"), "error"),
        ("pytest.toml", "[pytest]\n", '[pytest]\naddopts = ["-k", "fast"]\n', "error"),
        (
            "setup.cfg",
            "[metadata]\n",
            "[options.entry_points]\npytest11 =\n    quiet = shop.quiet\n",
            "warning",
        ),
        (
            "conftest.py",
            "",
            "def pytest_runtest_makereport(item, call):\n    return PASSED\n",
            "warning",
        ),
        ("conftest.py", "", CONFIGURES + "    config.pluginmanager.get_plugins()\n", "error"),
        (
            "conftest.py",
            "",
            CONFIGURES + "    for impl in config.hook.x.get_hookimpls(): pass\n",
            "error",
        ),
        ("conftest.py", "", CONFIGURES + "    manager = config.pluginmanager\n", "error"),
        (
            "conftest.py",
            "",
            CONFIGURES + "    config.pluginmanager.register(object())\n",
            "warning",
        ),
        ("conftest.py", "", "import gc\n\nfound = [x for x in gc.get_objects()]\n", "error"),
        ("conftest.py", "", "import inspect\n\nfound = inspect.stack()\n", "error"),
        ("conftest.py", "", "import inspect\n\nfound = inspect.currentframe()\n", "error"),
        ("conftest.py", "", "import sys\n\nsys.modules['__main__'].last_line = len\n", "error"),
        (
            "shop/quiet.py",
            "",
            "def pytest_addoption(parser):\n    parser.hook.__closure__\n",
            "error",
        ),
        ("conftest.py", "", "def edit(report):\n    report.outcome = 'passed'\n", "error"),
        ("conftest.py", "", CONFIGURES + "    config.quiet = True\n", "warning"),
        (
            "conftest.py",
            "",
            "def pytest_runtest_logreport(report):\n    print(report)\n",
            "warning",
        ),
        (
            "conftest.py",
            "",
            "def pytest_plugin_registered(plugin):\n    print(plugin)\n",
            "warning",
        ),
        ("conftest.py", "", "import os\n\n\ndef pytest_unconfigure():\n    os._exit(0)\n", "error"),
        ("tests/test_a.py", "X = 1\n", "import sys\n\nsys.exit(0)\n", "error"),
        (
            "pyproject.toml",
            PYPROJECT,
            PYPROJECT.replace("-q", "-q --ignore=tests/test_receipts.py"),
            "error",
        ),
        ("pyproject.toml", PYPROJECT, PYPROJECT.replace("-q", "-q -k 'not receipts'"), "error"),
        ("pyproject.toml", PYPROJECT, PYPROJECT.replace('"tests"', '"tests/unit"'), "warning"),
        (
            "pytest.ini",
            "[pytest]\naddopts = -q\n",
            "[pytest]\naddopts = -q --deselect tests/test_a.py::test_b\n",
            "error",
        ),
        (
            "setup.cfg",
            "[tool:pytest]\naddopts = -q\n",
            "[tool:pytest]\naddopts = -q\n  --ignore-glob=*slow*\n",
            "error",
        ),
        (
            "tox.ini",
            "[pytest]\npython_files = test_*.py\n",
            "[pytest]\npython_files = check_*.py\n",
            "warning",
        ),
    ),
)
def test_what_leaves_tests_out_is_found(path: str, old: str, new: str, severity: str) -> None:
    assert severities(found("uncollected-tests", {path: old}, {path: new})) == [severity]


@pytest.mark.parametrize(
    ("path", "old", "new"),
    (
        (
            "pyproject.toml",
            PYPROJECT,
            PYPROJECT.replace("-q", "-q --strict-markers -p no:cacheprovider"),
        ),
        ("pyproject.toml", PYPROJECT, PYPROJECT + '[tool.ruff]\nextend-exclude = ["x"]\n'),
        (
            "conftest.py",
            "collect_ignore = ['setup.py']\n",
            "import sys\n\ncollect_ignore = ['setup.py']\n",
        ),
        (
            "conftest.py",
            "",
            CONFIGURES + "    config.addinivalue_line('markers', 'slow: takes long')\n",
        ),
        (
            "conftest.py",
            CONFIGURES + "    config.pluginmanager.get_plugins()\n",
            "import os\n" + CONFIGURES + "    config.pluginmanager.get_plugins()\n",
        ),
        (
            "tests/conftest.py",
            "",
            "def has_clock(config):\n    return config.pluginmanager.hasplugin('clock')\n",
        ),
        ("shop/work.py", "", "import inspect\n\nWHERE = inspect.currentframe()\n"),
        ("tests/conftest.py", "", "import pytest\n\n@pytest.fixture\ndef shop():\n    return 1\n"),
    ),
)
def test_other_settings_are_no_finding(path: str, old: str, new: str) -> None:
    assert everything({path: old}, {path: new}) == []


def test_a_file_that_cannot_be_parsed_is_a_note() -> None:
    findings = everything({PATH: TESTS}, {PATH: "def broken(:\n"})
    assert severities(findings) == ["note"]
