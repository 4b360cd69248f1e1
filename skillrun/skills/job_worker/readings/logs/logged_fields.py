"""Which fields of the message the log lines of a job carry."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from skillrun.repo.syntax import find_names, list_given
from skillrun.skills.job_worker.readings.effects import handler_calls
from skillrun.skills.job_worker.readings.key_fields import missing_fields

if TYPE_CHECKING:
    from skillrun.contract.spec import JobSpec
    from skillrun.repo.python import Definition
    from skillrun.skills.job_worker.job_case import JobCase
    from skillrun.skills.job_worker.readings.logs.log_calls import LogCall

_CORRELATION_NAMES = (
    "correlation",
    "job_id",
    "job.id",
    "message_id",
    "request.id",
    "task_id",
    "trace_id",
    "request_id",
    "root_id",
)
# Calls whose arguments stand in every later log line.
_BINDING_CALLS = (
    "bind",
    "bind_contextvars",
    "bound_contextvars",
    "new",
    "contextualize",
    "LoggerAdapter",
)


def list_missing_fields(
    case: JobCase, spec: JobSpec, handler: Definition, logs: Iterable[LogCall]
) -> list[str]:
    """The key fields that no log line carries."""
    if spec.idempotency is None:
        return []
    missing = []
    texts = _list_logged_texts(case, handler, logs)
    for key in spec.idempotency.key:
        if not any(_names_field(text, key) for text in texts):
            missing.append(key)
    return missing


def find_carrier(
    case: JobCase, spec: JobSpec, handler: Definition, logs: Iterable[LogCall]
) -> LogCall | None:
    """A log call with an argument that may hold the key fields under another name, or None."""
    callers = handler_calls(case, handler)
    keys: set[str] = set()
    if spec.idempotency:
        keys.update(spec.idempotency.key)
    for log in logs:
        for value in _list_values_with_fields(log):
            lacking = missing_fields(case.project, spec, handler, log.call, value, callers)
            # What a library hands to its hook is not followed back to the message.
            if log.event is not None or set(lacking) != keys:
                return log
    return None


def _list_values_with_fields(log: LogCall) -> Iterator[ast.expr]:
    """Yields the arguments of a log call that may hold a field of the message: not the error, and
    not what the library counts.
    """
    no_fields = {"self", "task", "repr", "str", "type"}
    clause = log.call.in_except
    if clause and clause.name:
        no_fields.add(clause.name)
    for value in list_given(log.call.node):
        names = find_names(value)
        if names and not names <= no_fields:
            yield value


def _list_logged_texts(case: JobCase, handler: Definition, logs: Iterable[LogCall]) -> list[str]:
    """The source text of the log calls, and of the calls that bind a value to the logger, which
    then stands in every later line.
    """
    texts = [log.text for log in logs]
    for call in handler_calls(case, handler):
        if call.name.rpartition(".")[2] in _BINDING_CALLS:
            texts.append(ast.unparse(call.node))
    return texts


def carries_correlation(case: JobCase, handler: Definition, logs: Iterable[LogCall]) -> bool:
    """Whether a log line carries an id by which the lines of one run are found together."""
    text = "\n".join(_list_logged_texts(case, handler, logs))
    return any(name in text for name in _CORRELATION_NAMES)


def _names_field(text: str, key: str) -> bool:
    """Whether the last part of a key, `id` of `order.id`, is a word of the text."""
    field = key.rpartition(".")[2]
    return re.search(rf"\b{re.escape(field)}\b", text) is not None
