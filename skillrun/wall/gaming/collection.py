"""Settings by which the test runner leaves tests out, and Python files that nothing can be said of."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

from skillrun.opening import parse_toml
from skillrun.stages.tests import is_test_file
from skillrun.verdict import Finding, Severity
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.making import doubtful, quoted, taken
from skillrun.wall.gaming.specs import at

ID = "uncollected-tests"
HELP = (
    "Tests that the runner leaves out find nothing. Found, where the base has none: collect_ignore in a conftest.py, "
    "--ignore, --deselect, -k and -m in pytest's addopts, plugins that are loaded or turned off, other settings that "
    "say what is collected, hooks that decide what a result is, and calls that end the run. A Python file that cannot "
    "be parsed is a note."
)
_SETTINGS = ("pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", "pyproject.toml", "tox.ini", "setup.cfg")
_LEAVING_OUT = re.compile(
    r"(?:^|\s|[\"'])(--ignore(?:-glob)?|--deselect|-[km]|--co(?:llect-only)?|--noconftest)(?![\w-])"
)
_LOADING = re.compile(r"(?:^|\s|[\"'])-p[\s=\"',]*([\w.:]+)")
_WHAT_COUNTS = ("testpaths", "norecursedirs", "python_files", "python_classes", "python_functions")
# Hooks by which a conftest decides what runs, and what is said of it.
_DECIDING = (
    *("pytest_ignore_collect", "pytest_collection_modifyitems", "pytest_pyfunc_call", "pytest_sessionfinish"),
    *("pytest_runtest_makereport", "pytest_runtest_call", "pytest_runtest_protocol", "pytest_report_teststatus"),
)
_ENDING = re.compile(r"(os\._exit|sys\.exit|exit|quit)\(0?\)$|pytest\.exit\(")
_INI = re.compile(r"^(\w+)\s*=\s*(.*(?:\n[ \t]+.*)*)", re.MULTILINE)


def find(diff: Diff) -> Iterator[Finding]:
    """The findings of every conftest.py and every file with pytest's settings."""
    for file in diff.named("conftest.py"):
        yield from _conftest(file)
    for file in diff.named(*_SETTINGS):
        yield from _settings(file)
    for file in diff.python():
        if is_test_file(file.path) or file.path.rpartition("/")[2] == "conftest.py":
            yield from _ended(file)
        if file.new is not None and file.new_tree is None:
            message = "this file cannot be parsed, so nothing can be said of its changes"
            yield Finding(f"gaming.{ID}", Severity.NOTE, message, file.path, 1, "mend its syntax")


def _conftest(file: File) -> Iterator[Finding]:
    known = {text for text, _ in _ignoring(file.old_tree)}
    for text, node in _ignoring(file.new_tree):
        if text not in known:
            is_left_out = "collect_ignore" in text and not isinstance(node, ast.FunctionDef)
            make = taken if is_left_out else doubtful
            yield make(ID, file, node.lineno, f"what runs and what counts is decided here: {quoted(text)}")


def _ended(file: File) -> Iterator[Finding]:
    """Calls that end the whole run with success."""
    known = {text for text, _ in _ending(file.old_tree)}
    for text, line in _ending(file.new_tree):
        if text not in known:
            yield taken(ID, file, line, f"the test run is ended from inside: {quoted(text)}")


def _ending(tree: ast.Module | None) -> Iterator[tuple[str, int]]:
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call)) if tree is not None else ()
    for call in calls:
        text = ast.unparse(call)
        if _ENDING.match(text):
            yield text, call.lineno


def _ignoring(tree: ast.Module | None) -> Iterator[tuple[str, ast.stmt]]:
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.FunctionDef) and node.name in _DECIDING:
            yield f"def {node.name}", node
        elif isinstance(node, ast.Assign | ast.AugAssign | ast.Expr) and _says_what_runs(node):
            yield ast.unparse(node), node


def _says_what_runs(node: ast.Assign | ast.AugAssign | ast.Expr) -> bool:
    loads_plugins = isinstance(node, ast.Assign) and _names_any(node.targets[0], "pytest_plugins")
    return loads_plugins or _names_any(node, "collect_ignore")


def _names_any(node: ast.AST, word: str) -> bool:
    return word in ast.unparse(node)


def _settings(file: File) -> Iterator[Finding]:
    old, new = _options(file.old, file.path), _options(file.new, file.path)
    before, after = str(old.get("addopts", "")), str(new.get("addopts", ""))
    known = _LEAVING_OUT.findall(before)
    for option in dict.fromkeys(_LEAVING_OUT.findall(after)):
        if _LEAVING_OUT.findall(after).count(option) > known.count(option):
            said = f"pytest's addopts leave tests out: {quoted(after)}"
            yield taken(ID, file, _line(file, option), said)
    loaded = _LOADING.findall(before)
    for plugin in _LOADING.findall(after):
        # One that is turned off decides nothing: `-p no:cacheprovider`.
        if plugin not in loaded and not plugin.startswith("no:"):
            said = f"pytest's addopts say which plugins run: {quoted(f'-p {plugin}')}"
            yield doubtful(ID, file, _line(file, plugin), said, hint="look at what the plugin does")
    if "pytest11" in (file.new or "") and "pytest11" not in (file.old or ""):
        said = f"a plugin of pytest is declared: {quoted(file.new_line(_line(file, 'pytest11')))}"
        yield doubtful(ID, file, _line(file, "pytest11"), said, hint="look at what the plugin does")
    for name in _WHAT_COUNTS:
        if name in new and new[name] != old.get(name) and (name in old or file.old is not None):
            said = f"pytest's {name} is {quoted(new[name])}; it was {quoted(old.get(name, 'not set'))}"
            yield doubtful(ID, file, _line(file, name), said)


def _options(text: str | None, path: str) -> dict[str, Any]:
    """pytest's settings; empty where there are none."""
    if text is None:
        return {}
    if path.endswith(".toml"):
        try:
            value = parse_toml(text)
        except ValueError:
            return {}
        # pytest 9 has settings of its own kind in [tool.pytest], and in [pytest] of a file of its own.
        native = at(value, "tool", "pytest") or at(value, "pytest")
        found = at(value, "tool", "pytest", "ini_options") or native
        return found if isinstance(found, dict) else {}
    section = re.search(r"^\[(?:tool:)?pytest\]\s*\n(.*?)(?=^\[|\Z)", text, re.MULTILINE | re.DOTALL)
    return dict(_INI.findall(section[1])) if section else {}


def _line(file: File, word: str) -> int:
    """The first added line with the word."""
    return next((number for number, line in file.added() if word in line), 1)
