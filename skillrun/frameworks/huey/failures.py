"""What becomes of an exception in a Huey task: every one that leaves it is retried while retries
are left.

Sources: huey/api.py `_execute` (RetryTask and CancelExecution(retry=True) use up no retry;
CancelExecution without retry=False is retried like any other), `_requeue_task` (the delay is
multiplied after each retry, without a cap).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.frameworks.huey.apps import app_method
from skillrun.frameworks.huey.tasks import Task
from skillrun.repo.syntax import find_keyword, find_nodes, has_spread, is_constant

if TYPE_CHECKING:
    from skillrun.repo.python import Definition, Handler, Module, Project
    from skillrun.repo.uses import FrameworkUse

RETRY = ("huey.RetryTask", "huey.exceptions.RetryTask")
CANCEL = ("huey.CancelExecution", "huey.exceptions.CancelExecution")
# Decorators that let every error through.
_HARMLESS = ("django.db.transaction.atomic", "functools.wraps")


@dataclass(frozen=True)
class Raised:
    """A `raise` of one of Huey's own exceptions. `endless`: each time it is retried without using
    up a retry.
    """

    node: ast.Raise
    module: Module
    cancels: bool
    retry: bool | None  # of CancelExecution; True for RetryTask
    readable: bool = True

    @property
    def endless(self) -> bool:
        """Whether nothing that Huey counts ends it."""
        return self.readable and self.retry is True


def bodies(project: Project, handler: Definition, depth: int = 1) -> tuple[Definition, ...]:
    """The handler, and the repository's functions that it calls."""
    return (handler, *project.reached(handler, depth=depth))


def raised(project: Project, task: Task) -> Iterator[Raised]:
    """Every `raise RetryTask(...)` and `raise CancelExecution(...)` on the way."""
    for function in bodies(project, task.handler):
        for node in find_nodes(function.node, ast.Raise):
            found = read_raise(project, node, function.module)
            if found is not None:
                yield found


def read_raise(project: Project, node: ast.Raise, module: Module) -> Raised | None:
    """What a `raise` of one of Huey's own exceptions says; None for any other."""
    error = node.exc
    if error is None:
        return None
    call = None
    if isinstance(error, ast.Call):
        call, error = error, error.func
    origin = project.origin_of(module, error)
    if origin in RETRY:
        return Raised(node, module, cancels=False, retry=True)
    if origin not in CANCEL:
        return None
    retry = None
    if call is not None:
        option = find_keyword(call, "retry")
        if option is not None:
            retry = project.literal(option, module)
        if has_spread(call) or not isinstance(retry, bool | None):
            return Raised(node, module, cancels=True, retry=None, readable=False)
    return Raised(node, module, cancels=True, retry=retry)


def guarded(found: Raised) -> bool:
    """Whether an `if` decides that it is raised, by something else than `task.retries`, which it
    does not use up.
    """
    ancestors_of_raise = set[ast.AST]()
    for above in found.module.parents(found.node):
        if isinstance(above, ast.FunctionDef | ast.AsyncFunctionDef):
            return _is_left_before(above, found.node.lineno, ancestors_of_raise)
        if isinstance(above, ast.If | ast.Match) and not is_remaining(getattr(above, "test", None)):
            return True
        ancestors_of_raise.add(above)
    return False


def _is_left_before(function: ast.AST, line: int, apart_from: set[ast.AST]) -> bool:
    """Whether another `if` leaves the function before a line."""
    for node in find_nodes(function, ast.If):
        if node in apart_from:
            continue
        if node.lineno < line and _leaves_function(node.body):
            return True
    return False


def _leaves_function(body: list[ast.stmt]) -> bool:
    """Whether a block ends in `return` or `raise`."""
    return bool(body) and isinstance(body[-1], ast.Return | ast.Raise)


def is_remaining(test: ast.expr | None) -> bool:
    """Whether a test asks how many retries are left: `task.retries`, `task.retries > 0`, `not
    task.retries`.
    """
    if isinstance(test, ast.UnaryOp):
        return is_remaining(test.operand)
    if isinstance(test, ast.Compare):
        return is_remaining(test.left)
    return isinstance(test, ast.Attribute) and test.attr == "retries"


