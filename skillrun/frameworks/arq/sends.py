"""Who enqueues or schedules an arq job: `enqueue_job` with its name, `cron(...)`.

Sources: arq/connections.py (`enqueue_job`), arq/worker.py (`run_cron`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace

from skillrun.frameworks.arq.workers import find_entries
from skillrun.frameworks.common.arguments import drop_first, read_call, read_parameters
from skillrun.frameworks.common.callables.callers import callers_of
from skillrun.frameworks.common.reading import in_tests, place_of
from skillrun.frameworks.common.sender import (
    Pickling,
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
from skillrun.repo.python import Call, Definition, Module, Project
from skillrun.repo.uses import FrameworkUse

OWN = frozenset(("_job_id", "_queue_name", "_defer_until", "_defer_by", "_expires", "_job_try"))


def find_sends(project: Project, use: FrameworkUse, handler: Definition) -> tuple[Send, ...]:
    """Every place, in order of path and line."""
    return project.remember(
        ("arq.sends", handler.dotted), lambda: order_sends(_find(project, handler))
    )


def _find(project: Project, handler: Definition) -> Iterator[Send]:
    entries = find_entries(project, handler)
    for entry in entries:
        if entry.kind == "cron":
            yield Send("schedule", entry.place, "cron(...)", in_tests(entry.place.path))
    names = frozenset(entry.name for entry in entries if entry.name)
    for send, name in find_named_sends(project, handler):
        if name in names:
            yield send
            yield from _ticks(project, send)


def _ticks(project: Project, send: Send) -> Iterator[Send]:
    """The cron jobs that come to an enqueueing call: its own function, or one that calls that."""
    around = find_function(project, send)
    if around is None or send.in_tests or send.own:
        return
    for function in (around, *callers_of(project, around)):
        for entry in find_entries(project, function):
            if entry.kind == "cron":
                yield Send("schedule", entry.place, f"cron({function.name}) that enqueues it")


def find_named_sends(project: Project, handler: Definition) -> Iterator[tuple[Send, str]]:
    """(call, the name of the function that it enqueues), of every `enqueue_job` whose name can be
    told.
    """
    for module in project.modules_with("enqueue_job"):
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.Call) or not _is_enqueue(node):
                continue
            named = next((k.value for k in node.keywords if k.arg == "function"), None)
            first = node.args[0] if node.args else named
            name = _name(project, first, module, handler)
            if name is not None:
                yield _read_send(project, module, node, handler), name
            elif isinstance(first, ast.Name):
                yield from _through(project, module, node, first.id, handler)


def _read_send(
    project: Project, module: Module, call: ast.Call, handler: Definition, *, direct: bool = True
) -> Send:
    """Of a function around `enqueue_job`, the call of that function."""
    arguments = read_call(call, skipped=1, options=OWN)
    # What a function in between does with its arguments is not followed.
    hidden = arguments.partly_hidden or not direct or not call.args
    options = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg in OWN}
    return Send(
        "enqueue",
        place_of(module, call),
        f"{ast.unparse(call.func)}(...)",
        in_tests(module.path),
        own=handler.node in module.parents(call),
        call=project.call_at(module, call),
        arguments=replace(arguments, partly_hidden=hidden),
        options=hold_options(options, module),
        is_coroutine=direct,
    )


def _is_enqueue(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Attribute) and node.func.attr == "enqueue_job"


def _name(
    project: Project, node: ast.expr | None, module: Module, handler: Definition
) -> str | None:
    """A text, or `handler.__name__`."""
    if isinstance(node, ast.Attribute) and node.attr in ("__name__", "__qualname__"):
        mine = project.origin(module.resolve(node.value) or "") == handler.dotted
        return handler.name if mine else None
    value = project.literal(node, module) if node is not None else None
    return value if isinstance(value, str) else None


def _through(
    project: Project, module: Module, call: ast.Call, parameter: str, handler: Definition
) -> Iterator[tuple[Send, str]]:
    """`async def enqueue(name, *args): await pool.enqueue_job(name, *args)`: whoever calls it says
    the name.
    """
    function = module.function_of(call)
    own = project.define(module, function) if function is not None else None
    if own is None or parameter not in own.parameters:
        return
    position = [name for name in own.parameters if name not in ("self", "cls")].index(parameter)
    for use in project.uses(own.dotted):
        above = next(use.module.parents(use.node), None)
        if isinstance(above, ast.Call) and above.func is use.node:
            named = next((k.value for k in above.keywords if k.arg == parameter), None)
            first = named or (above.args[position] if position < len(above.args) else None)
            name = _name(project, first, use.module, handler)
            if name is not None:
                yield _read_send(project, use.module, above, handler, direct=False), name


def find_parameters(job: Job) -> ast.arguments | None:
    """What a sender gives: `ctx` comes from arq."""
    taken = read_parameters(job.handler, decorators=0)
    return drop_first(taken) if taken is not None else None


def publishes_another(job: Job, call: Call) -> bool:
    """An `enqueue_job` without a key; any job may run again."""
    return calls_method(call, ("enqueue_job",), key="_job_id")


SENDER = Sender(
    find_sends=find_sends,
    find_parameters=find_parameters,
    sending="enqueueing",
    sent="enqueued",
    misfit="arq does not look when it is enqueued, the job fails with TypeError in the worker",
    taker="beside ctx the function takes",
    after_commit="enqueue it after the block",
    unkeyed=Unkeyed(
        publishes_another,
        again="each run enqueues once more",
        hint="_job_id=<made of the job's key>, and let the other job de-duplicate as well",
    ),
    pickling=Pickling(
        "jobs are pickled (arq's default): whoever can write to this Redis runs code in the worker",
        hint=(
            "job_serializer and job_deserializer (msgpack, json), or a Redis that only this"
            " application reaches"
        ),
        is_default=True,
    ),
)
