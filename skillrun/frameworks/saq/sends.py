"""Who enqueues or schedules a SAQ job: `enqueue`, `apply` and `map` with its name, `Job(...)`,
`CronJob(...)`.

Sources: saq/queue/base.py (`enqueue`: what is named like a field of `Job` is the job's, the rest
the function's), saq/worker.py (`schedule`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace

from skillrun.frameworks.common.arguments import (
    drop_first,
    read_call,
    read_containers,
    read_parameters,
)
from skillrun.frameworks.common.callables.callers import callers_of
from skillrun.frameworks.common.named_sends import (
    NamedCall,
    find_modules,
    find_named_calls,
    read_name,
)
from skillrun.frameworks.common.reading import in_tests, options_of, place_of
from skillrun.frameworks.common.sender import (
    Pickling,
    Sender,
    Unkeyed,
    calls_method,
    find_function,
    hold_options,
    order_sends,
)
from skillrun.frameworks.interface import Arguments, Job, Send
from skillrun.frameworks.saq.workers import find_entries
from skillrun.repo.python import Call, Definition, Project
from skillrun.repo.uses import FrameworkUse

# The fields of `saq.job.Job`, which `enqueue` keeps for itself.
JOB_FIELDS = frozenset(
    {
        *("function", "kwargs", "queue", "key", "timeout", "heartbeat", "retries", "ttl"),
        *("retry_delay", "retry_backoff", "scheduled", "progress", "attempts", "completed"),
        *("queued", "started", "touched", "result", "error", "status", "priority"),
        *("group_key", "meta", "worker_id"),
    }
)
_METHODS = ("enqueue", "apply", "map")
_JOB = ("saq.Job", "saq.job.Job")


def find_sends(project: Project, use: FrameworkUse, handler: Definition) -> tuple[Send, ...]:
    """Every place, in order of path and line."""
    return project.remember(
        ("saq.sends", handler.dotted), lambda: order_sends(_find(project, handler))
    )


def _find(project: Project, handler: Definition) -> Iterator[Send]:
    entries = find_entries(project, handler)
    for entry in entries:
        if entry.kind == "cron":
            yield Send(
                "schedule",
                entry.place,
                "CronJob(...)",
                in_tests(entry.place.path),
                options={name: (node, entry.module) for name, node in entry.options.items()},
                options_hidden=entry.unread,
            )
    names = {entry.name for entry in entries if entry.name} or {handler.name}
    calls = (
        *find_named_calls(project, handler, _METHODS, "job_or_func"),
        *_find_built(project, handler),
    )
    for named in calls:
        if named.name in names:
            send = _read_send(project, named, handler)
            yield send
            yield from _find_ticks(project, send)


def _find_built(project: Project, handler: Definition) -> Iterator[NamedCall]:
    """`Job("name", kwargs={...})`, which is given to `enqueue`."""
    for module in find_modules(project, ("Job",)):
        for node in module.all_nodes:
            if not isinstance(node, ast.Call):
                continue
            if project.origin(module.resolve(node.func) or "") in _JOB:
                given = next((k.value for k in node.keywords if k.arg == "function"), None)
                first = node.args[0] if node.args else given
                name = read_name(project, first, module, handler)
                if name is not None:
                    yield NamedCall(module, node, name)


def _find_ticks(project: Project, send: Send) -> Iterator[Send]:
    """The cron jobs that come to an enqueueing call: its own function, or one that calls that."""
    around = find_function(project, send)
    if around is None or send.in_tests or send.own:
        return
    for function in (around, *callers_of(project, around)):
        for entry in find_entries(project, function):
            if entry.kind == "cron":
                yield Send("schedule", entry.place, f"CronJob({function.name}) that enqueues it")


def _read_send(project: Project, named: NamedCall, handler: Definition) -> Send:
    """Of a function around `enqueue`, the call of that function."""
    module, call = named.module, named.node
    options, hidden = options_of(project, call, module)
    own = {name: node for name, node in options.items() if name in JOB_FIELDS}
    is_method = isinstance(call.func, ast.Attribute) and call.func.attr in _METHODS
    return Send(
        "enqueue",
        place_of(module, call),
        f"{ast.unparse(call.func)}(...)",
        in_tests(module.path),
        own=handler.node in module.parents(call),
        call=project.call_at(module, call),
        arguments=_read_arguments(named, own.get("kwargs")),
        options=hold_options(own, module),
        options_hidden=hidden or not named.direct,
        is_coroutine=named.direct and is_method,
    )


def _read_arguments(named: NamedCall, given: ast.expr | None) -> Arguments:
    """What a function in between does with its arguments is not followed, and neither are those
    of each job of a `map`.
    """
    call = named.node
    read = read_call(call, skipped=1, options=JOB_FIELDS)
    if given is not None:
        held = read_containers(None, given)
        read = Arguments((), {**held.named, **read.named}, read.partly_hidden or held.partly_hidden)
    is_map = isinstance(call.func, ast.Attribute) and call.func.attr == "map"
    return replace(read, partly_hidden=read.partly_hidden or not named.direct or is_map)


def find_parameters(job: Job) -> ast.arguments | None:
    """What a sender gives: the context comes from SAQ."""
    taken = read_parameters(job.handler, decorators=0)
    return drop_first(taken) if taken is not None else None


def publishes_another(job: Job, call: Call) -> bool:
    """An `enqueue` without a key; any job may run again."""
    return calls_method(call, ("enqueue",), key="key")


SENDER = Sender(
    find_sends=find_sends,
    find_parameters=find_parameters,
    sending="enqueueing",
    sent="enqueued",
    misfit="SAQ does not look when it is enqueued, the job fails with TypeError in the worker",
    taker="beside its context the function takes",
    after_commit="enqueue it after the block",
    unkeyed=Unkeyed(
        publishes_another,
        again="each run enqueues once more",
        hint="key=<made of the job's key>, and let the other job de-duplicate as well",
    ),
    pickling=Pickling(
        "the queue's jobs are pickled: whoever can write to this Redis runs code in the worker",
        hint="leave dump and load at json, or a Redis that only this application reaches",
        is_default=False,
    ),
)
