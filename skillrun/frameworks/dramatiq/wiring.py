"""Who sends a Dramatiq actor its messages, and who schedules it: calls, compositions, names,
callbacks, cron.

Schedules: periodiq (`periodic=cron(...)`), dramatiq-crontab (`@cron(...)`), APScheduler (`add_job`,
`scheduled_job`), and what starts the function that sends: a crontab line, a timer, a loop that
polls.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from skillrun.frameworks.common.callables.callers import reach_of_places
from skillrun.frameworks.common.callables.wiring import starting
from skillrun.frameworks.common.reading import in_tests, place_of
from skillrun.frameworks.dramatiq.actors import (
    BUILDING,
    SENDING,
    Actor,
    actor_behind,
    is_maker,
    option,
    read_actor,
    uses_of,
)
from skillrun.frameworks.interface import Send
from skillrun.repo.places import is_aside
from skillrun.repo.python import Definition, Module, Project, Use

_METHODS = {**SENDING, **BUILDING}
_CRON_DECORATORS = ("dramatiq_crontab.cron", "dramatiq_crontab.interval")
_CALLBACKS = ("on_failure", "on_success", "on_retry_exhausted")
_SENDS = re.compile(r"send|enqueue|publish|dispatch|trigger|schedule|queue|job|task")
_BY_NAME = ("get_actor", "Message")


def find_sends(project: Project, handler: Definition) -> tuple[Send, ...]:
    """Every place that sends or schedules the handler, in order of path and line; calls of itself
    left out.
    """
    actor = read_actor(project, handler)
    found: dict[tuple[str, int, str], Send] = {}
    every = list(_all(project, actor))
    if all(wiring.in_tests for wiring in every):
        every += [wiring for use in uses_of(project, actor) for wiring in _handed_on(project, use)]
    every += _started(project, actor)
    for wiring in every:
        found.setdefault((wiring.place.path, wiring.place.line, wiring.kind), wiring)
    return tuple(found[key] for key in sorted(found))


def _all(project: Project, actor: Actor) -> Iterator[Send]:
    for use in uses_of(project, actor):
        yield from _by_object(use)
    yield from _own_schedule(project, actor)
    yield from _by_name(project, actor)


def _by_object(use: Use) -> Iterator[Send]:
    """`send.send(...)`; handed to a scheduler, or in a function that one calls, it is a
    schedule.
    """
    above = _sent(use)
    if above is None:
        return
    schedule = _scheduling_call(use.module, above) or _scheduled_function(use.module, above)
    if schedule is not None:
        yield _wiring("schedule", use.module, above, schedule)
    else:
        yield _wiring("enqueue", use.module, above, _METHODS[above.attr])


def _started(project: Project, actor: Actor) -> Iterator[Send]:
    """What starts by the clock the functions and scripts that send: Dramatiq itself has none."""
    places = [
        (use.module, use.node)
        for use in uses_of(project, actor)
        if not is_aside(use.path) and _sent(use)
    ]
    yield from (
        one for one in starting(project, reach_of_places(project, places)) if one.kind == "schedule"
    )


def _sent(use: Use) -> ast.Attribute | None:
    """`send.send`, `send.message`: the method that sends or builds a message."""
    above = next(use.module.parents(use.node), None)
    return above if isinstance(above, ast.Attribute) and above.attr in _METHODS else None


def _scheduling_call(module: Module, node: ast.expr) -> str | None:
    """`scheduler.add_job(send.send, ...)`, `schedule.every().day.do(send.send)`."""
    above = next(module.parents(node), None)
    word = (
        above.func.attr
        if isinstance(above, ast.Call) and isinstance(above.func, ast.Attribute)
        else ""
    )
    return (
        f"{word}(...)"
        if word in ("add_job", "do") and isinstance(above, ast.Call) and node in above.args
        else None
    )


def _scheduled_function(module: Module, node: ast.expr) -> str | None:
    """Inside a function under `@scheduler.scheduled_job(...)`."""
    function = module.function_of(node)
    decorators = (
        d.func if isinstance(d, ast.Call) else d
        for d in (function.decorator_list if function else ())
    )
    return next(
        ("@scheduled_job" for d in decorators if getattr(d, "attr", "") == "scheduled_job"), None
    )


def _own_schedule(project: Project, actor: Actor) -> Iterator[Send]:
    """What the actor's own decorators say."""
    if "periodic" in actor.options:
        given = actor.options["periodic"]
        yield Send(
            "schedule",
            given.place,
            f"periodic={ast.unparse(given.node)}",
            in_tests(given.place.path),
        )
    module = actor.handler.module
    for node in actor.handler.decorators:
        name = module.resolve(node.func) if isinstance(node, ast.Call) else None
        if name and project.origin(name) in _CRON_DECORATORS:
            yield _wiring("schedule", module, node, f"@{ast.unparse(node)}")


def _by_name(project: Project, actor: Actor) -> Iterator[Send]:
    """`broker.get_actor("send")`, `Message(actor_name="send")`, `add_job("shop.tasks:send.send")`,
    callbacks.
    """
    for module in project.modules_with(actor.name):
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield from _text(project, actor, module, node)
            elif isinstance(node, ast.Call):
                yield from _callback(project, actor, module, node)


def _text(project: Project, actor: Actor, module: Module, node: ast.Constant) -> Iterator[Send]:
    above = next(module.parents(node), None)
    call = next(module.parents(above), None) if isinstance(above, ast.keyword) else above
    word = call.func if isinstance(call, ast.Call) else None
    called = getattr(word, "attr", getattr(word, "id", ""))
    if called in _BY_NAME and node.value == actor.name:
        if called == "get_actor" or (isinstance(above, ast.keyword) and above.arg == "actor_name"):
            yield _wiring("enqueue", module, node, f"{called}({node.value!r})")
    elif called == "add_job" and str(node.value).endswith(".send"):
        path = str(node.value).removesuffix(".send")
        if project.find(path) == actor.handler:
            yield _wiring("schedule", module, node, f"add_job({node.value!r})")


def _callback(project: Project, actor: Actor, module: Module, node: ast.Call) -> Iterator[Send]:
    """`on_failure="record_failure"` of another actor sends this one."""
    for keyword in node.keywords:
        if keyword.arg in _CALLBACKS and actor.name in ast.unparse(keyword.value):
            target = actor_behind(project, option(project, keyword.value, module))
            if target is not None and target.handler.node is actor.handler.node:
                yield _wiring(
                    "enqueue", module, keyword.value, f"{keyword.arg}={ast.unparse(keyword.value)}"
                )


def _handed_on(project: Project, use: Use) -> Iterator[Send]:
    """The actor as a value, in a mapping or an argument: somebody sends it, but the text does not
    say where.
    """
    above = next(use.module.parents(use.node), None)
    called = (
        getattr(above.func, "attr", getattr(above.func, "id", ""))
        if isinstance(above, ast.Call)
        else ""
    )
    given = (
        isinstance(above, ast.Call) and use.node in above.args and _SENDS.search(called) is not None
    )
    if isinstance(above, ast.Call) and is_maker(project, above.func, use.module):
        return
    if (given or isinstance(above, ast.Dict | ast.List | ast.Tuple | ast.keyword)) and not in_tests(
        use.path
    ):
        yield _wiring("enqueue", use.module, use.node, "handed on as a value")


def _wiring(kind: str, module: Module, node: ast.AST, how: str) -> Send:
    return Send(kind, place_of(module, node), how, in_tests(module.path))
