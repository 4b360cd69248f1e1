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
_SKIPPING_MARK = re.compile(r"\b(skip|skipif|xfail|skipIf|skipUnless|expectedFailure)\b")
# Variables that only a pipeline sets.
_PIPELINE_VARIABLE = re.compile(
    r"CI|GITHUB_(ACTIONS?|WORKFLOW|RUN_ID|SHA)|GITLAB_CI|CIRCLECI|TRAVIS|BUILDKITE|JENKINS_URL"
    r"|TF_BUILD|CONTINUOUS_INTEGRATION|RUNNER_OS|BUILD_(ID|NUMBER)"
)
_SKIPPING_CALL = re.compile(
    r"^(pytest\.)?(skip|xfail)$|\.skipTest$|\bSkipTest$|^pytest\.importorskip$"
)


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
        """By what a skip is found again in the base: its whole text where it has a condition, else
        its kind, "@pytest.mark.skip" of "@pytest.mark.skip('slow')". With another reason it is the
        same skip.
        """
        if self.is_conditional:
            return self.text
        return self.text.partition("(")[0]


def find(diff: Diff) -> Iterator[Finding]:
    """Yields the findings of every test that both sides have, and of the modules that hold them."""
    # A mark of a class stands once, for all its tests.
    reported: set[tuple[str, int]] = set()
    files: dict[str, File] = {}
    for change in list_changed_tests(diff):
        if change.new is None:
            continue
        file = change.new.file
        files[file.path] = file
        old_tree = change.old.file.old_tree
        known = {skip.identity for skip in _find_skips(change.old, old_tree)}
        for skip in _find_skips(change.new, file.new_tree):
            if skip.identity not in known and (file.path, skip.line) not in reported:
                reported.add((file.path, skip.line))
                yield _report_skip(file, change.new.name, skip)
    for file in files.values():
        known = {skip.identity for skip in _find_module_skips(file.old_tree)}
        for skip in _find_module_skips(file.new_tree):
            if skip.identity not in known:
                yield _report_skip(file, file.path, skip)


def _report_skip(file: File, name: str, skip: Skip) -> Finding:
    """The finding for a new skip: a warning where it depends on something, else an error."""
    message = f"{name} is skipped or cut short now: {quoted(skip.text)}"
    if skip.is_conditional:
        return doubtful(ID, file, skip.line, message)
    return taken(ID, file, skip.line, message)


def _find_skips(test: Test, tree: ast.Module | None) -> Iterator[Skip]:
    """Yields the skips of one test: its marks and those of its class, and what its body does."""
    decorators = list(test.node.decorator_list)
    if test.owner:
        decorators += test.owner.decorator_list
    named_marks = _list_named_marks(tree)
    for decorator in decorators:
        if isinstance(decorator, ast.Name) and decorator.id in named_marks:
            # `slow = pytest.mark.skipif(...)`, and `@slow` at the test.
            yield from _read_mark(named_marks[decorator.id])
        yield from _read_mark(decorator)
        yield from _read_parameters(decorator)
    if test.owner is not None:
        for node in test.owner.body:
            yield from _read_pytestmark(node)
            yield from _read_test_attribute(node)
    yield from _read_calls(test.node.body, conditional=None)
    yield from _find_cut_short(test.node)


def _list_named_marks(tree: ast.Module | None) -> dict[str, ast.expr]:
    """Returns each name at the top of a module that stands for a skipping mark -> the mark."""
    marks: dict[str, ast.expr] = {}
    if tree is None:
        return marks
    for node in tree.body:
        if isinstance(node, ast.Assign) and _is_skipping_mark(node.value):
            for target in node.targets:
                marks[ast.unparse(target)] = node.value
    return marks


def _is_skipping_mark(node: ast.expr) -> bool:
    """Whether an expression is a mark that skips, such as `pytest.mark.skipif(...)`."""
    # A word in its arguments, the reason say, makes it none.
    name = ast.unparse(node).partition("(")[0]
    return _SKIPPING_MARK.search(name) is not None


def _find_module_skips(tree: ast.Module | None) -> Iterator[Skip]:
    """Yields the skips of all tests of a module, and of those that stand in an `if False`."""
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
        if any(_may_hold_test(inner) for inner in node.body):
            yield Skip(f"if {ast.unparse(node.test)}:", node.lineno, False)


