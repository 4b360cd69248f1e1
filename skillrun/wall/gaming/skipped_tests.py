"""Tests that are newly skipped, expected to fail, or cut short."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from dataclasses import dataclass

from skillrun.core.verdict import Finding
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.making import doubtful, quoted, taken
from skillrun.wall.gaming.pytests import Test, list_changed_tests

ID = "skipped-test"
HELP = (
    "A skipped test finds nothing. Found, where the base has none: skip, skipif and xfail marks on"
    " a test, its class or its module, unittest's decorators, calls of pytest.skip, an `if False`"
    " around the test, and a return before its assertions. A condition that depends on something (a"
    " platform, an installed program) is a warning."
)
_MARK = re.compile(r"\b(skip|skipif|xfail|skipIf|skipUnless|expectedFailure)\b")
# Variables that only a pipeline sets.
_PIPELINE = re.compile(
    r"CI|GITHUB_(ACTIONS?|WORKFLOW|RUN_ID|SHA)|GITLAB_CI|CIRCLECI|TRAVIS|BUILDKITE|JENKINS_URL"
    r"|TF_BUILD|CONTINUOUS_INTEGRATION|RUNNER_OS|BUILD_(ID|NUMBER)"
)
_CALL = re.compile(r"^(pytest\.)?(skip|xfail)$|\.skipTest$|\bSkipTest$|^pytest\.importorskip$")


@dataclass(frozen=True)
class Skip:
    """One way in which a test does not run: its text, its line, and whether it depends on
    something.
    """

    text: str
    line: int
    is_conditional: bool

    @property
    def identity(self) -> str:
        """What makes two skips the same: the condition, else the kind; another reason is no other
        skip.
        """
        if self.is_conditional:
            return self.text
        return self.text.partition("(")[0]


def find(diff: Diff) -> Iterator[Finding]:
    """The findings of every test that both sides have, and of the modules that hold them."""
    # A mark of a class stands once, for all its tests.
    said: set[tuple[str, int]] = set()
    files: dict[str, File] = {}
    for change in list_changed_tests(diff):
        if change.new is None:
            continue
        file = change.new.file
        files[file.path] = file
        old_tree = change.old.file.old_tree
        known = {skip.identity for skip in _find_skips(change.old, old_tree)}
        for skip in _find_skips(change.new, file.new_tree):
            if skip.identity not in known and (file.path, skip.line) not in said:
                said.add((file.path, skip.line))
                yield _report_skip(file, change.new.name, skip)
    for file in files.values():
        known = {skip.identity for skip in _find_module_skips(file.old_tree)}
        for skip in _find_module_skips(file.new_tree):
            if skip.identity not in known:
                yield _report_skip(file, file.path, skip)


def _report_skip(file: File, name: str, skip: Skip) -> Finding:
    make = doubtful if skip.is_conditional else taken
    return make(ID, file, skip.line, f"{name} is skipped or cut short now: {quoted(skip.text)}")


def _find_skips(test: Test, tree: ast.Module | None) -> Iterator[Skip]:
    owner = test.owner.decorator_list if test.owner else []
    named = _list_named_marks(tree)
    for decorator in [*test.node.decorator_list, *owner]:
        if isinstance(decorator, ast.Name) and decorator.id in named:
            # `slow = pytest.mark.skipif(...)`, and `@slow` at the test.
            yield from _read_mark(named[decorator.id])
        yield from _read_mark(decorator)
        yield from _read_parameters(decorator)
    if test.owner is not None:
        for node in test.owner.body:
            yield from _read_pytestmark(node)
            yield from _read_test_attribute(node)
    yield from _read_calls(test.node.body, conditional=None)
    yield from _find_cut_short(test.node)


def _list_named_marks(tree: ast.Module | None) -> dict[str, ast.expr]:
    """Name -> the mark that a module gives it."""
    found: dict[str, ast.expr] = {}
    for node in (tree or ast.Module([], [])).body:
        if isinstance(node, ast.Assign) and _MARK.search(ast.unparse(node.value).partition("(")[0]):
            for target in node.targets:
                found[ast.unparse(target)] = node.value
    return found


def _find_module_skips(tree: ast.Module | None) -> Iterator[Skip]:
    if tree is None:
        return
    for node in tree.body:
        yield from _read_pytestmark(node)
        yield from _read_test_attribute(node)
        if isinstance(node, ast.Delete) and "test" in ast.unparse(node):
            yield Skip(ast.unparse(node), node.lineno, False)
        if isinstance(node, ast.Expr | ast.If | ast.Assign | ast.Raise):
            yield from _read_calls([node], conditional=None)
        if not isinstance(node, ast.If) or not _is_never(node.test):
            continue
        if any(_holds_test(inner) for inner in node.body):
            yield Skip(f"if {ast.unparse(node.test)}:", node.lineno, False)


def _read_mark(node: ast.expr) -> Iterator[Skip]:
    text = ast.unparse(node)
    if _MARK.search(text.partition("(")[0]):
        conditions = list(node.args) if isinstance(node, ast.Call) else []
        depends = bool(conditions) and _depends_on_something(conditions[0])
        yield Skip(f"@{text}", node.lineno, depends)


def _read_parameters(decorator: ast.expr) -> Iterator[Skip]:
    """`pytest.param(..., marks=pytest.mark.skip)`: one case of a parametrised test; and no case at
    all.
    """
    for node in ast.walk(decorator):
        if isinstance(node, ast.keyword) and node.arg == "marks":
            for skip in _read_mark(node.value):
                yield Skip(f"{skip.text} on {ast.unparse(decorator)}", skip.line, False)
        elif isinstance(node, ast.Call) and _has_no_cases(node):
            yield Skip(f"@{ast.unparse(node)}", node.lineno, False)


def _has_no_cases(call: ast.Call) -> bool:
    """`parametrize("value", [])`: pytest skips a test without a case."""
    if "parametrize" not in ast.unparse(call.func) or len(call.args) < 2:
        return False
    values = call.args[1]
    return isinstance(values, ast.List | ast.Tuple) and not values.elts


def _read_test_attribute(node: ast.stmt) -> Iterator[Skip]:
    """`__test__ = False`: pytest collects neither the class nor the function."""
    if not isinstance(node, ast.Assign) or not _is_never(node.value):
        return
    if "__test__" in ast.unparse(node.targets[0]):
        yield Skip(ast.unparse(node), node.lineno, False)


def _read_pytestmark(node: ast.stmt) -> Iterator[Skip]:
    if not isinstance(node, ast.Assign):
        return
    if "pytestmark" not in [ast.unparse(target) for target in node.targets]:
        return
    marks = [node.value]
    if isinstance(node.value, ast.List | ast.Tuple):
        marks = node.value.elts
    for mark in marks:
        yield from _read_mark(mark)


def _read_calls(body: list[ast.stmt], conditional: str | None) -> Iterator[Skip]:
    """Calls and raises that skip, with the condition that they stand under."""
    for node in body:
        if isinstance(node, ast.If):
            condition, otherwise = None, None
            if _depends_on_something(node.test):
                condition = ast.unparse(node.test)
                otherwise = f"not ({condition})"
            yield from _read_calls(node.body, conditional=condition)
            yield from _read_calls(node.orelse, conditional=otherwise)
            continue
        call = _first_skipping_call(node)
        if call is not None:
            text = ast.unparse(call)
            shown = f"if {conditional}: {text}" if conditional else text
            # importorskip depends on what is installed.
            yield Skip(shown, call.lineno, bool(conditional) or "importorskip" in text)


def _first_skipping_call(statement: ast.stmt) -> ast.Call | None:
    for node in ast.walk(statement):
        if isinstance(node, ast.Call) and _CALL.search(ast.unparse(node.func)):
            return node
    return None


def _find_cut_short(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Skip]:
    """A body that never runs, or ends before something is asserted."""
    for position, node in enumerate(function.body):
        rest = function.body[position + 1 :]
        if isinstance(node, ast.If) and _is_never(node.test):
            yield Skip(f"if {ast.unparse(node.test)}:", node.lineno, False)
        elif isinstance(node, ast.Return) and rest:
            yield Skip(ast.unparse(node), node.lineno, False)


def _depends_on_something(condition: ast.expr) -> bool:
    """Something outside of the expression decides: a name that is no built-in, or an attribute."""
    if _asks_for_pipeline(condition):
        # Where the tests decide about a change they are all skipped.
        return False
    names = [node.id for node in ast.walk(condition) if isinstance(node, ast.Name)]
    return any(not hasattr(builtins, name) for name in names)


def _asks_for_pipeline(condition: ast.expr) -> bool:
    texts = [node.value for node in ast.walk(condition) if isinstance(node, ast.Constant)]
    return any(map(_PIPELINE.fullmatch, map(str, texts)))


def _is_never(test: ast.expr) -> bool:
    return isinstance(test, ast.Constant) and not test.value


def _holds_test(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
