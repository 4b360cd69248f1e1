"""What Huey calls around a run: receivers of its signals, and pre- and post-execute hooks.

Sources: huey/signals.py, huey/api.py (`signal`, `pre_execute`, `post_execute`). A receiver of
several signals counts for each of them only where it does not ask which one it was.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from skillrun.frameworks.huey.apps import app_method
from skillrun.repo.places import is_plainly_test
from skillrun.repo.source import last_word
from skillrun.repo.syntax import find_nodes

if TYPE_CHECKING:
    from skillrun.repo.python import Definition, Module, Project
    from skillrun.repo.uses import FrameworkUse

# event -> (signal, hook)
HOOKS = {
    "started": ("executing", "pre_execute"),
    "succeeded": ("complete", None),
    "failed": ("error", None),
    "retried": ("retrying", None),
}

_LEVELS = ("debug", "info", "warning", "error", "exception", "critical")


def find_hooks(project: Project, use: FrameworkUse, handler: Definition) -> dict[str, Definition]:
    """Event -> the function of the repository that is called then: the first that names the
    handler, else the first.

    A receiver of errors that asks how many retries are left, and logs it, is told of retries too.
    """
    found = {}
    for event, (signal, hook) in HOOKS.items():
        heard = list(_list_heard(project, use, signal))
        called = heard or list(functions(project, use, hook) if hook else ())
        if called:
            found[event] = min(called, key=lambda one: not _names_handler(one, handler))
    if "failed" in found and _tells_retries(found["failed"]):
        found.setdefault("retried", found["failed"])
    return found


def _list_heard(project: Project, use: FrameworkUse, signal: str) -> Iterator[Definition]:
    """The receivers of a signal; one of several signals that branches does not tell which."""
    for definition, names in receivers(project, use, signal):
        if len(names) == 1 or not _has_branches(definition):
            yield definition


def _names_handler(receiver: Definition, handler: Definition) -> bool:
    """It asks for the handler, e.g. `isinstance(task, send.task_class)`."""
    for node in ast.walk(receiver.node):
        if not isinstance(node, ast.Name | ast.Attribute):
            continue
        if receiver.module.resolve(node) == handler.dotted:
            return True
    return False


def _tells_retries(receiver: Definition) -> bool:
    """A log call in a branch on `task.retries`."""
    for branch in find_nodes(receiver.node, ast.If):
        if not _asks_retries(branch.test):
            continue
        if any(last_word(call.func) in _LEVELS for call in find_nodes(branch, ast.Call)):
            return True
    return False


def _asks_retries(test: ast.expr) -> bool:
    return any(
        isinstance(node, ast.Attribute) and node.attr == "retries" for node in ast.walk(test)
    )


def receivers(
    project: Project, use: FrameworkUse, signal: str
) -> Iterator[tuple[Definition, tuple[str, ...]]]:
    """(function, the signals that it is connected to) under `@huey.signal(SIGNAL_ERROR)`; () means
    every signal.
    """
    for definition, call in _find_decorated(project, use, "signal"):
        names = tuple(_read_signal_name(project, definition.module, node) for node in call.args)
        if not names or signal in names:
            yield definition, names


def functions(project: Project, use: FrameworkUse, hook: str) -> Iterator[Definition]:
    """The functions under `@huey.post_execute()`."""
    for definition, _ in _find_decorated(project, use, hook):
        yield definition


def _find_decorated(
    project: Project, use: FrameworkUse, method: str
) -> Iterator[tuple[Definition, ast.Call]]:
    for module in project.modules_with(method):
        if is_plainly_test(module.path):
            continue
        for node in module.nodes(ast.FunctionDef):
            for call in node.decorator_list:
                if isinstance(call, ast.Call) and _is_app_method(
                    project, use, call, module, method
                ):
                    yield project.define(module, node), call
                    break


def _is_app_method(
    project: Project, use: FrameworkUse, call: ast.Call, module: Module, method: str
) -> bool:
    found = app_method(project, use, call.func, module)
    return found is not None and found[1] == method


def _read_signal_name(project: Project, module: Module, node: ast.expr) -> str:
    """ "error" of SIGNAL_ERROR, `signals.SIGNAL_ERROR` or the text itself."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    name = project.origin(module.resolve(node) or ast.unparse(node)).rpartition(".")[2]
    return name.removeprefix("SIGNAL_").lower().replace("rate_limited", "rate-limited")


def _has_branches(definition: Definition) -> bool:
    return any(
        isinstance(node, ast.If | ast.Match | ast.IfExp) for node in ast.walk(definition.node)
    )
