"""Who sends a Dramatiq actor its messages, and who schedules it: calls, compositions, names,
callbacks, cron.

Schedules: periodiq (`periodic=cron(...)`), dramatiq-crontab (`@cron(...)`), APScheduler (`add_job`,
`scheduled_job`), and what starts the function that sends: a crontab line, a timer, a loop that
polls.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from skillrun.frameworks.common.arguments import read_call, read_containers, read_parameters
from skillrun.frameworks.common.callables.callers import reach_of_places
from skillrun.frameworks.common.callables.wiring import starting
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.sender import (
    Pickling,
    Sender,
    Unkeyed,
    hold_options,
    is_sent_by_others,
    order_sends,
)
from skillrun.frameworks.dramatiq.actors import (
    Actor,
    Option,
    actor_behind,
    is_maker,
    option,
    read_actor,
    uses_of,
)
from skillrun.frameworks.interface import (
    Job,
    Send,
)
from skillrun.repo.places import is_aside, is_plainly_test
from skillrun.repo.python import Call, Definition, Module, Project, Use
from skillrun.repo.uses import FrameworkUse

SENDING = {"send": ".send(...)", "send_with_options": ".send_with_options(...)"}
_BUILDING = {"message": ".message(...)", "message_with_options": ".message_with_options(...)"}
_METHODS = {**SENDING, **_BUILDING}
# What send_with_options takes for itself, and what the middleware that comes with Dramatiq reads
# from a message.
_MESSAGE_OPTIONS = """
    args kwargs delay max_retries min_backoff max_backoff throws on_retry_exhausted on_failure
    on_success time_limit max_age notify_shutdown pipe_ignore pipe_target store_results
    result_ttl broker_priority eta group_info group_callbacks"""
MESSAGE_OPTIONS = frozenset(_MESSAGE_OPTIONS.split())
_CRON_DECORATORS = ("dramatiq_crontab.cron", "dramatiq_crontab.interval")
_CALLBACKS = ("on_failure", "on_success", "on_retry_exhausted")
_SENDS = re.compile(r"send|enqueue|publish|dispatch|trigger|schedule|queue|job|task")
_BY_NAME = ("get_actor", "Message")


def find_sends(project: Project, use: FrameworkUse, handler: Definition) -> tuple[Send, ...]:
    """Every place that sends or schedules the handler."""
    actor = read_actor(project, handler)
    key = ("dramatiq.sends", handler.path, handler.name)
    return project.remember(key, lambda: order_sends(_find_all(project, actor)))


def _find_all(project: Project, actor: Actor) -> list[Send]:
    every = list(_find_named(project, actor))
    if not is_sent_by_others(every):
        for seen in uses_of(project, actor):
            every += _handed_on(project, seen)
    return [*every, *_find_starts(project, actor)]


def find_message_sends(project: Project, actor: Actor) -> tuple[Send, ...]:
    """The calls outside the tests that send it a message or build one."""
    key = ("dramatiq.messages", actor.handler.path, actor.handler.name)
    return project.remember(key, lambda: tuple(_find_messages(project, actor)))


def _find_messages(project: Project, actor: Actor) -> Iterator[Send]:
    for seen in uses_of(project, actor):
        for send in _by_object(project, actor, seen):
            if send.call is not None and not send.in_tests:
                yield send


def message_options(project: Project, actor: Actor, name: str) -> list[Option]:
    """What the senders outside the tests give for an option."""
    found = (send.options.get(name) for send in find_message_sends(project, actor))
    return [option(project, *given) for given in found if given is not None]


def _find_named(project: Project, actor: Actor) -> Iterator[Send]:
    for seen in uses_of(project, actor):
        yield from _by_object(project, actor, seen)
    yield from _own_schedule(project, actor)
    yield from _by_name(project, actor)


def _by_object(project: Project, actor: Actor, use: Use) -> Iterator[Send]:
    """`send.send(...)`; handed to a scheduler, or in a function that one calls, it is a
    schedule.
    """
    method = _find_send_method(use)
    if method is None:
        return
    send = replace(
        _make_send("enqueue", use.module, method, _METHODS[method.attr]), via=method.attr
    )
    schedule = _scheduling_call(use.module, method) or _scheduled_function(use.module, method)
    if schedule is not None:
        send = replace(send, kind="schedule", how=schedule)
    call = use.module.find_call_of(method)
    if call is not None:
        send = _read_message(project, actor, use.module, call, send)
    yield send


def _read_message(
    project: Project, actor: Actor, module: Module, call: ast.Call, send: Send
) -> Send:
    """What is sent; a message that is only built may be sent elsewhere, or never."""
    read = replace(send, call=project.call_at(module, call))
    if send.via.endswith("_with_options"):
        named = {}
        for keyword in call.keywords:
            if keyword.arg:
                named[keyword.arg] = keyword.value
        arguments = read_containers(named.pop("args", None), named.pop("kwargs", None))
        hidden = any(keyword.arg is None for keyword in call.keywords)
        stray = find_stray(actor.handler, named)
        if hidden or stray:
            arguments = replace(arguments, partly_hidden=True)
        read = replace(read, options=hold_options(named, module), options_hidden=hidden)
    else:
        arguments = read_call(call)
    return replace(read, arguments=arguments, only_built=send.via not in SENDING)


def find_stray(handler: Definition, options: Iterable[str]) -> list[str]:
    """`send_with_options(order_id=7)`: an argument of the actor that becomes an option nobody
    reads.
    """
    taken = {*handler.parameters} - MESSAGE_OPTIONS
    return sorted(taken & {*options})


def _find_starts(project: Project, actor: Actor) -> Iterator[Send]:
    """What starts by the clock the functions and scripts that send: Dramatiq itself has none."""
    places = []
    for use in uses_of(project, actor):
        if not is_aside(use.path) and _find_send_method(use):
            places.append((use.module, use.node))
    for one in starting(project, reach_of_places(project, places)):
        if one.kind == "schedule":
            yield one


def _find_send_method(use: Use) -> ast.Attribute | None:
    """`send.send`, `send.message`: the method that sends or builds a message."""
    above = next(use.module.parents(use.node), None)
    if isinstance(above, ast.Attribute) and above.attr in _METHODS:
        return above
    return None


def _scheduling_call(module: Module, node: ast.expr) -> str | None:
    """`scheduler.add_job(send.send, ...)`, `schedule.every().day.do(send.send)`."""
    above = next(module.parents(node), None)
    word = ""
    if isinstance(above, ast.Call) and isinstance(above.func, ast.Attribute):
        word = above.func.attr
    if word in ("add_job", "do") and isinstance(above, ast.Call) and node in above.args:
        return f"{word}(...)"
    return None


def _scheduled_function(module: Module, node: ast.expr) -> str | None:
    """Inside a function under `@scheduler.scheduled_job(...)`."""
    function = module.function_of(node)
    if function is None:
        return None
    for decorator in function.decorator_list:
        called = decorator
        if isinstance(decorator, ast.Call):
            called = decorator.func
        if getattr(called, "attr", "") == "scheduled_job":
            return "@scheduled_job"
    return None


def _own_schedule(project: Project, actor: Actor) -> Iterator[Send]:
    """What the actor's own decorators say."""
    if "periodic" in actor.options:
        given = actor.options["periodic"]
        yield Send(
            "schedule",
            given.place,
            f"periodic={ast.unparse(given.node)}",
            is_plainly_test(given.place.path),
        )
    module = actor.handler.module
    for node in actor.handler.decorators:
        name = None
        if isinstance(node, ast.Call):
            name = module.resolve(node.func)
        if name and project.origin(name) in _CRON_DECORATORS:
            yield _make_send("schedule", module, node, f"@{ast.unparse(node)}")


