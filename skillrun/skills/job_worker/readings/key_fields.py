"""Is a key made of the job's key fields? Only a certain answer counts: what cannot be followed
speaks for the code.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from skillrun.repo.syntax import list_given, name_method
from skillrun.skills.job_worker.readings.sources import passed_for, returns_of

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec
    from skillrun.repo.calls import Call
    from skillrun.repo.python import Definition, Project
    from skillrun.repo.source import Binding, Module

# An expression is followed through so many assignments, calls and parameters.
_DEPTH = 8
# What an attribute says of the very object, and nothing beside.
_IDENTITY = (
    "id",
    "pk",
    "hex",
    "value",
)


def missing_fields(
    project: Project,
    spec: JobSpec,
    handler: Definition,
    call: Call,
    value: ast.expr,
    callers: Sequence[Call],
) -> tuple[str, ...]:
    """The key fields that an expression does not depend on; empty where that is not certain."""
    trace = _Origins(project, spec, handler, callers)
    trace.follow(call.module, value, _DEPTH)
    if trace.uncertain or spec.idempotency is None:
        return ()
    missing = []
    for field in spec.idempotency.key or ():
        if trace.reached.isdisjoint(field.split(".")):
            missing.append(field)
    return tuple(missing)


class _Origins:
    """Follows an expression back to the fields of the message that it is made of. `follow` adds
    to `reached` what it comes to, and sets `uncertain` where there may be more.
    """

    def __init__(
        self, project: Project, spec: JobSpec, handler: Definition, callers: Sequence[Call]
    ) -> None:
        self.project = project
        self.entries = {part.node for part in project.callables(handler)}
        self.properties = set((spec.payload or {}).get("properties") or ())
        self.callers = callers
        # Names of fields: parameters, subscripts, attributes.
        self.reached: set[str] = set()
        self.uncertain = False
        self.seen: set[ast.AST] = set()

    def follow(self, module: Module, value: ast.expr, depth: int) -> None:
        """Follows an expression of a module, each one once, for as many steps as `depth` says."""
        if value in self.seen:
            return
        self.seen.add(value)
        if depth == 0 or isinstance(value, ast.Starred | ast.Await | ast.Lambda):
            self.uncertain = True
        elif isinstance(value, ast.Name):
            self._follow_name(module, value, depth)
        elif isinstance(value, ast.Attribute):
            self._follow_attribute(module, value, depth)
        elif isinstance(value, ast.Call):
            self._follow_call(module, value, depth)
        else:
            self._note_subscript(value)
            for child in _list_parts(value):
                self.follow(module, child, depth)

    def _note_subscript(self, value: ast.expr) -> None:
        """Adds the word of `payload["order_id"]`, which is the field's name."""
        if not isinstance(value, ast.Subscript):
            return
        word = value.slice
        if isinstance(word, ast.Constant) and isinstance(word.value, str):
            self.reached.add(word.value)

    def _follow_attribute(self, module: Module, value: ast.Attribute, depth: int) -> None:
        """Adds `id` of `order.id`, and follows `order`."""
        self.reached.add(value.attr)
        name = module.resolve(value)
        is_constant = name is not None and self.project.lookup(name) is not None
        # An attribute of a module or class is no field; `order.id` of a parameter `order: Order` is
        # one, although it resolves as well.
        if is_constant and _is_imported(module, value.value):
            return
        if value.attr not in _IDENTITY or module.resolve(value.value) in ("self", "cls"):
            self.uncertain = True
        self.follow(module, value.value, depth)

    def _follow_call(self, module: Module, value: ast.Call, depth: int) -> None:
        """Follows what a function of the repository returns. Of any other call, its arguments, and
        what a method is called on.
        """
        name = self.project.call_name(module, value)
        target = None
        if name:
            target = self.project.definition(name)
        returned = []
        if target is not None:
            returned = list(returns_of(target))
        if target is not None and returned:
            for part in returned:
                self.follow(target.module, part, depth - 1)
            return
        if isinstance(value.func, ast.Attribute):
            self._follow_method(module, value, value.func.value, depth)
        elif name is None:
            self.uncertain = True
        for child in list_given(value):
            self.follow(module, child, depth)

    def _follow_method(
        self, module: Module, call: ast.Call, receiver: ast.expr, depth: int
    ) -> None:
        """Adds the field of `payload.get("order_id")`, and follows what a method is called on."""
        is_get = name_method(call) == "get"
        if is_get and call.args and isinstance(call.args[0], ast.Constant):
            self.reached.add(str(call.args[0].value))
        if not _is_imported(module, receiver):
            self.follow(module, receiver, depth)

    def _follow_name(self, module: Module, value: ast.Name, depth: int) -> None:
        """Follows everything that is bound to a name in the innermost function that binds it."""
        scopes: list[ast.AST] = []
        function = module.function_of(value)
        if function is not None:
            scopes.append(function)
            for above in module.parents(function):
                if isinstance(above, ast.FunctionDef):
                    scopes.append(above)
        for scope in scopes:
            bindings = module.bindings(scope).get(value.id, ())
            for binding in bindings:
                self._follow_binding(module, scope, binding, depth)
            if bindings:
                self._follow_later_changes(module, scope, value.id, depth)
                return
        if not module.resolve(value):
            self.uncertain = True

    def _follow_binding(self, module: Module, scope: ast.AST, binding: Binding, depth: int) -> None:
        """Follows a parameter to its callers, and an assignment to its value."""
        if isinstance(binding.node, ast.arg):
            self._follow_parameter(scope, binding.node.arg, depth)
        elif isinstance(binding.node, ast.AugAssign):
            self.follow(module, binding.node.value, depth - 1)
        elif binding.kind == "value" and binding.value is not None:
            self.follow(module, binding.value, depth - 1)
        elif binding.kind not in ("import", "define"):
            self.uncertain = True

    def _follow_later_changes(self, module: Module, scope: ast.AST, name: str, depth: int) -> None:
        """Follows what another statement puts into the value of a name: `digest.update(order_id)`,
        `parts.append(order_id)`.
        """
        for node in ast.walk(scope):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                self._follow_change(module, scope, node.value, name, depth)
            elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
                self.uncertain |= _is_name(node.value, name)

    def _follow_change(
        self, module: Module, scope: ast.AST, call: ast.Call, name: str, depth: int
    ) -> None:
        """Follows the arguments of a call on a name. A function that is given the name may put
        anything into it.
        """
        receiver = None
        if isinstance(call.func, ast.Attribute):
            receiver = call.func.value
        if _is_name(receiver, name):
            for part in list_given(call):
                self.follow(module, part, depth - 1)
        elif any(_is_name(part, name) for part in list_given(call)):
            self.uncertain |= _can_change(module, scope, name)

    def _follow_parameter(self, scope: ast.AST, name: str, depth: int) -> None:
        """Adds a parameter of the handler, or follows what callers pass for that of a function."""
        if scope in self.entries:
            self.reached.add(name)
            # The whole message: any of its fields may be meant.
            self.uncertain |= name not in self.properties and name not in ("self", "cls")
            return
        passed = list(passed_for(self.project, self.callers, scope, name))
        self.uncertain |= not passed
        for call, expression in passed:
            self.follow(call.module, expression, depth - 1)


