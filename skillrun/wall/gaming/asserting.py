"""What a test asserts, in a form in which two versions of it can be compared."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeGuard

Function = ast.FunctionDef | ast.AsyncFunctionDef

# How much an assertion says of its subject: nothing, that it is there, something of its value, all.
ALWAYS, SOMETHING, SOME, EXACTLY = 0, 1, 2, 3
_EQUALITY_METHODS = {
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
_PRESENCE_METHODS = {"assertTrue", "assertIsNotNone", "assert_called", "assert_called_once"}
_PARTIAL_METHODS = {
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
_EXPECTING_ERRORS = ("raises", "assertRaises", "assertRaisesRegex")
_ANYTHING = re.compile(r"\bANY$")
_HOLDS_OF_ALL = re.compile(r"len\(.*\) (>= 0|> -1)|isinstance\(.*, object\)")
_OPPOSITES: tuple[tuple[type[ast.cmpop], type[ast.cmpop]], ...] = (
    *((ast.Eq, ast.NotEq), (ast.NotEq, ast.Eq), (ast.Is, ast.IsNot), (ast.IsNot, ast.Is)),
    *((ast.In, ast.NotIn), (ast.NotIn, ast.In), (ast.Lt, ast.GtE), (ast.GtE, ast.Lt)),
    *((ast.Gt, ast.LtE), (ast.LtE, ast.Gt)),
)
_SUBJECT = ast.Call | ast.Attribute | ast.Subscript | ast.Name
_ASSERTION_METHODS = _EQUALITY_METHODS | _PRESENCE_METHODS | _PARTIAL_METHODS


@dataclass(frozen=True)
class Assertion:
    """One assertion: how much it says, and of which expressions."""

    node: ast.stmt
    strength: int
    about: tuple[ast.expr, ...]
    text: str

    @property
    def line(self) -> int:
        """The line on which it stands."""
        return self.node.lineno

    def words(self, local: dict[str, ast.expr]) -> frozenset[str]:
        """The names that its expressions rest on; see the function `words`."""
        names: frozenset[str] = frozenset()
        for part in self.about:
            names |= words(part, local)
        return names

    @property
    def heads(self) -> frozenset[str]:
        """The expressions themselves, in a form that can be compared. Nothing is said of
        constants.
        """
        return frozenset(ast.dump(part) for part in self.about if isinstance(part, _SUBJECT))

    @property
    def subjects(self) -> frozenset[str]:
        """The expressions and all expressions within them: a weaker assertion could be about each
        of them.
        """
        subjects = set()
        for whole in self.about:
            for part in ast.walk(whole):
                if isinstance(part, _SUBJECT):
                    subjects.add(ast.dump(part))
        return frozenset(subjects)


def list_assertions(function: ast.AST) -> Iterator[Assertion]:
    """Yields the assertions of a function; expected exceptions come from `list_expected_raises`."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            for part in _split_conjunction(node.test):
                yield _read_expression(node, part)
        if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
            continue
        if _called_name(node.value) in _ASSERTION_METHODS:
            yield _read_call(node, node.value)


def list_expected_raises(function: ast.AST) -> Iterator[ast.Call]:
    """Yields the calls that expect an exception: `pytest.raises(X)`, `assertRaises(X)`."""
    for node in ast.walk(function):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        if _called_name(node) in _EXPECTING_ERRORS:
            yield node


def list_unreached(function: ast.AST) -> Iterator[ast.stmt]:
    """Yields the assertions at the end of a block that an expected exception leaves before it comes
    to them.
    """
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
    """Whether a block is one of `with pytest.raises(...)`."""
    node = item.context_expr
    return isinstance(node, ast.Call) and _called_name(node) in _EXPECTING_ERRORS


def find_helpers(function: ast.AST, tree: ast.Module | None) -> list[Function]:
    """The functions of the file that a test calls: assertions may have moved there."""
    if tree is None:
        return []
    called = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            called.add(_called_name(node))
    helpers = []
    for node in ast.walk(tree):
        if isinstance(node, Function) and node is not function and node.name in called:
            helpers.append(node)
    return helpers


def open_assertions(function: ast.AST) -> set[str]:
    """The assertions with a blank for every name and constant: in this form a parametrised test has
    the same ones as the tests that it was split into.
    """
    opened = set()
    for assertion in list_assertions(function):
        tree = _Blanking().visit(ast.parse(assertion.text))
        opened.add(ast.dump(tree))
    return opened


def words(node: ast.AST, local: dict[str, ast.expr]) -> frozenset[str]:
    """The attributes, functions and outer names that an expression rests on. A local variable
    stands for what it was set to: `local` says what that is.
    """
    names: set[str] = set()
    followed: set[str] = set()
    waiting = [node]
    while waiting:
        whole = waiting.pop()
        passed = _find_passed_names(whole)
        for part in ast.walk(whole):
            if id(part) in passed:
                continue
            if isinstance(part, ast.Attribute):
                names.add(part.attr)
            if not isinstance(part, ast.Name):
                continue
            if part.id not in local:
                if not hasattr(builtins, part.id):
                    names.add(part.id)
            elif part.id not in followed:
                followed.add(part.id)
                waiting.append(local[part.id])
    return frozenset(names)


