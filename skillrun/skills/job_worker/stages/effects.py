"""What the handler does to the world: the calls to declared adapters, and those that nobody
declared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.skills.job_worker.stages.clients import INTEGRATION, reach

if TYPE_CHECKING:
    from skillrun.contract.job import Effect, JobSpec
    from skillrun.repo.calls import Call
    from skillrun.repo.python import Definition
    from skillrun.skills.job_worker.stages.interface import JobCase

DOMAIN = "backend/domain-logic-module"
PERSISTENCE = "backend/persistence-layer-change"

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
    return case.once("handler-calls", lambda: tuple(_calls(case, handler)))


def _calls(case: JobCase, handler: Definition) -> Iterator[Call]:
    for call in case.project.calls(handler, depth=3):
        if not any(_is_published(case, name) for name in call.via):
            yield call


def _is_published(case: JobCase, name: str) -> bool:
    """Calling it enqueues it (Huey), so that it runs elsewhere."""
    found, use, framework = case.project.definition(name), case.use, case.framework
    if found is None or found.is_class or not found.decorators or use is None or framework is None:
        return False
    return any(send.how == "call" for send in framework.find_sends(case.project, use, found))


def effect_calls(case: JobCase, handler: Definition, effect: Effect) -> tuple[Call, ...]:
    """The calls to an effect's adapter, wherever the handler makes them."""
    wanted = adapter_names(case, effect)
    calls = []
    for call in handler_calls(case, handler):
        if wanted & _names(call):
            calls.append(call)
    return tuple(calls)


def _names(call: Call) -> set[str]:
    """As written and as defined; a method of what a constructor returned is named after its
    class.
    """
    return {call.name, call.origin, call.name.replace("()", ""), call.origin.replace("()", "")}


def adapter_names(case: JobCase, effect: Effect) -> frozenset[str]:
    """The dotted names of an adapter: as the spec writes it, and followed to its definition."""
    if effect.call is None:
        return frozenset()
    return frozenset({dotted(effect.call), case.project.origin(dotted(effect.call))})


def adapter_is_missing(case: JobCase, effect: Effect) -> bool:
    """The adapter's module is not there, or the module has no such name, as far as its text
    tells.
    """
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
    """The module would lie in a package of this repository."""
    return case.project.locate(module_name.partition(".")[0], anywhere=True) is not None


def undeclared(case: JobCase, spec: JobSpec, handler: Definition) -> Iterator[Undeclared]:
    """The calls to known clients outside the declared adapters; SQL only where it stands in the
    handler itself.
    """
    declared = set()
    for effect in spec.effects or ():
        for name in adapter_names(case, effect):
            declared.add(name)
    for call in handler_calls(case, handler):
        if declared & {*_names(call), *call.via} or _is_retry(call):
            continue
        found = _outside(call) or _sent(case, call)
        if found:
            yield found


def _is_retry(call: Call) -> bool:
    return call.name in ("self.retry", "self.replace")


def _outside(call: Call) -> Undeclared | None:
    found = reach(call.name) or reach(call.origin)
    if found is not None:
        return Undeclared(found.kind, call, INTEGRATION, found.writes)
    last = call.name.rpartition(".")[2]
    if last in _PUBLISH:
        return Undeclared("publish", call, INTEGRATION)
    if last in _SQL and len(call.via) == 0 and _writes(call):
        return Undeclared("sql", call, PERSISTENCE)
    return None


def _sent(case: JobCase, call: Call) -> Undeclared | None:
    """`job.send(...)`: a plain function has no such method, so its decorator made a job of it.
    Huey's is called.
    """
    owner, _, method = call.name.rpartition(".")
    if call.resolved and (
        _is_published(case, call.name) or (method == "schedule" and _is_published(case, owner))
    ):
        return Undeclared("publish", call, INTEGRATION)
    task = owner.removesuffix(".configure()")
    target = None
    if method in _SENDING and call.resolved:
        target = case.project.definition(task)
    is_job = target is not None and not target.is_class and bool(target.decorators)
    if not is_job:
        return None
    return Undeclared("publish", call, INTEGRATION)


def _writes(call: Call) -> bool:
    import ast

    statement = call.argument(0, "sql")
    text = ""
    if statement is not None:
        text = ast.unparse(statement).lower()
    return any(word in text for word in ("insert ", "update ", "delete ", "replace "))
