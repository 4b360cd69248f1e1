"""Which of the four questions of whoever is on call a log call answers, told by where it stands."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from skillrun.repo.syntax import find_names
from skillrun.skills.job_worker.readings.effects import effect_calls, handler_calls
from skillrun.skills.job_worker.readings.logs.log_calls import LogCall, is_log_call
from skillrun.skills.job_worker.readings.tables.store_use import takes_permanent_alone

if TYPE_CHECKING:
    from skillrun.contract.spec import JobSpec
    from skillrun.repo.calls import Call
    from skillrun.repo.python import Definition
    from skillrun.skills.job_worker.job_case import JobCase

QUESTIONS = {
    "ran": "did it run?",
    "succeeded": "did it succeed?",
    "failed": "why did it fail?",
    "retries": "will it retry?",
}
# What a library calls the error that it hands to its failure hook.
_NAMES_OF_ERRORS = (
    "exc",
    "exception",
    "einfo",
    "error",
    "traceback",
    "exc_value",
    "value",
)
# "will retry in 5 s", "attempt 3 of 5", "trying again", "again at 12:30".
_WORDS_OF_RETRY = re.compile(
    r"retr(?:y|ie)|attempt|\b(?:try|tries|tried|trying) again\b|\bagain (?:in|at)\b", re.IGNORECASE
)


def sort_by_question(
    case: JobCase, spec: JobSpec, handler: Definition, logs: tuple[LogCall, ...]
) -> dict[str, tuple[Call, ...]]:
    """Returns question -> the log calls that answer it. Where a call stands decides: before the
    first effect, after the last one, in an except clause, or in a hook of the library.
    """
    first, last = _find_effect_span(case, spec, handler)
    answers: dict[str, tuple[Call, ...]] = dict.fromkeys(QUESTIONS, ())
    for log in logs:
        is_plain = log.call.in_except is None and log.event is None
        answers_question = {
            "ran": log.event == "started" or (is_plain and log.order < first),
            "succeeded": log.event == "succeeded" or (is_plain and log.order > last),
            "failed": _tells_failure(log),
            "retries": _tells_retry(log),
        }
        for question, is_answered in answers_question.items():
            if is_answered:
                answers[question] += (log.call,)
    return answers


def _find_effect_span(case: JobCase, spec: JobSpec, handler: Definition) -> tuple[int, int]:
    """The positions of the first and the last effect among the handler's calls. A log line before
    the first tells of the start, one behind the last tells of the end.
    """
    nodes = set()
    for effect in spec.effects or ():
        for call in effect_calls(case, handler, effect):
            nodes.add(id(call.node))
    calls = handler_calls(case, handler)
    effects, work = [], []
    for order, call in enumerate(calls):
        if id(call.node) in nodes:
            effects.append(order)
        if not is_log_call(call):
            work.append(order)
    if effects:
        return effects[0], effects[-1]
    # The effects are not seen: every log line may stand before them, and behind them.
    if spec.effects:
        return len(calls), -1
    # A job without effects: what it does besides logging stands for them.
    if work:
        return work[0], work[-1]
    # It does nothing but log: the first line begins it, and every further one ends it.
    return 1, 0


def _tells_failure(log: LogCall) -> bool:
    """Whether a log call stands in an except clause or in the framework's failure hook, and says
    why the job failed: by `.exception`, by exc_info, or by the error itself.
    """
    clause = log.call.in_except
    if clause is None and log.event != "failed":
        return False
    if clause is not None and _has_last_attempt_left(log.call):
        return False
    method = log.call.name.rpartition(".")[2]
    if method == "exception" or "exc_info" in log.text:
        return True
    names_of_error = set()
    if clause and clause.name:
        names_of_error.add(clause.name)
    if log.event == "failed":
        names_of_error.update(_NAMES_OF_ERRORS)
    return not names_of_error.isdisjoint(find_names(log.call.node))


def _tells_retry(log: LogCall) -> bool:
    """Whether a log call stands in the framework's retry hook, or in an except clause and speaks of
    a further attempt.
    """
    if log.event == "retried":
        return True
    return log.call.in_except is not None and _WORDS_OF_RETRY.search(log.text) is not None


def find_record_of_failure(case: JobCase, logs: tuple[LogCall, ...]) -> LogCall | None:
    """The first log call that tells of a failure which may be tried again, whatever its words."""
    for log in logs:
        clause = log.call.in_except
        if clause is None or _has_last_attempt_left(log.call):
            continue
        if takes_permanent_alone(case, clause) or _is_given_up(log.call):
            continue
        return log
    return None


def _is_given_up(call: Call) -> bool:
    """Whether a call stands in a branch that leaves its except clause: the job is given up there,
    and what is tried again goes on behind the branch.
    """
    below: ast.AST = call.node
    for above in call.module.parents(call.node):
        if isinstance(above, ast.ExceptHandler):
            return False
        if isinstance(above, ast.If) and below in above.body:
            # With an else, nothing goes on behind the branch.
            goes_on_behind = not above.orelse
            if goes_on_behind and _ends_in_leaving(above.body):
                return True
        below = above
    return False


def _has_last_attempt_left(call: Call) -> bool:
    """Whether the job's last attempt leaves the except clause before it comes to this call: by a
    branch on `request.retries` that ends in a return or a raise.
    """
    below: ast.AST = call.node
    for above in call.module.parents(call.node):
        if isinstance(above, ast.If) and below not in above.body and _ends_last_attempt(above):
            return True
        if isinstance(above, ast.ExceptHandler):
            if below not in above.body:
                return False
            statements_before = above.body[: above.body.index(below)]
            return any(_ends_last_attempt(statement) for statement in statements_before)
        below = above
    return False


def _ends_last_attempt(node: ast.stmt) -> bool:
    """Whether a statement is a branch for the last attempt that ends in a return or a raise."""
    if not isinstance(node, ast.If) or not _is_for_last_attempt(node):
        return False
    return _ends_in_leaving(node.body)


def _is_for_last_attempt(node: ast.If) -> bool:
    """Whether a branch is taken at the last attempt: `if self.request.retries >= 5`, where a
    library counts up, or `if task.retries == 0` and `if not task.retries` of Huey, which counts
    down.
    """
    test = node.test
    counter: ast.expr = test
    if isinstance(test, ast.UnaryOp):
        counter = test.operand
    elif isinstance(test, ast.Compare):
        counter = test.left
    if not isinstance(counter, ast.Attribute) or counter.attr != "retries":
        return False
    # `self.request.retries` is an attribute of an attribute, `task.retries` one of a name.
    counts_up = isinstance(counter.value, ast.Attribute)
    if isinstance(test, ast.Compare) and counts_up:
        return isinstance(test.ops[0], ast.GtE | ast.Gt | ast.Eq)
    if isinstance(test, ast.Compare):
        return isinstance(test.ops[0], ast.Lt | ast.LtE | ast.Eq)
    return not counts_up and isinstance(test, ast.UnaryOp)


def _ends_in_leaving(body: list[ast.stmt]) -> bool:
    """Whether the last statement of a body leaves the function."""
    return isinstance(body[-1], ast.Return | ast.Raise)
