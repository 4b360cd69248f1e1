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

from skillrun.frameworks.common.errors import ancestors, short, takes_any
from skillrun.frameworks.huey.apps import app_method
from skillrun.frameworks.huey.tasks import Task
from skillrun.repo.syntax import find_keyword, find_nodes, has_spread, is_constant

if TYPE_CHECKING:
    from skillrun.repo.python import Call, Definition, Handler, Module, Project
    from skillrun.repo.uses import FrameworkUse

RETRY = ("huey.RetryTask", "huey.exceptions.RetryTask")
CANCEL = ("huey.CancelExecution", "huey.exceptions.CancelExecution")
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
        return self.readable and self.retry is True


def bodies(project: Project, handler: Definition, depth: int = 1) -> tuple[Definition, ...]:
    """The handler, and the repository's functions that it calls."""
    return (handler, *project.reached(handler, depth=depth))


def raised(project: Project, task: Task) -> Iterator[Raised]:
    """Every `raise RetryTask(...)` and `raise CancelExecution(...)` on the way."""
    for part in bodies(project, task.handler):
        for node in ast.walk(part.node):
            found = None
            if isinstance(node, ast.Raise):
                found = _read_raise(project, node, part.module)
            if found is not None:
                yield found


def _read_raise(project: Project, node: ast.Raise, module: Module) -> Raised | None:
    made = node.exc
    name = None
    if made is not None:
        name = module.resolve(made.func if isinstance(made, ast.Call) else made)
    origin = ""
    if name:
        origin = project.origin(name)
    if origin in RETRY:
        return Raised(node, module, cancels=False, retry=True)
    if origin not in CANCEL:
        return None
    given = None
    if isinstance(made, ast.Call):
        given = find_keyword(made, "retry")
    value = None
    if given is not None:
        value = project.literal(given, module)
    is_hidden = isinstance(made, ast.Call) and has_spread(made)
    known = (value is None or isinstance(value, bool)) and not is_hidden
    return Raised(node, module, cancels=True, retry=value if known else None, readable=known)


def guarded(found: Raised) -> bool:
    """An `if` decides whether it is raised, by something else than `task.retries`, which it does
    not use up.
    """
    around = set[ast.AST]()
    for above in found.module.parents(found.node):
        if isinstance(above, ast.FunctionDef | ast.AsyncFunctionDef):
            return _is_left_before(above, found.node.lineno, around)
        if isinstance(above, ast.If | ast.Match) and not is_remaining(getattr(above, "test", None)):
            return True
        around.add(above)
    return False


def _is_left_before(function: ast.AST, line: int, around: set[ast.AST]) -> bool:
    """Another branch leaves the function before that line."""
    for node in find_nodes(function, ast.If):
        if node in around:
            continue
        if node.lineno < line and _leaves_function(node.body):
            return True
    return False


def _leaves_function(body: list[ast.stmt]) -> bool:
    return bool(body) and isinstance(body[-1], ast.Return | ast.Raise)


def is_remaining(test: ast.expr | None) -> bool:
    """`task.retries`, `task.retries > 0`, `not task.retries`: how many retries are left."""
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
    if isinstance(test, ast.UnaryOp):
        return node.body
    if not isinstance(test, ast.Compare):
        return node.orelse or _list_last_attempt(node)
    if isinstance(test.ops[0], ast.Eq | ast.Lt | ast.LtE):
        return node.body
    if isinstance(test.ops[0], ast.Gt | ast.GtE | ast.NotEq):
        return node.orelse or _list_last_attempt(node)
    return []


def _list_last_attempt(node: ast.If) -> list[ast.stmt]:
    """`if task.retries: raise` leaves the statements below it for the last attempt; found by the
    caller.
    """
    if not _leaves_function(node.body):
        return []
    return [ast.Pass(lineno=node.end_lineno or node.lineno)]


def fate(project: Project, task: Task, call: Call, exception: str) -> str:
    """What an exception of a call leads to: retries, stops (given up at once), ends (a success for
    Huey), unsure.
    """
    done: set[ast.AST | None] = set()
    for clause in call.in_try:
        block = clause.module.above(clause.node, ast.Try, ast.TryStar)
        if block in done:
            continue
        caught = _catches_exception(project, clause, exception)
        if caught is None:
            return "unsure"
        if not caught:
            continue
        done.add(block)
        answer = outcome(project, clause)
        if answer != "again":
            return answer
    if task.unread or _may_take_errors(project, task):
        return "unsure"
    return "retries"


def _may_take_errors(project: Project, task: Task) -> bool:
    """A decorator below the task's own may do something with an error."""
    for decorator in task.below:
        if isinstance(decorator, ast.Call):
            called = decorator.func
        else:
            called = decorator
        if not _passes_errors(project, called, task.handler.module):
            return True
    return False


def _passes_errors(project: Project, node: ast.expr, module: Module) -> bool:
    """A decorator below the task's own that lets exceptions through."""
    name = project.origin_of(module, node)
    return name in _HARMLESS or name.endswith(".lock_task")


def _catches_exception(project: Project, clause: Handler, exception: str) -> bool | None:
    """None where bases outside the repository decide."""
    bases = ancestors(project, exception)
    if clause.broad or takes_any(clause, bases):
        return True
    outside = []
    for name in bases:
        if not name.startswith("builtins.") and project.definition(name) is None:
            outside.append(name)
    packages = {short(name).partition(".")[0] for name in clause.exceptions}
    if outside and outside[0].partition(".")[0] in packages:
        return None
    return False


def outcome(project: Project, clause: Handler) -> str:
    """Where a clause leads: again (the exception goes on), or as `fate`."""
    nodes = list(_list_own_nodes(clause.node))
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
    known = _read_raise(project, node, clause.module)
    if known is not None and not known.readable:
        return "unsure"
    if (known and known.cancels and known.retry is False) or any(map(gives_up, nodes)):
        return "stops"
    if known is not None:
        return "retries"
    if node.exc is None or (isinstance(node.exc, ast.Name) and node.exc.id == clause.name):
        return "again"
    if _inside_another(clause):
        return "unsure"
    return "retries"


def gives_up(node: ast.AST) -> bool:
    """`task.retries = 0`."""
    if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Attribute):
        return False
    zero = is_constant(node.value, 0)
    return zero and node.targets[0].attr == "retries"


def _inside_another(clause: Handler) -> bool:
    tries = []
    for n in clause.module.parents(clause.node):
        if isinstance(n, ast.Try | ast.TryStar):
            tries.append(n)
    return len(tries) > 1


def _list_own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(
            child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef
        ):
            yield child
            yield from _list_own_nodes(child)


def locks(
    project: Project, use: FrameworkUse, task: Task
) -> Iterator[tuple[ast.Call, Module, bool]]:
    """(call, module, at import) of each `lock_task(...)` around the job: a decorator, or a `with`
    on its way.
    """
    for node in task.below:
        if isinstance(node, ast.Call) and _is_lock(project, use, node, task.handler.module):
            yield node, task.handler.module, True
    for part in bodies(project, task.handler):
        for inner in ast.walk(part.node):
            if isinstance(inner, ast.With):
                for item in inner.items:
                    call = item.context_expr
                    if isinstance(call, ast.Call) and _is_lock(project, use, call, part.module):
                        yield call, part.module, False


def _is_lock(project: Project, use: FrameworkUse, call: ast.Call, module: Module) -> bool:
    found = app_method(project, use, call.func, module)
    return found is not None and found[1] == "lock_task"
