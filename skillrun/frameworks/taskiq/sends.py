"""Who kicks a taskiq task, and who schedules it: kiq, schedule_by_..., the label `schedule`, what
starts a sender.

Source: taskiq/kicker.py (`with_labels` goes over the decorator's labels).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from skillrun.frameworks.common.arguments import drop_injected, read_call, read_parameters
from skillrun.frameworks.common.callables.callers import callers_of, reach_of_places
from skillrun.frameworks.common.callables.wiring import starting
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.sender import (
    Pickling,
    Sender,
    Unkeyed,
    calls_method,
    find_function,
    hold_options,
    is_sent_by_others,
    order_sends,
)
from skillrun.frameworks.interface import (
    Job,
    Send,
)
from skillrun.frameworks.taskiq.tasks import Found, Task, is_maker, read_task
from skillrun.repo.places import is_plainly_test
from skillrun.repo.python import UNKNOWN
from skillrun.repo.uses import Place

if TYPE_CHECKING:
    from skillrun.repo.python import Call, Definition, Module, Project, Use
    from skillrun.repo.uses import FrameworkUse

KICKS = {
    "kiq": "enqueue",
    "schedule_by_time": "enqueue",
    "schedule_by_cron": "schedule",
    "schedule_by_interval": "schedule",
}
# The first arguments, which are not the task's: the schedule source, and when.
_NOT_THE_TASKS = {
    "schedule_by_time": 2,
    "schedule_by_cron": 2,
    "schedule_by_interval": 2,
}
# Of `with_task_id`, beside the labels among a send's options.
TASK_ID = "task_id"


def find_sends(project: Project, use: FrameworkUse, handler: Definition) -> tuple[Send, ...]:
    """Every place that kicks or schedules the handler."""
    return project.remember(
        ("taskiq.sends", handler.dotted), lambda: order_sends(_find_all(project, handler))
    )


def _find_all(project: Project, handler: Definition) -> list[Send]:
    every = list(_find_named(project, handler))
    if not is_sent_by_others(every):
        for use in project.uses(handler.dotted):
            every += _handed_on(use)
    return [*every, *_find_starts(project, handler)]


def _find_named(project: Project, handler: Definition) -> Iterator[Send]:
    task = read_task(project, handler)
    if "schedule" in task.labels:
        node, module = task.labels["schedule"]
        yield Send(
            "schedule", place_of(module, node), "schedule=[...]", is_plainly_test(module.path)
        )
    for send in find_kicks(project, handler):
        yield send
        yield from _find_ticks(project, send)


def _find_ticks(project: Project, send: Send) -> Iterator[Send]:
    """The scheduled tasks that come to a kick: its own function, or one that calls that."""
    around = find_function(project, send)
    if around is None or send.in_tests or send.own:
        return
    for function in (around, *callers_of(project, around)):
        sender = read_task(project, function)
        if "schedule" in sender.labels:
            node, module = sender.labels["schedule"]
            how = f"schedule=[...] of {sender.handler.name}, which kicks it"
            yield Send("schedule", place_of(module, node), how)


def _find_starts(project: Project, handler: Definition) -> Iterator[Send]:
    """What starts by the clock the functions and scripts that kick it."""
    places = []
    for send in find_kicks(project, handler):
        if send.call is not None and not send.in_tests:
            places.append((send.call.module, send.call.node))
    for start in starting(project, reach_of_places(project, places)):
        if start.kind == "schedule":
            yield start


def _handed_on(use: Use) -> Iterator[Send]:
    """`kicker = send.kicker()`, or the task as a value in a mapping: somebody kicks it, out of
    sight.
    """
    above = next(use.module.parents(use.node), None)
    kicker = isinstance(above, ast.Attribute) and above.attr == "kicker"
    if (
        kicker or isinstance(above, ast.Dict | ast.List | ast.Tuple | ast.keyword)
    ) and not is_plainly_test(use.path):
        yield Send("enqueue", place_of(use.module, use.node), "handed on as a value")


def find_kicks(project: Project, handler: Definition) -> tuple[Send, ...]:
    """The calls that kick or schedule the handler, in order of path and line; those in tests and
    its own too.
    """
    return project.remember(
        ("taskiq.kicks", handler.dotted), lambda: tuple(_find_kicks(project, handler))
    )


def find_real_kicks(project: Project, handler: Definition) -> tuple[Send, ...]:
    """Those outside the tests."""
    kicks = []
    for send in find_kicks(project, handler):
        if not send.in_tests:
            kicks.append(send)
    return tuple(kicks)


def _find_kicks(project: Project, handler: Definition) -> list[Send]:
    found = []
    for name in _list_names(project, handler):
        for use in project.uses(name):
            send = _read_kick(project, handler, use.module, use.node)
            if send is not None:
                found.append(send)
    return sorted(found, key=lambda send: (send.place.path, send.place.line))


def _list_names(project: Project, handler: Definition) -> tuple[str, ...]:
    """The function, and variables that hold the task that a call made of it."""
    found = [handler.dotted]
    for use in project.uses(handler.dotted):
        above = list(use.module.parents(use.node))[:3]
        made = False
        if above:
            made = isinstance(above[0], ast.Call) and is_maker(above[0])
        if made:
            for one in above:
                if isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name):
                    found.append(f"{use.module.name}.{one.targets[0].id}")
    return tuple(dict.fromkeys(found))


def _read_kick(project: Project, handler: Definition, module: Module, node: ast.AST) -> Send | None:
    """`send.kiq(...)`, `send.kicker().with_labels(...).kiq(...)`; also over the lines of a
    builder's variable: no.
    """
    options: dict[str, ast.expr] = {}
    above = list(module.parents(node))
    while len(above) > 1 and isinstance(above[0], ast.Attribute) and isinstance(above[1], ast.Call):
        word, call = above[0].attr, above[1]
        if call.func is not above[0]:
            return None
        if word in KICKS:
            return Send(
                KICKS[word],
                place_of(module, call),
                f".{word}(...)",
                is_plainly_test(module.path),
                own=handler.node in module.parents(call),
                call=project.call_at(module, call),
                via=word,
                arguments=read_call(call, skipped=_NOT_THE_TASKS.get(word, 0)),
                options=hold_options(options, module),
                is_coroutine=True,
            )
        named = {}
        for keyword in call.keywords:
            if keyword.arg:
                named[keyword.arg] = keyword.value
        if word == "with_labels":
            options |= named
        elif word == "with_task_id":
            given = [*call.args, *named.values()]
            if given:
                options |= {TASK_ID: given[0]}
        above = above[2:]
    return None


def label(project: Project, task: Task, name: str, default: Any = None) -> tuple[Any, Place | None]:
    """(value, place) of a label: a sender's where one says it, else the task's own; an `Unknown`
    where it is unread.
    """
    for send in find_real_kicks(project, task.handler):
        if name in send.options:
            return _read_value(project, send.options[name])
    if name in task.labels:
        return _read_value(project, task.labels[name])
    if task.unread:
        return (UNKNOWN, task.registered)
    return (default, None)


def _read_value(project: Project, found: Found) -> tuple[Any, Place]:
    return project.literal(*found), place_of(found[1], found[0])


def find_parameters(job: Job) -> ast.arguments | None:
    """What a kick gives: what taskiq fills is no sender's to give."""
    taken = read_parameters(job.handler, decorators=None)
    if taken is None:
        return None
    return drop_injected(job.project, job.handler.module, taken)


def publishes_another(job: Job, call: Call) -> bool:
    """A kick; taskiq has no key for one."""
    return calls_method(call, KICKS)


SENDER = Sender(
    find_sends=find_sends,
    find_parameters=find_parameters,
    sending="kicking",
    sent="sent",
    misfit="taskiq does not look when it is kicked, the task fails with TypeError in the worker",
    taker="it takes",
    after_commit="kick it after the block",
    dumps_models=True,
    # `model_dump(mode="json")` makes a text of whatever is none (ProxyFormatter.dumps).
    not_json=(),
    pickling=Pickling(
        "taskiq's messages are pickled: whoever can write to the broker runs code in the worker",
        hint="JSONSerializer(), or a broker that only this application reaches",
        is_default=False,
    ),
    unkeyed=Unkeyed(
        publishes_another,
        again="each run sends it once more",
        hint="let the other task de-duplicate by a key of its own: taskiq never drops a message",
    ),
)
