"""What a handler raises as `Retry`: for which exceptions, after which wait, and up to which try.

Source: arq/worker.py (`Retry`, `run_job`): Retry alone is run again, at `defer` from now; every run
that begins counts as a try, a death too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from skillrun.frameworks.arq.hooks import HOOKS
from skillrun.frameworks.common.again import Path, Tries, find_bound
from skillrun.frameworks.common.around import decorators
from skillrun.frameworks.common.giving_up import Record
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.interface import Backoff
from skillrun.repo.python import remembered
from skillrun.repo.syntax import find_nodes, is_constant, name_method

if TYPE_CHECKING:
    from skillrun.repo.python import Call, Definition, Handler, Project

RETRY = ("arq.worker.Retry", "arq.Retry")
# Functions of the repository that are followed.
_DEEP = 2


class JobTry(Tries):
    """`ctx["job_try"]` counts from 1: what it is at each retry."""

    def is_retries(self, node: ast.expr) -> bool:
        """`ctx["job_try"]`, `ctx.get("job_try", 1)`, `int(ctx.get("job_try") or 1)`."""
        if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
            return self.is_retries(node.values[0])
        if isinstance(node, ast.Call) and node.args:
            if ast.unparse(node.func) == "int":
                return self.is_retries(node.args[0])
            return name_method(node) == "get" and is_constant(node.args[0], "job_try")
        return isinstance(node, ast.Subscript) and is_constant(node.slice, "job_try")


@remembered
def find_retries(project: Project, handler: Definition) -> tuple[Path, ...]:
    """Every `Retry` that is raised on the handler's way, in order."""
    return tuple(_find_raised(project, handler))


def _find_raised(project: Project, handler: Definition) -> Iterator[Path]:
    for call in project.calls(handler, depth=_DEEP):
        if _is_raised(project, call):
            yield _read_path(project, call)
    for decorator in decorators(project, handler):
        for node in find_nodes(decorator.node, ast.Call):
            inside = project.call_at(decorator.module, node)
            if _is_raised(project, inside):
                yield replace(_read_path(project, inside), around=True)


def _is_raised(project: Project, call: Call) -> bool:
    return is_retry(project, call) and isinstance(
        next(call.module.parents(call.node), None), ast.Raise
    )


def is_retry(project: Project, call: Call) -> bool:
    """`Retry(...)` of arq's own, or of a class derived from it."""
    return any(name in RETRY for name in (call.origin, *project.ancestors(call.origin)))


def raises_retry(project: Project, clause: Handler) -> bool:
    """Some way through a clause, or through a function that it calls, leads to a Retry."""
    for node in find_nodes(clause.node, ast.Call):
        call = project.call_at(clause.module, node)
        own = None
        if call.resolved:
            own = project.definition(call.name)
        if own is not None and not own.is_class:
            inner = project.calls(own, depth=1)
        else:
            inner = ()
        if any(is_retry(project, one) for one in (call, *inner)):
            return True
    return False


def find_left(project: Project, handler: Definition) -> Record | None:
    """The record of a job that is given up: what stands beside the Retry that is not raised any
    more (the clause, or the branch of `job_try`), and an after_job_end that looks at the result.
    """
    ways = find_retries(project, handler)
    return HOOKS.find_left(
        project,
        handler,
        JobTry(project, {}),
        ways,
        lambda clause: raises_retry(project, clause),
        RETRY,
    )


def _read_path(project: Project, call: Call) -> Path:
    tries = JobTry(project, {})
    return Path(
        place_of(call.module, call.node),
        call.in_except,
        _backoff(tries, call),
        *find_bound(tries, call.module, call.node),
        call=call,
    )


def _backoff(tries: JobTry, call: Call) -> Backoff | None:
    node = call.argument(0, "defer")
    if node is None:
        spread = any(keyword.arg is None for keyword in call.node.keywords)
        if spread:
            return None
        return Backoff("none")
    if isinstance(node, ast.Constant) and not node.value:
        return Backoff("none")
    return tries.backoff(node, call.module)
