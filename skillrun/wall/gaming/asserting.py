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
        return frozenset(word for part in self.about for word in words(part, local))

    @property
    def heads(self) -> frozenset[str]:
        """The expressions themselves, for comparison; constants are none that something is said
        of.
        """
        return frozenset(ast.dump(part) for part in self.about if isinstance(part, _SUBJECT))

    @property
    def subjects(self) -> frozenset[str]:
        """With every expression in them that a weaker assertion could be about."""
        inner = (part for whole in self.about for part in ast.walk(whole))
        return frozenset(
            ast.dump(p)
            for p in inner
            if isinstance(p, ast.Call | ast.Attribute | ast.Subscript | ast.Name)
        )


def assertions(function: ast.AST) -> Iterator[Assertion]:
    """The assertions of a function, in their order; expected exceptions are others, see
    `raising`.
    """
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            yield from (_of_expression(node, part) for part in _parts(node.test))
        elif (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Call)
            and _name(node.value) in _KNOWN
        ):
            yield _of_call(node, node.value)


def raising(function: ast.AST) -> Iterator[ast.Call]:
    """The calls that expect an exception: `pytest.raises(X)`, `assertRaises(X)`."""
    calls = (node for node in ast.walk(function) if isinstance(node, ast.Call))
    return (call for call in calls if _name(call) in _RAISES and call.args)


def helpers(function: ast.AST, tree: ast.Module | None) -> list[Function]:
    """The functions of the file that a test calls: assertions may have moved there."""
    called = {_name(node) for node in ast.walk(function) if isinstance(node, ast.Call)}
    nodes = ast.walk(tree) if tree is not None else ()
    return [n for n in nodes if isinstance(n, Function) and n is not function and n.name in called]


def shapes(function: ast.AST) -> set[str]:
    """The assertions with every name and constant left open: what a parametrised test has in common
    with its parts.
    """
    return {ast.dump(_Open().visit(ast.parse(a.text))) for a in assertions(function)}


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
            elif isinstance(part, ast.Name) and part.id in local and part.id not in seen:
                seen.add(part.id)
                waiting.append(local[part.id])
            elif (
                isinstance(part, ast.Name)
                and part.id not in local
                and not hasattr(builtins, part.id)
            ):
                found.add(part.id)
    return frozenset(found)


def _only_passed(node: ast.AST) -> set[int]:
    """Plain names that a function of the application is called with: what is asserted is what it
    returns.
    """
    calls = (
        part
        for part in ast.walk(node)
        if isinstance(part, ast.Call) and not hasattr(builtins, _name(part))
    )
    given = (
        value
        for call in calls
        for value in (*call.args, *(keyword.value for keyword in call.keywords))
    )
    return {id(value) for value in given if isinstance(value, ast.Name)}


def variables(function: ast.AST) -> dict[str, ast.expr]:
    """Local variable -> what it was last set to."""
    found: dict[str, ast.expr] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            found |= {name.id: node.value for target in node.targets for name in _names(target)}
        elif isinstance(node, ast.For | ast.AsyncFor):
            found |= {name.id: node.iter for name in _names(node.target)}
        elif isinstance(node, ast.NamedExpr):
            found[node.target.id] = node.value
    return found


class _Open(ast.NodeTransformer):
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


def _parts(test: ast.expr) -> list[ast.expr]:
    """`a and b` asserts both."""
    return (
        list(test.values)
        if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And)
        else [test]
    )


def _of_expression(node: ast.Assert, test: ast.expr) -> Assertion:
    strength, parts = _judged(test)
    return Assertion(node, strength, tuple(parts), f"assert {ast.unparse(test)}")


def _judged(test: ast.expr) -> tuple[int, list[ast.expr]]:
    if _is_always_true(test):
        return ALWAYS, []
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return EXACTLY, [test.operand]  # `not rows` says as much as `rows == []`
    if isinstance(test, ast.BoolOp | ast.IfExp):
        return _judge_alternatives(list_alternatives(test))
    if not isinstance(test, ast.Compare):
        return (SOME, [test, *test.args]) if _is_check(test) else (SOMETHING, [test])
    sides = [test.left, *test.comparators]
    if len({ast.dump(side) for side in sides}) == 1 and isinstance(
        test.ops[0], ast.Eq | ast.Is | ast.LtE | ast.GtE
    ):
        return ALWAYS, sides
    if any(_ANYTHING.search(ast.unparse(side)) for side in sides):  # mock.ANY equals everything
        return SOMETHING, sides
    if all(isinstance(op, ast.Eq | ast.Is) for op in test.ops):
        only = [s for s in sides if not (isinstance(s, ast.Constant) and s.value is True)]
        return (EXACTLY, sides) if len(only) == len(sides) else (SOMETHING, only)
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
        own, sides = _judged(alternative)
        strength = min(strength, max(own, SOMETHING))
        about += sides
    return strength, about


def list_alternatives(test: ast.BoolOp | ast.IfExp) -> list[ast.expr]:
    """What may hold: the parts of `a or b`, both ends of `a if c else b`."""
    return [test.body, test.orelse] if isinstance(test, ast.IfExp) else test.values


def _of_call(node: ast.Expr, call: ast.Call) -> Assertion:
    name, about = _name(call), list(call.args)
    strength = EXACTLY if name in _EQUAL else SOMETHING if name in _LOOSE else SOME
    if name.startswith("assert_") and isinstance(call.func, ast.Attribute):  # of a mock
        about = [call.func.value]
    elif name == "assertTrue" and call.args:
        strength, about = _judged(call.args[0])
    elif (
        name in _EQUAL
        and len(call.args) == 2
        and len({ast.dump(argument) for argument in call.args}) == 1
    ):
        strength = ALWAYS
    return Assertion(node, strength, tuple(about), ast.unparse(call))


def _is_always_true(test: ast.expr) -> bool:
    """A constant, a tuple with the message in it, `x or True`, `len(x) >= 0`."""
    if isinstance(test, ast.Constant | ast.Tuple | ast.List | ast.Dict | ast.JoinedStr):
        return True
    if isinstance(test, ast.Lambda | ast.GeneratorExp):  # an object, whatever is in it
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
        elif _judged(alternative)[0] == ALWAYS or _opposite(alternative) in texts:
            return True
    return False


def _opposite(test: ast.expr) -> str:
    """The text of what holds where `test` does not."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return ast.unparse(test.operand)
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        for one, other in _OPPOSITES:
            if isinstance(test.ops[0], one):
                return ast.unparse(ast.Compare(test.left, [other()], test.comparators))
    return ast.unparse(ast.UnaryOp(ast.Not(), test))


def _is_check(test: ast.expr) -> TypeGuard[ast.Call]:
    return isinstance(test, ast.Call) and _name(test) in ("isinstance", "issubclass", "all", "any")


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _names(target: ast.expr) -> Iterator[ast.Name]:
    return (
        node
        for node in ast.walk(target)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    )


def _name(call: ast.Call) -> str:
    function = call.func
    return (
        function.attr
        if isinstance(function, ast.Attribute)
        else function.id
        if isinstance(function, ast.Name)
        else ""
    )
