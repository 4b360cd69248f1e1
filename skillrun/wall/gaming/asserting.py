"""What a test asserts, in a form in which two versions of it can be compared."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeGuard

Function = ast.FunctionDef | ast.AsyncFunctionDef

# How much an assertion says of its subject.
ALWAYS, SOMETHING, SOME, EXACTLY = 0, 1, 2, 3
_EQUAL = {
    "assertEqual",
    "assertEquals",
    "assertIs",
    "assertListEqual",
    "assertDictEqual",
    "assertSetEqual",
    "assertTupleEqual",
    "assertCountEqual",
    "assertAlmostEqual",
    "assertMultiLineEqual",
    "assertSequenceEqual",
    "assert_called_once_with",
    "assert_called_with",
    "assert_has_calls",
}
_LOOSE = {"assertTrue", "assertIsNotNone", "assert_called", "assert_called_once"}
_PARTLY = {
    "assertIn",
    "assertIsInstance",
    "assertGreater",
    "assertGreaterEqual",
    "assertLess",
    "assertLessEqual",
    "assertRegex",
    "assertFalse",
    "assertIsNone",
    "assertNotEqual",
    "assertNotIn",
}
_RAISES = ("raises", "assertRaises", "assertRaisesRegex")
_ANYTHING = re.compile(r"\bANY$")
_NO_LIMIT = re.compile(r"len\(.*\) (>= 0|> -1)|isinstance\(.*, object\)")
_OPPOSITES: tuple[tuple[type[ast.cmpop], type[ast.cmpop]], ...] = (
    *((ast.Eq, ast.NotEq), (ast.NotEq, ast.Eq), (ast.Is, ast.IsNot), (ast.IsNot, ast.Is)),
    *((ast.In, ast.NotIn), (ast.NotIn, ast.In), (ast.Lt, ast.GtE), (ast.GtE, ast.Lt)),
    *((ast.Gt, ast.LtE), (ast.LtE, ast.Gt)),
)
_SUBJECT = ast.Call | ast.Attribute | ast.Subscript | ast.Name
_KNOWN = _EQUAL | _LOOSE | _PARTLY


@dataclass(frozen=True)
class Assertion:
    """One assertion: how strong, and which expressions it says something of."""

    node: ast.stmt
    strength: int
    about: tuple[ast.expr, ...]
    text: str

    @property
    def line(self) -> int:
        """Where it stands."""
        return self.node.lineno

    def words(self, local: dict[str, ast.expr]) -> frozenset[str]:
        """What it rests on, see `words`."""
        found: frozenset[str] = frozenset()
        for part in self.about:
            found |= words(part, local)
        return found

    @property
    def heads(self) -> frozenset[str]:
        """The expressions themselves, for comparison; constants are none that something is said
        of.
        """
        return frozenset(ast.dump(part) for part in self.about if isinstance(part, _SUBJECT))

    @property
    def subjects(self) -> frozenset[str]:
        """With every expression in them that a weaker assertion could be about."""
        found = set()
        for whole in self.about:
            for part in ast.walk(whole):
                if isinstance(part, _SUBJECT):
                    found.add(ast.dump(part))
        return frozenset(found)


def list_assertions(function: ast.AST) -> Iterator[Assertion]:
    """The assertions of a function, in their order; expected exceptions are others, see
    `raising`.
    """
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            for part in _split_conjunction(node.test):
                yield _read_expression(node, part)
        if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
            continue
        if _called_name(node.value) in _KNOWN:
            yield _read_call(node, node.value)


def list_expected_raises(function: ast.AST) -> Iterator[ast.Call]:
    """The calls that expect an exception: `pytest.raises(X)`, `assertRaises(X)`."""
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and _called_name(node) in _RAISES and node.args:
            yield node


def list_unreached(function: ast.AST) -> Iterator[ast.stmt]:
    """The assertions behind all else in a block that an expected exception leaves."""
    for node in ast.walk(function):
        if not isinstance(node, ast.With | ast.AsyncWith):
            continue
        if not any(map(_expects_error, node.items)):
            continue
        for statement in reversed(node.body[1:]):
            if not any(list_assertions(ast.Module([statement], []))):
                break
            yield statement


def _expects_error(item: ast.withitem) -> bool:
    node = item.context_expr
    return isinstance(node, ast.Call) and _called_name(node) in _RAISES


def find_helpers(function: ast.AST, tree: ast.Module | None) -> list[Function]:
    """The functions of the file that a test calls: assertions may have moved there."""
    if tree is None:
        return []
    called = {_called_name(node) for node in ast.walk(function) if isinstance(node, ast.Call)}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, Function) and node is not function and node.name in called:
            found.append(node)
    return found


def open_assertions(function: ast.AST) -> set[str]:
    """The assertions with every name and constant left open: what a parametrised test has in common
    with its parts.
    """
    found = set()
    for assertion in list_assertions(function):
        opened = _Open().visit(ast.parse(assertion.text))
        found.add(ast.dump(opened))
    return found


def words(node: ast.AST, local: dict[str, ast.expr]) -> frozenset[str]:
    """The attributes, functions and outer names that an expression rests on; local variables are
    looked through.
    """
    found: set[str] = set()
    waiting, seen = [node], set()
    while waiting:
        whole = waiting.pop()
        passed = _only_passed(whole)
        for part in ast.walk(whole):
            if id(part) in passed:
                continue
            if isinstance(part, ast.Attribute):
                found.add(part.attr)
            if not isinstance(part, ast.Name):
                continue
            if part.id not in local:
                if not hasattr(builtins, part.id):
                    found.add(part.id)
            elif part.id not in seen:
                seen.add(part.id)
                waiting.append(local[part.id])
    return frozenset(found)


def _only_passed(node: ast.AST) -> set[int]:
    """Plain names that a function of the application is called with: what is asserted is what it
    returns.
    """
    found: set[int] = set()
    for call in ast.walk(node):
        # A built-in returns something of what it is given: `len(rows)` speaks of rows.
        if not isinstance(call, ast.Call) or hasattr(builtins, _called_name(call)):
            continue
        values = [*call.args, *(keyword.value for keyword in call.keywords)]
        found.update(id(value) for value in values if isinstance(value, ast.Name))
    return found


def map_local_variables(function: ast.AST) -> dict[str, ast.expr]:
    """Local variable -> what it was last set to."""
    found: dict[str, ast.expr] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                found |= dict.fromkeys(_stored_names(target), node.value)
        elif isinstance(node, ast.For | ast.AsyncFor):
            found |= dict.fromkeys(_stored_names(node.target), node.iter)
        elif isinstance(node, ast.NamedExpr):
            found[node.target.id] = node.value
    return found


class _Open(ast.NodeTransformer):
    """Leaves every name and every constant open, but for the names of functions that are called."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        function = node.func
        self.generic_visit(node)
        if isinstance(function, ast.Name):
            node.func = function
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Constant(None)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Constant(None)


