"""Which calls of a handler are log calls, and which calls may log where that cannot be seen."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.unfollowed import Unfollowed, is_foreign
from skillrun.repo.syntax import find_names
from skillrun.skills.job_worker.readings.clients import reach
from skillrun.skills.job_worker.readings.effects import adapter_names, handler_calls

if TYPE_CHECKING:
    from skillrun.repo.calls import Call
    from skillrun.repo.python import Definition
    from skillrun.skills.job_worker.job_case import JobCase

_LOG_METHODS = ("debug", "info", "warning", "warn", "error", "exception", "critical", "log", "msg")
_LOGGER_NAMES = ("log", "logger", "logging", "_log", "_logger", "structlog", "loguru")
# Statements and addresses are no log lines: "SELECT id FROM orders", f"https://{host}/v1".
_STATEMENT_OR_ADDRESS = re.compile(
    r"""^f?["'](\s*(select|insert|update|delete|with|create)\b|\S*://)""", re.IGNORECASE
)
_LOG_LIBRARIES = ("logging", "structlog", "loguru", "eliot", "logbook")


@dataclass(frozen=True)
class LogCall:
    """A log call that the handler reaches, or that a hook of its framework makes."""

    call: Call
    text: str  # message and arguments as written
    order: int  # its position among the handler's calls
    # The event of the hook that it stands in: started, succeeded, failed, retried.
    event: str | None = None


def find_log_calls(case: JobCase, handler: Definition) -> tuple[LogCall, ...]:
    """The log calls of the handler in their order, then those of the framework's hooks."""
    adapters = _list_adapter_names(case)
    logs = []
    for order, call in enumerate(handler_calls(case, handler)):
        # What an adapter logs inside says nothing of the job.
        if not adapters.isdisjoint(call.via):
            continue
        if is_log_call(call) or _hands_to_log(case, call):
            logs.append(LogCall(call, ast.unparse(call.node), order))
    for event, hook in case.hooks.items():
        for call in case.project.calls(hook, depth=2):
            if is_log_call(call):
                logs.append(LogCall(call, ast.unparse(call.node), 0, event))
    return tuple(logs)


def _list_adapter_names(case: JobCase) -> set[str]:
    """The names by which the adapters of the job's effects are called."""
    names = set[str]()
    if case.spec is None:
        return names
    for effect in case.spec.effects or ():
        names |= adapter_names(case, effect)
    return names


def is_log_call(call: Call) -> bool:
    """Whether a method of a level is called on a logger: `log.info`, `self._logger.error`,
    `logging.getLogger("shop").warning`.
    """
    receiver, _, method = call.name.rpartition(".")
    if method not in _LOG_METHODS or not receiver:
        return False
    # Whatever the logger is called, the library that made it says what it is: "logging" of the
    # origin "logging.getLogger().info".
    library = call.origin.partition(".")[0]
    if library in _LOG_LIBRARIES:
        return True
    # "shop.get_task_logger()" gives the words "shop" and "get_task_logger".
    words_of_receiver = receiver.replace("()", "").split(".")
    if not {"getLogger", "get_task_logger"}.isdisjoint(words_of_receiver):
        return True
    words_as_written = ast.unparse(call.node.func).split(".")
    return any(_is_logger_name(word) for word in (*words_of_receiver, *words_as_written))


def _is_logger_name(word: str) -> bool:
    """Whether a name is one that loggers usually have: `logger`, `audit_log`."""
    return word.lower() in _LOGGER_NAMES or word.lower().endswith(("_log", "_logger"))


def _hands_to_log(case: JobCase, call: Call) -> bool:
    """Whether the call logs by way of the repository's own code: it calls a function that logs what
    it is given, or a method of a logger class that derives from a library's.
    """
    if _is_derived_logger(case, call):
        return True
    if not call.resolved:
        return False
    wrapper = case.project.definition(call.origin)
    if wrapper is None or wrapper.is_class:
        return False
    for inner in case.project.calls(wrapper, depth=0):
        if is_log_call(inner) and find_names(inner.node) & set(wrapper.parameters):
            return True
    return False


def _is_derived_logger(case: JobCase, call: Call) -> bool:
    """Whether a level's method of a class is called that derives from a logger of a library."""
    receiver, _, method = call.origin.replace("()", "").rpartition(".")
    if method not in _LOG_METHODS or not receiver:
        return False
    for base in case.project.ancestors(receiver):
        library = base.partition(".")[0]
        if library in _LOG_LIBRARIES:
            return True
    return False


def find_unread_logs(case: JobCase, handler: Definition) -> tuple[Unfollowed, ...]:
    """What may log where that cannot be seen: what stands around the handler, functions that are
    handed on, and calls with a text that lead to an installed package. Each with the reason.
    """
    unread_logs = list(case.unfollowed)
    adapters = _list_adapter_names(case)
    for call in handler_calls(case, handler):
        if adapters & {call.name, call.origin, *call.via}:
            continue
        if _is_call_of_parameter(call):
            because = f"{ast.unparse(call.node.func)} is a function that is handed on"
        elif _may_log(case, call):
            because = f"{call.name} is not of this repository"
        else:
            continue
        unread_logs.append(Unfollowed(because, place_of(call.module, call.node)))
    return tuple(unread_logs)


def _is_call_of_parameter(call: Call) -> bool:
    """Whether a call is `step(export)` where `step` is a parameter: what that does is not
    followed.
    """
    func = call.node.func
    scope = call.module.function_of(call.node)
    if not isinstance(func, ast.Name) or scope is None or call.resolved:
        return False
    bindings = call.module.bindings(scope).get(func.id, ())
    return any(isinstance(binding.node, ast.arg) for binding in bindings)


def _may_log(case: JobCase, call: Call) -> bool:
    """Whether a call may be a log call of an installed package: a function of one is given a
    sentence, or an object that one made has a method called that loggers have.
    """
    if not call.resolved or not is_foreign(case.project, call.origin):
        return False
    # What reaches another system is an effect.
    if reach(call.origin):
        return False
    # An object that a package made: "vendor.make_client().info".
    if "()" in call.origin:
        return call.name.rpartition(".")[2] in _LOG_METHODS
    if not call.node.args:
        return False
    first = call.node.args[0]
    is_text = isinstance(first, ast.Constant) and isinstance(first.value, str)
    if not is_text and not isinstance(first, ast.JoinedStr):
        return False
    return _STATEMENT_OR_ADDRESS.search(ast.unparse(first)) is None
