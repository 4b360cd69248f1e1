"""What the rules share, whatever the library: the calls on the handler's way, transactions, the
spec's names.
"""

from __future__ import annotations

import ast

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.interface import (
    Job,
)
from skillrun.repo.python import Call, Module, Project, is_known
from skillrun.repo.uses import Place

ATOMIC = ("django.db.transaction.atomic", "django.db.transaction.Atomic")
# Functions of the repository that are followed from the handler.
LOOKED_DEEP = 2


def tell(
    job: Job, rule: str, severity: Severity, place: Place, message: str, hint: str | None = None
) -> Finding:
    """A finding at a place, under the name of the library in use."""
    return Finding(f"{job.use.id}.{rule}", severity, message, place.path, place.line, hint)


def calls_of(job: Job) -> tuple[Call, ...]:
    """The calls of the handler and of the repository's functions that it calls."""
    return job.project.calls(job.handler, depth=LOOKED_DEEP)


def at(job: Job, place: Place | None) -> Place:
    """A place, or the handler's own line where a default of the library is meant."""
    return place or Place(job.handler.path, job.handler.line)


def call_place(call: Call) -> Place:
    """Where a call stands."""
    return place_of(call.module, call.node)


def known(value: object) -> bool:
    """A value that was read and says yes."""
    return is_known(value) and bool(value)


def seconds(value: float) -> str:
    """A number of seconds for a reader: "3600 s (1 h)"."""
    number = f"{value:g} s"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if value >= size and value % size == 0 and value != size / 60:
            return f"{number} ({value / size:g} {unit})"
    return number


def is_atomic(project: Project, name: str) -> bool:
    """A context manager or decorator that opens a Django transaction, also one of the repository's
    own around it.
    """
    plain = name.removesuffix("()")
    if project.origin(plain) in ATOMIC:
        return True
    own = project.definition(plain)
    return own is not None and any(call.origin in ATOMIC for call in project.calls(own, depth=1))


def atomic_function(project: Project, module: Module, node: ast.AST) -> bool:
    """The function around a node is decorated with `atomic`."""
    function = module.function_of(node)
    if function is None:
        return False
    for decorator in function.decorator_list:
        called = decorator
        if isinstance(decorator, ast.Call):
            called = decorator.func
        name = module.resolve(called)
        if name and is_atomic(project, name):
            return True
    return False


def expects_record(job: Job) -> bool:
    """The spec wants its dead letters in a place of the application's."""
    return job.spec.dead_letter is not None and job.spec.dead_letter.kind in ("table", "queue")


def spec_name(job: Job, written: str) -> str:
    """The canonical dotted name of an exception or adapter in a spec: "shop.mailer:BadAddress",
    "TimeoutError".
    """
    found = None
    if ":" in written:
        found = job.project.find(written)
    if found is not None:
        return found.dotted
    dotted = written.replace(":", ".")
    if "." not in dotted:
        dotted = f"builtins.{dotted}"
    return job.project.origin(dotted)


def effect_calls(job: Job) -> tuple[Call, ...]:
    """The calls of the effects that the spec declares, on the way from the handler."""
    declared = {spec_name(job, effect.call) for effect in job.spec.effects or ()}
    written = {effect.call.replace(":", ".") for effect in job.spec.effects or ()}
    calls = job.project.calls(job.handler, depth=LOOKED_DEEP + 1)
    found = []
    for call in calls:
        if call.origin in declared or call.name in written:
            found.append(call)
    return tuple(found)
