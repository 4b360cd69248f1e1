"""Is an expression a row of a database, such as a Django model?"""

from __future__ import annotations

import ast

from skillrun.repo.python import Module, Project

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
    """What kind of row an expression is; None where it is none or cannot be told."""
    name = None
    if isinstance(node, ast.Name | ast.Call):
        name = module.resolve(node)
    if not name:
        return None
    if name.endswith(_ROW_METHODS):
        return f"a row of {name.partition('.objects')[0]}"
    if name == "self":
        owner = module.class_of(node)
        name = ""
        if owner:
            name = f"{module.name}.{module.qualname(owner)}()"
    if not name.endswith("()"):
        return None
    classes = project.ancestors(name.removesuffix("()"))
    for one in classes[1:]:
        if one in _MODEL_CLASSES or one.endswith(_MODEL_MAKERS):
            return f"a row of {classes[0]}"
    return None
