"""Tests that are newly skipped, expected to fail, or cut short."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from dataclasses import dataclass

from skillrun.verdict import Finding
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.making import doubtful, quoted, taken
from skillrun.wall.gaming.pytests import Test, changes

ID = "skipped-test"
HELP = (
    "A skipped test finds nothing. Found, where the base has none: skip, skipif and xfail marks on"
    " a test, its class or its module, unittest's decorators, calls of pytest.skip, an `if False`"
    " around the test, and a return before its assertions. A condition that depends on something (a"
    " platform, an installed program) is a warning."
)
_MARK = re.compile(r"\b(skip|skipif|xfail|skipIf|skipUnless|expectedFailure)\b")
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
    def key(self) -> str:
        """What makes two skips the same: the condition, else the kind; another reason is no other
        skip.
        """
        return self.text if self.is_conditional else self.text.partition("(")[0]


def find(diff: Diff) -> Iterator[Finding]:
    """The findings of every test that both sides have, and of the modules that hold them."""
    kept = [change for change in changes(diff) if change.new is not None]
    said: set[tuple[str, int]] = set()  # a mark of a class stands once, for all its tests
    for change in kept:
        known = {skip.key for skip in _skips(change.old)}
        for skip in _skips(change.new) if change.new else ():
            if (
                change.new
                and skip.key not in known
                and (change.new.file.path, skip.line) not in said
            ):
                said.add((change.new.file.path, skip.line))
                yield _finding(change.new.file, change.new.name, skip)
    for file in {change.new.file.path: change.new.file for change in kept if change.new}.values():
        known = {skip.key for skip in _module_skips(file.old_tree)}
        yield from (
            _finding(file, file.path, s) for s in _module_skips(file.new_tree) if s.key not in known
        )


def _finding(file: File, name: str, skip: Skip) -> Finding:
    make = doubtful if skip.is_conditional else taken
    return make(ID, file, skip.line, f"{name} is skipped or cut short now: {quoted(skip.text)}")


def _skips(test: Test) -> Iterator[Skip]:
    owner = test.owner.decorator_list if test.owner else []
    for decorator in [*test.node.decorator_list, *owner]:
        yield from _of_mark(decorator)
        yield from _of_parameters(decorator)
    if test.owner is not None:
        yield from (
            skip for node in test.owner.body for skip in (*_of_pytestmark(node), *_of_dunder(node))
        )
    yield from _of_calls(test.node.body, conditional=None)
    yield from _cut_short(test.node)


def _module_skips(tree: ast.Module | None) -> Iterator[Skip]:
    for node in tree.body if tree is not None else ():
        yield from _of_pytestmark(node)
        yield from _of_dunder(node)
        if isinstance(node, ast.Delete) and "test" in ast.unparse(node):
            yield Skip(ast.unparse(node), node.lineno, False)
        if isinstance(node, ast.Expr | ast.If | ast.Assign | ast.Raise):
            yield from _of_calls([node], conditional=None)
        if (
            isinstance(node, ast.If)
            and _is_never(node.test)
            and any(_holds_test(inner) for inner in node.body)
        ):
            yield Skip(f"if {ast.unparse(node.test)}:", node.lineno, False)


def _of_mark(node: ast.expr) -> Iterator[Skip]:
    text = ast.unparse(node)
    if _MARK.search(text.partition("(")[0]):
        conditions = list(node.args) if isinstance(node, ast.Call) else []
        depends = bool(conditions) and _depends(conditions[0])
        yield Skip(f"@{text}", node.lineno, depends)


def _of_parameters(decorator: ast.expr) -> Iterator[Skip]:
    """`pytest.param(..., marks=pytest.mark.skip)`: one case of a parametrised test; and no case at
    all.
    """
    for node in ast.walk(decorator):
        if isinstance(node, ast.keyword) and node.arg == "marks":
            yield from (
                Skip(f"{s.text} on {ast.unparse(decorator)}", s.line, False)
                for s in _of_mark(node.value)
            )
        elif (
            isinstance(node, ast.Call)
            and "parametrize" in ast.unparse(node.func)
            and len(node.args) > 1
        ):
            values = node.args[1]
            if isinstance(values, ast.List | ast.Tuple) and not values.elts:
                yield Skip(f"@{ast.unparse(node)}", node.lineno, False)


def _of_dunder(node: ast.stmt) -> Iterator[Skip]:
    """`__test__ = False`: pytest collects neither the class nor the function."""
    if (
        isinstance(node, ast.Assign)
        and "__test__" in ast.unparse(node.targets[0])
        and _is_never(node.value)
    ):
        yield Skip(ast.unparse(node), node.lineno, False)


def _of_pytestmark(node: ast.stmt) -> Iterator[Skip]:
    if isinstance(node, ast.Assign) and any(
        ast.unparse(target) == "pytestmark" for target in node.targets
    ):
        value = node.value
        marks = value.elts if isinstance(value, ast.List | ast.Tuple) else [value]
        yield from (skip for mark in marks for skip in _of_mark(mark))


def _of_calls(body: list[ast.stmt], conditional: str | None) -> Iterator[Skip]:
    """Calls and raises that skip, with the condition that they stand under."""
    for node in body:
        if isinstance(node, ast.If):
            condition = ast.unparse(node.test) if _depends(node.test) else None
            yield from _of_calls(node.body, conditional=condition)
            yield from _of_calls(node.orelse, conditional=condition and f"not ({condition})")
            continue
        inner = [
            n
            for n in ast.walk(node)
            if isinstance(n, ast.Call) and _CALL.search(ast.unparse(n.func))
        ]
        for call in inner[:1]:
            text = ast.unparse(call)
            shown = f"if {conditional}: {text}" if conditional else text
            yield Skip(shown, call.lineno, bool(conditional) or "importorskip" in text)


def _cut_short(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Skip]:
    """A body that never runs, or ends before something is asserted."""
    for position, node in enumerate(function.body):
        rest = function.body[position + 1 :]
        if isinstance(node, ast.If) and _is_never(node.test):
            yield Skip(f"if {ast.unparse(node.test)}:", node.lineno, False)
        elif isinstance(node, ast.Return) and rest:
            yield Skip(ast.unparse(node), node.lineno, False)


def _depends(condition: ast.expr) -> bool:
    """Something outside of the expression decides: a name that is no built-in, or an attribute."""
    names = (node.id for node in ast.walk(condition) if isinstance(node, ast.Name))
    return any(not hasattr(builtins, name) for name in names)


def _is_never(test: ast.expr) -> bool:
    return isinstance(test, ast.Constant) and not test.value


def _holds_test(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