def _split_conjunction(test: ast.expr) -> list[ast.expr]:
    """`a and b` asserts both."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return list(test.values)
    return [test]


def _read_expression(node: ast.Assert, test: ast.expr) -> Assertion:
    strength, parts = _judge_expression(test)
    return Assertion(node, strength, tuple(parts), f"assert {ast.unparse(test)}")


def _judge_expression(test: ast.expr) -> tuple[int, list[ast.expr]]:
    """(how much it says, of which expressions)."""
    if _is_always_true(test):
        return ALWAYS, []
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        # `not rows` says as much as `rows == []`.
        return EXACTLY, [test.operand]
    if isinstance(test, ast.BoolOp | ast.IfExp):
        return _judge_alternatives(list_alternatives(test))
    if isinstance(test, ast.Compare):
        return _judge_comparison(test)
    if _is_check(test):
        return SOME, [test, *test.args]
    return SOMETHING, [test]


def _judge_comparison(test: ast.Compare) -> tuple[int, list[ast.expr]]:
    sides = [test.left, *test.comparators]
    holds_of_itself = isinstance(test.ops[0], ast.Eq | ast.Is | ast.LtE | ast.GtE)
    if holds_of_itself and len({ast.dump(side) for side in sides}) == 1:
        return ALWAYS, sides
    # mock.ANY equals everything.
    if any(_ANYTHING.search(ast.unparse(side)) for side in sides):
        return SOMETHING, sides
    if all(isinstance(op, ast.Eq | ast.Is) for op in test.ops):
        # `found is True` says no more than `found`.
        only = [side for side in sides if not _is_true(side)]
        if len(only) < len(sides):
            return SOMETHING, only
        return EXACTLY, sides
    if isinstance(test.ops[0], ast.IsNot | ast.NotEq) and _is_none(sides[-1]):
        return SOMETHING, sides[:1]
    return SOME, sides


def _judge_alternatives(alternatives: list[ast.expr]) -> tuple[int, list[ast.expr]]:
    """One of them is enough, so that together they say no more than the loosest, and never
    exactly.
    """
    strength = SOME
    about: list[ast.expr] = []
    for alternative in alternatives:
        own, sides = _judge_expression(alternative)
        strength = min(strength, max(own, SOMETHING))
        about += sides
    return strength, about


def list_alternatives(test: ast.BoolOp | ast.IfExp) -> list[ast.expr]:
    """What may hold: the parts of `a or b`, both ends of `a if c else b`."""
    if isinstance(test, ast.IfExp):
        return [test.body, test.orelse]
    return test.values


def _read_call(node: ast.Expr, call: ast.Call) -> Assertion:
    name, about = _called_name(call), list(call.args)
    strength = SOME
    if name in _EQUAL:
        strength = EXACTLY
    elif name in _LOOSE:
        strength = SOMETHING
    # A method of a mock.
    if name.startswith("assert_") and isinstance(call.func, ast.Attribute):
        about = [call.func.value]
    elif name == "assertTrue" and call.args:
        strength, about = _judge_expression(call.args[0])
    elif name in _EQUAL and len(call.args) == 2:
        first, second = call.args
        if ast.dump(first) == ast.dump(second):
            strength = ALWAYS
    return Assertion(node, strength, tuple(about), ast.unparse(call))


def _is_always_true(test: ast.expr) -> bool:
    """A constant, a tuple with the message in it, `x or True`, `len(x) >= 0`."""
    if isinstance(test, ast.Constant | ast.Tuple | ast.List | ast.Dict | ast.JoinedStr):
        return True
    # An object is true, whatever is in it.
    if isinstance(test, ast.Lambda | ast.GeneratorExp):
        return True
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.Or):
        return _is_one_always_true(test.values)
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return isinstance(test.operand, ast.Constant)
    return bool(_NO_LIMIT.fullmatch(ast.unparse(test)))


def _is_one_always_true(alternatives: list[ast.expr]) -> bool:
    """One that is always true, or one that is the opposite of another: `not rows or rows`."""
    texts = {ast.unparse(alternative) for alternative in alternatives}
    for alternative in alternatives:
        if isinstance(alternative, ast.Constant):
            if alternative.value:
                return True
        elif _judge_expression(alternative)[0] == ALWAYS or _negate(alternative) in texts:
            return True
    return False


def _negate(test: ast.expr) -> str:
    """The text of what holds where `test` does not."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return ast.unparse(test.operand)
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        for one, other in _OPPOSITES:
            if isinstance(test.ops[0], one):
                return ast.unparse(ast.Compare(test.left, [other()], test.comparators))
    return ast.unparse(ast.UnaryOp(ast.Not(), test))


def _is_check(test: ast.expr) -> TypeGuard[ast.Call]:
    return isinstance(test, ast.Call) and _called_name(test) in (
        "isinstance",
        "issubclass",
        "all",
        "any",
    )


def _is_true(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _stored_names(target: ast.expr) -> Iterator[str]:
    for node in ast.walk(target):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def _called_name(call: ast.Call) -> str:
    """The last part of the name that is called; empty where a result or an item is called."""
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    if isinstance(function, ast.Name):
        return function.id
    return ""
