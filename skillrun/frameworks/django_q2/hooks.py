"""What Django Q2 calls around a job: the `hook` of the job, and receivers of its signals.

Sources: django_q/signals.py (`call_hook`: at every save of the Task row, so at each failed attempt
and at success), django_q/worker.py and django_q/monitor.py (pre_execute, post_execute).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.frameworks.common.guards import leaves
from skillrun.frameworks.django_q2.sends import find_real_publishes
from skillrun.repo.places import is_plainly_test
from skillrun.repo.python import Definition, Module, Project
from skillrun.repo.syntax import is_constant

_ENDS = ("post_execute", "post_execute_in_worker")
_COUNT = "attempt_count"


def find_hooks(project: Project, handler: Definition) -> dict[str, Definition]:
    """Event -> function. What hears of an end hears of failures; of retries too, if it asks for the
    attempt.
    """
    found: dict[str, Definition] = {}
    for ended in (*job_hooks(project, handler), *_find_receivers(project, _ENDS)):
        found.setdefault("failed", ended)
        if asks_attempt(project, ended):
            found.setdefault("retried", ended)
    for begun in _find_receivers(project, ("pre_execute",)):
        found.setdefault("started", begun)
    return found


def job_hooks(project: Project, handler: Definition) -> tuple[Definition, ...]:
    """The functions of the repository that are given as `hook`."""
    found: dict[str, Definition] = {}
    for send in find_real_publishes(project, handler):
        option = send.options.get("hook")
        hook = None
        if option is not None:
            hook = _find_function(project, *option)
        if hook is not None:
            found.setdefault(hook.dotted, hook)
    return tuple(found.values())


def ends(project: Project, handler: Definition) -> tuple[Definition, ...]:
    """Whatever is called with a job's end."""
    return (*job_hooks(project, handler), *_find_receivers(project, _ENDS))


def asks_attempt(project: Project, hook: Definition) -> bool:
    """What it does depends on the number of the attempt, here or in a function that it calls."""
    parts = (hook, *project.reached(hook))
    return any(_COUNT in ast.unparse(part.node) for part in parts)


def on_failure(hook: Definition) -> list[ast.stmt]:
    """What a hook does where the attempt failed: it is called for a success too, and asks
    `task.success`.
    """
    return list(_list_failing(getattr(hook.node, "body", [])))


def _list_failing(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        succeeded = None
        if isinstance(statement, ast.If):
            succeeded = _asks_success(statement.test)
        if succeeded is None or not isinstance(statement, ast.If):
            yield statement
            continue
        yield from _list_failing(statement.orelse if succeeded else statement.body)
        if not succeeded and leaves(statement.body):
            return


def _asks_success(test: ast.expr) -> bool | None:
    """True for `task.success`, False where it must not be; None for any other question."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = _asks_success(test.operand)
        if inner is None:
            return None
        return not inner
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return next(
            (found for part in test.values if (found := _asks_success(part)) is not None), None
        )
    named = isinstance(test, ast.Attribute) and test.attr == "success"
    keyed = isinstance(test, ast.Subscript) and is_constant(test.slice, "success")
    if named or keyed:
        return True
    return None


def _find_function(project: Project, node: ast.expr, module: Module) -> Definition | None:
    name = module.resolve(node)
    text = project.literal(node, module)
    found = None
    if name:
        found = project.definition(name)
    if found is None and isinstance(text, str):
        found = project.definition(text)
    if found is None or found.is_class:
        return None
    return found


def _find_receivers(project: Project, signals: tuple[str, ...]) -> Iterator[Definition]:
    for signal in signals:
        for module in project.modules_with(signal):
            for node in () if is_plainly_test(module.path) else module.all_nodes:
                found = _read_receiver(project, module, node, signal)
                if found is not None:
                    yield found


def _read_receiver(
    project: Project, module: Module, node: ast.AST, signal: str
) -> Definition | None:
    """The function of `@receiver(post_execute)`, or of `post_execute.connect(f)`."""
    if isinstance(node, ast.FunctionDef):
        given = []
        for one in node.decorator_list:
            if isinstance(one, ast.Call):
                for arg in one.args:
                    given.append(arg)
        if any(_is_signal(project, module, arg, signal) for arg in given):
            return project.define(module, node)
        return None
    if (
        not isinstance(node, ast.Call)
        or not isinstance(node.func, ast.Attribute)
        or node.func.attr != "connect"
    ):
        return None
    heard = bool(node.args) and _is_signal(project, module, node.func.value, signal)
    if not heard:
        return None
    return _find_function(project, node.args[0], module)


def _is_signal(project: Project, module: Module, node: ast.expr, signal: str) -> bool:
    return project.origin_of(module, node) == f"django_q.signals.{signal}"
