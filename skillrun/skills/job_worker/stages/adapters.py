"""What an adapter in the repository does with the key that it is given, and whether its effect can
be transactional.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from skillrun.core.verdict import Finding
from skillrun.runner.findings import error
from skillrun.skills.job_worker.stages.clients import reach
from skillrun.skills.job_worker.stages.interface import JobCase
from skillrun.skills.job_worker.stages.sources import Volatile, volatile_parts
from skillrun.skills.job_worker.stages.uniqueness import KEYISH, OTHER_KEYS

if TYPE_CHECKING:
    from skillrun.contract.job import Effect, JobSpec
    from skillrun.repo.calls import Call
    from skillrun.repo.python import Definition

_REMOTE = ("http", "smtp")


def adapter_findings(case: JobCase, spec: JobSpec) -> Iterator[Finding]:
    """A promise of the spec that the adapter's own code contradicts."""
    for effect in spec.effects or ():
        adapter = None
        if effect.call:
            adapter = case.project.find(effect.call)
        if adapter is None or adapter.is_class:
            continue
        if effect.guarantee == "transactional":
            yield from _remote(case, effect, adapter)
        elif (
            effect.guarantee == "keyed"
            and effect.key_arg in adapter.parameters
            and not _is_stub(adapter)
        ):
            yield from _ignored(effect, adapter)


def keys_made_inside(case: JobCase, spec: JobSpec) -> Iterator[tuple[str, Volatile]]:
    """(what carries it, what it is made of): a key that an adapter sends and makes anew at each
    delivery.
    """
    for effect in spec.effects or ():
        adapter = None
        if effect.call and effect.guarantee == "keyed":
            adapter = case.project.find(effect.call)
        if adapter is not None and not adapter.is_class:
            for name, value in _sent_keys(adapter):
                assert adapter is not None
                for part in volatile_parts(case.project, adapter.module, value):
                    yield f"{name} of {effect.name}", part


def _remote(case: JobCase, effect: Effect, adapter: Definition) -> Iterator[Finding]:
    call = next(
        (call for call in case.project.calls(adapter, depth=3) if _writes_far_away(call)), None
    )
    if call is not None:
        message = (
            f"effect {effect.name} is called transactional, and {call.name} reaches another"
            " system: "
        )
        message += "a remote call cannot commit with a row"
        hint = "guarantee: keyed with a key_arg, or at_least_once / at_most_once with a reason"
        yield error(
            "idempotency.not-transactional", message, hint=hint, path=call.path, line=call.line
        )


def _writes_far_away(call: Call) -> bool:
    found = reach(call.name) or reach(call.origin)
    return found is not None and found.writes and found.kind in _REMOTE


def _ignored(effect: Effect, adapter: Definition) -> Iterator[Finding]:
    for node in (inner for statement in adapter.node.body for inner in ast.walk(statement)):
        if (
            isinstance(node, ast.Name)
            and isinstance(node.ctx, ast.Load)
            and node.id in (effect.key_arg, "locals")
        ):
            return
    message = (
        f"{adapter.name} takes {effect.key_arg} and never uses it: the receiver of {effect.name}"
        " gets no key"
    )
    hint = f"hand {effect.key_arg} to the receiver, e.g. as its Idempotency-Key"
    yield error("idempotency.key-ignored", message, hint=hint, path=adapter.path, line=adapter.line)


def _is_stub(adapter: Definition) -> bool:
    """Nothing but a docstring, `...`, `pass` or `raise`: what runs stands elsewhere."""
    return all(
        isinstance(statement, ast.Pass | ast.Raise)
        or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        for statement in adapter.node.body
    )


def _sent_keys(adapter: Definition) -> Iterator[tuple[str, ast.expr]]:
    """`{"Idempotency-Key": ...}`, `headers["Idempotency-Key"] = ...`, `idempotency_key=...` in the
    adapter.
    """
    for node in ast.walk(adapter.node):
        if isinstance(node, ast.Dict):
            pairs = [
                (key, value)
                for key, value in zip(node.keys, node.values, strict=True)
                if key is not None
            ]
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            pairs = [(node.targets[0].slice, node.value)]
        elif isinstance(node, ast.Call):
            pairs = [(ast.Constant(keyword.arg), keyword.value) for keyword in node.keywords]
        else:
            continue
        for key, value in pairs:
            if isinstance(key, ast.Constant) and isinstance(key.value, str) and _is_key(key.value):
                yield key.value, value


def _is_key(name: str) -> bool:
    return bool(KEYISH.search(name)) and not OTHER_KEYS.search(name)
