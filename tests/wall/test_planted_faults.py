"""Lint and type checks of HEAD that do not find a fault any more: it is planted, and they are run."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import helpers
import pytest
from noticing_shop import SPEC

from skillrun.core.verdict import Finding
from skillrun.repo.git import open_repo
from skillrun.wall.counting.count import Sides
from skillrun.wall.diff import read_diff
from skillrun.wall.planting import compare
from skillrun.wall.planting.asking import Answer, Asker
from skillrun.wall.planting.faults import FAULTS, HARMLESS, Fault, draw_name, plant

TASKS = '''
    """The job."""


    def send_receipt(order_id: int) -> str:
        """Sends it."""
        return f"receipt-{order_id}"
    '''
MAKE = """
    .PHONY: lint
    lint:
    \truff check --no-cache .
    \truff format --check --no-cache .
    """
PROFILE = '{"commands": {"lint": "make lint"}}\n'
BASE: Mapping[str, str] = {
    ".skillrun/jobs/send-receipt.yaml": SPEC,
    "shop/__init__.py": "",
    "shop/tasks.py": TASKS,
    "Makefile": MAKE,
    "REPO_PROFILE.json": PROFILE,
    ".gitignore": ".mypy_cache/\n",
}
# Types are checked where they matter alone: mypy takes its time.
TYPES = "\n    types:\n    \tmypy shop\n"
TYPED: Mapping[str, str] = {
    **BASE,
    "Makefile": MAKE + TYPES,
    "REPO_PROFILE.json": '{"commands": {"lint": "make lint", "typecheck": "make types"}}\n',
}
OWN_PROGRAM = "#!/bin/sh\nexit 0\n"


@pytest.fixture(autouse=True)
def _tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """The linters of the environment that runs the tests, and time for a slow machine."""
    monkeypatch.setattr(compare, "_ENOUGH_S", 3000.0)
    folder = str(Path(sys.executable).parent)
    monkeypatch.setenv("PATH", os.pathsep.join([folder, os.environ["PATH"]]))


def ask(
    root: Path, changes: Mapping[str, str | None], base: Mapping[str, str] = BASE
) -> list[Finding]:
    """What the checks of a branch with these changes do not find any more; None takes a file away."""
    repo = helpers.build_tree(root, base)
    old = helpers.git(repo, "rev-parse", "HEAD")
    for path, text in changes.items():
        if text is None:
            (repo / path).unlink()
    helpers.write_files(repo, {path: text for path, text in changes.items() if text is not None})
    for path in changes:
        if path.startswith("bin/"):
            (repo / path).chmod(0o755)
    new = helpers.commit(repo, "A branch")
    before = helpers.git(repo, "status", "--porcelain")
    environ = dict(os.environ)
    lines: list[str] = []
    sides = Sides(open_repo(repo), old, new, (), lines.append)
    found = list(compare.ask_checks(sides, read_diff(repo, old, new)))
    assert helpers.git(repo, "status", "--porcelain") == before
    assert dict(os.environ) == environ
    assert helpers.git(repo, "worktree", "list").count("\n") == 0
    return found


def say(found: list[Finding]) -> list[tuple[str, str, str | None, int | None]]:
    return [(one.rule, str(one.severity), one.path, one.line) for one in found]


def lint(lines: str) -> dict[str, str | None]:
    return {"Makefile": f".PHONY: lint\nlint:\n{lines}"}


def file_of(text: str) -> dict[str, str | None]:
    return {"shop/tasks.py": text}


PLAIN = '"""The job."""\n\n\ndef send_receipt(order_id: int) -> str:\n    return f"{order_id}"\n'
ATTACKS: dict[str, tuple[dict[str, str | None], str]] = {
    "a file that is left out": ({"ruff.toml": 'exclude = ["shop"]\n'}, "ruff.toml"),
    "rules for a file": (
        {"ruff.toml": '[lint.per-file-ignores]\n"shop/tasks.py" = ["F"]\n'},
        "ruff.toml",
    ),
    "a rule that finds nothing": (
        lint("\truff check --no-cache --select E9 .\n\truff format --check --no-cache .\n"),
        "Makefile",
    ),
    "a condition of make": (
        lint("ifdef NEVER\n\truff check --no-cache .\n\truff format --check .\nendif\n"),
        "Makefile",
    ),
    "a program of its own": (
        {
            "Makefile": "    export PATH := $(CURDIR)/bin:$(PATH)" + MAKE,
            "bin/ruff": OWN_PROGRAM,
        },
        "Makefile",
    ),
    "a module of its own": (
        {
            **lint("\tpython -m ruff check .\n\tpython -m ruff format --check .\n"),
            "ruff.py": '"""Checks."""\n',
        },
        "Makefile",
    ),
    "a note for the file": (file_of("# ruff: noqa\n" + PLAIN), "shop/tasks.py"),
    "no format for the file": (file_of("# fmt: off\n" + PLAIN), "shop/tasks.py"),
    "a file that git ignores": ({".gitignore": ".mypy_cache/\nshop/\n"}, ".gitignore"),
    "whether git sees a change": (lint("\tgit diff --exit-code\n"), "Makefile"),
    "whether the file is as git has it": (
        lint(
            '\ttest "$$(git hash-object shop/tasks.py)" = "$$(git rev-parse HEAD:shop/tasks.py)"\n'
        ),
        "shop/tasks.py",
    ),
    "a second time": (lint("\ttest ! -e .once && touch .once\n"), "shop/tasks.py"),
    "what other stages leave": (lint("\ttest -d .pytest_cache\n"), "shop/tasks.py"),
    "a file that is called as the target": (
        {"Makefile": MAKE.replace(".PHONY: lint", ""), "lint": ""},
        "Makefile",
    ),
    "no command at all": ({"REPO_PROFILE.json": "{}\n", "Makefile": None}, "Makefile"),
}
OF_TYPES: dict[str, tuple[dict[str, str | None], str]] = {
    "mypy's errors": ({"mypy.ini": "[mypy]\nignore_errors = True\n"}, "mypy.ini"),
    "mypy's files": (
        {"mypy.ini": "[mypy]\nexclude = tasks\nfollow_imports = skip\n"},
        "mypy.ini",
    ),
    "no types in the file": (file_of("# mypy: ignore-errors\n" + PLAIN), "shop/tasks.py"),
    "another command": (
        {"REPO_PROFILE.json": '{"commands": {"lint": "make lint", "typecheck": "make lint"}}\n'},
        "REPO_PROFILE.json",
    ),
}
STRICT = 'line-length = 90\n[lint]\nselect = ["E", "F", "I", "B"]\n'
HONEST: dict[str, dict[str, str | None]] = {
    "code": file_of(PLAIN),
    "a note for one line": file_of(
        PLAIN.replace("return", "import os  # noqa: F401\n\n    return")
    ),
    "other rules": {"ruff.toml": STRICT},
    "another folder is left out": {"ruff.toml": 'exclude = ["migrations"]\n'},
    "another formatter": lint("\truff check --no-cache .\n\tblack -q --check .\n"),
    "in one line": lint("\truff check -q --no-cache . && ruff format -q --check --no-cache .\n"),
    "what it mends is an error": lint(
        "\truff check --no-cache .\n\truff format --no-cache .\n\tgit diff --exit-code\n"
    ),
    "another place": {
        "shop/tasks.py": None,
        "shop/jobs.py": PLAIN,
        ".skillrun/jobs/send-receipt.yaml": SPEC.replace("shop.tasks", "shop.jobs"),
    },
}
HONEST_OF_TYPES: dict[str, dict[str, str | None]] = {
    "types by lint": {
        **lint("\truff check --no-cache .\n\truff format --check --no-cache .\n\tmypy shop\n"),
        "REPO_PROFILE.json": '{"commands": {"lint": "make lint"}}\n',
    },
    "types by the build": {
        "Makefile": MAKE + TYPES + "\n    build: types\n",
        "REPO_PROFILE.json": '{"commands": {"lint": "make lint", "build": "make build"}}\n',
    },
}


@pytest.mark.real
@pytest.mark.parametrize("name", ATTACKS)
def test_a_check_that_finds_a_fault_no_more_is_an_error(tmp_path: Path, name: str) -> None:
    changes, path = ATTACKS[name]
    found = [one for one in ask(tmp_path / "repo", changes) if one.severity == "error"]
    assert {(one.rule, one.path) for one in found} == {("verify.check-finds-less", path)}


@pytest.mark.real
@pytest.mark.parametrize("name", OF_TYPES)
def test_a_check_of_types_that_finds_a_fault_no_more_is_an_error(tmp_path: Path, name: str) -> None:
    changes, path = OF_TYPES[name]
    found = [one for one in ask(tmp_path / "repo", changes, TYPED) if one.severity == "error"]
    assert {(one.rule, one.path) for one in found} == {("verify.check-finds-less", path)}


@pytest.mark.real
@pytest.mark.parametrize("name", HONEST)
def test_one_that_does_is_none(tmp_path: Path, name: str) -> None:
    assert say(ask(tmp_path / "repo", HONEST[name])) == []


@pytest.mark.real
@pytest.mark.parametrize("name", HONEST_OF_TYPES)
def test_types_that_are_checked_elsewhere_are_none(tmp_path: Path, name: str) -> None:
    assert say(ask(tmp_path / "repo", HONEST_OF_TYPES[name], TYPED)) == []


TESTED_MAKE = ".PHONY: test tests\ntest tests:\n\tpython -m pytest -q -p no:cacheprovider tests\n"
TESTED: Mapping[str, str] = {
    "tests/test_tasks.py": "def test_one():\n    assert 1\n",
    "Makefile": TESTED_MAKE,
    "REPO_PROFILE.json": '{"commands": {"test": "make test"}}\n',
}
# A folder of that name is there already.
PLURAL = {**TESTED, "REPO_PROFILE.json": '{"commands": {"test": "make tests"}}\n'}
NO_PHONY = TESTED_MAKE.partition("\n")[2]
MUTE_TESTS: dict[str, tuple[Mapping[str, str], dict[str, str | None], str]] = {
    "a file that is called as the target": (TESTED, {"Makefile": NO_PHONY, "test": ""}, "Makefile"),
    "a folder that is": (PLURAL, {"Makefile": NO_PHONY}, "Makefile"),
    "a file found by VPATH": (
        TESTED,
        {"Makefile": f"VPATH = docs\n{NO_PHONY}", "docs/test": ""},
        "Makefile",
    ),
    "a file that make is told to keep": (
        TESTED,
        {"Makefile": f"MAKEFLAGS += --old-file=test\n{NO_PHONY}", "test": ""},
        "Makefile",
    ),
}


TWO_TESTS = "def test_one():\n    assert 1\n\n\ndef test_two():\n    assert 1\n"
MORE: Mapping[str, str] = {**TESTED, "tests/test_tasks.py": TWO_TESTS}


def recipe(words: str, before: str = "") -> dict[str, str | None]:
    return {"Makefile": f".PHONY: test\n{before}test:\n\tpython -m pytest -q {words}\n"}


FEWER_TESTS: dict[str, tuple[dict[str, str | None], str]] = {
    "-m": (recipe("-m 'not parametrize' -k one"), "Makefile"),
    "a path": (recipe("tests/test_tasks.py::test_one"), "Makefile"),
    "-o": (recipe("-o python_functions='*_one' tests"), "Makefile"),
    "a plugin": (
        {
            **recipe("-p plug tests"),
            "plug.py": "def pytest_collection_modifyitems(items):\n    del items[1:]\n",
        },
        "Makefile",
    ),
    "a variable of the recipe": (
        {"Makefile": "test:\n\tPYTEST_ADDOPTS='-k one' python -m pytest -q tests\n"},
        "Makefile",
    ),
    "an exported variable": (
        recipe("tests", "export PYTEST_ADDOPTS = -k one\n"),
        "Makefile",
    ),
    "the profile": (
        {"REPO_PROFILE.json": '{"commands": {"test": "python -m pytest -k one tests"}}\n'},
        "REPO_PROFILE.json",
    ),
}


@pytest.mark.real
@pytest.mark.parametrize("name", FEWER_TESTS)
def test_a_command_that_runs_fewer_tests_is_told(tmp_path: Path, name: str) -> None:
    changes, path = FEWER_TESTS[name]
    found = [one for one in ask(tmp_path / "repo", changes, MORE) if one.severity != "note"]
    assert {(one.rule, one.path) for one in found} == {("verify.check-finds-less", path)}
    assert {one.severity for one in found} == {"warning"}
    assert "tests/test_tasks.py::test_two" in found[0].message


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["README.md", "shop/tasks.py", "tests/test_a.py", ".skillrun/jobs/a.yaml"], False),
        *(([path], True) for path in ("Makefile", "noxfile.py", "scripts/run.py", "tox.ini")),
        (["tests/conftest.py"], True),
        (["shop/tasks.py", "test"], True),
    ],
)
def test_what_may_steer_the_tests(paths: list[str], *, expected: bool) -> None:
    assert compare.may_steer_tests(paths) is expected


def write_workflow(*commands: str) -> dict[str, str]:
    steps = "".join(f"      - run: {command}\n" for command in commands)
    head = "on: push\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps:\n"
    return {".github/workflows/ci.yml": head + steps}


SUITES = {"tests/unit/test_a.py": TWO_TESTS, "tests/e2e/test_b.py": "def test_b():\n    assert 1\n"}
OF_CI = {"tests/test_tasks.py": TWO_TESTS, **SUITES, **write_workflow("pytest tests")}
TESTS_RUN_OTHERWISE: dict[str, tuple[Mapping[str, str | None], Mapping[str, str]]] = {
    "two steps": (
        write_workflow("pytest tests/unit tests/test_tasks.py", "pytest tests/e2e"),
        OF_CI,
    ),
    "a matrix": (write_workflow("pytest ${{ matrix.suite }}"), OF_CI),
    "a helper of a test's name": (
        {
            "tests/test_tasks.py": "def test_one():\n    def test_two():\n        pass\n",
            "requirements-dev.txt": "pytest\n",
        },
        MORE,
    ),
}


@pytest.mark.real
@pytest.mark.parametrize("name", TESTS_RUN_OTHERWISE)
def test_tests_that_may_run_elsewhere_are_no_error(tmp_path: Path, name: str) -> None:
    changes, base = TESTS_RUN_OTHERWISE[name]
    found = ask(tmp_path / "repo", dict(changes), base)
    assert [one for one in found if one.severity == "error"] == []


@pytest.mark.real
@pytest.mark.parametrize("name", MUTE_TESTS)
def test_a_command_that_runs_no_tests_any_more_is_an_error(tmp_path: Path, name: str) -> None:
    base, changes, path = MUTE_TESTS[name]
    found = [one for one in ask(tmp_path / "repo", changes, base) if one.severity == "error"]
    assert {(one.rule, one.path) for one in found} == {("verify.check-finds-less", path)}


@pytest.mark.real
@pytest.mark.parametrize(
    "changes",
    [
        {"tests/test_more.py": "def test_two():\n    assert 1\n", "setup.cfg": ""},
        {"tests/test_tasks.py": "def test_other():\n    assert 1\n", "setup.cfg": ""},
        {
            "tests/test_tasks.py": "class TestIt:\n    def test_one(self):\n        assert 1\n",
            "setup.cfg": "",
        },
        {"Makefile": NO_PHONY},
        {"Makefile": TESTED_MAKE.replace("-q ", "-q -x ")},
        {"Makefile": "test:\n\tpython -m unittest discover -s tests -t .\n"},
    ],
)
def test_one_that_runs_them_is_none(tmp_path: Path, changes: dict[str, str | None]) -> None:
    assert say(ask(tmp_path / "repo", changes, TESTED)) == []


@pytest.mark.real
def test_a_check_that_keeps_bytecode_finds_each_fault(tmp_path: Path) -> None:
    """It compares whole seconds, and one question follows the other within one."""
    compiles = {**BASE, "Makefile": "lint:\n\tpython -m compileall -q shop\n"}
    assert say(ask(tmp_path / "repo", {"shop/late.py": "A = 1\n"}, compiles)) == []


def test_a_file_is_written_each_time_with_another_second(tmp_path: Path) -> None:
    asker = Asker(lambda: pytest.fail("nothing is checked out"), "n", 0.0, 0.0, print)
    times = set()
    for content in (b"1", b"2", b"3"):
        asker._put(tmp_path, "a.py", content)
        times.add(int((tmp_path / "a.py").stat().st_mtime))
    assert len(times) == 3


def test_a_fault_has_the_files_own_line_ends() -> None:
    assert plant(b"a = 1\r\n", HARMLESS, "n") == b"a = 1\r\n\r\n\r\n# n\r\n"
    assert plant(b"a = 1", HARMLESS, "n") == b"a = 1\n\n\n# n\n"
    assert plant(b"", HARMLESS, "n") == b"# n\n"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_does_nothing_when_the_module_is_imported(fault: Fault) -> None:
    exec(compile(plant(b"", fault, draw_name()), "planted", "exec"), {})


@pytest.mark.real
def test_what_finds_nothing_on_both_sides_is_said(tmp_path: Path) -> None:
    mute = {**BASE, "Makefile": "lint:\n\t@true\n"}
    found = ask(tmp_path / "repo", {"shop/tasks.py": PLAIN}, mute)
    assert say(found) == [("verify.check-finds-nothing", "note", "shop/tasks.py", 1)]


@pytest.mark.real
def test_a_base_that_is_red_is_nothing_to_compare_with(tmp_path: Path) -> None:
    red = {**BASE, "shop/other.py": "import os\n"}
    found = ask(tmp_path / "repo", lint("\t@true\n"), red)
    assert say(found) == [("verify.check-finds-nothing", "warning", "shop/tasks.py", 1)]


def test_a_handler_in_another_language_is_said(tmp_path: Path) -> None:
    changes: dict[str, str | None] = {
        ".skillrun/jobs/send-receipt.yaml": SPEC.replace("shop.tasks", "src.gone")
    }
    base = {**BASE, **{path: text for path, text in changes.items() if text is not None}}
    found = ask(tmp_path / "repo", {"shop/late.py": ""}, base)
    assert say(found) == [("verify.check-not-asked", "note", None, None)]


def test_where_only_pages_change_nothing_is_asked(tmp_path: Path) -> None:
    mute = {**BASE, "Makefile": "lint:\n\t@true\n"}
    assert ask(tmp_path / "repo", {"README.md": "A shop.\n"}, mute) == []


@pytest.mark.real
def test_a_check_that_comes_to_no_end_is_said(tmp_path: Path) -> None:
    slow = '{"commands": {"lint": "sleep 60"}, "quality_bar": {"validation_timeout": "1s"}}\n'
    (said,) = ask(tmp_path / "repo", {"REPO_PROFILE.json": slow})
    assert (said.rule, str(said.severity)) == ("verify.check-not-asked", "warning")
    assert "sleep 60: ended at its time limit" in said.message


@pytest.mark.real
def test_nothing_is_written_through_a_link_that_a_check_made(tmp_path: Path) -> None:
    """Also not what the file held before: the checkout is another one for the next question."""
    outside = tmp_path / "outside"
    helpers.write_files(outside, {"tasks.py": "of somebody else\n"})
    found = ask(tmp_path / "repo", lint(f"\tmv shop was && ln -s {outside} shop\n"))
    assert say(found) == [("verify.check-finds-less", "error", "shop/tasks.py", 1)]
    assert (outside / "tasks.py").read_text() == "of somebody else\n"


def lead_by_path(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(repo / "src"))


def lead_by_install(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    record = ".venv/lib/python3.12/site-packages/shop-1.dist-info/direct_url.json"
    url = f'{{"url": "{repo.as_uri()}", "dir_info": {{"editable": true}}}}'
    helpers.write_files(repo, {record: url})


@pytest.mark.real
@pytest.mark.parametrize("lead", [lead_by_path, lead_by_install])
def test_each_side_is_asked_over_its_own_sources(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lead: Callable[[Path, pytest.MonkeyPatch], None],
) -> None:
    """Both checkouts are open, and the sides are asked in turn."""
    shows = "lint:\n\t@python -c 'import shop; print(shop.SIDE, shop.__file__)'; exit 1\n"
    base = {"src/shop.py": "SIDE = 'old'\n", "Makefile": shows, ".gitignore": ".venv\n"}
    repo = helpers.build_tree(tmp_path / "repo", base)
    before = helpers.git(repo, "rev-parse", "HEAD")
    helpers.write_files(repo, {"src/shop.py": "SIDE = 'new'\n"})
    after = helpers.commit(repo, "A branch")
    lead(repo, monkeypatch)
    environ = dict(os.environ)
    sides = Sides(open_repo(repo), before, after, (), print)
    deadline = time.monotonic() + 3000
    with (
        Asker(partial(compare._check_out, sides, sides.head), "n", deadline, 60, print) as new,
        Asker(partial(compare._check_out, sides, sides.base), "n", deadline, 60, print) as old,
    ):
        asked = {"new": new, "old": old}
        for side in ("new", "old", "new", "old"):
            assert f"{side} src/shop.py" in (asked[side].ask("src/shop.py", HARMLESS).said or "")
            assert dict(os.environ) == environ
    assert dict(os.environ) == environ


TWO: Mapping[str, str] = {**BASE, "shop/late.py": "A = 1\n"}


@pytest.mark.real
def test_what_the_base_does_not_find_in_one_file_is_asked_in_the_next(tmp_path: Path) -> None:
    """The base leaves out the handler's file alone."""
    only = {**TWO, "Makefile": "lint:\n\t! grep -q '_undefined' shop/late.py\n"}
    found = ask(tmp_path / "repo", {**lint("\t@true\n"), "shop/late.py": "A = 2\n"}, only)
    errors = [one for one in found if one.severity == "error"]
    assert len(errors) == 1
    assert "shop/late.py" in errors[0].message


