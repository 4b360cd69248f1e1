"""The tests of both sides, as pytest and unittest collect them, and which one became which."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from skillrun.stages.tests import is_test_file
from skillrun.wall.diff import Diff, File

Function = ast.FunctionDef | ast.AsyncFunctionDef
_COLLECTED_FILE = re.compile(r"(^|/)(test_[^/]*|[^/]*_test|tests?)\.py$")


@dataclass(frozen=True)
class Test:
    """A test function, and the class around it."""

    __test__ = False

    file: File
    name: str  # "test_x" or "TestX.test_x"
    node: Function
    owner: ast.ClassDef | None

    @cached_property
    def body(self) -> str:
        """What it does, for comparison: without docstring, name, decorators and parameters."""
        return _dump(self.node)


@dataclass(frozen=True)
class Change:
    """A test of the base, and what became of it. `uncollected`: its body is still there, where no
    runner looks.
    """

    old: Test
    new: Test | None = None
    uncollected: Test | None = None


def list_changed_tests(diff: Diff) -> Iterator[Change]:
    """Every test of the base in the changed files: found by name, else by name elsewhere, else by
    what it does.
    """
    files = [file for file in diff.python() if _holds_tests(file)]
    now = {(file.path, test.name): test for file in files for test in _collected(file)}
    was = {(file.path, test.name) for file in files for test in _all_tests(file, file.old_tree)}
    fresh = [test for key, test in now.items() if key not in was]
    seen = {id(test.node) for test in now.values()}
    hidden = [
        test
        for file in files
        for test in _functions(file, file.new_tree)
        if id(test.node) not in seen
    ]
    for file in files:
        if file.new is not None and file.new_tree is None:
            continue  # nothing can be said of what is not parsed; another look says so
        for old in _all_tests(file, file.old_tree):
            new = now.get((file.path, old.name)) or _same(old, fresh, list(now.values()))
            yield Change(old, new, None if new else _hidden(old, hidden))


def fresh_tests(diff: Diff) -> list[Test]:
    """The tests of HEAD that the base has not, by file and name."""
    files = [file for file in diff.python() if _holds_tests(file)]
    was = {(file.path, test.name) for file in files for test in _all_tests(file, file.old_tree)}
    return [
        test for file in files for test in _collected(file) if (file.path, test.name) not in was
    ]


def _same(old: Test, fresh: list[Test], now: list[Test]) -> Test | None:
    by_name = [test for test in fresh if test.name == old.name and test.file.path != old.file.path]
    return next(iter(by_name), None) or next(
        (test for test in (*fresh, *now) if test.body == old.body), None
    )


def _hidden(old: Test, functions: list[Test]) -> Test | None:
    return next((function for function in functions if function.body == old.body), None)


def _holds_tests(file: File) -> bool:
    return is_test_file(file.path) or is_test_file(file.old_path)


def _collected(file: File) -> Iterator[Test]:
    """The tests of HEAD in a file that is still collected: one whose name tells, or that was
    collected before.
    """
    kept = file.path.rpartition("/")[2] == file.old_path.rpartition("/")[2]
    if kept or _COLLECTED_FILE.search(file.path):
        yield from _all_tests(file, file.new_tree)


def _all_tests(file: File, tree: ast.Module | None) -> Iterator[Test]:
    """The functions named test*, also in classes that pytest or unittest would look into."""
    return (
        t
        for t in _functions(file, tree)
        if t.node.name.startswith("test") and (not t.owner or _holds(t.owner))
    )


def _functions(file: File, tree: ast.Module | None) -> Iterator[Test]:
    for node in tree.body if tree is not None else ():
        if isinstance(node, Function):
            yield Test(file, node.name, node, None)
        elif isinstance(node, ast.ClassDef):
            inner = (child for child in node.body if isinstance(child, Function))
            yield from (Test(file, f"{node.name}.{child.name}", child, node) for child in inner)


def _holds(owner: ast.ClassDef) -> bool:
    return owner.name.startswith("Test") or any("Test" in ast.unparse(base) for base in owner.bases)


def _dump(node: Function) -> str:
    body = node.body
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    return "\n".join(ast.dump(statement) for statement in body)
