"""Where a value comes from: an expression followed through variables, parameters and the
repository's functions.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.repo.source import last_word
from skillrun.repo.syntax import find_nodes

if TYPE_CHECKING:
    from skillrun.repo.calls import Call
    from skillrun.repo.python import Definition, Project
    from skillrun.repo.source import Binding, Module

# An expression is followed through so many assignments, calls and parameters.
_DEPTH = 8

# What is another value at each delivery, attempt, process or second. hash() of text differs between
# interpreters.
_VOLATILE_CALLS = {
    "a random id": (
        "uuid.uuid1 uuid.uuid4 uuid.uuid6 uuid.uuid7 celery.uuid celery.utils.uuid"
        " celery.utils.gen_unique_id kombu.utils.uuid.uuid ulid.new ulid.ULID nanoid.generate"
        " shortuuid.uuid shortuuid.random cuid.cuid"
    ),
    "the time": (
        "time.time time.time_ns time.monotonic time.monotonic_ns time.perf_counter time.ctime"
        " datetime.datetime.now datetime.datetime.utcnow datetime.datetime.today"
        " django.utils.timezone.now django.utils.timezone.localtime pendulum.now arrow.now"
        " arrow.utcnow"
    ),
    "the date": "datetime.date.today django.utils.timezone.localdate pendulum.today",
    "hash(), which differs between interpreters": "builtins.hash",
    "id(), which differs between processes": "builtins.id builtins.object",
    "the process or the thread": "os.getpid os.getppid threading.get_ident threading.get_native_id",
    "the worker's host": "socket.gethostname platform.node",
    "random bytes": "os.urandom secrets.token_bytes",
    "a random value": (
        "secrets.token_hex secrets.token_urlsafe secrets.randbelow secrets.choice random.random"
        " random.randint random.randrange random.getrandbits random.choice random.choices"
        " random.sample random.uniform django.utils.crypto.get_random_string"
    ),
}
_BY_NAME = {name: what for what, names in _VOLATILE_CALLS.items() for name in names.split()}
# Functions that take the time of now unless they are given so many arguments.
_NOW_WITHOUT_ARGUMENT = {
    "time.strftime": 2,
    "time.gmtime": 1,
    "time.localtime": 1,
}
_MESSAGE_ID = "the message id, which a re-enqueue changes"
_VOLATILE_ATTRIBUTES = {
    "request.id": _MESSAGE_ID,
    "request.task_id": _MESSAGE_ID,
    "request.root_id": _MESSAGE_ID,
    "request.correlation_id": _MESSAGE_ID,
    "request.retries": "the attempt number",
    "request.delivery_info": "the delivery",
    "request.delivery_tag": "the delivery",
    "request.eta": "the delivery time",
    "request.hostname": "the worker's host",
}


@dataclass(frozen=True)
class Volatile:
    """A part of a value that is not the same at the next delivery."""

    what: str
    path: str
    line: int
    text: str


def volatile_parts(
    project: Project, module: Module, value: ast.expr, callers: Sequence[Call] = ()
) -> Iterator[Volatile]:
    """Every part of an expression that changes from one delivery of the same job to the next.

    `callers` are the calls on the handler's way: a parameter is followed to what they pass for it.
    """
    yield from _Trace(project, callers).find_parts(module, value, _DEPTH)


class _Trace:
    """Follows an expression back, each part of it once, and finds what is not the same at the next
    delivery.
    """

    def __init__(self, project: Project, callers: Sequence[Call]) -> None:
        self.project = project
        self.callers = callers
        self.seen: set[ast.AST] = set()

    def find_parts(self, module: Module, value: ast.expr, depth: int) -> Iterator[Volatile]:
        """The volatile parts of an expression of a module, followed for so many steps."""
        for node in ast.walk(value):
            if node in self.seen or depth == 0:
                continue
            self.seen.add(node)
            if isinstance(node, ast.Call):
                yield from self._follow_call(module, node, depth)
            elif isinstance(node, ast.Attribute):
                yield from self._follow_attribute(module, node, depth)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                yield from self._follow_name(module, node, depth)

    def _follow_call(self, module: Module, node: ast.Call, depth: int) -> Iterator[Volatile]:
        """A call of what is known to be volatile, or the parts of what a function of the
        repository returns.
        """
        name = self.project.call_name(module, node)
        if not name:
            return
        origin = self.project.origin(name)
        what = _BY_NAME.get(name) or _BY_NAME.get(origin or "") or _takes_now(name, node)
        if what:
            yield self._make_part(module, node, what)
            return
        target = self.project.definition(name)
        if target is None:
            return
        for returned in returns_of(target):
            yield from self.find_parts(target.module, returned, depth - 1)

    def _follow_attribute(
        self, module: Module, node: ast.Attribute, depth: int
    ) -> Iterator[Volatile]:
        """`self.request.id` and its like, or the parts of what `self.key` is given."""
        spellings = {ast.unparse(node), module.resolve(node) or ""}
        for ending, what in _VOLATILE_ATTRIBUTES.items():
            if any(f".{written}".endswith(f".{ending}") for written in spellings):
                yield self._make_part(module, node, what)
        if module.resolve(node.value) in ("self", "cls"):
            yield from self._follow_attribute_of_self(module, node, depth)

    def _follow_attribute_of_self(
        self, module: Module, node: ast.Attribute, depth: int
    ) -> Iterator[Volatile]:
        """The parts of what the class or its methods assign to `self.key`, or of what a property
        returns.
        """
        owner = module.class_of(node)
        if not owner:
            return
        for inner in ast.walk(owner):
            if isinstance(inner, ast.Assign):
                if any(_names_attribute(target, node.attr) for target in inner.targets):
                    yield from self.find_parts(module, inner.value, depth - 1)
                continue
            if not isinstance(inner, ast.FunctionDef) or inner.name != node.attr:
                continue
            # Without a decorator it is a method, which is no value.
            if inner.decorator_list:
                for returned in returns_of(self.project.define(module, inner)):
                    yield from self.find_parts(module, returned, depth - 1)

    def _follow_name(self, module: Module, node: ast.Name, depth: int) -> Iterator[Volatile]:
        """The parts of what is bound to a name, in the innermost scope that binds it."""
        scopes: list[ast.AST] = []
        function = module.function_of(node)
        if function is not None:
            scopes.append(function)
            for above in module.parents(function):
                if isinstance(above, ast.FunctionDef):
                    scopes.append(above)
        scopes.append(module.tree)
        for scope in scopes:
            bindings = module.bindings(scope).get(node.id, ())
            for binding in bindings:
                yield from self._follow_binding(module, scope, binding, depth)
            if bindings:
                return

    def _follow_binding(
        self, module: Module, scope: ast.AST, binding: Binding, depth: int
    ) -> Iterator[Volatile]:
        """The parts of what callers pass for a parameter, or of what is assigned."""
        if isinstance(binding.node, ast.arg):
            for call, passed in passed_for(self.project, self.callers, scope, binding.node.arg):
                yield from self.find_parts(call.module, passed, depth - 1)
        elif binding.kind == "value" and binding.value is not None:
            yield from self.find_parts(module, binding.value, depth - 1)
        elif isinstance(binding.node, ast.AugAssign):
            yield from self.find_parts(module, binding.node.value, depth - 1)

    def _make_part(self, module: Module, node: ast.expr, what: str) -> Volatile:
        return Volatile(what, module.path, node.lineno, module.line_text(node.lineno))


def _takes_now(name: str, node: ast.Call) -> str | None:
    """ "the time" for a call such as `time.strftime("%H")`, which is not given one."""
    needed = _NOW_WITHOUT_ARGUMENT.get(name)
    if needed is not None and len(node.args) + len(node.keywords) < needed:
        return "the time"
    return None


def passed_for(
    project: Project, callers: Sequence[Call], scope: ast.AST, parameter: str
) -> Iterator[tuple[Call, ast.expr]]:
    """(call, what it passes) for each call of a function on the handler's way that passes something
    for this parameter.
    """
    for call in callers:
        target = None
        if call.resolved:
            target = project.definition(call.name)
        if target is None or target.node is not scope:
            continue
        names = list(target.parameters)
        if _has_object_before_dot(call, target):
            names.remove(str(target.module.receiver_of(target.node)))
        position = None
        if parameter in names:
            position = names.index(parameter)
        passed = call.argument(position, parameter)
        if passed is not None:
            yield call, passed


def _has_object_before_dot(call: Call, target: Definition) -> bool:
    """Whether the call itself gives the method its object; `Sender.send(sender, ...)` passes it."""
    if target.module.receiver_of(target.node) is None:
        return False
    func = call.node.func
    owner = target.module.class_of(target.node)
    if not isinstance(func, ast.Attribute) or not isinstance(owner, ast.ClassDef):
        return True
    is_of_class = any(last_word(one) == "classmethod" for one in target.decorators)
    return is_of_class or call.module.resolve(func.value) != target.dotted.rpartition(".")[0]


def returns_of(target: Definition) -> Iterator[ast.expr]:
    """What a function returns; inner functions return for themselves."""
    if target.is_class:
        return
    for node in find_nodes(target.node, ast.Return):
        is_own = target.module.function_of(node) is target.node
        if is_own and node.value is not None:
            yield node.value


def _names_attribute(target: ast.expr, name: str) -> bool:
    """Whether `key = ...` in a class, or `self.key = ...` in its methods, sets an attribute."""
    if isinstance(target, ast.Name):
        return target.id == name
    return isinstance(target, ast.Attribute) and target.attr == name