@pytest.mark.real
def test_what_the_base_finds_nowhere_in_a_file_that_it_looks_at_is_asked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []
    true_ask = Asker.ask

    def count(self: Asker, path: str, fault: Fault | None, *more: Any, **named: Any) -> Answer:
        asked.append((path, "" if fault is None else fault.words))
        return true_ask(self, path, fault, *more, **named)

    monkeypatch.setattr(Asker, "ask", count)
    unused = {**TWO, "Makefile": "lint:\n\t! grep -q 'colorsys' shop/*.py\n"}
    found = ask(tmp_path / "repo", {**lint("\t@true\n"), "shop/late.py": "A = 2\n"}, unused)
    assert {one.path for one in found} == {"Makefile"}
    assert ("shop/tasks.py", "an undefined name") in asked
    assert ("shop/late.py", "an unused import") in asked
    assert ("shop/late.py", "an undefined name") not in asked


def test_a_deadline_that_has_passed_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "_ENOUGH_S", -1.0)
    (said,) = ask(tmp_path / "repo", {**lint("\t@true\n"), "shop/late.py": "A = 2\n"}, TWO)
    assert (said.rule, str(said.severity)) == ("verify.check-not-asked", "warning")
    assert "shop/tasks.py`, `shop/late.py`: there was no time left" in said.message