def _by_name(project: Project, actor: Actor) -> Iterator[Send]:
    """`broker.get_actor("send")`, `Message(actor_name="send")`, `add_job("shop.tasks:send.send")`,
    callbacks.
    """
    for module in project.modules_with(actor.name):
        for node in module.all_nodes:
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield from _read_text_use(project, actor, module, node)
            elif isinstance(node, ast.Call):
                yield from _read_callback_use(project, actor, module, node)


def _read_text_use(
    project: Project, actor: Actor, module: Module, node: ast.Constant
) -> Iterator[Send]:
    above = next(module.parents(node), None)
    if isinstance(above, ast.keyword):
        call = next(module.parents(above), None)
    else:
        call = above
    word = None
    if isinstance(call, ast.Call):
        word = call.func
    called = getattr(word, "attr", getattr(word, "id", ""))
    if called in _BY_NAME and node.value == actor.name:
        if called == "get_actor" or (isinstance(above, ast.keyword) and above.arg == "actor_name"):
            yield _make_send("enqueue", module, node, f"{called}({node.value!r})")
    elif called == "add_job" and str(node.value).endswith(".send"):
        path = str(node.value).removesuffix(".send")
        if project.find(path) == actor.handler:
            yield _make_send("schedule", module, node, f"add_job({node.value!r})")