def _read_mark(node: ast.expr) -> Iterator[Skip]:
    """Yields the skip of a mark, if it skips."""
    if not _is_skipping_mark(node):
        return
    is_conditional = False
    if isinstance(node, ast.Call) and node.args:
        is_conditional = _depends_on_something(node.args[0])
    yield Skip(f"@{ast.unparse(node)}", node.lineno, is_conditional)


def _read_parameters(decorator: ast.expr) -> Iterator[Skip]:
    """Yields the skips in a parametrisation: of one case, `pytest.param(..., marks=
    pytest.mark.skip)`, and of the whole test where it has no case.
    """
    for node in ast.walk(decorator):
        if isinstance(node, ast.keyword) and node.arg == "marks":
            for skip in _read_mark(node.value):
                yield Skip(f"{skip.text} on {ast.unparse(decorator)}", skip.line, False)
        elif isinstance(node, ast.Call) and _has_no_cases(node):
            yield Skip(f"@{ast.unparse(node)}", node.lineno, False)


def _has_no_cases(call: ast.Call) -> bool:
    """Whether a call is `parametrize("value", [])`: pytest skips a test without a case."""
    if "parametrize" not in ast.unparse(call.func) or len(call.args) < 2:
        return False
    values = call.args[1]
    return isinstance(values, ast.List | ast.Tuple) and not values.elts


def _read_test_attribute(node: ast.stmt) -> Iterator[Skip]:
    """Yields the skip of `__test__ = False`: pytest collects neither the class nor the function."""
    if not isinstance(node, ast.Assign) or not _is_never(node.value):
        return
    if "__test__" in ast.unparse(node.targets[0]):
        yield Skip(ast.unparse(node), node.lineno, False)


def _read_pytestmark(node: ast.stmt) -> Iterator[Skip]:
    """Yields the skips of `pytestmark = ...`, which marks all tests of a module or a class."""
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
    """Yields the calls and raises that skip. `conditional` is the condition under which the body
    runs, as text; None where it always does.
    """
    for node in body:
        if isinstance(node, ast.If):
            condition, otherwise = None, None
            if _depends_on_something(node.test):
                condition = ast.unparse(node.test)
                otherwise = f"not ({condition})"
            yield from _read_calls(node.body, conditional=condition)
            yield from _read_calls(node.orelse, conditional=otherwise)
            continue
        call = _find_skipping_call(node)
        if call is None:
            continue
        text = ast.unparse(call)
        if conditional:
            yield Skip(f"if {conditional}: {text}", call.lineno, True)
        else:
            # importorskip depends on what is installed.
            yield Skip(text, call.lineno, "importorskip" in text)


def _find_skipping_call(statement: ast.stmt) -> ast.Call | None:
    """The first call in a statement that skips the test, such as `pytest.skip()`, or None."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Call) and _SKIPPING_CALL.search(ast.unparse(node.func)):
            return node
    return None


def _find_cut_short(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Skip]:
    """Yields what keeps a part of a test's body from running: an `if False`, and a return before
    its end.
    """
    for node in function.body:
        if isinstance(node, ast.If) and _is_never(node.test):
            yield Skip(f"if {ast.unparse(node.test)}:", node.lineno, False)
        elif isinstance(node, ast.Return) and node is not function.body[-1]:
            yield Skip(ast.unparse(node), node.lineno, False)


def _depends_on_something(condition: ast.expr) -> bool:
    """Whether something outside of a condition decides: a name that is no built-in one."""
    # Where the tests decide about a change, in the pipeline, they would all be skipped.
    if _asks_for_pipeline(condition):
        return False
    names = [node.id for node in ast.walk(condition) if isinstance(node, ast.Name)]
    return any(not hasattr(builtins, name) for name in names)


def _asks_for_pipeline(condition: ast.expr) -> bool:
    """Whether a condition names a variable that only a pipeline sets."""
    for node in ast.walk(condition):
        if isinstance(node, ast.Constant) and _PIPELINE_VARIABLE.fullmatch(str(node.value)):
            return True
    return False


def _is_never(test: ast.expr) -> bool:
    """Whether a condition is a constant that is false."""
    return isinstance(test, ast.Constant) and not test.value


def _may_hold_test(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
