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
    """The repository's own around the handler."""
    named = (node.func if isinstance(node, ast.Call) else node for node in handler.decorators)
    found = (project.definition(handler.module.resolve(node) or "") for node in named)
    return tuple(one for one in found if one is not None and not one.is_class)


def around(project: Project, handler: Definition) -> tuple[Handler, ...]:
    """The except clauses of its decorators."""
    return tuple(
        project.handler(decorator.module, node)
        for decorator in decorators(project, handler)
        for node in find_nodes(decorator.node, ast.ExceptHandler)
    )


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
    for node in (n for n in find_nodes(clause.node, ast.Raise) if n.exc is not None):
        named = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        name = ""
        if named is not None:
            name = project.origin_of(clause.module, named)
        if name:
            bases = project.ancestors(name)
        else:
            bases = ()
        if bases and not steering & {name, *bases}:
            found |= {name, *bases} - {"builtins.object"}
    return frozenset(found)
