"""What stands around a handler: the repository's own decorators, and all clauses that an error of
its may meet.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from skillrun.repo.syntax import find_nodes

if TYPE_CHECKING:
    from skillrun.repo.python import Definition, Handler, Project


def decorators(project: Project, handler: Definition) -> tuple[Definition, ...]:
    """The functions of the repository that decorate a handler, the outermost first."""
    found = []
    for decorator in handler.decorators:
        named = decorator
        # `@retried(times=3)` is the decorator that the call returns; its function holds it.
        if isinstance(decorator, ast.Call):
            named = decorator.func
        definition = project.definition(handler.module.resolve(named) or "")
        if definition is not None and not definition.is_class:
            found.append(definition)
    return tuple(found)


def around(project: Project, handler: Definition) -> tuple[Handler, ...]:
    """The except clauses that stand in the decorators of a handler."""
    found = []
    for decorator in decorators(project, handler):
        for node in find_nodes(decorator.node, ast.ExceptHandler):
            found.append(project.handler(decorator.module, node))
    return tuple(found)


def clauses(project: Project, handler: Definition) -> tuple[Handler, ...]:
    """The except clauses of the handler, of what it calls, and of its decorators."""
    return (*project.handlers(handler, depth=1), *around(project, handler))


def raised_instead(
    project: Project, clause: Handler, steering: frozenset[str] = frozenset()
) -> frozenset[str]:
    """What a clause raises, with its bases, but for the exceptions that steer the library: somebody
    may record that.
    """
    found: set[str] = set()
    for node in find_nodes(clause.node, ast.Raise):
        named = node.exc
        if isinstance(named, ast.Call):
            named = named.func
        # A bare `raise` raises nothing else than what was caught.
        if named is None:
            continue
        name = project.origin_of(clause.module, named)
        if not name:
            continue
        raised = {name, *project.ancestors(name)}
        if steering.isdisjoint(raised):
            found |= raised - {"builtins.object"}
    return frozenset(found)
