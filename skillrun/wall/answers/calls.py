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

# Calls within calls; what lies deeper is not gone into.
_DEEPEST = 8
_HTTP_CLIENTS = ("requests.", "httpx.", "aiohttp.", "urllib")
_PURE_BUILTINS = {"int", "str", "len", "bool", "range", "any", "all", "abs", "divmod", "min", "max"}
_COPYING_BUILTINS = {"tuple", "list", "set", "frozenset", "sorted", "dict"}
# These return what they are given, or what it returns.
_PASSING_ON = {"wait_for", "shield", "cast", "create_task", "ensure_future", "dict", "run"}
# These call the function that they are given.
_FUNCTION_CALLERS = {"to_thread", "sync_to_async", "async_to_sync", "run_in_executor", "partial"}
# A file and a program are no provider.
_LOCAL_CALLS = {
    *("write_text", "write_bytes", "Popen", "run", "check_call", "check_output", "system"),
    *("sendall", "sendmail"),
}
_JSON_READERS = {"loads", "json"}
# Decorators that leave what a function returns as it is.
_PLAIN_DECORATORS = {
    *("staticmethod", "classmethod", "contextmanager", "asynccontextmanager", "lru_cache"),
    *("cache", "override", "wraps", "sync_to_async", "async_to_sync", "property"),
}
# What a builtin or a method may raise when it is called with values that do not fit.
_UNFIT_ERRORS = (TypeError, ValueError, ArithmeticError, LookupError, AttributeError)


_BUILTINS = _PURE_BUILTINS | _COPYING_BUILTINS | {"isinstance"}


