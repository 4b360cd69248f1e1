"""Calls, while a function is gone through: into the repository's functions, and out of it."""

from __future__ import annotations

import ast
import builtins

from skillrun.repo.source import FunctionNode, last_word
from skillrun.wall.answers.expressions import Expressions, is_from_answer, name_part
from skillrun.wall.answers.statements import Statements
from skillrun.wall.answers.values import (
    ANSWER,
    ANSWER_ERRORS,
    FAILING,
    Answer,
    Class,
    Failure,
    Function,
    Instance,
    Opaque,
    Status,
    is_told,
)
from skillrun.wall.answers.walking import Frame, Raised, Returned

_DEEPEST = 8
_CLIENTS = ("requests.", "httpx.", "aiohttp.", "urllib")
_PURE = {"int", "str", "len", "bool", "range", "any", "all", "abs", "divmod", "min", "max"}
_COPIES = {"tuple", "list", "set", "frozenset", "sorted", "dict"}
# These give what they are given, or what it does.
_THROUGH = {"wait_for", "shield", "cast", "create_task", "ensure_future", "dict", "run"}
# And these call the function that they are given.
_CALLERS = {"to_thread", "sync_to_async", "async_to_sync", "run_in_executor", "partial"}
# A file and a program are no provider.
_LOCAL = {
    *("write_text", "write_bytes", "Popen", "run", "check_call", "check_output", "system"),
    *("sendall", "sendmail"),
}
_READERS = {"loads", "json"}
# Decorators that leave a function what it is.
_PLAIN = {
    *("staticmethod", "classmethod", "contextmanager", "asynccontextmanager", "lru_cache"),
    *("cache", "override", "wraps", "sync_to_async", "async_to_sync", "property"),
}
_ERRORS = (TypeError, ValueError, ArithmeticError, LookupError, AttributeError)


