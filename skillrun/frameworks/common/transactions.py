"""Is a call inside a database transaction, and does it wait for the commit?"""

from __future__ import annotations

import ast

from skillrun.frameworks.common.facts import atomic_function, is_atomic
from skillrun.repo.python import Call, Module, Project
from skillrun.repo.source import last_word
from skillrun.repo.syntax import find_nodes

_SQLALCHEMY = ("sqlalchemy.", "sqlmodel.")
_OPENS = ("begin", "begin_nested", "transaction")
# The transaction of a decorator has no name of its own.
DECORATED = "@atomic"


def find_transaction(project: Project, call: Call) -> str | None:
    """What opens the transaction around a call, the innermost first; None where there is none."""
    for name in call.in_with:
        if _opens_transaction(project, name):
            return name
    if atomic_function(project, call.module, call.node):
        return DECORATED
    return None


def is_certain(project: Project, opened: str) -> bool:
    """A transaction of Django's or SQLAlchemy's, and not merely something of that name."""
    if opened == DECORATED or is_atomic(project, opened):
        return True
    # `Session.begin()` of a sessionmaker, `engine.begin()`: the block is the transaction.
    origin = project.origin(opened.removesuffix("()"))
    return origin.startswith(_SQLALCHEMY) and origin.endswith((".begin", ".begin_nested"))


def _opens_transaction(project: Project, name: str) -> bool:
    if is_atomic(project, name):
        return True
    return "." in name and name.rpartition(".")[2] in _OPENS


def waits_for_commit(call: Call) -> bool:
    """It stands in a lambda or function that `on_commit` is given."""
    for above in call.module.parents(call.node):
        if isinstance(above, ast.Call) and _is_on_commit(above):
            return True
        if isinstance(above, ast.FunctionDef):
            return _is_handed_to_on_commit(call.module, above)
    return False


def _is_on_commit(call: ast.Call) -> bool:
    return last_word(call.func) == "on_commit"


def _is_handed_to_on_commit(module: Module, function: ast.FunctionDef) -> bool:
    if any("on_commit" in ast.unparse(decorator) for decorator in function.decorator_list):
        return True
    around = module.function_of(function) or module.tree
    for node in find_nodes(around, ast.Call):
        if not _is_on_commit(node):
            continue
        given = set()
        for argument in node.args:
            if isinstance(argument, ast.Name):
                given.add(argument.id)
        if function.name in given:
            return True
    return False


def is_in_atomic_request(project: Project, call: Call) -> bool:
    """A view calls it, and ATOMIC_REQUESTS makes every view one transaction."""
    in_view = _looks_like_view(call.path) or _is_called_from_view(project, call)
    return in_view and _has_atomic_requests(project)


def _is_called_from_view(project: Project, call: Call) -> bool:
    """The function around it is used by a module of views."""
    function = call.module.function_of(call.node)
    if function is None:
        return False
    name = f"{call.module.name}.{call.module.qualname(function)}"
    return any(_looks_like_view(use.path) for use in project.uses(name))


def _looks_like_view(path: str) -> bool:
    if path.endswith(("views.py", "viewsets.py")):
        return True
    return "views" in path.removesuffix(".py").split("/")


def _has_atomic_requests(project: Project) -> bool:
    for module in project.settings_modules():
        databases = project.variable(module, "DATABASES")
        if not isinstance(databases, dict):
            continue
        for options in databases.values():
            if isinstance(options, dict) and options.get("ATOMIC_REQUESTS") is True:
                return True
    return False
