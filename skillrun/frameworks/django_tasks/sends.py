"""Who enqueues a task: `enqueue` and `aenqueue`, also through `using`, `partial` and `on_commit`;
and what starts that.

Django has no scheduler: what starts the function that enqueues, a crontab line or a loop, is the
schedule.

Sources: django/tasks/base.py and django_tasks/base.py (`Task.using`, `enqueue`, `aenqueue`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace

from skillrun.frameworks.common.again import bodies
from skillrun.frameworks.common.arguments import drop_first, read_call, read_parameters
from skillrun.frameworks.common.callables.callers import reach_of_places
from skillrun.frameworks.common.callables.wiring import starting
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.sender import Sender, hold_options, order_sends
from skillrun.frameworks.django_tasks.backends import find_backends
from skillrun.frameworks.django_tasks.tasks import Task, read_task
from skillrun.frameworks.interface import (
    Job,
    Send,
)
from skillrun.repo.places import is_aside, is_plainly_test
from skillrun.repo.python import Definition, Module, Project
from skillrun.repo.syntax import find_nodes
from skillrun.repo.uses import FrameworkUse

ENQUEUES = ("enqueue", "aenqueue")
# The running task's own.
_HELD = ("context.task_result.task",)
# They run the task where it stands, or drop it: no worker is faster than the commit.
_NO_WORKER = ("ImmediateBackend", "DummyBackend")
# `.enqueue`, and the `.using(...)` before it.
Enqueue = tuple[ast.Attribute, ast.Call | None]


def find_sends(project: Project, use: FrameworkUse, handler: Definition) -> tuple[Send, ...]:
    """Every place that enqueues or schedules the handler."""
    task = read_task(project, handler)
    key = ("django-tasks.sends", use.app, handler.dotted)
    return project.remember(key, lambda: order_sends(_find_sends(project, use, task)))


def _find_sends(project: Project, use: FrameworkUse, task: Task) -> Iterator[Send]:
    waits = _waits_for_commit(project, use, task)
    for send in find_enqueues(project, task):
        yield replace(send, waits_for_commit=waits)
    yield from _find_starts(project, task)


def _waits_for_commit(project: Project, use: FrameworkUse, task: Task) -> bool:
    """The database backend's row is there with the commit; another backend has its worker at
    once.
    """
    outside = []
    for backend in find_backends(project, use, task):
        if backend.path is not None and not backend.is_database:
            outside.append(backend)
    return not outside or any(backend.kind in _NO_WORKER for backend in outside)


def _find_starts(project: Project, task: Task) -> Iterator[Send]:
    """What starts by the clock the functions and scripts that enqueue."""
    places = []
    for send in find_enqueues(project, task):
        if send.call is not None and not send.own and not is_aside(send.place.path):
            places.append((send.call.module, send.call.node))
    for start in starting(project, reach_of_places(project, places)):
        if start.kind == "schedule":
            yield start


def find_enqueues(project: Project, task: Task) -> tuple[Send, ...]:
    """Everything that enqueues the task, its own retries and what stands in tests included."""
    key = ("django-tasks.enqueues", task.handler.dotted)
    return project.remember(key, lambda: tuple(_find_enqueues(project, task)))


def find_real_enqueues(project: Project, task: Task) -> tuple[Send, ...]:
    """Those outside the tests."""
    enqueues = []
    for send in find_enqueues(project, task):
        if not send.in_tests:
            enqueues.append(send)
    return tuple(enqueues)


def _find_enqueues(project: Project, task: Task) -> Iterator[Send]:
    own_parts = [part.node for part in bodies(project, task.handler)]
    for module, node in _find_names(project, task):
        found = find_enqueue(module, node)
        if found is not None:
            send = _read_enqueue(project, module, found)
            yield replace(send, own=any(above in own_parts for above in module.parents(node)))


def _find_names(project: Project, task: Task) -> Iterator[tuple[Module, ast.expr]]:
    """Where the task is named: by its own name, and in its body as the running one."""
    for use in project.uses(task.name or task.handler.dotted):
        yield use.module, use.node
    for part in _with_context(project, task):
        for node in find_nodes(part.node, ast.Attribute):
            if ast.unparse(node).endswith(_HELD):
                yield part.module, node


def _with_context(project: Project, task: Task) -> tuple[Definition, ...]:
    """The bodies in which `context` may be the running task's."""
    if "takes_context" not in task.options:
        return ()
    return bodies(project, task.handler)


def find_enqueue(module: Module, node: ast.expr) -> Enqueue | None:
    """What enqueues the task that an expression means, if anything: through `.using(...)`, also
    held by a variable.
    """
    above = next(module.parents(node), None)
    using = None
    if isinstance(above, ast.Attribute) and above.attr == "using":
        using = next(module.parents(above), None)
        above = None
        if isinstance(using, ast.Call):
            above = next(module.parents(using), None)
    if isinstance(above, ast.Assign) and isinstance(using, ast.Call):
        above = _find_later_enqueue(module, above)
    if not isinstance(above, ast.Attribute) or above.attr not in ENQUEUES:
        return None
    return above, using if isinstance(using, ast.Call) else None


def _read_enqueue(project: Project, module: Module, enqueue: Enqueue) -> Send:
    """`.enqueue(...)`, or what is handed on to be called: `partial(x.enqueue, 1)`."""
    method, using = enqueue
    keywords = []
    if using is not None:
        keywords = using.keywords
    options = {}
    for keyword in keywords:
        if keyword.arg:
            options[keyword.arg] = keyword.value
    send = Send(
        "enqueue",
        place_of(module, method),
        f".{method.attr}(...)",
        is_plainly_test(module.path),
        options=hold_options(options, module),
        options_hidden=len(options) < len(keywords),
    )
    call = next(module.parents(method), None)
    if not isinstance(call, ast.Call):
        return send
    send = replace(send, call=project.call_at(module, call))
    if call.func is not method:
        return send
    is_coroutine = method.attr == "aenqueue"
    return replace(send, arguments=read_call(call), is_coroutine=is_coroutine)


def _find_later_enqueue(module: Module, assigned: ast.Assign) -> ast.Attribute | None:
    """`later = task.using(...)`, then `later.enqueue(...)` in the same function."""
    name = ""
    if isinstance(assigned.targets[0], ast.Name):
        name = assigned.targets[0].id
    scope = module.function_of(assigned) or module.tree
    for node in ast.walk(scope):
        sends = isinstance(node, ast.Attribute) and node.attr in ENQUEUES
        if sends and isinstance(node, ast.Attribute) and ast.unparse(node.value) == name:
            return node
    return None


def find_parameters(job: Job) -> ast.arguments | None:
    """What is enqueued: the context comes from Django."""
    taken = read_parameters(job.handler)
    with_context = read_task(job.project, job.handler).is_on(job.project, "takes_context")
    if taken is not None and with_context:
        return drop_first(taken)
    return taken


SENDER = Sender(
    find_sends=find_sends,
    find_parameters=find_parameters,
    sending="enqueueing",
    sent="enqueued",
    misfit="nobody looks when it is enqueued, the task fails with TypeError in the worker",
    taker="the task takes",
    after_commit="transaction.on_commit(partial(ship.enqueue, ...))",
)
