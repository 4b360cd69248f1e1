"""Who publishes or schedules a Huey task: calling the task is enqueueing it.

Sources: huey/api.py (`TaskWrapper.__call__`, `schedule`, `map`, `s`; `Task.then`, `Task.error`),
`periodic_task`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace

from skillrun.frameworks.common.arguments import (
    drop_named,
    read_call,
    read_containers,
    read_parameters,
)
from skillrun.frameworks.common.callables.callers import callers_of
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.sender import (
    Sender,
    hold_options,
    is_sent_by_others,
    order_sends,
    pickle_in_redis,
)
from skillrun.frameworks.common.serializers import name_serializer
from skillrun.frameworks.huey.apps import setting, storage
from skillrun.frameworks.huey.tasks import Task, read_task
from skillrun.frameworks.interface import (
    Job,
    Send,
)
from skillrun.repo.places import is_plainly_test
from skillrun.repo.python import Definition, Module, Project, Use
from skillrun.repo.source import FunctionNode, last_word
from skillrun.repo.uses import FrameworkUse

# What a call of the task, or `schedule`, keeps for itself; the last three since Huey 3.
TAKEN = ("eta", "delay", "retries", "retry_delay", "priority", "expires")
TAKEN_SINCE_3 = ("id", "retry_backoff", "timeout")
# The way of a send that calls the task itself.
CALL = "call"
_METHODS = ("schedule", "map", "s")
_NEXT = ("then", "error", "callback")
_ON_COMMIT = ("on_commit", "partial", "enqueue")


def find_sends(project: Project, use: FrameworkUse, handler: Definition) -> tuple[Send, ...]:
    """Every place that enqueues or schedules the handler."""
    key = ("huey.sends", use.app, handler.path, handler.name)
    return project.remember(key, lambda: order_sends(_find_all(project, use, handler)))


def _find_all(project: Project, use: FrameworkUse, handler: Definition) -> list[Send]:
    task = read_task(project, use, handler)
    every = list(_find_named(project, task))
    if not is_sent_by_others(every):
        every += _handed_on(project, task)
    for send in tuple(every):
        if not send.in_tests and not send.own:
            every += _find_ticks(project, use, send)
    return every


def find_messages(project: Project, task: Task) -> Iterator[Send]:
    """The calls outside the tests by which somebody else makes a message: `send(...)`,
    `send.schedule(...)`, `send.s(...)`.
    """
    for send in _find_named(project, task):
        if send.call is not None and not send.in_tests and not send.own:
            yield send


def _find_named(project: Project, task: Task) -> tuple[Send, ...]:
    key = ("huey.named", task.owner, task.handler.path, task.handler.name)
    return project.remember(key, lambda: tuple(_read_named(project, task)))


def _read_named(project: Project, task: Task) -> Iterator[Send]:
    if task.kind == "periodic" and task.registered is not None:
        aside = is_plainly_test(task.registered.path)
        yield Send("schedule", task.registered, "periodic_task(...)", aside)
    for use in _list_uses(project, task):
        own = task.handler.node in use.module.parents(use.node)
        for send in _by_object(project, task, use):
            yield replace(send, own=own)


def _by_object(project: Project, task: Task, use: Use) -> Iterator[Send]:
    above = next(use.module.parents(use.node), None)
    called = use.module.find_call_of(use.node)
    if called is not None:
        yield _read_message(project, task, use.module, called, CALL)
    elif isinstance(above, ast.Call) and use.node in above.args:
        word = last_word(above.func)
        if word in (*_NEXT, *_ON_COMMIT):
            yield _make_send(use.module, above, f".{word}(...)")
    elif isinstance(above, ast.Attribute) and above.attr in _METHODS:
        call = use.module.find_call_of(above)
        if above.attr != "map" and call is not None:
            yield _read_message(project, task, use.module, call, above.attr)
        else:
            yield _make_send(use.module, above, f".{above.attr}(...)")


def _read_message(project: Project, task: Task, module: Module, call: ast.Call, via: str) -> Send:
    named = {}
    for keyword in call.keywords:
        if keyword.arg:
            named[keyword.arg] = keyword.value
    arguments = read_call(call, options=(*TAKEN, *TAKEN_SINCE_3))
    if via == "schedule":
        args, kwargs = [*call.args, None, None][:2]
        arguments = read_containers(args or named.get("args"), kwargs or named.get("kwargs"))
    # `send.s(7)` alone enqueues nothing.
    above = next(module.parents(call), None)
    enqueued = isinstance(above, ast.Call) and last_word(above.func) == "enqueue"
    options = {}
    for name, node in named.items():
        if name in (*TAKEN, *TAKEN_SINCE_3):
            options[name] = node
    return replace(
        _make_send(module, call, CALL if via == CALL else f".{via}(...)"),
        call=project.call_at(module, call),
        via=via,
        arguments=arguments,
        options=hold_options(options, module),
        options_hidden=len(named) < len(call.keywords),
        waits_for_commit=task.kind == "on_commit",
        only_built=via == "s" and not enqueued,
    )


def _find_ticks(project: Project, use: FrameworkUse, send: Send) -> Iterator[Send]:
    """The periodic tasks that come to an enqueueing call: its own function, or one that calls
    that.
    """
    module = project.module(send.place.path)
    if module is None or send.kind != "enqueue":
        return
    for node in _functions_at(module, send.place.line):
        around = project.define(module, node)
        for function in (around, *callers_of(project, around)):
            place = read_task(project, use, function).registered
            is_periodic = read_task(project, use, function).kind == "periodic"
            if is_periodic and place is not None and not is_plainly_test(place.path):
                yield Send("schedule", place, "periodic_task(...) that enqueues it")


def _functions_at(module: Module, line: int) -> Iterator[FunctionNode]:
    """The functions whose bodies hold a line."""
    for node in module.nodes(ast.FunctionDef):
        if node.lineno <= line <= (node.end_lineno or 0):
            yield node


def _list_uses(project: Project, task: Task) -> Iterator[Use]:
    for name in task.names:
        yield from project.uses(name)


def _handed_on(project: Project, task: Task) -> Iterator[Send]:
    """The task as a value, in a mapping or an argument: somebody publishes it, but the text does
    not say where.
    """
    for use in _list_uses(project, task):
        above = next(use.module.parents(use.node), None)
        if isinstance(above, ast.Dict | ast.List | ast.Tuple | ast.keyword) and not is_plainly_test(
            use.path
        ):
            yield _make_send(use.module, use.node, "handed on as a value")


def _make_send(module: Module, node: ast.AST, how: str) -> Send:
    return Send("enqueue", place_of(module, node), how, is_plainly_test(module.path))


def find_parameters(job: Job) -> ast.arguments | None:
    """What a message gives the task: with context=True Huey itself passes `task`."""
    taken = read_parameters(job.handler)
    task = read_task(job.project, job.use, job.handler)
    if taken is None or task.unread:
        return None
    if task.option("context") is True:
        return drop_named(taken, "task")
    return taken


def has_plain_json(job: Job) -> bool:
    """Whether its JSON is a class of the repository's that carries no more than `json.dumps` does;
    Huey has none of its own.
    """
    task = read_task(job.project, job.use, job.handler)
    found = setting(job.project, job.use, task.owner, "serializer")
    if found is None:
        return False
    target = found.node
    if isinstance(target, ast.Call):
        target = target.func
    if job.project.definition(found.module.resolve(target) or "") is None:
        return False
    return name_serializer(job.project, found.node, found.module) == "json"


def is_in_redis(job: Job) -> bool:
    """Its messages are held by a server that others may write to."""
    task = read_task(job.project, job.use, job.handler)
    return "Redis" in storage(job.project, job.use, task.owner)


SENDER = Sender(
    find_sends=find_sends,
    find_parameters=find_parameters,
    sending="enqueueing",
    sent="enqueued",
    misfit="Huey does not look when it is enqueued, the task fails with TypeError in the worker",
    taker="the task takes",
    after_commit="transaction.on_commit(lambda: ...), on_commit_task, or publish after the block",
    has_plain_json=has_plain_json,
    pickling=pickle_in_redis(
        "Huey's messages are pickled",
        "SignedSerializer(secret=...)",
        is_default=True,
        is_exposed=is_in_redis,
    ),
)
