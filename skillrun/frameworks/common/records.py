"""Which call may leave a record behind: one that only logs, reports or builds a value does not."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from skillrun.repo.calls import in_thread
from skillrun.repo.python import Definition, Module, Project
from skillrun.repo.syntax import find_nodes

# What a call may be without leaving a record: logging, reporting, building values.
_PLAIN_WORDS = """debug info warning warn error exception critical log print retry capture_exception
    capture_message bind
    str repr format format_exc type isinstance getattr setattr len dict list tuple int float join get items super
    update_state get_logger getLogger get_task_logger on_failure on_retry incr increment inc labels
    begin begin_nested atomic transaction dumps"""
_LIBRARIES_THAT_LEAVE_NOTHING = (
    *(
        "logging.",
        "structlog.",
        "sentry_sdk.",
        "builtins.",
        "traceback.",
        "datetime.",
        "time.",
        "uuid.",
    ),
    "django.utils.timezone.",
)
# Functions of the repository that are read on the way to a record.
_FOLLOWED = 3
_LEAVES_NOTHING = frozenset(_PLAIN_WORDS.split())


def first_record(
    project: Project, body: Iterable[ast.stmt], module: Module, depth: int = _FOLLOWED
) -> ast.Call | None:
    """The first call that may leave a record behind; what only builds another call's arguments does
    not count.
    """
    for statement in body:
        for call in _outer_calls(statement):
            if _leaves_something(project, in_thread(module, call) or call, module, depth):
                return call
    return None


def _outer_calls(node: ast.AST) -> Iterator[ast.Call]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            yield child
        elif not isinstance(
            child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda
        ):
            yield from _outer_calls(child)


def _leaves_something(project: Project, call: ast.Call, module: Module, depth: int) -> bool:
    if isinstance(call.func, ast.Attribute):
        word = call.func.attr
    else:
        word = getattr(call.func, "id", "")
    origin = project.origin(module.resolve(call.func) or word)
    if word in _LEAVES_NOTHING or origin.startswith(_LIBRARIES_THAT_LEAVE_NOTHING):
        return False
    if word.endswith(("Error", "Exception", "Reject", "Ignore")):
        return False
    own = project.definition(origin)
    if own is None or depth == 0:
        return True
    return not own.is_class and (_is_task(own) or _writes_store(project, own, depth - 1))


def _is_task(own: Definition) -> bool:
    """Something decorated is more than its body: a task or a wrapped call."""
    return bool(own.decorators)


def _writes_store(project: Project, own: Definition, depth: int) -> bool:
    """What a function of the repository does itself; a mapping that it writes to may be a store."""
    body = getattr(own.node, "body", [])
    kept = any(
        isinstance(target, ast.Subscript)
        for statement in body
        for node in find_nodes(statement, ast.Assign)
        for target in node.targets
    )
    return kept or first_record(project, body, own.module, depth) is not None
