"""Can the handler take the message? Its parameters against the payload's fields."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from skillrun.core.verdict import Finding
from skillrun.frameworks.common.arguments import is_injected
from skillrun.frameworks.registry import features_of
from skillrun.repo.source import last_word
from skillrun.runner.findings import error
from skillrun.skills.job_worker.job_case import JobCase
from skillrun.skills.job_worker.readings.unread import ask_proof

if TYPE_CHECKING:
    from skillrun.contract.job import JobSpec
    from skillrun.repo.python import Definition

# The options of Celery, Django and Procrastinate that have the library give the first argument.
_GIVES_FIRST = ("bind", "takes_context", "pass_context")


def signature_findings(case: JobCase, spec: JobSpec, handler: Definition) -> Iterator[Finding]:
    """With `message: kwargs` each field is an argument; with `payload` the handler takes one. What
    a decorator that was not read hands on may be another thing than what it is given.
    """
    found = list(_compare_signature(case, spec, handler))
    if found and case.unfollowed:
        question = f"whether the handler takes the message's fields ({found[0].message})"
        yield ask_proof("handler", question, case.unfollowed[0])
    else:
        yield from found


def _compare_signature(case: JobCase, spec: JobSpec, handler: Definition) -> Iterator[Finding]:
    taken = list_parameters(case, handler)
    fields = (spec.payload or {}).get("properties")
    if taken is None or not isinstance(fields, dict):
        return
    if spec.trigger is not None and spec.trigger.type == "poller":
        # Nobody hands it a message: the payload says what one piece of its work is.
        return
    needed, optional = taken
    if spec.message == "payload" or (spec.message is None and _takes_one_object(needed, fields)):
        problems = _compare_payload(needed)
    else:
        problems = _compare_fields(needed, optional, fields)
    for message, hint in problems:
        at = {"path": handler.path, "line": handler.line}
        yield error("handler.signature-differs", message, hint=hint, **at)


def _compare_payload(needed: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """(what is wrong, what to do) where the message is one argument."""
    if len(needed) > 1:
        yield (
            f"the message is one payload, and the handler needs {len(needed)} arguments:"
            f" {', '.join(needed)}",
            "message: kwargs, or a handler that takes one dict",
        )


def _compare_fields(
    needed: tuple[str, ...], optional: tuple[str, ...], fields: dict[str, Any]
) -> Iterator[tuple[str, str]]:
    """The same where each field is an argument."""
    missing = [name for name in needed if name not in fields]
    if missing:
        yield (
            f"the handler needs {', '.join(missing)}, which the payload does not have",
            "add the field, or give the argument a default",
        )
    unknown = [name for name in fields if name not in (*needed, *optional)]
    if unknown:
        yield (
            f"the payload has {', '.join(unknown)}, which the handler does not take",
            "take it as an argument, or drop the field",
        )


def _takes_one_object(needed: tuple[str, ...], fields: dict[str, object]) -> bool:
    return len(needed) == 1 and needed[0] not in fields


def list_parameters(
    case: JobCase, handler: Definition
) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """(needed, optional) parameters of a delivery; None where `*args`, `**kwargs` or the class
    hides them.
    """
    parts = case.project.callables(handler)
    if len(parts) != 1 or isinstance(parts[0].node, ast.ClassDef):
        return None
    arguments = parts[0].node.args
    if arguments.vararg or arguments.kwarg:
        return None
    needed, optional = _split_parameters(case, parts[0], arguments)
    del needed[: _count_given_first(case, handler, needed)]
    if _is_periodic(handler):
        if "timestamp" in needed:
            needed.remove("timestamp")
        optional.append("timestamp")
    if _asks(handler, "context"):
        # What the library gives by name is no part of a message.
        needed = [name for name in needed if name != "task"]
        optional = [name for name in optional if name != "task"]
    return tuple(needed), tuple(optional)


def _is_periodic(handler: Definition) -> bool:
    """Procrastinate's tick calls it, with its time."""
    for decorator in handler.decorators:
        if isinstance(decorator, ast.Call) and last_word(decorator.func) == "periodic":
            return True
    return False


def _split_parameters(
    case: JobCase, part: Definition, arguments: ast.arguments
) -> tuple[list[str], list[str]]:
    """Those without and those with a default, without what is injected."""
    positional = [*arguments.posonlyargs, *arguments.args]
    plain = len(positional) - len(arguments.defaults)
    defaults = [*[None] * plain, *arguments.defaults, *arguments.kw_defaults]
    needed, optional = list[str](), list[str]()
    for arg, default in zip([*positional, *arguments.kwonlyargs], defaults, strict=True):
        if is_injected(case.project, part.module, arg, default):
            continue
        if default is None:
            needed.append(arg.arg)
        else:
            optional.append(arg.arg)
    return needed, optional


def _count_given_first(case: JobCase, handler: Definition, needed: list[str]) -> int:
    """How many of the first parameters are the object itself, or what the library puts there."""
    count = 0
    asks_first = any(_asks(handler, option) for option in _GIVES_FIRST)
    if needed and (needed[0] in ("self", "cls") or asks_first):
        count += 1
    if case.use is not None and features_of(case.use.id).context_first:
        count += 1
    return count


def _asks(handler: Definition, option: str) -> bool:
    """An option of the decorator is True; `context=True` (Huey) gives `task=`."""
    keywords = []
    for d in handler.decorators:
        if isinstance(d, ast.Call):
            for k in d.keywords:
                keywords.append(k)
    return any(
        k.arg == option and isinstance(k.value, ast.Constant) and k.value.value is True
        for k in keywords
    )
