"""The tests of both sides, as pytest and unittest collect them, and which one became which."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from skillrun.repo.places import is_taken_for_tests
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
        return _dump_body(self.node)


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
    files = [file for file in diff.python_files() if _holds_tests(file)]
    now, was = _tests_by_name(files), _names_at_base(files)
    fresh = [test for key, test in now.items() if key not in was]
    hidden = _list_uncollected(files, list(now.values()))
    for file in files:
        if file.new is not None and file.new_tree is None:
            # Nothing can be said of what is not parsed; another look says so.
            continue
        for old in _all_tests(file, file.old_tree):
            new = now.get((file.path, old.name)) or _find_same(old, fresh, list(now.values()))
            if new:
                yield Change(old, new)
            else:
                yield Change(old, uncollected=_find_by_body(old, hidden))


def _tests_by_name(files: list[File]) -> dict[tuple[str, str], Test]:
    """(path, name) -> test of HEAD; the last one of a name, which is the one that Python keeps."""
    found = {}
    for file in files:
        for test in _collected_tests(file):
            found[file.path, test.name] = test
    return found


def _list_uncollected(files: list[File], collected: list[Test]) -> list[Test]:
    """The functions of HEAD that no runner takes for a test."""
    seen = {id(test.node) for test in collected}
    found = []
    for file in files:
        for test in _list_functions(file, file.new_tree):
            if id(test.node) not in seen:
                found.append(test)
    return found


def fresh_tests(diff: Diff) -> list[Test]:
    """The tests of HEAD that the base has not, by file and name."""
    files = [file for file in diff.python_files() if _holds_tests(file)]
    was = _names_at_base(files)
    found = []
    for file in files:
        for test in _collected_tests(file):
            if (file.path, test.name) not in was:
                found.append(test)
    return found


def _names_at_base(files: list[File]) -> set[tuple[str, str]]:
    """(path in HEAD, name) of every test of the base."""
    found = set()
    for file in files:
        for test in _all_tests(file, file.old_tree):
            found.add((file.path, test.name))
    return found


def _find_same(old: Test, fresh: list[Test], now: list[Test]) -> Test | None:
    """By its name in another file, else by what it does: rather a new test than an old one."""
    for test in fresh:
        if test.name == old.name and test.file.path != old.file.path:
            return test
    return _find_by_body(old, [*fresh, *now])


def _find_by_body(old: Test, functions: list[Test]) -> Test | None:
    for function in functions:
        if function.body == old.body:
            return function
    return None


def _holds_tests(file: File) -> bool:
    return is_taken_for_tests(file.path) or is_taken_for_tests(file.old_path)


def _collected_tests(file: File) -> Iterator[Test]:
    """The tests of HEAD in a file that is still collected: one whose name tells, or that was
    collected before.
    """
    kept = file.path.rpartition("/")[2] == file.old_path.rpartition("/")[2]
    if kept or _COLLECTED_FILE.search(file.path):
        yield from _all_tests(file, file.new_tree)


def _all_tests(file: File, tree: ast.Module | None) -> Iterator[Test]:
    """The functions named test*, also in classes that pytest or unittest would look into."""
    for test in _list_functions(file, tree):
        if not test.node.name.startswith("test"):
            continue
        if test.owner is None or _is_looked_into(test.owner):
            yield test


def _list_functions(file: File, tree: ast.Module | None) -> Iterator[Test]:
    if tree is None:
        return
    for node in tree.body:
        if isinstance(node, Function):
            yield Test(file, node.name, node, None)
        elif isinstance(node, ast.ClassDef):
            for child in node.body:
                if isinstance(child, Function):
                    yield Test(file, f"{node.name}.{child.name}", child, node)


def _is_looked_into(owner: ast.ClassDef) -> bool:
    """pytest goes by the name of a class, unittest by what it inherits from."""
    if owner.name.startswith("Test"):
        return True
    return any("Test" in ast.unparse(base) for base in owner.bases)


def _dump_body(node: Function) -> str:
    body = node.body
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    return "\n".join(ast.dump(statement) for statement in body)
