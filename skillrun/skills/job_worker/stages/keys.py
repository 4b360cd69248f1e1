"""The idempotency key on its way to a receiver: is it passed, and is it the same at every
delivery?
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from skillrun.core.verdict import Finding
from skillrun.repo.syntax import find_keyword, read_entries
from skillrun.runner.findings import blocker, error, note
from skillrun.skills.job_worker.stages.adapters import keys_made_inside
from skillrun.skills.job_worker.stages.effects import effect_calls, handler_calls
from skillrun.skills.job_worker.stages.interface import JobCase
from skillrun.skills.job_worker.stages.key_fields import missing_fields
from skillrun.skills.job_worker.stages.sources import Volatile, volatile_parts
from skillrun.skills.job_worker.stages.uniqueness import KEYISH, OTHER_KEYS

if TYPE_CHECKING:
    from skillrun.contract.job import Effect, JobSpec
    from skillrun.repo.calls import Call
    from skillrun.repo.python import Definition


def key_findings(case: JobCase, spec: JobSpec, handler: Definition) -> Iterator[Finding]:
    """Every keyed effect gets a key, and no key is made of what changes between deliveries."""
    found = [*_effect_keys(case, spec, handler), *_named_keys(case, handler)]
    for name, part in keys_made_inside(case, spec):
        found.append(_volatile(name, part))
    seen: set[tuple[str, str | None, int | None]] = set()
    for finding in found:
        place = (finding.rule, finding.path, finding.line)
        if finding.rule != "idempotency.volatile-key" or place not in seen:
            yield finding
        seen.add(place)


def _effect_keys(case: JobCase, spec: JobSpec, handler: Definition) -> Iterator[Finding]:
    for number, effect in enumerate(spec.effects or ()):
        if effect.guarantee != "keyed":
            continue
        here = {"path": spec.shown_path, "line": spec.line("effects", number)}
        if not effect.key_arg:
            hint = f"effects.{number}.key_arg: the argument that the receiver de-duplicates on"
            message = f"effect {effect.name} is keyed, and no argument carries the key"
            yield blocker("idempotency.no-key-arg", message, hint=hint, **here)
            continue
        if effect.window is None:
            message = (
                f"for how long the receiver of {effect.name} remembers a key is not given: taken as"
                " for ever"
            )
            hint = f"effects.{number}.window: what its documentation says, e.g. 24h"
            yield note("idempotency.no-receiver-window", message, hint=hint, **here)
        yield from _passed_keys(case, spec, handler, effect, effect.key_arg)


def _made_of(
    case: JobCase, spec: JobSpec, handler: Definition, call: Call, name: str, value: ast.expr
) -> Iterator[Finding]:
    """The key is the same at every delivery, and another one for every other job."""
    callers = handler_calls(case, handler)
    changing = list(volatile_parts(case.project, call.module, value, callers))
    for part in changing:
        yield _volatile(name, part)
    missing: tuple[str, ...] = ()
    if not changing:
        missing = missing_fields(case.project, spec, handler, call, value, callers)
    if missing:
        message = (
            f"{name} does not depend on {', '.join(missing)}: two different jobs would have one key"
        )
        hint = (
            "build it from every key field:"
            f" {', '.join(spec.idempotency.key or () if spec.idempotency else ())}"
        )
        yield error(
            "idempotency.key-not-from-fields", message, hint=hint, path=call.path, line=call.line
        )


def _passed_keys(
    case: JobCase, spec: JobSpec, handler: Definition, effect: Effect, key_arg: str
) -> Iterator[Finding]:
    for call in effect_calls(case, handler, effect):
        here = {"path": call.path, "line": call.line}
        value = call.argument(_position(case, effect, key_arg), key_arg) or _unpacked(call, key_arg)
        if value is not None:
            yield from _made_of(case, spec, handler, call, f"{key_arg} of {effect.name}", value)
        elif _unpacks(call):
            message = (
                f"whether {effect.name} gets {key_arg} could not be read from the unpacked"
                " arguments"
            )
            yield note(
                "idempotency.key-not-read", message, hint=f"pass {key_arg}=... by name", **here
            )
        else:
            message = (
                f"{effect.name} is called without {key_arg}, so the receiver cannot tell a"
                " repetition"
            )
            hint = f"pass {key_arg}=... made of the key fields"
            yield error("idempotency.key-not-passed", message, hint=hint, **here)


def _unpacks(call: Call) -> bool:
    starred = any(isinstance(arg, ast.Starred) for arg in call.node.args)
    return starred or any(keyword.arg is None for keyword in call.node.keywords)


def _unpacked(call: Call, key_arg: str) -> ast.expr | None:
    """The value in `**{"key": ...}`, `**dict(key=...)`, or in a local variable that holds one of
    these.
    """
    for keyword in call.node.keywords:
        if keyword.arg is None:
            for mapping in _mappings(call, keyword.value):
                found = _entry(mapping, key_arg)
                if found is not None:
                    return found
    return None


def _mappings(call: Call, value: ast.expr) -> Iterator[ast.expr]:
    yield value
    scope = call.module.function_of(call.node)
    if isinstance(value, ast.Name) and scope is not None:
        for binding in call.module.bindings(scope).get(value.id, ()):
            if binding.kind == "value" and binding.value is not None:
                yield binding.value


def _entry(mapping: ast.expr, name: str) -> ast.expr | None:
    if isinstance(mapping, ast.Dict):
        return read_entries(mapping).get(name)
    if (
        isinstance(mapping, ast.Call)
        and isinstance(mapping.func, ast.Name)
        and mapping.func.id == "dict"
    ):
        return find_keyword(mapping, name)
    return None


def _position(case: JobCase, effect: Effect, key_arg: str) -> int | None:
    """Where the adapter takes the key when it is passed by position."""
    adapter = None
    if effect.call:
        adapter = case.project.find(effect.call)
    if adapter is None or isinstance(adapter.node, ast.ClassDef):
        return None
    arguments = adapter.node.args
    names = []
    for a in (*arguments.posonlyargs, *arguments.args):
        if a.arg not in ("self", "cls"):
            names.append(a.arg)
    if key_arg not in names:
        return None
    return names.index(key_arg)


def _named_keys(case: JobCase, handler: Definition) -> Iterator[Finding]:
    """A local variable that calls itself a key and is made of something that changes."""
    for part in case.project.callables(handler):
        for node in ast.walk(part.node):
            name, value = _assigned(node)
            if name and value is not None and KEYISH.search(name) and not OTHER_KEYS.search(name):
                for found in volatile_parts(
                    case.project, part.module, value, handler_calls(case, handler)
                ):
                    yield _volatile(name, found)


def _assigned(node: ast.AST) -> tuple[str | None, ast.expr | None]:
    target: ast.expr | None = None
    if isinstance(node, ast.Assign):
        target = node.targets[0]
    elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.NamedExpr):
        target = node.target
    return (target.id if isinstance(target, ast.Name) else None), getattr(node, "value", None)


def _volatile(name: str, part: Volatile) -> Finding:
    message = f"{name} is built from {part.what}: a redelivered job would get another key"
    hint = "build it from the key fields of the payload alone"
    return error("idempotency.volatile-key", message, hint=hint, path=part.path, line=part.line)
