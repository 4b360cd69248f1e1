"""Where things stand, and what is behind a name or a `**mapping`."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable

from skillrun.repo.python import Definition, Module, Project
from skillrun.repo.syntax import read_entries
from skillrun.repo.uses import FrameworkUse, Place


def place_of(module: Module, node: ast.AST) -> Place:
    """Where a node stands."""
    line = getattr(node, "lineno", 1)
    return Place(module.path, line, module.line_text(line))


def find_function(project: Project, use: FrameworkUse, handler: str) -> Definition | None:
    """The function behind an import path, of a library that runs whatever can be imported."""
    found = project.find(handler)
    if found is None or found.is_class:
        return None
    return found


def find_made(
    project: Project, import_path: str, is_made: Callable[[ast.Call, Module], bool]
) -> Definition | None:
    """The function behind an import path; also where the object is what a call made of the
    function: `is_made` says whether a call does.
    """
    found = project.lookup(import_path)
    if found is None:
        return None
    if found.definition is not None:
        if found.definition.is_class:
            return None
        return found.definition
    call = None
    if found.binding:
        call = found.binding.value
    if found.module is None or not isinstance(call, ast.Call) or not call.args:
        return None
    name = found.module.resolve(call.args[0])
    if not name or not is_made(call, found.module):
        return None
    return project.definition(name)


def find_own_place(project: Project, use: FrameworkUse, handler: Definition) -> Place | None:
    """The function itself: nothing registers it. None where a worker cannot import it: inside a
    function.
    """
    if handler.module.function_of(handler.node) is not None:
        return None
    return place_of(handler.module, handler.node)


def import_path(project: Project, name: str) -> str:
    """ "shop.mailer.Unavailable" as "shop.mailer:Unavailable"."""
    definition = project.definition(name)
    if definition is not None:
        return definition.import_path
    owner, _, last = name.rpartition(".")
    known = None
    if owner:
        known = project.definition(owner)
    if known is not None:
        return f"{known.import_path}.{last}"
    return spell_import_path(name)


def spell_import_path(dotted: str) -> str:
    """module:object, where a class begins with a capital letter, and a module does not.

    >>> spell_import_path("django.core.mail.EmailMessage.send")
    'django.core.mail:EmailMessage.send'
    """
    parts = dotted.split(".")
    if len(parts) == 1:
        return dotted
    for number, part in enumerate(parts[1:-1], 1):
        if part[:1].isupper():
            return f"{'.'.join(parts[:number])}:{'.'.join(parts[number:])}"
    return f"{'.'.join(parts[:-1])}:{parts[-1]}"


def import_paths(project: Project, names: Iterable[str]) -> tuple[str, ...]:
    """The same of several, each once."""
    return tuple(dict.fromkeys(import_path(project, name) for name in names))


def options_of(
    project: Project, call: ast.Call, module: Module
) -> tuple[dict[str, ast.expr], bool]:
    """(option -> expression, whether more may come from a `**mapping` that cannot be read)."""
    found: dict[str, ast.expr] = {}
    unread = False
    for keyword in call.keywords:
        if keyword.arg is not None:
            found[keyword.arg] = keyword.value
            continue
        held = held_value(project, keyword.value, module)
        inner = None
        if held and isinstance(held[0], ast.Dict):
            inner = held[0]
        if inner is None or any(not isinstance(key, ast.Constant) for key in inner.keys):
            unread = True
            continue
        found |= {str(key): value for key, value in read_entries(inner).items()}
    return found, unread


def held_value(project: Project, node: ast.expr, module: Module) -> tuple[ast.expr, Module] | None:
    """The expression behind a name, and its file: a local or module variable that is bound once;
    else the node.
    """
    if not isinstance(node, ast.Name | ast.Attribute):
        return node, module
    function = module.function_of(node)
    if isinstance(node, ast.Name) and function is not None:
        bound = module.bindings(function).get(node.id)
        if bound:
            value = bound[0].value
            is_plain = len(bound) == 1 and bound[0].kind == "value"
            if is_plain and value is not None:
                return (value, module)
            return None
    return _find_held(project, module.resolve(node))


def _find_held(project: Project, name: str | None) -> tuple[ast.expr, Module] | None:
    """What a variable of a module holds, where it is bound once."""
    found = None
    if name:
        found = project.lookup(name)
    if found is None or found.module is None or found.binding is None:
        return None
    value = found.binding.value
    if value is None or not _bound_once(found.module, value):
        return None
    return value, found.module


def _bound_once(module: Module, value: ast.expr) -> bool:
    bindings = module.bindings(module.tree).values()
    return any(len(bound) == 1 and bound[0].value is value for bound in bindings)