def last_branch(node: ast.If) -> list[ast.stmt]:
    """The branch that is taken when no retry is left; [] for any other `if`."""
    test = node.test
    if not is_remaining(test):
        return []
    # `if not task.retries:`, `if task.retries == 0:`
    if isinstance(test, ast.UnaryOp):
        return node.body
    if isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.Eq | ast.Lt | ast.LtE):
        return node.body
    # `if task.retries:`, `if task.retries > 0:`
    if not isinstance(test, ast.Compare) or isinstance(test.ops[0], ast.Gt | ast.GtE | ast.NotEq):
        return node.orelse or _list_last_attempt(node)
    return []


def _list_last_attempt(node: ast.If) -> list[ast.stmt]:
    """`if task.retries: raise` leaves the statements below it for the last attempt; found by the
    caller.
    """
    if not _leaves_function(node.body):
        return []
    return [ast.Pass(lineno=node.end_lineno or node.lineno)]


def may_take_errors(project: Project, task: Task) -> bool:
    """Whether a decorator below the task's own may do something with an error."""
    for decorator in task.below:
        named = decorator
        if isinstance(decorator, ast.Call):
            named = decorator.func
        name = project.origin_of(task.handler.module, named)
        if name not in _HARMLESS and not name.endswith(".lock_task"):
            return True
    return False


def outcome(project: Project, clause: Handler) -> str:
    """Where a clause leads: again (the exception goes on), retries, stops (given
    up at once), ends (a success for Huey), unsure."""
    nodes = list(list_own_nodes(clause.node))
    answers = set()
    for node in nodes:
        if isinstance(node, ast.Raise):
            answers.add(_follow_clause(project, clause, node, nodes))
    if not answers:
        return "ends"
    if len(answers) > 1 or not clause.always_raises:
        return "unsure"
    return answers.pop()


def _follow_clause(project: Project, clause: Handler, node: ast.Raise, nodes: list[ast.AST]) -> str:
    """Where one `raise` of a clause leads; `nodes` is what stands in the clause."""
    own = read_raise(project, node, clause.module)
    if own is not None and not own.readable:
        return "unsure"
    if own is not None and own.cancels and own.retry is False:
        return "stops"
    if any(map(gives_up, nodes)):
        return "stops"
    if own is not None:
        return "retries"
    is_caught_one = isinstance(node.exc, ast.Name) and node.exc.id == clause.name
    if node.exc is None or is_caught_one:
        return "again"
    # Another error: a `try` around this one may take it.
    if _is_in_another_try(clause):
        return "unsure"
    return "retries"


def gives_up(node: ast.AST) -> bool:
    """Whether it is `task.retries = 0`."""
    if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Attribute):
        return False
    return node.targets[0].attr == "retries" and is_constant(node.value, 0)


def _is_in_another_try(clause: Handler) -> bool:
    """Whether a `try` stands around the one of a clause."""
    parents = clause.module.parents(clause.node)
    tries = [node for node in parents if isinstance(node, ast.Try | ast.TryStar)]
    return len(tries) > 1


_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


def list_own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """What runs in a piece of code; not what stands in functions and classes in it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, _SCOPES):
            yield child
            yield from list_own_nodes(child)


def locks(
    project: Project, use: FrameworkUse, task: Task
) -> Iterator[tuple[ast.Call, Module, bool]]:
    """(call, module, at import) of each `lock_task(...)` around the job: a decorator, or a `with`
    on its way.
    """
    for node in task.below:
        if isinstance(node, ast.Call) and _is_lock(project, use, node, task.handler.module):
            yield node, task.handler.module, True
    for function in bodies(project, task.handler):
        for block in find_nodes(function.node, ast.With):
            for item in block.items:
                call = item.context_expr
                if isinstance(call, ast.Call) and _is_lock(project, use, call, function.module):
                    yield call, function.module, False


def _is_lock(project: Project, use: FrameworkUse, call: ast.Call, module: Module) -> bool:
    """Whether a call is of the `lock_task` of a Huey object."""
    found = app_method(project, use, call.func, module)
    return found is not None and found[1] == "lock_task"