def _find_passed_names(node: ast.AST) -> set[int]:
    """The `id` of each plain name that is an argument of a function of the application: what is
    asserted is what the function returns, and not what it is given.
    """
    passed: set[int] = set()
    for call in ast.walk(node):
        # A built-in returns something of what it is given: `len(rows)` speaks of rows.
        if not isinstance(call, ast.Call) or hasattr(builtins, _called_name(call)):
            continue
        for value in (*call.args, *(keyword.value for keyword in call.keywords)):
            if isinstance(value, ast.Name):
                passed.add(id(value))
    return passed


def map_local_variables(function: ast.AST) -> dict[str, ast.expr]:
    """Returns local variable -> what it was last set to."""
    values: dict[str, ast.expr] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                values |= dict.fromkeys(_list_stored_names(target), node.value)
        elif isinstance(node, ast.For | ast.AsyncFor):
            values |= dict.fromkeys(_list_stored_names(node.target), node.iter)
        elif isinstance(node, ast.NamedExpr):
            values[node.target.id] = node.value
    return values


class _Blanking(ast.NodeTransformer):
    """Puts None in the place of every name and constant, but for the names of called functions."""

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
    """What an expression asserts one by one: `a and b` asserts both."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return list(test.values)
    return [test]


def _read_expression(node: ast.Assert, test: ast.expr) -> Assertion:
    """The assertion that an assert statement makes of one expression."""
    strength, parts = _judge_expression(test)
    return Assertion(node, strength, tuple(parts), f"assert {ast.unparse(test)}")


def _judge_expression(test: ast.expr) -> tuple[int, list[ast.expr]]:
    """(how much an asserted expression says, of which expressions)."""
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
    """(how much an asserted comparison says, of which expressions)."""
    sides = [test.left, *test.comparators]
    holds_of_itself = isinstance(test.ops[0], ast.Eq | ast.Is | ast.LtE | ast.GtE)
    if holds_of_itself and len({ast.dump(side) for side in sides}) == 1:
        return ALWAYS, sides
    # mock.ANY equals everything.
    if any(_ANYTHING.search(ast.unparse(side)) for side in sides):
        return SOMETHING, sides
    if all(isinstance(op, ast.Eq | ast.Is) for op in test.ops):
        # `found is True` says no more than `found`.
        without_true = [side for side in sides if not _is_true(side)]
        if len(without_true) < len(sides):
            return SOMETHING, without_true
        return EXACTLY, sides
    if isinstance(test.ops[0], ast.IsNot | ast.NotEq) and _is_none(sides[-1]):
        return SOMETHING, sides[:1]
    return SOME, sides


def _judge_alternatives(alternatives: list[ast.expr]) -> tuple[int, list[ast.expr]]:
    """(how much alternatives say together, of which expressions). One that holds is enough, so that
    they say no more than the weakest, and never all of a value.
    """
    strength = SOME
    about: list[ast.expr] = []
    for alternative in alternatives:
        own, sides = _judge_expression(alternative)
        strength = min(strength, max(own, SOMETHING))
        about += sides
    return strength, about


def list_alternatives(test: ast.BoolOp | ast.IfExp) -> list[ast.expr]:
    """The expressions one of which has to hold: the parts of `a or b`, both ends of `a if c else
    b`.
    """
    if isinstance(test, ast.IfExp):
        return [test.body, test.orelse]
    return test.values


def _read_call(node: ast.Expr, call: ast.Call) -> Assertion:
    """The assertion that a method makes, of unittest or of a mock."""
    name, about = _called_name(call), list(call.args)
    strength = SOME
    if name in _EQUALITY_METHODS:
        strength = EXACTLY
    elif name in _PRESENCE_METHODS:
        strength = SOMETHING
    # A mock asserts something of itself: `mailer.assert_called_once()`.
    if name.startswith("assert_") and isinstance(call.func, ast.Attribute):
        about = [call.func.value]
    elif name == "assertTrue" and call.args:
        strength, about = _judge_expression(call.args[0])
    elif name in _EQUALITY_METHODS and len(call.args) == 2:
        first, second = call.args
        if ast.dump(first) == ast.dump(second):
            strength = ALWAYS
    return Assertion(node, strength, tuple(about), ast.unparse(call))


def _is_always_true(test: ast.expr) -> bool:
    """Whether an asserted expression holds whatever the program does: a constant, a tuple with the
    message in it, `x or True`, `len(x) >= 0`.
    """
    if isinstance(test, ast.Constant | ast.Tuple | ast.List | ast.Dict | ast.JoinedStr):
        return True
    # An object is true, whatever is in it.
    if isinstance(test, ast.Lambda | ast.GeneratorExp):
        return True
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.Or):
        return _is_one_always_true(test.values)
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return isinstance(test.operand, ast.Constant)
    return bool(_HOLDS_OF_ALL.fullmatch(ast.unparse(test)))


def _is_one_always_true(alternatives: list[ast.expr]) -> bool:
    """Whether one of some alternatives is always true, or the opposite of another one: `not rows or
    rows`.
    """
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
    """Whether an expression calls a builtin that asks something of its arguments."""
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


def _list_stored_names(target: ast.expr) -> Iterator[str]:
    """Yields the names that an assignment sets: `a` and `b` of `a, b = pair`."""
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
