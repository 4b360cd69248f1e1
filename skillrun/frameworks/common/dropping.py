"""What drops an error on its way outward without a clause: `with contextlib.suppress(...)`, and a
`finally` that returns.
"""

from __future__ import annotations

import ast
from typing import Literal

from skillrun.frameworks.common.errors import short
from skillrun.repo.calls import exception_names
from skillrun.repo.python import Module
from skillrun.repo.syntax import find_nodes

# These take the exceptions of every library, whose bases nobody has read.
_TAKE_ALL = frozenset({"Exception", "BaseException"})
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_LEAVING = (ast.Return, ast.Break, ast.Continue)


def read_dropping(
    module: Module, node: ast.AST, bases: frozenset[str], block: ast.AST | None = None
) -> Literal["ends", "unsure"] | None:
    """Whether an error that a node raises is dropped in the node's own function; None where it is
    not. `bases` are the names of the error and of its base classes, and `block` the `try` whose
    clauses take it, if one does: what stands around that has nothing to drop.
    """
    below = node
    for above in module.parents(node):
        if above is block or isinstance(above, _FUNCTIONS):
            return None
        if isinstance(above, ast.With | ast.AsyncWith) and below in above.body:
            if not _list_suppressed(module, above).isdisjoint(bases | _TAKE_ALL):
                return "ends"
        elif isinstance(above, ast.Try | ast.TryStar) and below not in above.finalbody:
            # What leaves by `return` takes the place of the error that was on its way.
            if any(isinstance(one, ast.Return) for one in above.finalbody):
                return "ends"
            if _may_leave(module, above.finalbody):
                return "unsure"
        below = above
    return None


def _list_suppressed(module: Module, node: ast.With | ast.AsyncWith) -> set[str]:
    """The exceptions that a `with` drops, each by the last word of its name."""
    names = set[str]()
    for item in node.items:
        manager = item.context_expr
        if isinstance(manager, ast.Call) and module.resolve(manager.func) == "contextlib.suppress":
            for argument in manager.args:
                names.update(map(short, exception_names(module, argument)))
    return names


def _may_leave(module: Module, body: list[ast.stmt]) -> bool:
    """Whether some statement of a block may leave it."""
    for statement in body:
        function = module.function_of(statement)
        for node in find_nodes(statement, ast.stmt):
            if isinstance(node, _LEAVING) and module.function_of(node) is function:
                return True
    return False
