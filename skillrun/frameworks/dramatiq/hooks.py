"""What Dramatiq calls around a run: the actors of `on_success` and `on_failure`, and the
middleware's methods.

Sources: dramatiq/middleware/callbacks.py, retries.py and middleware.py.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from skillrun.frameworks.dramatiq.actors import actor_behind, read_actor
from skillrun.frameworks.dramatiq.setup import read_setup

if TYPE_CHECKING:
    from skillrun.repo.python import Definition, Project
    from skillrun.repo.uses import FrameworkUse

_CALLBACKS = (
    ("failed", "on_failure"),
    ("failed", "on_retry_exhausted"),
    ("succeeded", "on_success"),
)
_METHODS = (
    ("started", "before_process_message"),
    ("failed", "after_nack"),
    ("failed", "before_nack"),
)
# Options that a message has once it failed.
_OF_A_RETRY = ("'traceback'", "'retries'")
_LEVELS = ("debug", "info", "warning", "error", "exception", "critical", "log")


def find_hooks(project: Project, use: FrameworkUse, handler: Definition) -> dict[str, Definition]:
    """Event -> the first of the repository's functions that is called then."""
    actor, setup = read_actor(project, handler), read_setup(project, use)
    found: dict[str, Definition] = {}
    for event, name in _CALLBACKS:
        target = None
        if name in actor.options:
            target = actor_behind(project, actor.options[name])
        if target is not None:
            found.setdefault(event, target.handler)
    for event, name in _METHODS:
        method = project.member(setup.own, name)
        if method is not None:
            found.setdefault(event, method)
    sent = project.member(setup.own, "after_enqueue")
    if sent is not None and any(word in ast.unparse(sent.node) for word in _OF_A_RETRY):
        found.setdefault("retried", sent)
    after = project.member(setup.own, "after_process_message")
    if after is not None:
        # It is told the exception; see `_logs_success` for the other outcome.
        found.setdefault("failed", after)
        if _logs_success(after):
            found.setdefault("succeeded", after)
    return found


def _logs_success(method: Definition) -> bool:
    """A log call that is reached without an exception: outside every `if exception...`, or in the
    branch of None.
    """
    return any(_logs_retry(statement, True) for statement in getattr(method.node, "body", ()))


def _logs_retry(node: ast.AST, reached: bool) -> bool:
    called = None
    if isinstance(node, ast.Call) and reached:
        called = node.func
    if isinstance(called, ast.Attribute) and called.attr in _LEVELS:
        return True
    if isinstance(node, ast.If) and "exception" in ast.unparse(node.test):
        none = "is None" in ast.unparse(node.test) or isinstance(node.test, ast.UnaryOp)
        return any(_logs_retry(n, none) for n in node.body) or any(
            _logs_retry(n, not none) for n in node.orelse
        )
    return any(_logs_retry(child, reached) for child in ast.iter_child_nodes(node))
