"""A rule about the arguments of a published job: Celery compares them with the task's signature
when it publishes.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.frameworks.celery.config import in_tests, place_of
from skillrun.frameworks.celery.rules.facts import say, task_of
from skillrun.frameworks.celery.tasks import Task, run_node
from skillrun.frameworks.celery.wiring import PUBLISHING
from skillrun.frameworks.common.arguments import Given, count_in, mismatch, names_in, shown
from skillrun.frameworks.interface import Job
from skillrun.repo.python import Module
from skillrun.verdict import Finding, Severity


def wrong_arguments(job: Job) -> Iterator[Finding]:
    """A literal call that leaves out an argument, or gives one that the task does not take."""
    task = task_of(job)
    taken = _parameters(task)
    if taken is None or task.options.get("typing") is not None:
        return
    for use in job.project.uses(task.handler.dotted):
        given = None if in_tests(use.path) else _given(use.module, use.node)
        wrong = mismatch(taken, given) if given else None
        if given is not None and wrong is not None:
            message = (
                f"{wrong}: publishing raises TypeError, because Celery checks the arguments against"
                " the task"
            )
            place = place_of(use.module, given.node)
            yield say(
                "wrong-arguments", Severity.ERROR, place, message, f"the task takes {shown(taken)}"
            )


def _parameters(task: Task) -> ast.arguments | None:
    """The parameters of a delivery; None where `*args`, `**kwargs` or a decorator of ours hides
    them.
    """
    node = run_node(task.handler)
    if node is None or node.args.vararg or node.args.kwarg:
        return None
    if not task.handler.is_class and len(node.decorator_list) > 1:
        return None
    if task.self_name is None:
        return node.args
    plain = [*node.args.posonlyargs, *node.args.args][1:]
    return ast.arguments(
        [], plain, None, node.args.kwonlyargs, node.args.kw_defaults, None, node.args.defaults
    )


def _given(module: Module, node: ast.expr) -> Given | None:
    """`task.delay(...)`, `task.apply_async(...)`, or `partial(task.delay, ...)`; None where it
    cannot be told.
    """
    method, above = list(module.parents(node))[:2]
    if (
        not isinstance(method, ast.Attribute)
        or method.attr not in PUBLISHING
        or not isinstance(above, ast.Call)
    ):
        return None
    if above.func is method:
        return _plain(above, 0) if method.attr.startswith("delay") else _message(above)
    partial = module.resolve(above.func) == "functools.partial" and above.args[:1] == [method]
    return (
        _plain(above, 1)
        if partial and method.attr.startswith("delay") and _handed_on(module, above)
        else None
    )


def _handed_on(module: Module, partial: ast.Call) -> bool:
    """`on_commit(partial(...))` adds no argument of its own."""
    above = next(module.parents(partial), None)
    called = above.func if isinstance(above, ast.Call) else None
    return isinstance(called, ast.Attribute | ast.Name) and ast.unparse(called).endswith(
        "on_commit"
    )


def _plain(call: ast.Call, skipped: int) -> Given | None:
    names = [keyword.arg for keyword in call.keywords]
    if any(isinstance(arg, ast.Starred) for arg in call.args) or None in names:
        return None
    return Given(call, len(call.args) - skipped, tuple(name for name in names if name))


def _message(call: ast.Call) -> Given | None:
    """`apply_async((1, 2), {"a": 3}, countdown=5)`; only what is written out."""
    if any(keyword.arg is None for keyword in call.keywords):
        return None
    options = {keyword.arg: keyword.value for keyword in call.keywords}
    args = call.args[0] if call.args else options.get("args")
    kwargs = call.args[1] if len(call.args) > 1 else options.get("kwargs")
    count, names = count_in(args), names_in(kwargs)
    return None if count is None or names is None else Given(call, count, names)
