"""What an adapter in the repository does with the key that it is given, and whether its effect can
be transactional.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from skillrun.core.verdict import Finding
from skillrun.repo.syntax import find_nodes
from skillrun.runner.findings import error
from skillrun.skills.job_worker.job_case import JobCase
from skillrun.skills.job_worker.readings.clients import reach
from skillrun.skills.job_worker.readings.sources import Volatile, volatile_parts
from skillrun.skills.job_worker.readings.tables.uniqueness import KEYISH, OTHER_KEYS

if TYPE_CHECKING:
    from skillrun.contract.job import Effect, JobSpec
    from skillrun.repo.calls import Call
    from skillrun.repo.python import Definition

_REMOTE = ("http", "smtp")


def adapter_findings(case: JobCase, spec: JobSpec) -> Iterator[Finding]:
    """An error for each promise of the spec that the adapter's own code contradicts."""
    for effect in spec.effects or ():
        adapter = _find_adapter(case, effect)
        if adapter is None:
            continue
        takes_key = effect.guarantee == "keyed" and effect.key_arg in adapter.parameters
        if effect.guarantee == "transactional":
            yield from _find_remote_call(case, effect, adapter)
        elif takes_key and not _is_stub(adapter):
            yield from _find_ignored_key(effect, adapter)


def _find_adapter(case: JobCase, effect: Effect) -> Definition | None:
    """The function of the repository that an effect calls."""
    if not effect.call:
        return None
    adapter = case.project.find(effect.call)
    if adapter is None or adapter.is_class:
        return None
    return adapter


def keys_made_inside(case: JobCase, spec: JobSpec) -> Iterator[tuple[str, Volatile]]:
    """(what carries it, what it is made of) for each key that an adapter sends and makes anew at
    each delivery.
    """
    for effect in spec.effects or ():
        if effect.guarantee != "keyed":
            continue
        adapter = _find_adapter(case, effect)
        if adapter is None:
            continue
        for name, value in _list_sent_keys(adapter):
            for part in volatile_parts(case.project, adapter.module, value):
                yield f"{name} of {effect.name}", part


def _find_remote_call(case: JobCase, effect: Effect, adapter: Definition) -> Iterator[Finding]:
    """An error where an adapter whose effect is to commit with a row calls another system."""
    for call in case.project.calls(adapter, depth=3):
        if not _writes_far_away(call):
            continue
        message = (
            f"effect {effect.name} is called transactional, and {call.name} reaches another"
            " system: a remote call cannot commit with a row"
        )
        hint = "guarantee: keyed with a key_arg, or at_least_once / at_most_once with a reason"
        yield error(
            "idempotency.not-transactional", message, hint=hint, path=call.path, line=call.line
        )
        # The first one is enough.
        return


def _writes_far_away(call: Call) -> bool:
    """Whether a call changes something in another system."""
    found = reach(call.name) or reach(call.origin)
    return found is not None and found.writes and found.kind in _REMOTE


def _find_ignored_key(effect: Effect, adapter: Definition) -> Iterator[Finding]:
    """An error where an adapter takes the key and does nothing with it."""
    # `locals()` hands on everything that it was given.
    used = (effect.key_arg, "locals")
    for statement in adapter.node.body:
        for name in find_nodes(statement, ast.Name):
            if name.id in used and isinstance(name.ctx, ast.Load):
                return
    message = (
        f"{adapter.name} takes {effect.key_arg} and never uses it: the receiver of {effect.name}"
        " gets no key"
    )
    hint = f"hand {effect.key_arg} to the receiver, e.g. as its Idempotency-Key"
    yield error("idempotency.key-ignored", message, hint=hint, path=adapter.path, line=adapter.line)


def _is_stub(adapter: Definition) -> bool:
    """Whether an adapter is nothing but a docstring, `...`, `pass` or `raise`: what runs stands
    elsewhere.
    """
    for statement in adapter.node.body:
        is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if not is_text and not isinstance(statement, ast.Pass | ast.Raise):
            return False
    return True


def _list_sent_keys(adapter: Definition) -> Iterator[tuple[str, ast.expr]]:
    """(name, value) for each key that the adapter sets: `{"Idempotency-Key": ...}`,
    `headers["Idempotency-Key"] = ...`, `idempotency_key=...`.
    """
    for node in ast.walk(adapter.node):
        for name, value in _list_named_values(node):
            if isinstance(name, str) and _is_key(name):
                yield name, value


def _list_named_values(node: ast.AST) -> Iterator[tuple[object, ast.expr]]:
    """(name, value) for each entry of a dict, for an assignment to an entry, and for each keyword
    of a call.
    """
    if isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant):
                yield key.value, value
    elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
        entry = node.targets[0].slice
        if isinstance(entry, ast.Constant):
            yield entry.value, node.value
    elif isinstance(node, ast.Call):
        for keyword in node.keywords:
            yield keyword.arg, keyword.value


def _is_key(name: str) -> bool:
    """Whether a name says that it carries a key of this sense, and no API key, say."""
    return bool(KEYISH.search(name)) and not OTHER_KEYS.search(name)
