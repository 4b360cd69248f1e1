"""Expressions, while a function is gone through."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any

from skillrun.repo.literals import is_known
from skillrun.repo.python import Definition
from skillrun.repo.source import FunctionNode, last_word
from skillrun.wall.answers.values import (
    FAILING,
    Answer,
    Class,
    Failure,
    Function,
    Instance,
    Opaque,
    Status,
    make_class,
)
from skillrun.wall.answers.walking import Frame, Walk

_SERVER = 500
_STATUS_NAMES = ("status_code", "status", "code", "getcode")
_JUDGED: dict[str, Callable[[int], bool]] = {
    "ok": lambda status: status < FAILING,
    "is_success": lambda status: status // 100 == 2,
    "is_error": lambda status: status >= FAILING,
    "is_client_error": lambda status: FAILING <= status < _SERVER,
    "is_server_error": lambda status: status >= _SERVER,
    "is_redirect": lambda status: status // 100 == 3,
    "has_redirect_location": lambda status: False,
    "is_informational": lambda status: status < 200,
}
# Whatever has one of these is an answer, wherever it comes from.
_TELLS_ANSWER = {"status_code", "raise_for_status", *_JUDGED} - {"ok"}
_COMPARED: dict[type[ast.cmpop], Callable[[Any, Any], object]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_NEGATED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.NotEq: ast.Eq,
    ast.IsNot: ast.Is,
    ast.NotIn: ast.In,
}
_COMPUTED: dict[type[ast.operator], Callable[[Any, Any], object]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_ERRORS = (TypeError, ValueError, ArithmeticError, LookupError, AttributeError)


class Expressions:
    """Evaluates for one way. Calls are in `calls.py`."""

    def __init__(self, walk: Walk) -> None:
        self.walk = walk

    def go_into_call(self, frame: Frame, node: ast.Call) -> object:
        raise NotImplementedError

    def call_function(self, frame: Frame, function: Function, given: ast.Call | None) -> object:
        raise NotImplementedError

    def evaluate(self, frame: Frame, node: ast.expr | None) -> object:
        """The value of an expression."""
        self.walk.count_step()
        if node is None or isinstance(node, ast.Constant):
            return getattr(node, "value", None)
        method = getattr(self, f"_read_{type(node).__name__}", None)
        if method is None:
            return Opaque(ast.unparse(node))
        return method(frame, node)

    def test_condition(self, frame: Frame, node: ast.expr) -> bool:
        """A condition, with what it leaves open decided."""
        self.walk.trail.append((frame.module.path, node.lineno))
        return self.decide_truth(self.evaluate(frame, node))

    def decide_truth(self, value: object) -> bool:
        """Whether a value is true; what nobody knows is asked of the way."""
        if isinstance(value, Opaque):
            self.walk.is_unread |= value.is_unread
            return self.walk.choices.decide(value.text)
        if isinstance(value, Answer):
            return self.walk.choices.decide(value.text)
        if isinstance(value, Class | Function | Failure | Instance):
            return True
        return bool(value)

    # -- names and what hangs on them

    def _read_Name(self, frame: Frame, node: ast.Name) -> object:
        if node.id in frame.names:
            return frame.names[node.id]
        return self._read_named(frame, node)

    def _read_named(self, frame: Frame, node: ast.Name | ast.Attribute) -> object:
        """Something of a module."""
        reach = self.walk.code.reach
        definition = reach.definition(frame.module, node)
        name = frame.module.resolve(node)
        if definition is not None and isinstance(definition.node, FunctionNode):
            return Function(definition)
        if definition is not None:
            return make_class(reach.project, definition.dotted)
        value = reach.project.literal(node, frame.module)
        if is_known(value):
            return value
        table = self._find_table(frame, node)
        if table is not None:
            return self.evaluate(frame, table)
        last = (name or ast.unparse(node)).rpartition(".")[2]
        if name and ("HTTPStatus." in name or ".codes." in name):
            return say_status(last)
        if name and last[:1].isupper() and not last.isupper() and "(" not in name:
            return make_class(reach.project, name)
        return Opaque(ast.unparse(node))

    def _find_table(self, frame: Frame, node: ast.expr) -> ast.expr | None:
        """A list or mapping of the module that holds classes."""
        if not isinstance(node, ast.Name):
            return None
        bound = frame.module.bindings(frame.module.tree).get(node.id, ())
        for binding in bound:
            if isinstance(binding.value, ast.Dict | ast.Tuple | ast.List | ast.Set):
                return binding.value
        return None

    def _read_Attribute(self, frame: Frame, node: ast.Attribute) -> object:
        is_plain = isinstance(node.value, ast.Name) and node.value.id not in frame.names
        if is_plain:
            found = self._read_named(frame, node)
            if not (isinstance(found, Opaque) and node.attr in _TELLS_ANSWER):
                return found
        owner = self.evaluate(frame, node.value)
        if isinstance(owner, Class) and owner.definition is None:
            return self._read_named(frame, node)
        if isinstance(owner, Opaque) and not owner.is_of_answer:
            return self._read_of_unknown(frame, owner, node)
        return self.read_attribute(frame, owner, node.attr)

    def _read_of_unknown(self, frame: Frame, owner: Opaque, node: ast.Attribute) -> object:
        if node.attr in _TELLS_ANSWER:
            self.walk.is_answered = True
            return self.read_attribute(frame, Answer(), node.attr)
        definition = self.walk.code.reach.definition(frame.module, node)
        if definition is not None and isinstance(definition.node, FunctionNode):
            return Function(definition, owner)
        only = self._find_only_method(node.attr)
        if only is not None:
            return Function(only, owner)
        key = f"{owner.text}.{node.attr}"
        return frame.names.get(key, Opaque(key))

    def _find_only_method(self, name: str) -> Definition | None:
        """The one method of that name from which a call goes out."""
        code = self.walk.code
        found = []
        for node in code.leading:
            definition = code.reach.functions.get(node)
            if definition is not None and definition.name.endswith(f".{name}"):
                found.append(definition)
        if len(found) == 1:
            return found[0]
        return None

    def read_attribute(self, frame: Frame, owner: object, name: str) -> object:
        """`owner.name`."""
        if isinstance(owner, Answer):
            return self._read_of_answer(name)
        if isinstance(owner, Failure) and owner.is_answer:
            if name == "response":
                return Answer()
            if name in owner.holders:
                self.walk.is_status_read = True
                return Status(self.walk.status)
            return self._read_of_answer(name)
        if isinstance(owner, Instance):
            return self._read_of_instance(frame, owner, name)
        if isinstance(owner, Class):
            return Opaque(f"{owner.kinds[0]}.{name}")
        return Opaque(f"{_say_value(owner)}.{name}", is_unread=_is_unread(owner))

    def _read_of_answer(self, name: str) -> object:
        status = self.walk.status
        self.walk.is_status_read |= name in _STATUS_NAMES or name in _JUDGED
        if name in _STATUS_NAMES:
            return Status(status)
        if name in _JUDGED:
            return _JUDGED[name](status)
        return Opaque(f"{Answer().text}.{name}")

    def _read_of_instance(self, frame: Frame, owner: Instance, name: str) -> object:
        if name in owner.fields:
            return owner.fields[name]
        definition = owner.made_of.definition
        project = self.walk.code.reach.project
        found = project.definition(f"{definition.dotted}.{name}") if definition else None
        if found is None or not isinstance(found.node, FunctionNode):
            return Opaque(f"{owner.made_of.kinds[0]}.{name}")
        method = Function(found, owner)
        decorators = map(last_word, found.decorators)
        if not {"property", "cached_property"}.isdisjoint(decorators):
            return self.call_function(frame, method, None)
        return method

    def _read_Subscript(self, frame: Frame, node: ast.Subscript) -> object:
        owner = self.evaluate(frame, node.value)
        key = self.evaluate(frame, node.slice)
        if isinstance(owner, Opaque | Answer):
            return name_part(owner, key)
        try:
            return owner[key]  # type: ignore[index]
        except _ERRORS:
            return Opaque(ast.unparse(node))

    # -- what is put together

    def _read_Await(self, frame: Frame, node: ast.Await) -> object:
        return self.evaluate(frame, node.value)

    def _read_Yield(self, frame: Frame, node: ast.Yield) -> object:
        if frame.run_block is not None:
            frame.run_block()
        return None

    def _read_NamedExpr(self, frame: Frame, node: ast.NamedExpr) -> object:
        value = self.evaluate(frame, node.value)
        frame.names[node.target.id] = value
        return value

    def _read_Tuple(self, frame: Frame, node: ast.Tuple | ast.List | ast.Set) -> object:
        return tuple(map(partial(self.evaluate, frame), node.elts))

    _read_List = _read_Tuple
    _read_Set = _read_Tuple

    def _read_Dict(self, frame: Frame, node: ast.Dict) -> object:
        found = {}
        for key, value in zip(node.keys, node.values, strict=True):
            name = self.evaluate(frame, key)
            inner = self.evaluate(frame, value)
            if isinstance(name, str | int):
                found[name] = inner
        return found

    def _read_JoinedStr(self, frame: Frame, node: ast.JoinedStr) -> object:
        texts = []
        for part in node.values:
            inner = part.value if isinstance(part, ast.FormattedValue) else part
            value = self.evaluate(frame, inner)
            if not isinstance(value, str | int):
                return Opaque(ast.unparse(node))
            texts.append(str(int(value) if isinstance(value, Status) else value))
        return "".join(texts)

    def _read_IfExp(self, frame: Frame, node: ast.IfExp) -> object:
        if self.test_condition(frame, node.test):
            return self.evaluate(frame, node.body)
        return self.evaluate(frame, node.orelse)

    def _read_BoolOp(self, frame: Frame, node: ast.BoolOp) -> object:
        is_or = isinstance(node.op, ast.Or)
        value: object = None
        for part in node.values:
            value = self.evaluate(frame, part)
            if self.decide_truth(value) == is_or:
                return value
        return value

    def _read_UnaryOp(self, frame: Frame, node: ast.UnaryOp) -> object:
        value = self.evaluate(frame, node.operand)
        if isinstance(node.op, ast.Not):
            return not self.decide_truth(value)
        try:
            return -value  # type: ignore[operator]
        except _ERRORS:
            return Opaque(ast.unparse(node))

    def _read_BinOp(self, frame: Frame, node: ast.BinOp) -> object:
        left = self.evaluate(frame, node.left)
        right = self.evaluate(frame, node.right)
        compute = _COMPUTED.get(type(node.op))
        is_open = isinstance(left, Opaque) or isinstance(right, Opaque)
        if compute is None or is_open:
            return Opaque(f"{_say_value(left)} {ast.dump(node.op)} {_say_value(right)}")
        try:
            return compute(left, right)
        except _ERRORS:
            return Opaque(ast.unparse(node))

    def _read_GeneratorExp(self, frame: Frame, node: ast.GeneratorExp | ast.ListComp) -> object:
        (first, *more) = node.generators
        several = self.evaluate(frame, first.iter)
        is_read = isinstance(several, tuple | list | set | range) and not (more or first.ifs)
        if not is_read or not isinstance(first.target, ast.Name):
            return Opaque(self.say_expression(frame, node))
        found = []
        for one in list(several)[:200]:  # type: ignore[call-overload]
            frame.names[first.target.id] = one
            found.append(self.evaluate(frame, node.elt))
        return tuple(found)

    _read_ListComp = _read_GeneratorExp

    def say_expression(self, frame: Frame, node: ast.expr) -> str:
        """The text of an expression in which an answer has one name on both sides."""
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name) and is_from_answer(frame.names.get(inner.id)):
                return f"{Answer().text} in {ast.unparse(node)}"
        return ast.unparse(node)

    # -- comparisons

    def _read_Compare(self, frame: Frame, node: ast.Compare) -> object:
        left = self.evaluate(frame, node.left)
        answer: object = True
        for sign, part in zip(node.ops, node.comparators, strict=True):
            right = self.evaluate(frame, part)
            answer = self._compare_values(left, sign, right)
            if len(node.ops) > 1 and not self.decide_truth(answer):
                return False
            left = right
        return answer

    def _compare_values(self, left: object, sign: ast.cmpop, right: object) -> object:
        positive = _NEGATED.get(type(sign))
        if positive is not None:
            return not self.decide_truth(self._compare_values(left, positive(), right))
        if isinstance(sign, ast.Eq | ast.Is):
            return self.is_same(left, right)
        if isinstance(sign, ast.In):
            return self._is_among(left, right)
        try:
            return _COMPARED[type(sign)](left, right)
        except _ERRORS:
            return _leave_open(
                f"{_say_value(left)} {type(sign).__name__} {_say_value(right)}", left, right
            )

    def is_same(self, left: object, right: object) -> object:
        if isinstance(right, Opaque | Answer) and not isinstance(left, Opaque | Answer):
            left, right = right, left
        if isinstance(left, Opaque | Answer) and right is None:
            return not self.decide_truth(left)
        if isinstance(left, Opaque) and isinstance(right, Opaque):
            if left.text == right.text:
                return True
            if left.is_member and right.is_member:
                return False
        is_word = isinstance(left, Status) and isinstance(right, str)
        if isinstance(left, Opaque | Answer) or is_word:
            said = f"{Answer().text}.status" if is_word else _say_value(left)
            return _leave_open(f"{said} == {_say_value(right)}", left, right)
        return left == right

    def _is_among(self, left: object, several: object) -> object:
        if isinstance(several, Opaque | Answer):
            return name_part(several, left)
        if not isinstance(several, tuple | list | set | frozenset | dict | range | str):
            return Opaque(f"{_say_value(left)} in {_say_value(several)}")
        if not isinstance(left, Opaque | Answer | Status):
            return left in several
        if isinstance(several, str):
            return _leave_open(f"{_say_value(left)} in {several!r}", left, several)
        return any(self.decide_truth(self.is_same(left, one)) for one in several)


def name_part(owner: Opaque | Answer, key: object) -> Opaque:
    """`owner[key]`, `owner.get(key)`, `key in owner`: what is asked for is the same."""
    return Opaque(f"{owner.text}[{_say_value(key)}]", is_unread=_is_unread(owner))


def is_from_answer(value: object) -> bool:
    """Whether a value is a part of an answer."""
    if isinstance(value, Opaque):
        return value.is_of_answer
    return isinstance(value, Answer | Status)


def say_status(word: str) -> object:
    """`HTTPStatus.CONFLICT`, `codes.conflict`."""
    found = HTTPStatus.__members__.get(word.upper())
    if found is None:
        return None
    return int(found)


def _leave_open(text: str, *parts: object) -> Opaque:
    return Opaque(text, is_unread=any(map(_is_unread, parts)))


def _is_unread(value: object) -> bool:
    return isinstance(value, Opaque) and value.is_unread


def _say_value(value: object) -> str:
    if isinstance(value, Opaque | Answer):
        return value.text
    if isinstance(value, Status):
        return f"{Answer().text}.status"
    if isinstance(value, Failure | Instance | Class | Function):
        return type(value).__name__
    return repr(value)
