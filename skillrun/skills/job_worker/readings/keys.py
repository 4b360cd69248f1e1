"""The idempotency key on its way to a receiver: is it passed, and is it the same at every
delivery?
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from skillrun.core.verdict import Finding
from skillrun.repo.syntax import find_keyword, read_entries
from skillrun.runner.findings import blocker, error, note
from skillrun.skills.job_worker.job_case import JobCase
from skillrun.skills.job_worker.readings.adapters import keys_made_inside
from skillrun.skills.job_worker.readings.effects import effect_calls, handler_calls
from skillrun.skills.job_worker.readings.key_fields import missing_fields
from skillrun.skills.job_worker.readings.sources import Volatile, volatile_parts
from skillrun.skills.job_worker.readings.tables.uniqueness import KEYISH, OTHER_KEYS

if TYPE_CHECKING:
    from skillrun.contract.job import Effect, JobSpec
    from skillrun.repo.calls import Call
    from skillrun.repo.python import Definition


def key_findings(case: JobCase, spec: JobSpec, handler: Definition) -> Iterator[Finding]:
    """What is wrong with the keys: an effect that gets none, and a key that is made of what changes
    between deliveries, each place once.
    """
    found = [*_judge_effects(case, spec, handler), *_find_volatile_variables(case, handler)]
    for name, part in keys_made_inside(case, spec):
        found.append(_tell_volatile(name, part))
    seen: set[tuple[str, str | None, int | None]] = set()
    for finding in found:
        place = (finding.rule, finding.path, finding.line)
        if finding.rule != "idempotency.volatile-key" or place not in seen:
            yield finding
        seen.add(place)


def _judge_effects(case: JobCase, spec: JobSpec, handler: Definition) -> Iterator[Finding]:
    """What is wrong with the key of each keyed effect, in the spec and where it is passed."""
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
        yield from _judge_passed_keys(case, spec, handler, effect, effect.key_arg)


def _judge_value(
    case: JobCase, spec: JobSpec, handler: Definition, call: Call, name: str, value: ast.expr
) -> Iterator[Finding]:
    """An error where a key is another one at the next delivery, or the same for another job."""
    callers = handler_calls(case, handler)
    changing = list(volatile_parts(case.project, call.module, value, callers))
    for part in changing:
        yield _tell_volatile(name, part)
    if changing:
        return
    missing = missing_fields(case.project, spec, handler, call, value, callers)
    if missing:
        fields: Sequence[str] = ()
        if spec.idempotency:
            fields = spec.idempotency.key or ()
        yield error(
            "idempotency.key-not-from-fields",
            f"{name} does not depend on {', '.join(missing)}: two different jobs would have one"
            " key",
            hint=f"build it from every key field: {', '.join(fields)}",
            path=call.path,
            line=call.line,
        )


def _judge_passed_keys(
    case: JobCase, spec: JobSpec, handler: Definition, effect: Effect, key_arg: str
) -> Iterator[Finding]:
    """What is wrong with the key that each call of an effect passes."""
    for call in effect_calls(case, handler, effect):
        here = {"path": call.path, "line": call.line}
        value = call.argument(_find_position(case, effect, key_arg), key_arg)
        if value is None:
            value = _find_unpacked(call, key_arg)
        if value is not None:
            name = f"{key_arg} of {effect.name}"
            yield from _judge_value(case, spec, handler, call, name, value)
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
    """Whether a call is given `*args` or `**options`, which may hold anything."""
    starred = any(isinstance(arg, ast.Starred) for arg in call.node.args)
    return starred or any(keyword.arg is None for keyword in call.node.keywords)


def _find_unpacked(call: Call, key_arg: str) -> ast.expr | None:
    """The value in `**{"key": ...}`, `**dict(key=...)`, or in a local variable that holds one of
    these.
    """
    for keyword in call.node.keywords:
        if keyword.arg is not None:
            continue
        for mapping in _list_mappings(call, keyword.value):
            value = _find_entry(mapping, key_arg)
            if value is not None:
                return value
    return None


def _list_mappings(call: Call, value: ast.expr) -> Iterator[ast.expr]:
    """What is unpacked, and what the local variable of that name is given."""
    yield value
    scope = call.module.function_of(call.node)
    if isinstance(value, ast.Name) and scope is not None:
        for binding in call.module.bindings(scope).get(value.id, ()):
            if binding.kind == "value" and binding.value is not None:
                yield binding.value


def _find_entry(mapping: ast.expr, name: str) -> ast.expr | None:
    """What a dict that is written out has under a name: `{"key": ...}` or `dict(key=...)`."""
    if isinstance(mapping, ast.Dict):
        return read_entries(mapping).get(name)
    if not isinstance(mapping, ast.Call) or not isinstance(mapping.func, ast.Name):
        return None
    if mapping.func.id != "dict":
        return None
    return find_keyword(mapping, name)


def _find_position(case: JobCase, effect: Effect, key_arg: str) -> int | None:
    """Where the adapter takes the key when it is passed by position."""
    adapter = None
    if effect.call:
        adapter = case.project.find(effect.call)
    if adapter is None or isinstance(adapter.node, ast.ClassDef):
        return None
    arguments = adapter.node.args
    names = []
    for parameter in (*arguments.posonlyargs, *arguments.args):
        if parameter.arg not in ("self", "cls"):
            names.append(parameter.arg)
    if key_arg not in names:
        return None
    return names.index(key_arg)


def _find_volatile_variables(case: JobCase, handler: Definition) -> Iterator[Finding]:
    """An error for each local variable that calls itself a key and is made of something that
    changes.
    """
    for function in case.project.callables(handler):
        for name, value in _list_assigned(function.node):
            if not KEYISH.search(name) or OTHER_KEYS.search(name):
                continue
            callers = handler_calls(case, handler)
            for part in volatile_parts(case.project, function.module, value, callers):
                yield _tell_volatile(name, part)


def _list_assigned(function: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """(name, value) for each assignment to a variable, in whatever form."""
    for node in ast.walk(function):
        target: ast.expr | None = None
        if isinstance(node, ast.Assign):
            target = node.targets[0]
        elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.NamedExpr):
            target = node.target
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and value is not None:
            yield target.id, value


def _tell_volatile(name: str, part: Volatile) -> Finding:
    """An error at the part of a key that is another one at the next delivery."""
    message = f"{name} is built from {part.what}: a redelivered job would get another key"
    hint = "build it from the key fields of the payload alone"
    return error("idempotency.volatile-key", message, hint=hint, path=part.path, line=part.line)
