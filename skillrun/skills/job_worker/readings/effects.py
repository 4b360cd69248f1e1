"""What the handler does to the world: the calls to declared adapters, and those that nobody
declared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.skills.job_worker.readings.clients import INTEGRATION, reach

if TYPE_CHECKING:
    from skillrun.contract.job import Effect, JobSpec
    from skillrun.repo.calls import Call
    from skillrun.repo.python import Definition
    from skillrun.skills.job_worker.job_case import JobCase

DOMAIN = "backend/domain-logic-module"
PERSISTENCE = "backend/persistence-layer-change"

# Methods that publish whatever they are called on.
_PUBLISH = ("delay", "apply_async", "send_task", "defer_async", "batch_defer", "batch_defer_async")
# Where what is sent to is a decorated function: others have these too.
_SENDING = (
    "send",
    "send_with_options",
    "defer",
)
_SQL = ("execute", "executemany", "executescript")


@dataclass(frozen=True)
class Undeclared:
    """A call that reaches outside and that no effect of the spec covers."""

    kind: str  # http | smtp | subprocess | network | publish | sql
    call: Call
    recommends: str
    writes: bool = True  # False: it only reads there


def dotted(import_path: str) -> str:
    """ "shop.mailer:send" -> "shop.mailer.send"."""
    return import_path.replace(":", ".")


def handler_calls(case: JobCase, handler: Definition) -> tuple[Call, ...]:
    """Every call of the handler, followed three functions deep into the repository, but not into
    another job.
    """
    return case.once("handler-calls", lambda: tuple(_follow_calls(case, handler)))


def _follow_calls(case: JobCase, handler: Definition) -> Iterator[Call]:
    for call in case.project.calls(handler, depth=3):
        if not any(_is_published(case, name) for name in call.via):
            yield call


def _is_published(case: JobCase, name: str) -> bool:
    """Whether a call of a function enqueues it (Huey), so that it runs elsewhere."""
    function, use, framework = case.project.definition(name), case.use, case.framework
    if function is None or function.is_class or not function.decorators:
        return False
    if use is None or framework is None:
        return False
    return any(send.how == "call" for send in framework.find_sends(case.project, use, function))


def effect_calls(case: JobCase, handler: Definition, effect: Effect) -> tuple[Call, ...]:
    """The calls to an effect's adapter, wherever the handler makes them."""
    wanted = adapter_names(case, effect)
    calls = []
    for call in handler_calls(case, handler):
        if wanted & _names_of(call):
            calls.append(call)
    return tuple(calls)


def _names_of(call: Call) -> set[str]:
    """What a call may be named by: as it is written and as it is defined. A method of what a
    constructor returned, `Client().send`, is named after its class, too.
    """
    return {call.name, call.origin, call.name.replace("()", ""), call.origin.replace("()", "")}


def adapter_names(case: JobCase, effect: Effect) -> frozenset[str]:
    """The dotted names of an adapter: as the spec writes it, and followed to its definition."""
    if effect.call is None:
        return frozenset()
    return frozenset({dotted(effect.call), case.project.origin(dotted(effect.call))})


def adapter_is_missing(case: JobCase, effect: Effect) -> bool:
    """Whether the adapter's module is not there, or has no such name, as far as its text tells."""
    module_name, _, attribute = (effect.call or "").partition(":")
    path = case.project.locate(module_name)
    module = None
    if path:
        module = case.project.module(path)
    if module is None:
        return _is_ours(case, module_name)
    if module.stars or case.project.lookup(f"{module_name}:__getattr__") is not None:
        return False
    first = attribute.partition(".")[0]
    return case.project.lookup(f"{module_name}:{first}") is None


def _is_ours(case: JobCase, module_name: str) -> bool:
    """Whether a module would lie in a package of this repository."""
    return case.project.locate(module_name.partition(".")[0], anywhere=True) is not None


def undeclared(case: JobCase, spec: JobSpec, handler: Definition) -> Iterator[Undeclared]:
    """The calls to known clients outside the declared adapters; SQL only where it stands in the
    handler itself.
    """
    declared = set[str]()
    for effect in spec.effects or ():
        declared |= adapter_names(case, effect)
    for call in handler_calls(case, handler):
        if declared & {*_names_of(call), *call.via} or _is_retry(call):
            continue
        effect_of_call = _read_known_client(call) or _read_publish(case, call)
        if effect_of_call:
            yield effect_of_call


def _is_retry(call: Call) -> bool:
    return call.name in ("self.retry", "self.replace")


def _read_known_client(call: Call) -> Undeclared | None:
    """What a call does by way of a client that is known by its name; None for any other call."""
    client = reach(call.name) or reach(call.origin)
    if client is not None:
        return Undeclared(client.kind, call, INTEGRATION, client.writes)
    method = call.name.rpartition(".")[2]
    if method in _PUBLISH:
        return Undeclared("publish", call, INTEGRATION)
    if method in _SQL and not call.via and _has_writing_statement(call):
        return Undeclared("sql", call, PERSISTENCE)
    return None


def _read_publish(case: JobCase, call: Call) -> Undeclared | None:
    """The publish of another job: `job.send(...)`, or `job(...)` and `job.schedule(...)` of Huey;
    None for any other call.
    """
    if not call.resolved:
        return None
    owner, _, method = call.name.rpartition(".")
    is_sent = _is_published(case, call.name)
    if not is_sent and method == "schedule":
        is_sent = _is_published(case, owner)
    if not is_sent and method in _SENDING:
        # A plain function has no such method, so its decorator made a job of it.
        target = case.project.definition(owner.removesuffix(".configure()"))
        is_sent = target is not None and not target.is_class and bool(target.decorators)
    if not is_sent:
        return None
    return Undeclared("publish", call, INTEGRATION)


def _has_writing_statement(call: Call) -> bool:
    """Whether a call is given SQL that changes rows."""
    import ast

    statement = call.argument(0, "sql")
    text = ""
    if statement is not None:
        text = ast.unparse(statement).lower()
    return any(word in text for word in ("insert ", "update ", "delete ", "replace "))
