"""Which names of an import a module has, and which it lacks."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from skillrun.skills.job_worker.scaffold.editing.bindings import (
    Binding,
    Follow,
    Imported,
    same_origin,
    unfollowed,
)
from skillrun.skills.job_worker.scaffold.editing.source import CannotEdit


def is_there(
    one: Imported,
    bound: Sequence[Binding],
    path: str,
    *,
    for_types: bool,
    follow: Follow = unfollowed,
) -> bool:
    """Whether the module has it. Raises CannotEdit where its name is something else there."""
    if any(same_origin(one.origin, binding.origin, follow) for binding in bound):
        return any(
            provides_import(one, binding, for_types=for_types, follow=follow) for binding in bound
        )
    clash = None
    for binding in bound:
        # What is only for type checkers does not stand in the way of what runs.
        if for_types or not binding.for_types:
            clash = binding
            break
    if clash is None:
        return False
    what = ast.unparse(clash.statement).splitlines()[0]
    raise CannotEdit(
        f"{path}:{clash.statement.lineno}: {one.name} is `{what}` here, and the scaffold means"
        f" {one.origin.name} by it",
        hint="rename it here, or in the job spec",
    )


def provides_import(
    one: Imported, binding: Binding, *, for_types: bool, follow: Follow = unfollowed
) -> bool:
    """Whether a binding of the module brings what an import would bring."""
    if binding.for_types and not for_types:
        return False
    # `import a.b` binds `a`, and loads `a.b` too.
    if "." in one.dotted:
        return f"{binding.dotted}.".startswith(f"{one.dotted}.")
    return same_origin(one.origin, binding.origin, follow)
