"""What RQ calls around a run: on_success and on_failure of the job, and exception handlers of the
workers.

Sources: rq/worker/base.py (`_finalize_failure`: on_failure and the exception handlers run after
every failed attempt), rq/callbacks.py, django_rq's RQ_EXCEPTION_HANDLERS.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from skillrun.frameworks.common.reading import held_value, options_of
from skillrun.frameworks.common.sender import hold_options
from skillrun.frameworks.rq.sends import find_effective_sends, job_decorator
from skillrun.frameworks.rq.workers import launches_of
from skillrun.repo.places import is_plainly_test
from skillrun.repo.python import Definition, Module, Project
from skillrun.repo.syntax import find_keyword, find_nodes

_CALLBACK = ("rq.Callback", "rq.job.Callback", "rq.callbacks.Callback")
_LEFT = ("retries_left", "should_retry", "number_of_retries")


def find_hooks(project: Project, handler: Definition) -> dict[str, Definition]:
    """Event -> function. What hears of failures hears of retries too, if it looks whether one
    follows.
    """
    failed = next(failure_callbacks(project, handler), None) or next(
        exception_handlers(project), None
    )
    succeeded = next(_find_own_callbacks(project, handler, "on_success"), None)
    found = {"failed": failed, "succeeded": succeeded}
    if failed is not None and looks_at_retries(project, failed):
        found["retried"] = failed
    hooks = {}
    for event, hook in found.items():
        if hook is not None:
            hooks[event] = hook
    return hooks


def failure_callbacks(project: Project, handler: Definition) -> Iterator[Definition]:
    """The functions of the repository that are given as `on_failure`."""
    yield from _find_own_callbacks(project, handler, "on_failure")


def _find_own_callbacks(project: Project, handler: Definition, option: str) -> Iterator[Definition]:
    seen: set[str] = set()
    for options in _find_options(project, handler):
        given = options.get(option)
        found = None
        if given is not None:
            found = callback(project, *given)
        if found is not None and found.dotted not in seen:
            seen.add(found.dotted)
            yield found


def _find_options(
    project: Project, handler: Definition
) -> Iterator[Mapping[str, tuple[ast.expr, Module]]]:
    """The options of every send; those of the decorator where nothing enqueues the handler yet."""
    sends = find_effective_sends(project, handler)
    for send in sends:
        yield send.options
    decorator = job_decorator(project, handler)
    if not sends and decorator is not None and isinstance(decorator[0], ast.Call):
        yield hold_options(options_of(project, decorator[0], decorator[1])[0], decorator[1])


def callback(project: Project, node: ast.expr | None, module: Module) -> Definition | None:
    """The function behind `f`, `Callback(f)`, or its name as text."""
    held = None
    if node is not None:
        held = held_value(project, node, module)
    if held is not None and isinstance(held[0], ast.Call):
        node, module = held
    if isinstance(node, ast.Call) and project.origin_of(module, node.func) in _CALLBACK:
        if node.args:
            node = node.args[0]
        else:
            node = find_keyword(node, "func")
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return project.find(node.value)
    name = None
    if node is not None:
        name = module.resolve(node)
    found = None
    if name:
        found = project.definition(name)
    if found is None or found.is_class:
        return None
    return found


def exception_handlers(project: Project) -> Iterator[Definition]:
    """`exception_handlers=[f]` and `push_exc_handler(f)` of a worker, RQ_EXCEPTION_HANDLERS,
    `--exception-handler`.
    """
    for node, module in nodes_beside(project, "exception_handlers"):
        if isinstance(node, ast.keyword) and node.arg == "exception_handlers":
            yield from _list_listed(project, node.value, module)
    for node, module in nodes_beside(project, _SETTING):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == _SETTING:
            yield from _list_listed(project, node.value, module)
    for _, launch in launches_of(project):
        for option, value in zip(launch.words, launch.words[1:], strict=False):
            found = None
            if option == "--exception-handler":
                found = project.find(value)
            if found is not None:
                yield found


_SETTING = "RQ_EXCEPTION_HANDLERS"


def nodes_beside(project: Project, word: str) -> Iterator[tuple[ast.AST, Module]]:
    """Every node of the modules that hold a word, tests left out."""
    for module in project.modules_with(word):
        if not is_plainly_test(module.path):
            for node in module.all_nodes:
                yield node, module


def _list_listed(project: Project, node: ast.expr, module: Module) -> Iterator[Definition]:
    if isinstance(node, ast.List | ast.Tuple):
        for element in node.elts:
            found = callback(project, element, module)
            if found is not None:
                yield found


def looks_at_retries(project: Project, hook: Definition) -> bool:
    """What it does depends on whether retries are left, here or in a function that it calls."""
    for part in (hook, *project.reached(hook, depth=2)):
        for node in ast.walk(part.node):
            if not isinstance(node, ast.If | ast.IfExp | ast.While):
                continue
            asked = ast.unparse(node.test)
            if any(word in asked for word in _LEFT):
                return True
    return False


def random_waits(project: Project, handler: Definition) -> bool:
    """A failure callback draws `job.retry_intervals` anew: RQ reads them after it, for the wait
    that comes next.
    """
    for hook in failure_callbacks(project, handler):
        for node in find_nodes(hook.node, ast.Assign):
            if not _is_interval(node.targets[0]):
                continue
            if any(_is_random(hook.module, part) for part in ast.walk(node.value)):
                return True
    return False


def _is_interval(target: ast.expr) -> bool:
    return isinstance(target, ast.Attribute) and target.attr == "retry_intervals"


def _is_random(module: Module, node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and (module.resolve(node.func) or "").startswith("random.")
