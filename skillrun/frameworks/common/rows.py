"""Is an expression a row of a database, such as a Django model?"""

from __future__ import annotations

import ast

from skillrun.repo.python import Module, Project
from skillrun.repo.source import Binding

_MODEL_CLASSES = (
    "django.db.models.Model",
    "sqlalchemy.orm.DeclarativeBase",
    "peewee.Model",
    "mongoengine.Document",
)
_MODEL_MAKERS = ("declarative_base()", ".Model")
_ROW_METHODS = (
    ".objects.get()",
    ".objects.create()",
    ".objects.first()",
    ".objects.last()",
    ".objects.latest()",
)


def name_row(project: Project, module: Module, node: ast.expr) -> str | None:
    """What kind of row an expression is; None where it is none or cannot be told. A variable is one
    where all that it is bound to is: bound again, it may have become a key (`order = order.pk`).
    """
    if isinstance(node, ast.Name):
        bindings = find_bindings(module, node)
        if len(bindings) > 1:
            kinds = {_name_bound_row(project, module, binding) for binding in bindings}
            if len(kinds) > 1:
                return None
            return kinds.pop()
    name = None
    if isinstance(node, ast.Name | ast.Call):
        name = module.resolve(node)
    if name == "self":
        owner = module.class_of(node)
        name = ""
        if owner:
            name = f"{module.name}.{module.qualname(owner)}()"
    return _name_row_of(project, name or "")


def find_bindings(module: Module, node: ast.Name) -> list[Binding]:
    """What a variable is bound to in the scope that it comes from. A call binds a parameter."""
    for scope in module.scopes_around(node):
        bound = module.bindings(scope).get(node.id)
        if bound:
            return bound
    return []


def _name_bound_row(project: Project, module: Module, binding: Binding) -> str | None:
    """What kind of row a binding makes of a variable; one that only hands on another tells none."""
    if binding.value is None:
        return None
    name = module.resolve(binding.value) or ""
    if binding.kind == "instance":
        return _name_row_of(project, f"{name}()")
    if binding.kind == "value" and isinstance(binding.value, ast.Call):
        return _name_row_of(project, name)
    return None


def _name_row_of(project: Project, name: str) -> str | None:
    """What kind of row a dotted name makes, "shop.models.Order.objects.get()" or
    "shop.models.Order()".
    """
    if name.endswith(_ROW_METHODS):
        return f"a row of {name.partition('.objects')[0]}"
    if not name.endswith("()"):
        return None
    classes = project.ancestors(name.removesuffix("()"))
    for one in classes[1:]:
        if one in _MODEL_CLASSES or one.endswith(_MODEL_MAKERS):
            return f"a row of {classes[0]}"
    return None