class Calls(Statements, Expressions):
    """The whole of it."""

    def go_into_call(self, frame: Frame, node: ast.Call) -> object:
        """What a call gives back."""
        if isinstance(node.func, ast.Attribute) and node.func.attr == "raise_for_status":
            return self._raise_for_status(frame, node)
        if self.walk.code.is_coded(node):
            return self._take_coded(frame, node)
        word = last_word(node.func)
        if word in _CALLERS and node.args:
            return self._call_handed(frame, node)
        if word == "getresponse":
            self.walk.is_answered = True
            return Answer()
        function = self.evaluate(frame, node.func)
        if isinstance(function, Function):
            return self._call_own(frame, function, node)
        if isinstance(function, Class):
            return self._make_object(frame, function, node)
        if self._goes_out(frame, node):
            return self._take_answer(frame, node)
        if self._is_asked_again(node, word):
            raise Raised(Failure(("Retry", "Exception", "BaseException")))
        return self._call_other(frame, node, function)

    _read_Call = go_into_call

    def _is_asked_again(self, node: ast.Call, word: str) -> bool:
        """`self.retry()`: it raises."""
        return word == "retry" and isinstance(node.func, ast.Attribute)

    # -- out of the process

    def _goes_out(self, frame: Frame, node: ast.Call) -> bool:
        code = self.walk.code
        name = frame.module.resolve(node.func) or ""
        word = last_word(node.func)
        is_effect = word in code.effect_words
        # A method of an object whose class is not told may be an effect's own.
        if is_effect and not name.startswith(_CLIENTS):
            return False
        return code.outgoing.is_outgoing(frame.module, node.func)

    def _take_answer(self, frame: Frame, node: ast.Call) -> object:
        self._evaluate_given(frame, node)
        if last_word(node.func) in _LOCAL:
            return Opaque(ast.unparse(node))
        self.walk.is_answered = True
        is_raised = last_word(node.func) in ("urlopen", "open") or self.walk.code.is_raising
        self.walk.is_status_read |= is_raised
        if is_raised and self.walk.status >= FAILING:
            raise Raised(Failure(ANSWER_ERRORS, is_answer=True))
        self._run_hooks(frame)
        return Answer()

    def _take_coded(self, frame: Frame, node: ast.Call) -> object:
        """The call of an effect: its answer is the error that it declares, with the status as its
        code.
        """
        coded = self.walk.code.coded
        assert coded is not None
        self._evaluate_given(frame, node)
        self.walk.is_answered = True
        if self.walk.status >= FAILING:
            raise Raised(Failure(coded.kinds, is_answer=True, holders=coded.holders))
        return Opaque(ast.unparse(node))

    def _run_hooks(self, frame: Frame) -> None:
        """Functions that a client calls with each answer."""
        for definition, hooks in self.walk.code.hooks:
            self._call_hooks(Frame(definition.module, depth=frame.depth), hooks)

    def _call_hooks(self, frame: Frame, hooks: ast.expr) -> None:
        for name in ast.walk(hooks):
            if not isinstance(name, ast.Name | ast.Attribute):
                continue
            found = self.walk.code.reach.definition(frame.module, name)
            if found is not None and isinstance(found.node, FunctionNode):
                self.run_function(frame, Function(found), [Answer()], {})

    def _raise_for_status(self, frame: Frame, node: ast.Call) -> object:
        assert isinstance(node.func, ast.Attribute)
        self.evaluate(frame, node.func.value)
        self.walk.is_answered = self.walk.is_status_read = True
        self.walk.trail.append((frame.module.path, node.lineno))
        if self.walk.status >= FAILING:
            raise Raised(Failure(ANSWER_ERRORS, is_answer=True))
        return Answer()

    # -- functions and classes of the repository

    def _evaluate_given(
        self, frame: Frame, node: ast.Call
    ) -> tuple[list[object], dict[str, object]]:
        values = []
        for one in node.args:
            inner = one.value if isinstance(one, ast.Starred) else one
            values.append(self.evaluate(frame, inner))
        named = {}
        for keyword in node.keywords:
            value = self.evaluate(frame, keyword.value)
            if keyword.arg is not None:
                named[keyword.arg] = value
        return values, named

    def _call_own(self, frame: Frame, function: Function, node: ast.Call) -> object:
        values, named = self._evaluate_given(frame, node)
        if not self._is_worth_it(frame, function, [*values, *named.values()]):
            return Opaque(self.say_expression(frame, node))
        return self.run_function(frame, function, values, named)

    def _is_worth_it(self, frame: Frame, function: Function, given: list[object]) -> bool:
        """Only what calls out, or is given something of the answer, has to be gone into."""
        code = self.walk.code
        definition = function.definition
        if definition.dotted in code.effects or frame.depth >= _DEEPEST:
            return False
        if definition.node in code.leading or isinstance(function.owner, Instance):
            return True
        if any(map(is_told, given)):
            return True
        return any(isinstance(one, int | str) for one in given)

    def call_function(self, frame: Frame, function: Function, given: ast.Call | None) -> object:
        """A function with what is given to it in a call; a property has none."""
        values: list[object] = []
        named: dict[str, object] = {}
        if given is not None:
            values, named = self._evaluate_given(frame, given)
        return self.run_function(frame, function, values, named)

    def run_function(
        self, frame: Frame, function: Function, values: list[object], named: dict[str, object]
    ) -> object:
        """Goes through a function's body."""
        node = function.definition.node
        assert isinstance(node, FunctionNode)
        inner = self.open_frame(frame, function, values, named)
        if self._is_changed(function):
            self.walk.is_unread = True
        try:
            self.run_block(inner, node.body)
        except Returned as returned:
            return returned.value
        return None

    def _is_changed(self, function: Function) -> bool:
        """A decorator of elsewhere may make anything of what a function gives back."""
        code = self.walk.code
        if function.definition.node not in code.leading:
            return False
        for decorator in function.definition.decorators:
            inner = decorator.func if isinstance(decorator, ast.Call) else decorator
            if last_word(inner) not in _PLAIN:
                return True
        return False

    def open_frame(
        self, frame: Frame, function: Function, values: list[object], named: dict[str, object]
    ) -> Frame:
        """The frame of a call, its parameters bound."""
        node = function.definition.node
        assert isinstance(node, FunctionNode)
        inner = Frame(function.definition.module, depth=frame.depth + 1)
        parameters = []
        for one in (*node.args.posonlyargs, *node.args.args):
            parameters.append(one.arg)
            inner.names[one.arg] = Opaque(one.arg)
        for one in node.args.kwonlyargs:
            inner.names[one.arg] = Opaque(one.arg)
        self._bind_defaults(inner, node.args)
        is_method = bool(parameters) and parameters[0] in ("self", "cls")
        if is_method:
            given = [function.owner or Opaque(parameters[0]), *values]
        else:
            given = values
        inner.names |= dict(zip(parameters, given, strict=False))
        for name, value in named.items():
            if name in inner.names:
                inner.names[name] = value
        return inner

    def _bind_defaults(self, frame: Frame, args: ast.arguments) -> None:
        positional = [*args.posonlyargs, *args.args]
        with_default = positional[len(positional) - len(args.defaults) :]
        for parameter, default in zip(with_default, args.defaults, strict=True):
            frame.names[parameter.arg] = self.evaluate(frame, default)
        for parameter, written in zip(args.kwonlyargs, args.kw_defaults, strict=True):
            if written is not None:
                frame.names[parameter.arg] = self.evaluate(frame, written)

    def _make_object(self, frame: Frame, made_of: Class, node: ast.Call) -> object:
        values, named = self._evaluate_given(frame, node)
        if made_of.kinds[0] == "HTTPStatus" and values:
            return values[0]
        if made_of.is_error:
            return Failure(made_of.kinds)
        if made_of.definition is None:
            return self._call_other(frame, node, Opaque(made_of.kinds[0]))
        fields = dict(zip(self._list_fields(made_of), values, strict=False))
        return Instance(made_of, fields | named)

    def _list_fields(self, made_of: Class) -> list[str]:
        assert made_of.definition is not None
        names = []
        for node in made_of.definition.node.body:
            if isinstance(node, FunctionNode) and node.name == "__init__":
                return [one.arg for one in node.args.args][1:]
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                names.append(node.target.id)
        return names

    def _call_handed(self, frame: Frame, node: ast.Call) -> object:
        """`await asyncio.to_thread(post, mail)`."""
        first, rest = node.args[0], node.args[1:]
        if last_word(node.func) == "run_in_executor" and rest:
            first, rest = rest[0], rest[1:]
        handed = ast.Call(func=first, args=rest, keywords=node.keywords)
        return self.go_into_call(frame, ast.copy_location(handed, node))

    # -- anything else

    def _call_other(self, frame: Frame, node: ast.Call, function: object) -> object:
        values, named = self._evaluate_given(frame, node)
        word = last_word(node.func)
        method = self._call_method(frame, node, values)
        if method is not None:
            return method[0]
        if isinstance(node.func, ast.Name) and word in _PURE | _COPIES | {"isinstance"}:
            return self._call_builtin(frame, node, word, values)
        if word in _THROUGH and values and isinstance(values[0], Answer | Opaque):
            return values[0]
        if word in _READERS and values and is_from_answer(values[0]):
            return Opaque(f"{ANSWER}.json()")
        if isinstance(function, Opaque) and function.is_of_answer:
            return Opaque(f"{function.text}({', '.join(map(repr, values))})", function.is_unread)
        given = [*values, *named.values()]
        is_looked_at = any(map(is_told, given))
        text = self.say_expression(frame, node)
        if is_looked_at:
            return Opaque(f"{ANSWER} in {text}", is_unread=True)
        return Opaque(text)

    def _call_method(
        self, frame: Frame, node: ast.Call, values: list[object]
    ) -> tuple[object] | None:
        """Of a text, a mapping, or what came from an answer; None for any other call."""
        if not isinstance(node.func, ast.Attribute):
            return None
        name = node.func.attr
        owner = self.evaluate(frame, node.func.value)
        if isinstance(owner, Answer) and name in ("getcode", "json"):
            return (
                (Status(self.walk.status),) if name == "getcode" else (Opaque(f"{ANSWER}.json()"),)
            )
        if name == "get" and values and is_from_answer(owner):
            assert isinstance(owner, Opaque | Answer)
            return (name_part(owner, values[0]),)
        if not isinstance(owner, str | dict | tuple):
            return None
        try:
            return (getattr(owner, name)(*values),)
        except _ERRORS:
            return None

    def _call_builtin(
        self, frame: Frame, node: ast.Call, word: str, values: list[object]
    ) -> object:
        if word == "isinstance" and isinstance(values[0], Failure):
            return self.is_caught(values[0], values[1])
        if word in ("bool", "any", "all") and values and not isinstance(values[0], Opaque):
            return self._ask_all(word, values[0])
        if word in _COPIES and values and isinstance(values[0], tuple | dict | Opaque):
            return values[0]
        is_open = any(isinstance(one, Opaque | Answer | Failure | Instance) for one in values)
        if is_open or word in _COPIES | {"isinstance"}:
            is_read = bool(values) and is_from_answer(values[0])
            return Opaque(f"{ANSWER} {word}" if is_read else self.say_expression(frame, node))
        if values and isinstance(values[0], Status):
            values = [int(values[0]), *values[1:]]
        try:
            return getattr(builtins, word)(*values)
        except _ERRORS:
            return Opaque(ast.unparse(node))

    def _ask_all(self, word: str, value: object) -> bool:
        if word == "bool" or not isinstance(value, tuple):
            return self.decide_truth(value)
        answers = map(self.decide_truth, value)
        return any(answers) if word == "any" else all(answers)