class Calls(Statements, Expressions):
    """Walks through functions as far as needed to see what they do with a provider's answer."""

    def go_into_call(self, frame: Frame, node: ast.Call) -> object:
        """Returns the value of a call. Raises `Raised` where the call raises."""
        if isinstance(node.func, ast.Attribute) and node.func.attr == "raise_for_status":
            return self._raise_for_status(frame, node)
        if self.walk.code.is_coded(node):
            return self._take_coded(frame, node)
        word = last_word(node.func)
        if word in _FUNCTION_CALLERS and node.args:
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
        # `self.retry()` of a task raises.
        if word == "retry" and isinstance(node.func, ast.Attribute):
            raise Raised(Failure(("Retry", "Exception", "BaseException")))
        return self._call_other(frame, node, function)

    # `Expressions.evaluate` finds it by the name of the node's class.
    _read_Call = go_into_call

    # -- out of the process

    def _goes_out(self, frame: Frame, node: ast.Call) -> bool:
        """Whether a call asks a provider, by way of a client of an installed package."""
        code = self.walk.code
        name = frame.module.resolve(node.func) or ""
        word = last_word(node.func)
        is_effect = word in code.effect_words
        # A method of an object whose class is not told may be an effect's own.
        if is_effect and not name.startswith(_HTTP_CLIENTS):
            return False
        return code.outgoing.is_outgoing(frame.module, node.func)

    def _take_answer(self, frame: Frame, node: ast.Call) -> object:
        """Returns the answer of the provider that is asked here. Where its client raises for a bad
        status, a bad status is raised.
        """
        self._evaluate_arguments(frame, node)
        if last_word(node.func) in _LOCAL_CALLS:
            return Opaque(ast.unparse(node))
        self.walk.is_answered = True
        is_raised = last_word(node.func) in ("urlopen", "open") or self.walk.code.is_raising
        self.walk.is_status_read |= is_raised
        if is_raised and self.walk.status >= FAILING:
            raise Raised(Failure(ANSWER_ERRORS, is_answer=True))
        self._run_hooks(frame)
        return Answer()

    def _take_coded(self, frame: Frame, node: ast.Call) -> object:
        """Calls an effect that answers by an error: raises the error that it declares, with the
        status as its code, or returns a value that nothing is known of.
        """
        coded = self.walk.code.coded
        assert coded is not None
        self._evaluate_arguments(frame, node)
        self.walk.is_answered = True
        if self.walk.status >= FAILING:
            raise Raised(Failure(coded.kinds, is_answer=True, holders=coded.holders))
        return Opaque(ast.unparse(node))

    def _run_hooks(self, frame: Frame) -> None:
        """Goes through the functions that a client calls with each answer."""
        for definition, hooks in self.walk.code.hooks:
            self._call_hooks(Frame(definition.module, depth=frame.depth), hooks)

    def _call_hooks(self, frame: Frame, hooks: ast.expr) -> None:
        """Goes through each function that is named in what a client is given as its hooks, such as
        `{"response": [check_status]}`.
        """
        for name in ast.walk(hooks):
            if not isinstance(name, ast.Name | ast.Attribute):
                continue
            hook = self.walk.code.reach.definition(frame.module, name)
            if hook is not None and isinstance(hook.node, FunctionNode):
                self.run_function(frame, Function(hook), [Answer()], {})

    def _raise_for_status(self, frame: Frame, node: ast.Call) -> object:
        """Calls `response.raise_for_status()`: raises for a bad status."""
        assert isinstance(node.func, ast.Attribute)
        self.evaluate(frame, node.func.value)
        self.walk.is_answered = self.walk.is_status_read = True
        self.walk.trail.append((frame.module.path, node.lineno))
        if self.walk.status >= FAILING:
            raise Raised(Failure(ANSWER_ERRORS, is_answer=True))
        return Answer()

    # -- functions and classes of the repository

    def _evaluate_arguments(
        self, frame: Frame, node: ast.Call
    ) -> tuple[list[object], dict[str, object]]:
        """The values of a call's arguments: those by position, and those by name."""
        values = []
        for argument in node.args:
            # `*lines` stands for one value: how many there are is not known.
            if isinstance(argument, ast.Starred):
                argument = argument.value
            values.append(self.evaluate(frame, argument))
        named = {}
        for keyword in node.keywords:
            # `**options` is evaluated for what it does, and gives no names.
            value = self.evaluate(frame, keyword.value)
            if keyword.arg is not None:
                named[keyword.arg] = value
        return values, named

    def _call_own(self, frame: Frame, function: Function, node: ast.Call) -> object:
        """Calls a function of the repository, and goes through it where that may tell something."""
        values, named = self._evaluate_arguments(frame, node)
        if not self._has_to_be_run(frame, function, [*values, *named.values()]):
            return Opaque(self.say_expression(frame, node))
        return self.run_function(frame, function, values, named)

    def _has_to_be_run(self, frame: Frame, function: Function, given: list[object]) -> bool:
        """Whether a function has to be gone into: it calls out, or is given something of the answer
        or a value that is known.
        """
        code = self.walk.code
        definition = function.definition
        if definition.dotted in code.effects or frame.depth >= _DEEPEST:
            return False
        if definition.node in code.leading or isinstance(function.owner, Instance):
            return True
        if any(map(is_told, given)):
            return True
        return any(isinstance(value, int | str) for value in given)

    def call_function(self, frame: Frame, function: Function, given: ast.Call | None) -> object:
        """Calls a function with the arguments of a call; a property has no call, and `given` is
        None.
        """
        values: list[object] = []
        named: dict[str, object] = {}
        if given is not None:
            values, named = self._evaluate_arguments(frame, given)
        return self.run_function(frame, function, values, named)

    def run_function(
        self, frame: Frame, function: Function, values: list[object], named: dict[str, object]
    ) -> object:
        """Goes through a function's body, and returns its value."""
        node = function.definition.node
        assert isinstance(node, FunctionNode)
        inner = self.open_frame(frame, function, values, named)
        if self._is_decorated_by_others(function):
            self.walk.is_unread = True
        try:
            self.run_block(inner, node.body)
        except Returned as returned:
            return returned.value
        return None

    def _is_decorated_by_others(self, function: Function) -> bool:
        """Whether a function that calls out has a decorator which may make anything of what it
        returns.
        """
        code = self.walk.code
        if function.definition.node not in code.leading:
            return False
        for decorator in function.definition.decorators:
            name = decorator
            if isinstance(decorator, ast.Call):
                name = decorator.func
            if last_word(name) not in _PLAIN_DECORATORS:
                return True
        return False

    def open_frame(
        self, frame: Frame, function: Function, values: list[object], named: dict[str, object]
    ) -> Frame:
        """The frame of a call, with its parameters bound: to what is given, else to their defaults,
        else to a value that nothing is known of.
        """
        node = function.definition.node
        assert isinstance(node, FunctionNode)
        inner = Frame(function.definition.module, depth=frame.depth + 1)
        positional = [parameter.arg for parameter in (*node.args.posonlyargs, *node.args.args)]
        keyword_only = [parameter.arg for parameter in node.args.kwonlyargs]
        for name in (*positional, *keyword_only):
            inner.names[name] = Opaque(name)
        self._bind_defaults(inner, node.args)
        given = values
        is_method = bool(positional) and positional[0] in ("self", "cls")
        if is_method:
            given = [function.owner or Opaque(positional[0]), *values]
        # A call may give fewer values than there are parameters, or more for *args.
        inner.names |= dict(zip(positional, given, strict=False))
        for name, value in named.items():
            if name in inner.names:
                inner.names[name] = value
        return inner

    def _bind_defaults(self, frame: Frame, args: ast.arguments) -> None:
        """Binds the parameters that have a default to it, in the frame of the function."""
        positional = [*args.posonlyargs, *args.args]
        # Defaults belong to the last of the positional parameters.
        with_default = positional[len(positional) - len(args.defaults) :]
        for parameter, default in zip(with_default, args.defaults, strict=True):
            frame.names[parameter.arg] = self.evaluate(frame, default)
        for parameter, written in zip(args.kwonlyargs, args.kw_defaults, strict=True):
            if written is not None:
                frame.names[parameter.arg] = self.evaluate(frame, written)

    def _make_object(self, frame: Frame, made_of: Class, node: ast.Call) -> object:
        """Calls a class: an error becomes a failure, another class an object with its fields."""
        values, named = self._evaluate_arguments(frame, node)
        # HTTPStatus(503) is as good as 503.
        if made_of.kinds[0] == "HTTPStatus" and values:
            return values[0]
        if made_of.is_error:
            return Failure(made_of.kinds)
        if made_of.definition is None:
            return self._call_other(frame, node, Opaque(made_of.kinds[0]))
        fields = dict(zip(self._list_fields(made_of), values, strict=False))
        return Instance(made_of, fields | named)

    def _list_fields(self, made_of: Class) -> list[str]:
        """The fields of a class in the order of its arguments: the parameters of `__init__`, or the
        annotated names of a dataclass.
        """
        assert made_of.definition is not None
        names = []
        for node in made_of.definition.node.body:
            if isinstance(node, FunctionNode) and node.name == "__init__":
                # The first is `self`.
                return [parameter.arg for parameter in node.args.args[1:]]
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                names.append(node.target.id)
        return names

    def _call_handed(self, frame: Frame, node: ast.Call) -> object:
        """Goes into the call that another one makes: `asyncio.to_thread(post, mail)` is
        `post(mail)`.
        """
        function, *arguments = node.args
        # Its first argument is the executor: `loop.run_in_executor(None, post, mail)`.
        if last_word(node.func) == "run_in_executor" and arguments:
            function, *arguments = arguments
        handed = ast.Call(func=function, args=arguments, keywords=node.keywords)
        return self.go_into_call(frame, ast.copy_location(handed, node))

    # -- anything else

    def _call_other(self, frame: Frame, node: ast.Call, function: object) -> object:
        """Calls a function that is not of the repository, and asks no provider."""
        values, named = self._evaluate_arguments(frame, node)
        word = last_word(node.func)
        method = self._call_method(frame, node, values)
        if method is not None:
            (returned,) = method
            return returned
        if isinstance(node.func, ast.Name) and word in _BUILTINS:
            return self._call_builtin(frame, node, word, values)
        if word in _PASSING_ON and values and isinstance(values[0], Answer | Opaque):
            return values[0]
        if word in _JSON_READERS and values and is_from_answer(values[0]):
            return Opaque(f"{ANSWER}.json()")
        if isinstance(function, Opaque) and function.is_of_answer:
            return Opaque(f"{function.text}({', '.join(map(repr, values))})", function.is_unread)
        text = self.say_expression(frame, node)
        # What another package makes of the answer is not known.
        if any(map(is_told, (*values, *named.values()))):
            return Opaque(f"{ANSWER} in {text}", is_unread=True)
        return Opaque(text)

    def _call_method(
        self, frame: Frame, node: ast.Call, values: list[object]
    ) -> tuple[object] | None:
        """(what it returns,) for a method of a text, of a mapping, or of what came from an answer;
        None for any other call, or where the method raises.
        """
        if not isinstance(node.func, ast.Attribute):
            return None
        name = node.func.attr
        owner = self.evaluate(frame, node.func.value)
        if isinstance(owner, Answer) and name == "getcode":
            return (Status(self.walk.status),)
        if isinstance(owner, Answer) and name == "json":
            return (Opaque(f"{ANSWER}.json()"),)
        if name == "get" and values and is_from_answer(owner):
            assert isinstance(owner, Opaque | Answer)
            return (name_part(owner, values[0]),)
        if not isinstance(owner, str | dict | tuple):
            return None
        try:
            return (getattr(owner, name)(*values),)
        except _UNFIT_ERRORS:
            return None

    def _call_builtin(
        self, frame: Frame, node: ast.Call, word: str, values: list[object]
    ) -> object:
        """Calls a builtin: really, where all values are known; else it says what it knows."""
        if word == "isinstance" and isinstance(values[0], Failure):
            return self.is_caught(values[0], values[1])
        if word in ("bool", "any", "all") and values and not isinstance(values[0], Opaque):
            return self._decide_truth_by(word, values[0])
        if word in _COPYING_BUILTINS and values and isinstance(values[0], tuple | dict | Opaque):
            return values[0]
        is_unknown = any(map(_is_unknown, values))
        if is_unknown or word in _COPYING_BUILTINS or word == "isinstance":
            if values and is_from_answer(values[0]):
                return Opaque(f"{ANSWER} {word}")
            return Opaque(self.say_expression(frame, node))
        # A builtin is given a plain number for a status.
        if values and isinstance(values[0], Status):
            values = [int(values[0]), *values[1:]]
        try:
            return getattr(builtins, word)(*values)
        except _UNFIT_ERRORS:
            return Opaque(ast.unparse(node))

    def _decide_truth_by(self, word: str, value: object) -> bool:
        """What `bool`, `any` or `all` says of a value."""
        if word == "bool" or not isinstance(value, tuple):
            return self.decide_truth(value)
        answers = map(self.decide_truth, value)
        if word == "any":
            return any(answers)
        return all(answers)


def _is_unknown(value: object) -> bool:
    """Whether a value is none that a builtin of Python could be called with."""
    return isinstance(value, Opaque | Answer | Failure | Instance)
