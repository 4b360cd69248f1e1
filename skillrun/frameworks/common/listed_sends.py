"""Who enqueues or schedules a job that its worker lists, and that is enqueued by its name (arq,
SAQ): the calls of the queue's methods, and the cron jobs.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from skillrun.frameworks.common.arguments import (
    drop_first,
    read_call,
    read_containers,
    read_parameters,
)
from skillrun.frameworks.common.callables.callers import callers_of
from skillrun.frameworks.common.listed import Manner, find_entries
from skillrun.frameworks.common.named_sends import NamedCall, find_named_calls
from skillrun.frameworks.common.reading import options_of, place_of
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
from skillrun.repo.places import is_plainly_test
from skillrun.repo.python import Definition, Project
from skillrun.repo.syntax import name_method
from skillrun.repo.uses import FrameworkUse


def _find_no_calls(project: Project, handler: Definition) -> Iterator[NamedCall]:
    return iter(())


@dataclass(frozen=True)
class Queueing:
    """How one library has its jobs enqueued."""

    manner: Manner
    methods: tuple[str, ...]  # of a queue
    keyword: str  # their parameter for the name
    cron: str  # what a cron job is made with
    options: frozenset[str]  # what the library keeps of what a method is given
    # A handler that no worker lists is enqueued by the name of its function all the same.
    has_default_name: bool = False
    held: str = ""  # the option that holds the job's own arguments as a dictionary
    of_many: str = ""  # the method that gives each of its jobs other arguments
    find_built: Callable[[Project, Definition], Iterator[NamedCall]] = _find_no_calls

    def find_sends(
        self, project: Project, use: FrameworkUse, handler: Definition
    ) -> tuple[Send, ...]:
        """See `Code`."""
        return self.list_sends(project, handler)

    def list_sends(self, project: Project, handler: Definition) -> tuple[Send, ...]:
        """Every place, in order of path and line."""
        key = ("listed.sends", self.manner.library, handler.dotted)
        return project.remember(key, lambda: order_sends(_find_sends(project, handler, self)))


def _find_sends(project: Project, handler: Definition, queueing: Queueing) -> Iterator[Send]:
    names = set()
    for entry in find_entries(project, queueing.manner, handler):
        if entry.name:
            names.add(entry.name)
        if entry.kind == "cron":
            yield Send(
                "schedule",
                entry.place,
                f"{queueing.cron}(...)",
                is_plainly_test(entry.place.path),
                options=hold_options(entry.options, entry.module),
                options_hidden=entry.unread,
            )
    if not names and queueing.has_default_name:
        names.add(handler.name)
    for send, name in find_named_sends(project, handler, queueing):
        if name in names:
            yield send
            yield from _find_ticks(project, send, queueing)


def find_named_sends(
    project: Project, handler: Definition, queueing: Queueing
) -> Iterator[tuple[Send, str]]:
    """(call, the name of the function that it enqueues), of every call whose name can be told."""
    for call in find_named_calls(project, handler, queueing.methods, queueing.keyword):
        yield _read_send(project, call, handler, queueing), call.name
    for call in queueing.find_built(project, handler):
        yield _read_send(project, call, handler, queueing), call.name


def _find_ticks(project: Project, send: Send, queueing: Queueing) -> Iterator[Send]:
    """The cron jobs that come to an enqueueing call: its own function, or one that calls that."""
    around = find_function(project, send)
    if around is None or send.in_tests or send.own:
        return
    for function in (around, *callers_of(project, around)):
        for entry in find_entries(project, queueing.manner, function):
            if entry.kind == "cron":
                how = f"{queueing.cron}({function.name}) that enqueues it"
                yield Send("schedule", entry.place, how)


def _read_send(project: Project, named: NamedCall, handler: Definition, queueing: Queueing) -> Send:
    """Of a function around the method, the call of that function."""
    module, call = named.module, named.node
    given, hidden = options_of(project, call, module)
    options = {}
    for name, node in given.items():
        if name in queueing.options:
            options[name] = node
    is_method = name_method(call) in queueing.methods
    return Send(
        "enqueue",
        place_of(module, call),
        f"{ast.unparse(call.func)}(...)",
        is_plainly_test(module.path),
        own=handler.node in module.parents(call),
        call=project.call_at(module, call),
        arguments=_read_arguments(named, options, queueing),
        options=hold_options(options, module),
        options_hidden=hidden or not named.direct,
        is_coroutine=named.direct and is_method,
    )


def _read_arguments(
    named: NamedCall, options: dict[str, ast.expr], queueing: Queueing
) -> Arguments:
    """What a function in between does with its arguments is not followed, and neither are those
    of each of many jobs.
    """
    call = named.node
    read = read_call(call, skipped=1, options=queueing.options)
    held = options.get(queueing.held)
    if held is not None:
        inside = read_containers(None, held)
        hidden = read.partly_hidden or inside.partly_hidden
        read = Arguments((), {**inside.named, **read.named}, hidden)
    is_of_many = bool(queueing.of_many) and name_method(call) == queueing.of_many
    # The name that is given by its keyword would be taken for an argument of the job.
    is_named = not call.args and queueing.keyword not in queueing.options
    is_hidden = read.partly_hidden or not named.direct or is_of_many or is_named
    return replace(read, partly_hidden=is_hidden)


def find_parameters(job: Job) -> ast.arguments | None:
    """What a sender gives: the context comes from the worker."""
    taken = read_parameters(job.handler, decorators=0)
    if taken is not None:
        return drop_first(taken)
    return None


def make_sender(
    queueing: Queueing, title: str, *, context: str, key: str, pickling: Pickling
) -> Sender:
    """What such a library says in the rules about sends. `context`: what it calls the first
    parameter of a function; `key`: the option that keeps a second job out.
    """
    return Sender(
        find_sends=queueing.find_sends,
        find_parameters=find_parameters,
        sending="enqueueing",
        sent="enqueued",
        misfit=(
            f"{title} does not look when it is enqueued, the job fails with TypeError in the worker"
        ),
        taker=f"beside {context} the function takes",
        after_commit="enqueue it after the block",
        unkeyed=Unkeyed(
            publishes=lambda job, call: calls_method(call, queueing.methods[:1], key=key),
            again="each run enqueues once more",
            hint=f"{key}=<made of the job's key>, and let the other job de-duplicate as well",
        ),
        pickling=pickling,
    )