def _read_callback_use(
    project: Project, actor: Actor, module: Module, node: ast.Call
) -> Iterator[Send]:
    """`on_failure="record_failure"` of another actor sends this one."""
    for keyword in node.keywords:
        if keyword.arg in _CALLBACKS and actor.name in ast.unparse(keyword.value):
            target = actor_behind(project, option(project, keyword.value, module))
            if target is not None and target.handler.node is actor.handler.node:
                yield _make_send(
                    "enqueue", module, keyword.value, f"{keyword.arg}={ast.unparse(keyword.value)}"
                )


def _handed_on(project: Project, use: Use) -> Iterator[Send]:
    """The actor as a value, in a mapping or an argument: somebody sends it, but the text does not
    say where.
    """
    above = next(use.module.parents(use.node), None)
    called = ""
    if isinstance(above, ast.Call):
        called = getattr(above.func, "attr", getattr(above.func, "id", ""))
    given = (
        isinstance(above, ast.Call) and use.node in above.args and _SENDS.search(called) is not None
    )
    if isinstance(above, ast.Call) and is_maker(project, above.func, use.module):
        return
    if (
        given or isinstance(above, ast.Dict | ast.List | ast.Tuple | ast.keyword)
    ) and not is_plainly_test(use.path):
        yield _make_send("enqueue", use.module, use.node, "handed on as a value")


def _make_send(kind: str, module: Module, node: ast.AST, how: str) -> Send:
    return Send(kind, place_of(module, node), how, is_plainly_test(module.path))


def find_parameters(job: Job) -> ast.arguments | None:
    """What a message gives the actor."""
    return read_parameters(job.handler)


def sends_another(job: Job, call: Call) -> bool:
    """It sends an actor of the repository a message, outside of a clause."""
    func = call.node.func
    if not isinstance(func, ast.Attribute) or func.attr not in SENDING:
        return False
    owner = call.module.resolve(func.value)
    target = None
    if owner:
        target = job.project.definition(owner)
    if target is None or call.in_except is not None:
        return False
    return read_actor(job.project, target).registered is not None


SENDER = Sender(
    find_sends=find_sends,
    find_parameters=find_parameters,
    sending="sending",
    sent="sent",
    misfit="every attempt ends with TypeError in the worker",
    taker="the actor takes",
    after_commit="transaction.on_commit(lambda: ...), or send after the block",
    in_transaction="send-in-transaction",
    unkeyed=Unkeyed(
        sends_another,
        again="each run sends one more, under a new id",
        hint="let the receiver de-duplicate by a key of the job, not by message_id",
        rule="send-again",
    ),
    pickling=Pickling(
        "messages are pickled: whoever can write to the broker runs code here, and a moved class"
        " breaks them",
        hint="keep JSONEncoder",
        is_default=False,
        rule="pickle-encoder",
    ),
)
