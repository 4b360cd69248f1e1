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
from skillrun.frameworks.common.named_sends import NamedCall, find_named_calls
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
from skillrun.repo.python import Call, Definition, Project
from skillrun.repo.uses import FrameworkUse

OWN = frozenset(("_job_id", "_queue_name", "_defer_until", "_defer_by", "_expires", "_job_try"))


def find_sends(project: Project, use: FrameworkUse, handler: Definition) -> tuple[Send, ...]:
    """Every place, in order of path and line."""
    return project.remember(
        ("arq.sends", handler.dotted), lambda: order_sends(_find_enqueueings(project, handler))
    )


def _find_enqueueings(project: Project, handler: Definition) -> Iterator[Send]:
    entries = find_entries(project, handler)
    for entry in entries:
        if entry.kind == "cron":
            yield Send("schedule", entry.place, "cron(...)", in_tests(entry.place.path))
    names = frozenset(entry.name for entry in entries if entry.name)
    for send, name in find_named_sends(project, handler):
        if name in names:
            yield send
            yield from _find_ticks(project, send)


def _find_ticks(project: Project, send: Send) -> Iterator[Send]:
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
    for call in find_named_calls(project, handler, ("enqueue_job",), "function"):
        yield _read_send(project, call, handler), call.name


def _read_send(project: Project, named: NamedCall, handler: Definition) -> Send:
    """Of a function around `enqueue_job`, the call of that function."""
    module, call, direct = named.module, named.node, named.direct
    arguments = read_call(call, skipped=1, options=OWN)
    # What a function in between does with its arguments is not followed.
    hidden = arguments.partly_hidden or not direct or not call.args
    options = {}
    for keyword in call.keywords:
        if keyword.arg in OWN:
            options[keyword.arg] = keyword.value
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


def find_parameters(job: Job) -> ast.arguments | None:
    """What a sender gives: `ctx` comes from arq."""
    taken = read_parameters(job.handler, decorators=0)
    if taken is None:
        return None
    return drop_first(taken)


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