def _can_change(module: Module, scope: ast.AST, name: str) -> bool:
    """Whether a name holds a list, a mapping or an object, which a function that receives it may
    fill.
    """
    values = [binding.value for binding in module.bindings(scope).get(name, ())]
    return any(isinstance(value, ast.List | ast.Dict | ast.Set | ast.Call) for value in values)


def _is_imported(module: Module, receiver: ast.expr) -> bool:
    """Whether it is a module, or something of one, and so nothing of the job: `hashlib` in
    `hashlib.sha256(...)`, `os.path` in `os.path.join(...)`.
    """
    inner = receiver
    while isinstance(inner, ast.Attribute):
        inner = inner.value
    if not isinstance(inner, ast.Name):
        return False
    scope = module.function_of(receiver)
    if scope:
        for binding in module.bindings(scope).get(inner.id, ()):
            # A parameter or a variable hides the import of that name.
            if binding.kind not in ("import", "define"):
                return False
    return module.resolve(receiver) is not None


def _list_parts(value: ast.AST) -> Iterator[ast.expr]:
    """The expressions directly within one, and what its comprehensions go over."""
    for child in ast.iter_child_nodes(value):
        if isinstance(child, ast.expr):
            yield child
        elif isinstance(child, ast.comprehension):
            yield child.iter


def _is_name(node: ast.AST | None, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name
