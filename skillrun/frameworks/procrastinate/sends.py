"""Who defers or schedules a task: `defer` and its kin on the task, by its name on the app,
`@app.periodic`.

Sources: procrastinate/tasks.py (`Task.defer`, `configure`), procrastinate/app.py
(`configure_task`), procrastinate/periodic.py.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace

from skillrun.frameworks.common.arguments import drop_first, read_call, read_parameters
from skillrun.frameworks.common.callables.callers import callers_of
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.sender import (
    Sender,
    Unkeyed,
    calls_method,
    find_function,
    hold_options,
    order_sends,
)
from skillrun.frameworks.interface import (
    Job,
    Send,
)
from skillrun.frameworks.procrastinate.tasks import Task, names_of, read_task
from skillrun.repo.places import is_plainly_test
from skillrun.repo.python import Call, Definition, Module, Project
from skillrun.repo.source import last_word
from skillrun.repo.syntax import find_keyword, find_nodes, name_method
from skillrun.repo.uses import FrameworkUse

DEFERS = ("defer", "defer_async")
BATCHES = ("batch_defer", "batch_defer_async")
_CONFIGURES = ("configure", "configure_task")
# (file, the call that defers, the `configure(...)` before it)
Found = tuple[Module, ast.Call, ast.Call | None]


# The way of a send that `configure` or `configure_task` stands before.
CONFIGURED = "configured"


def find_sends(project: Project, use: FrameworkUse, handler: Definition) -> tuple[Send, ...]:
    """Every place that defers or schedules the handler."""
    key = ("procrastinate.sends", use.app, handler.dotted)
    return project.remember(key, lambda: order_sends(_find_all(project, use, handler)))


def _find_all(project: Project, use: FrameworkUse, handler: Definition) -> Iterator[Send]:
    for periodic in read_task(project, use, handler).periodics:
        aside = is_plainly_test(periodic.place.path)
        yield Send("schedule", periodic.place, "periodic(...)", aside)
    for send in _find_deferring(project, use, handler):
        yield send
        yield from _find_ticks(project, use, send)


def _find_ticks(project: Project, use: FrameworkUse, send: Send) -> Iterator[Send]:
    """The periodic tasks that come to a deferring call: its own function, or one that calls
    that.
    """
    around = find_function(project, send)
    if around is None or send.in_tests or send.own:
        return
    for function in (around, *callers_of(project, around)):
        for periodic in read_task(project, use, function).periodics:
            how = f"periodic({function.name}) that defers it"
            yield Send("schedule", periodic.place, how)


def _find_deferring(project: Project, use: FrameworkUse, handler: Definition) -> Iterator[Send]:
    """The calls that defer it."""
    task = read_task(project, use, handler)
    for module, call, configured in _find_calls(project, task):
        yield _read_defer(project, task, module, call, configured)


def _read_defer(
    project: Project, task: Task, module: Module, call: ast.Call, configured: ast.Call | None
) -> Send:
    method = last_word(call.func)
    named: dict[str, ast.expr] = {}
    if configured is not None:
        named = {}
        for keyword in configured.keywords:
            if keyword.arg:
                named[keyword.arg] = keyword.value
    # A task has keyword arguments alone: what is given by position does not reach it.
    arguments = read_call(call, skipped=len(call.args))
    hidden = arguments.partly_hidden or bool(call.args) or "task_kwargs" in named
    send = Send(
        "enqueue",
        place_of(module, call),
        f".{method}(...)",
        is_plainly_test(module.path),
        own=task.handler.node in module.parents(call),
        call=project.call_at(module, call),
        via=CONFIGURED if configured is not None else "",
        arguments=replace(arguments, partly_hidden=hidden or method in BATCHES),
        options=hold_options(named, module),
        is_coroutine=method.endswith("_async"),
    )
    # Django's connection is the transaction's own, and so is one that is handed over.
    return replace(send, waits_for_commit=task.django or send.option("connection") is not None)


def _find_calls(project: Project, task: Task) -> Iterator[Found]:
    for name in task.names:
        for seen in project.uses(name):
            yield from _read_deferred(seen.module, seen.node)
    names = names_of(project, task)
    for module in project.modules_with("configure_task"):
        for node in module.nodes(ast.Call):
            if name_method(node) == "configure_task":
                given = find_keyword(node, "name")
                if node.args:
                    given = node.args[0]
                value = None
                if given is not None:
                    value = project.literal(given, module)
                if isinstance(value, str) and value.rpartition(":")[2] in names:
                    yield from _read_ended(module, node, node)


def _read_deferred(module: Module, node: ast.AST) -> Iterator[Found]:
    """`task.defer(...)` and `task.configure(...).defer(...)`, from the name of the task."""
    attribute = next(module.parents(node), None)
    if not isinstance(attribute, ast.Attribute):
        return
    call = module.find_call_of(attribute)
    if call is None:
        return
    if attribute.attr in (*DEFERS, *BATCHES):
        yield module, call, None
    elif attribute.attr in _CONFIGURES:
        yield from _read_ended(module, call, call)


def _read_ended(module: Module, node: ast.Call, configured: ast.Call) -> Iterator[Found]:
    """What is called on a configured task; also by the variable that holds it."""
    above = next(module.parents(node), None)
    if isinstance(above, ast.Attribute):
        call = module.find_call_of(above)
        if call is not None and above.attr in (*DEFERS, *BATCHES):
            yield module, call, configured
    elif isinstance(above, ast.Assign) and isinstance(above.targets[0], ast.Name):
        scope = module.function_of(node) or module.tree
        for call in _list_calls_on(scope, above.targets[0].id):
            yield module, call, configured


def _list_calls_on(scope: ast.AST, held: str) -> Iterator[ast.Call]:
    """What is deferred through a variable."""
    for call in find_nodes(scope, ast.Call):
        is_send = name_method(call) in (*DEFERS, *BATCHES)
        if is_send and isinstance(call.func, ast.Attribute) and _is_name(call.func.value, held):
            yield call


def _is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def find_parameters(job: Job) -> ast.arguments | None:
    """What is deferred: the context comes from Procrastinate."""
    taken = read_parameters(job.handler)
    option = read_task(job.project, job.use, job.handler).option("pass_context")
    passes_context = option is not None and job.project.literal(*option) is not False
    if taken is not None and passes_context:
        return drop_first(taken)
    return taken


def publishes_another(job: Job, call: Call) -> bool:
    """A call that defers, without a queueing lock."""
    locked = "queueing_lock" in ast.unparse(call.node.func)
    return not locked and calls_method(call, (*DEFERS, *BATCHES))


SENDER = Sender(
    find_sends=find_sends,
    find_parameters=find_parameters,
    sending="deferring",
    sent="deferred",
    misfit="nobody looks when it is deferred, the job fails with TypeError in the worker",
    taker="it takes",
    after_commit="defer it after the block, or configure(connection=...) of the same connection",
    has_plain_json=lambda job: not job.project.tree.search("json_dumps", ".py"),
    unkeyed=Unkeyed(
        publishes_another,
        again="each run defers once more",
        hint=(
            "let the other job de-duplicate by its own key; queueing_lock only holds while it waits"
        ),
    ),
)
