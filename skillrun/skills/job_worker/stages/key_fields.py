"""Is a key made of the job's key fields? Only a certain answer counts: what cannot be followed
speaks for the code.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from skillrun.repo.syntax import list_given, name_method
from skillrun.skills.job_worker.stages.sources import passed_for, returns_of

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec
    from skillrun.repo.calls import Call
    from skillrun.repo.python import Definition, Project
    from skillrun.repo.source import Binding, Module

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
    fields = (spec.idempotency.key if spec.idempotency else None) or ()
    trace = _Origins(project, spec, handler, callers)
    trace.follow(call.module, value, _DEPTH)
    if trace.uncertain:
        return ()
    found = []
    for field in fields:
        if not set(field.split(".")) & trace.reached:
            found.append(field)
    return tuple(found)


class _Origins:
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
        if value in self.seen:
            return
        self.seen.add(value)
        if depth == 0 or isinstance(value, ast.Starred | ast.Await | ast.Lambda):
            self.uncertain = True
        elif isinstance(value, ast.Name):
            self._name(module, value, depth)
        elif isinstance(value, ast.Attribute):
            self._attribute(module, value, depth)
        elif isinstance(value, ast.Call):
            self._call(module, value, depth)
        else:
            self._word(value)
            for child in _expressions(value):
                self.follow(module, child, depth)

    def _word(self, value: ast.expr) -> None:
        """`payload["order_id"]`: the word itself is the field's name."""
        inner = None
        if isinstance(value, ast.Subscript):
            inner = value.slice
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            self.reached.add(inner.value)

    def _attribute(self, module: Module, value: ast.Attribute, depth: int) -> None:
        self.reached.add(value.attr)
        name = module.resolve(value)
        is_constant = name is not None and self.project.lookup(name) is not None
        if is_constant and _is_imported(module, value.value):
            # An attribute of a module or class is none; `order.id` of a parameter `order: Order` is
            # none either.
            return
        if value.attr not in _IDENTITY or module.resolve(value.value) in ("self", "cls"):
            self.uncertain = True
        self.follow(module, value.value, depth)

    def _call(self, module: Module, value: ast.Call, depth: int) -> None:
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
            self._method(module, value, value.func.value, depth)
        elif name is None:
            self.uncertain = True
        for child in list_given(value):
            self.follow(module, child, depth)

    def _method(self, module: Module, call: ast.Call, receiver: ast.expr, depth: int) -> None:
        """`payload.get("order_id")` reaches that field; any other method what it is called on."""
        is_get = name_method(call) == "get"
        if is_get and call.args and isinstance(call.args[0], ast.Constant):
            self.reached.add(str(call.args[0].value))
        if not _is_imported(module, receiver):
            self.follow(module, receiver, depth)

    def _name(self, module: Module, value: ast.Name, depth: int) -> None:
        scope = module.function_of(value)
        if scope:
            scopes = [scope, *(s for s in module.parents(scope) if isinstance(s, ast.FunctionDef))]
        else:
            scopes = []
        for around in scopes:
            bound = module.bindings(around).get(value.id, ())
            for binding in bound:
                self._binding(module, around, binding, depth)
            if bound:
                self._filled(module, around, value.id, depth)
                return
        known = module.resolve(value)
        if not known:
            self.uncertain = True

    def _binding(self, module: Module, scope: ast.AST, binding: Binding, depth: int) -> None:
        if isinstance(binding.node, ast.arg):
            self._parameter(scope, binding.node.arg, depth)
        elif isinstance(binding.node, ast.AugAssign):
            self.follow(module, binding.node.value, depth - 1)
        elif binding.kind == "value" and binding.value is not None:
            self.follow(module, binding.value, depth - 1)
        elif binding.kind not in ("import", "define"):
            self.uncertain = True

    def _filled(self, module: Module, scope: ast.AST, name: str, depth: int) -> None:
        """`digest.update(order_id)`, `parts.append(order_id)`: what a later statement puts into a
        value.
        """
        for node in ast.walk(scope):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                call = node.value
                receiver = None
                if isinstance(call.func, ast.Attribute):
                    receiver = call.func.value
                if _is_name(receiver, name):
                    for part in list_given(call):
                        self.follow(module, part, depth - 1)
                elif any(_is_name(part, name) for part in list_given(call)):
                    self.uncertain |= _can_change(module, scope, name)
            elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
                self.uncertain |= _is_name(node.value, name)

    def _parameter(self, scope: ast.AST, name: str, depth: int) -> None:
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
    """It holds a list, a mapping or an object, which a function that receives it may fill."""
    values = [binding.value for binding in module.bindings(scope).get(name, ())]
    return any(isinstance(value, ast.List | ast.Dict | ast.Set | ast.Call) for value in values)


def _is_imported(module: Module, receiver: ast.expr) -> bool:
    """`hashlib` in `hashlib.sha256(...)`, `os.path` in `os.path.join(...)`: nothing of the job."""
    inner = receiver
    while isinstance(inner, ast.Attribute):
        inner = inner.value
    scope = module.function_of(receiver)
    if isinstance(inner, ast.Name) and scope:
        local = module.bindings(scope).get(inner.id, ())
    else:
        local = ()
    here = all(binding.kind in ("import", "define") for binding in local)
    return isinstance(inner, ast.Name) and here and module.resolve(receiver) is not None


def _expressions(value: ast.AST) -> Iterator[ast.expr]:
    for child in ast.iter_child_nodes(value):
        if isinstance(child, ast.expr):
            yield child
        elif isinstance(child, ast.comprehension):
            yield child.iter


def _is_name(node: ast.AST | None, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name
