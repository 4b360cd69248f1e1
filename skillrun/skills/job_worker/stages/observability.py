"""Stage 7: can somebody on call tell whether the job ran, succeeded, why it failed, and whether it
will retry?
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.core.verdict import (
    Finding,
    Grade,
    Severity,
    StageResult,
    list_edits,
    status_of,
)
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.unfollowed import Unfollowed, is_foreign
from skillrun.repo.syntax import find_names, list_given
from skillrun.runner.coded import wording
from skillrun.runner.findings import blocker, note, warning
from skillrun.skills.job_worker.stages.clients import reach
from skillrun.skills.job_worker.stages.effects import (
    adapter_names,
    dotted,
    effect_calls,
    handler_calls,
)
from skillrun.skills.job_worker.stages.interface import PROOF_PARTS, JobCase
from skillrun.skills.job_worker.stages.key_fields import missing_fields
from skillrun.skills.job_worker.stages.store_use import takes_permanent_alone
from skillrun.skills.job_worker.stages.unread import ask_proof, unread

if TYPE_CHECKING:
    from skillrun.contract.spec import JobSpec
    from skillrun.frameworks.interface import Policy
    from skillrun.repo.calls import Call, Handler
    from skillrun.repo.python import Definition, Module

ID = "observability"
TITLE = "Add observability"
ANSWERS = wording(r"\bobservab|\blog (start|end)")
READS = PROOF_PARTS
COSTLY = False

QUESTIONS = {
    "ran": "did it run?",
    "succeeded": "did it succeed?",
    "failed": "why did it fail?",
    "retries": "will it retry?",
}
_LEVELS = ("debug", "info", "warning", "warn", "error", "exception", "critical", "log", "msg")
_LOGGERS = ("log", "logger", "logging", "_log", "_logger", "structlog", "loguru")
# Statements and addresses are no log lines.
_NO_SENTENCE = re.compile(
    r"""^f?["'](\s*(select|insert|update|delete|with|create)\b|\S*://)""", re.IGNORECASE
)
_LOG_LIBRARIES = ("logging", "structlog", "loguru", "eliot", "logbook")
_METRIC_LIBRARIES = ("prometheus_client", "statsd", "opentelemetry", "datadog")
_METRIC_CALLS = (
    "inc",
    "observe",
    "incr",
    "timing",
    "time",
    "add",
    "record",
    "increment",
    "start_as_current_span",
    "add_event",
    "labels",
)
_CORRELATION = (
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
# What a failure hook is given.
_CAUSES = (
    "exc",
    "exception",
    "einfo",
    "error",
    "traceback",
    "exc_value",
    "value",
)
_BINDING = (
    "bind",
    "bind_contextvars",
    "bound_contextvars",
    "new",
    "contextualize",
    "LoggerAdapter",
)
_NO_NOTES = re.compile(
    r"(^|/)(requirements|constraints|changelog|history|news|changes)[^/]*$", re.IGNORECASE
)
# A docstring of fewer words tells an operator nothing.
_NOTES_WORDS = 12


@dataclass(frozen=True)
class LogCall:
    """A log call on the handler's way, and the questions it answers."""

    call: Call
    text: str  # message and arguments as written
    order: int
    event: str | None = (
        None  # of the framework's hook that it stands in: started, succeeded, failed, retried
    )


_RETRYING = re.compile(
    r"retr(?:y|ie)|attempt|\b(?:try|tries|tried|trying) again\b|\bagain (?:in|at)\b", re.IGNORECASE
)


def examine(case: JobCase) -> StageResult:
    """Each of the four questions has a log line of the job's own that carries its key fields."""
    if (blind := unread(case, ID)) is not None:
        return blind
    spec, handler = case.spec, case.handler
    if spec is None or handler is None:
        finding = blocker(
            "observability.no-handler",
            "no handler to look at yet",
            hint="the stage handler comes first",
        )
        return StageResult(status_of([finding]), None, (finding,), summary="no handler yet")
    logs = _logs(case, handler)
    answers = _answers(case, spec, handler, logs)
    silent = [*_unanswered(case, handler, answers, logs), *_fields(case, spec, handler, logs)]
    findings = [
        *_doubt_silence(case, handler, silent),
        *_correlation(case, handler, logs),
    ]
    findings += [*_metrics(case, handler), *_notes(case, handler), *case.rule_findings(ID)]
    places = {}
    for question in QUESTIONS:
        places[question] = [f"{call.path}:{call.line}" for call in answers[question]]
    answered = ", ".join(question for question in QUESTIONS if places[question])
    return StageResult(
        status=status_of(findings),
        grade=Grade.STATIC,
        findings=tuple(findings),
        next=list_edits(ID, findings),
        summary=f"{len(logs)} log calls; answered: {answered or 'nothing'}",
        facts={"answers": places},
    )


def _logs(case: JobCase, handler: Definition) -> tuple[LogCall, ...]:
    """The job's own log calls in order; what an adapter logs inside says nothing of the job."""
    adapters = set[str]()
    for effect in (case.spec.effects if case.spec else None) or ():
        adapters |= adapter_names(case, effect)
    found = []
    for order, call in enumerate(handler_calls(case, handler)):
        if adapters.isdisjoint(call.via) and (_is_log(call) or _hands_to_log(case, call)):
            found.append(LogCall(call, ast.unparse(call.node), order))
    for event, hook in case.hooks.items():
        for call in filter(_is_log, case.project.calls(hook, depth=2)):
            found.append(LogCall(call, ast.unparse(call.node), 0, event))
    return tuple(found)


def _is_log(call: Call) -> bool:
    receiver, _, method = call.name.rpartition(".")
    if method not in _LEVELS or not receiver:
        return False
    # Whatever the logger is called: what made it says so.
    if call.origin.partition(".")[0] in _LOG_LIBRARIES:
        return True
    made_by = receiver.replace("()", "").split(".")
    if not {"getLogger", "get_task_logger"}.isdisjoint(made_by):
        return True
    return any(map(_is_called_logger, (*made_by, *ast.unparse(call.node.func).split("."))))


def _is_called_logger(word: str) -> bool:
    return word.lower() in _LOGGERS or word.lower().endswith(("_log", "_logger"))


def _hands_to_log(case: JobCase, call: Call) -> bool:
    """A function of the repository that logs what it is given: the call of it is the log call. So
    is one of an adapter that derives from a library's.
    """
    if _is_derived_logger(case, call):
        return True
    wrapper = None
    if call.resolved:
        wrapper = case.project.definition(call.origin)
    if wrapper is None or wrapper.is_class:
        return False
    for inner in case.project.calls(wrapper, depth=0):
        if _is_log(inner) and find_names(inner.node) & set(wrapper.parameters):
            return True
    return False


def _is_derived_logger(case: JobCase, call: Call) -> bool:
    receiver, _, method = call.origin.replace("()", "").rpartition(".")
    if method not in _LEVELS or not receiver:
        return False
    kinds = case.project.ancestors(receiver)
    return any(kind.partition(".")[0] in _LOG_LIBRARIES for kind in kinds)


def find_unread_logs(case: JobCase, handler: Definition) -> tuple[Unfollowed, ...]:
    """What may log and cannot be seen: what stands around the handler, and calls with a text that
    lead to an installed package.
    """
    found = list(case.unfollowed)
    effects = None
    if case.spec:
        effects = case.spec.effects
    adapters = set()
    for effect in effects or ():
        for name in adapter_names(case, effect):
            adapters.add(name)
    for call in handler_calls(case, handler):
        if adapters & {call.name, call.origin, *call.via}:
            continue
        if _is_given_function(call):
            because = f"{ast.unparse(call.node.func)} is a function that is handed on"
        elif _may_log(case, call):
            because = f"{call.name} is not of this repository"
        else:
            continue
        found.append(Unfollowed(because, place_of(call.module, call.node)))
    return tuple(found)


def _is_given_function(call: Call) -> bool:
    """`step(export)` where `step` is a parameter: what it does is not followed."""
    func = call.node.func
    scope = call.module.function_of(call.node)
    if not isinstance(func, ast.Name) or scope is None or call.resolved:
        return False
    bound = call.module.bindings(scope).get(func.id, ())
    return any(isinstance(binding.node, ast.arg) for binding in bound)


def _may_log(case: JobCase, call: Call) -> bool:
    """A function of an installed package that is given a sentence, or a method of what one made
    that is called as a logger's are.
    """
    if not call.resolved or not is_foreign(case.project, call.origin) or reach(call.origin):
        return False
    if "()" in call.origin:
        return call.name.rpartition(".")[2] in _LEVELS
    first = next(iter(call.node.args), None)
    if isinstance(first, ast.Constant) and not isinstance(first.value, str):
        return False
    if not isinstance(first, ast.Constant | ast.JoinedStr):
        return False
    return _NO_SENTENCE.search(ast.unparse(first)) is None


def _doubt_silence(
    case: JobCase, handler: Definition, found: Sequence[Finding]
) -> Iterator[Finding]:
    """Where something that may log was not followed, what no log line says is a question."""
    missing = [finding for finding in found if finding.severity == Severity.BLOCKER]
    if missing:
        unfollowed = find_unread_logs(case, handler)
    else:
        unfollowed = ()
    for finding in found:
        if not unfollowed or finding not in missing:
            yield finding
    if unfollowed:
        question = "; ".join(finding.message for finding in missing)
        yield ask_proof(ID, f"whether it is so that {question}", unfollowed[0])


def _answers(
    case: JobCase, spec: JobSpec, handler: Definition, logs: tuple[LogCall, ...]
) -> dict[str, tuple[Call, ...]]:
    """Question -> the log calls that answer it, by where they stand: before and after the effects,
    in an except.
    """
    first, last = _effect_span(case, spec, handler)
    answers: dict[str, tuple[Call, ...]] = dict.fromkeys(QUESTIONS, ())
    for log in logs:
        is_plain = log.call.in_except is None and log.event is None
        told = {
            "ran": log.event == "started" or (is_plain and log.order < first),
            "succeeded": log.event == "succeeded" or (is_plain and log.order > last),
            "failed": _tells_failure(log),
            "retries": _tells_retry(log),
        }
        for question, is_told in told.items():
            if is_told:
                answers[question] += (log.call,)
    return answers


def _effect_span(case: JobCase, spec: JobSpec, handler: Definition) -> tuple[int, int]:
    """The order numbers of the first and the last effect; of the handler's middle where it has
    none. Where its effects are not seen, every record may stand before and after them.
    """
    effects = set()
    for effect in spec.effects or ():
        for call in effect_calls(case, handler, effect):
            effects.add(id(call.node))
    calls = handler_calls(case, handler)
    orders, work = [], []
    for order, call in enumerate(calls):
        if id(call.node) in effects:
            orders.append(order)
        if not _is_log(call):
            work.append(order)
    if orders:
        return orders[0], orders[-1]
    if spec.effects:
        return len(calls), -1
    if work:
        return work[0], work[-1]
    return 1, 0


def _tells_failure(log: LogCall) -> bool:
    """In an except clause or the framework's hook, with the cause: `.exception`, exc_info, or the
    error itself.
    """
    clause = log.call.in_except
    if (clause is None and log.event != "failed") or (
        clause is not None and _left_before(log.call)
    ):
        return False
    if clause and clause.name:
        causes = {clause.name}
    else:
        causes = set()
    causes |= set(_CAUSES) if log.event == "failed" else set()
    method = log.call.name.rpartition(".")[2]
    return (
        method == "exception" or "exc_info" in log.text or bool(causes & find_names(log.call.node))
    )


def _left_before(call: Call) -> bool:
    """The last attempt leaves the clause before this call: a branch on `request.retries` that ends
    in a return.
    """
    below: ast.AST = call.node
    for above in call.module.parents(call.node):
        if isinstance(above, ast.If) and below not in above.body and _leaves_at_last(above):
            return True
        if isinstance(above, ast.ExceptHandler):
            before = []
            if below in above.body:
                before = above.body[: above.body.index(below)]
            return any(map(_leaves_at_last, before))
        below = above
    return False


def _leaves_at_last(node: ast.stmt) -> bool:
    """A branch on the number of attempts, whose body ends in a return or a raise."""
    return isinstance(node, ast.If) and _counts_retries(node) and _leaves(node.body)


def _counts_retries(node: ast.If) -> bool:
    """Taken at the end: `self.request.retries >= ...`, which counts up; Huey's `task.retries`
    counts down to 0.
    """
    test = node.test
    if isinstance(test, ast.UnaryOp):
        left = test.operand
    elif isinstance(test, ast.Compare):
        left = test.left
    else:
        left = test
    if not isinstance(left, ast.Attribute) or left.attr != "retries":
        return False
    up = isinstance(left.value, ast.Attribute)
    if isinstance(test, ast.Compare):
        return isinstance(
            test.ops[0], ast.GtE | ast.Gt | ast.Eq if up else ast.Lt | ast.LtE | ast.Eq
        )
    return not up and isinstance(test, ast.UnaryOp)


def _leaves(body: list[ast.stmt]) -> bool:
    return isinstance(body[-1], ast.Return | ast.Raise)


def _tells_retry(log: LogCall) -> bool:
    says = _RETRYING.search(log.text) is not None
    return log.event == "retried" or (says and log.call.in_except is not None)


def _unanswered(
    case: JobCase,
    handler: Definition,
    answers: dict[str, tuple[Call, ...]],
    logs: tuple[LogCall, ...],
) -> Iterator[Finding]:
    hints = _list_hints(case)
    place = {"path": handler.path, "line": handler.line}
    for question, calls in answers.items():
        if calls or (question == "retries" and _never_retries(case.policy)):
            continue
        if question == "ran" and answers["succeeded"] and answers["failed"]:
            # Whichever way it ends, somebody reads that it ran; when it began is not told.
            message = "no log line tells that it begins"
            yield warning("observability.no-start", message, hint=hints[question], **place)
            continue
        wordless = None
        if question == "retries":
            wordless = _find_record_of_failure(case, logs)
        if wordless is not None:
            yield _doubt_words(wordless)
            continue
        if _is_told_by_library(case, handler, question):
            message = f"{QUESTIONS[question]} only {_name_framework(case)}'s own log answers"
            message = f"{message}, without the key fields"
            yield warning(f"observability.{question}", message, hint=hints[question], **place)
        else:
            message = f"no log line answers: {QUESTIONS[question]}"
            yield blocker(f"observability.{question}", message, hint=hints[question], **place)


def _list_hints(case: JobCase) -> dict[str, str]:
    """Question -> what to log, and where."""
    hook = ""
    if case.framework:
        hook = f", or in {case.framework.TITLE}'s own hook (skillrun next shows how)"
    clause = f": in the except clause{hook}"
    return {
        "ran": "log the start, with the key fields, before the first effect",
        "succeeded": "log the end, with the key fields, after the last effect",
        "failed": f"log the exception (exc_info or its text), with the key fields{clause}",
        "retries": (
            f"log whether a retry follows, and which attempt it was, with the key fields{clause}"
        ),
    }


def _doubt_words(log: LogCall) -> Finding:
    because = "a record of the failure is there, and what its words say is not judged"
    place = place_of(log.call.module, log.call.node)
    question = "whether a log line says that it will be retried"
    return ask_proof(ID, question, Unfollowed(because, place))


def _is_told_by_library(case: JobCase, handler: Definition, question: str) -> bool:
    """The library's own log tells of a retry and its cause, but for one that ends quietly."""
    if question not in ("failed", "retries") or not case.framework:
        return False
    if question == "failed" and _ends_quietly(case, handler):
        return False
    return _framework_retries(case.policy)


def _name_framework(case: JobCase) -> str:
    if case.framework:
        return case.framework.TITLE
    return "the library"


def _find_record_of_failure(case: JobCase, logs: tuple[LogCall, ...]) -> LogCall | None:
    """Of one that may be tried again."""
    for log in logs:
        clause = log.call.in_except
        if clause is None or _left_before(log.call) or takes_permanent_alone(case, clause):
            continue
        if not _is_given_up(log.call):
            return log
    return None


def _is_given_up(call: Call) -> bool:
    """It stands in a branch of its clause that leaves it: what goes on behind the branch is the
    other end, and has no record of its own.
    """
    below: ast.AST = call.node
    for above in call.module.parents(call.node):
        if isinstance(above, ast.ExceptHandler):
            return False
        is_branch = isinstance(above, ast.If) and below in above.body and not above.orelse
        if is_branch and isinstance(above, ast.If) and _leaves(above.body):
            return True
        below = above
    return False


def _ends_quietly(case: JobCase, handler: Definition) -> bool:
    """A clause around an effect takes a permanent error and lets the job end: the library logs a
    success.
    """
    spec = case.spec
    if spec and spec.failures:
        permanent = spec.failures.permanent_names
    else:
        permanent = ()
    for effect in (spec.effects if spec else None) or ():
        for call in effect_calls(case, handler, effect):
            for clause in call.in_try:
                if not clause.reraises and _takes_any(case, clause, permanent):
                    return True
    return False


def _takes_any(case: JobCase, clause: Handler, errors: Iterable[str]) -> bool:
    """Whether a clause takes one of these errors, or one of their bases."""
    for error in errors:
        name = dotted(error)
        if "." in name:
            full = name
        else:
            full = f"builtins.{name}"
        if any(case.project.is_subclass(full, wide) for wide in clause.exceptions):
            return True
    return False


def _never_retries(policy: Policy | None) -> bool:
    """A limit that could not be read may well be more than one."""
    return policy is not None and policy.max_attempts == 1 and "max_attempts" not in policy.unknown


def _framework_retries(policy: Policy | None) -> bool:
    """The decorator retries (autoretry), so the framework itself logs each retry and its cause."""
    return policy is not None and "autoretry" in (policy.sources.keys() | set(policy.unknown))


def _fields(
    case: JobCase, spec: JobSpec, handler: Definition, logs: tuple[LogCall, ...]
) -> Iterator[Finding]:
    missing = []
    if logs:
        missing = _list_missing(case, spec, handler, logs)
    carrier = None
    if missing:
        carrier = _find_carrier(case, spec, handler, logs)
    if carrier is not None:
        question = f"whether a log line carries the key field {', '.join(missing)}"
        because = f"what {ast.unparse(carrier.call.node.func)} is given there was not followed"
        place = place_of(carrier.call.module, carrier.call.node)
        yield ask_proof(ID, question, Unfollowed(because, place))
    elif missing:
        yield blocker(
            "observability.no-key-fields",
            f"no log line carries the key field {', '.join(missing)}",
            hint="log it at start, end and failure",
            path=handler.path,
            line=handler.line,
        )


def _list_missing(
    case: JobCase, spec: JobSpec, handler: Definition, logs: tuple[LogCall, ...]
) -> list[str]:
    """The key fields that no log line carries."""
    missing = []
    texts = _carried(case, handler, logs)
    if spec.idempotency:
        for key in spec.idempotency.key:
            if not any(_names_field(text, key) for text in texts):
                missing.append(key)
    return missing


def _find_carrier(
    case: JobCase, spec: JobSpec, handler: Definition, logs: tuple[LogCall, ...]
) -> LogCall | None:
    """A log call with an argument that may hold the key fields under another name."""
    callers = handler_calls(case, handler)
    if spec.idempotency and spec.idempotency.key:
        keys = spec.idempotency.key
    else:
        keys = ()
    for log in logs:
        for value in _list_values(log):
            lacking = missing_fields(case.project, spec, handler, log.call, value, callers)
            if log.event is not None or set(lacking) != set(keys):
                return log
    return None


def _list_values(log: LogCall) -> Iterator[ast.expr]:
    """What a log call puts into its record, but for the error and what the library counts."""
    clause = log.call.in_except
    error = None
    if clause:
        error = clause.name
    for value in list_given(log.call.node):
        names = find_names(value)
        if names and not names <= {error, "self", "task", "repr", "str", "type"}:
            yield value


def _carried(case: JobCase, handler: Definition, logs: tuple[LogCall, ...]) -> list[str]:
    """What the log lines carry: their own arguments, and what is bound to the logger."""
    found = [log.text for log in logs]
    for call in handler_calls(case, handler):
        if call.name.rpartition(".")[2] in _BINDING:
            found.append(ast.unparse(call.node))
    return found


def _names_field(text: str, key: str) -> bool:
    return re.search(rf"\b{re.escape(key.rpartition('.')[2])}\b", text) is not None


def _correlation(
    case: JobCase, handler: Definition, logs: tuple[LogCall, ...]
) -> Iterator[Finding]:
    text = "\n".join(_carried(case, handler, logs))
    if logs and not any(word in text for word in _CORRELATION):
        yield note(
            "observability.no-correlation",
            "no log line carries a correlation id (the task's id, or the caller's)",
            hint="log the id that the library gives the job, or one that the payload brings",
            path=handler.path,
            line=handler.line,
        )


def _metrics(case: JobCase, handler: Definition) -> Iterator[Finding]:
    used = [library for library in _METRIC_LIBRARIES if _imported(case, library)]
    if not used:
        return
    for call in handler_calls(case, handler):
        is_metric = call.name.rpartition(".")[2] in _METRIC_CALLS
        if is_metric and any(library in call.origin for library in used):
            return
    yield warning(
        "observability.no-metrics",
        f"the repository uses {used[0]}, and the handler emits no metric",
        hint="count runs and failures, time the work",
        path=handler.path,
        line=handler.line,
    )


def _imported(case: JobCase, library: str) -> bool:
    return any(_imports(module, library) for module in case.project.modules_with(library))


def _imports(module: Module, library: str) -> bool:
    for node in module.all_nodes:
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        if library in [name.partition(".")[0] for name in names]:
            return True
    return False


def _notes(case: JobCase, handler: Definition) -> Iterator[Finding]:
    """A docstring that says how to operate the job, or a document that names it."""
    if _has_long_docstring(handler.node) or _has_long_docstring(handler.module.tree):
        return
    names = [handler.name.rpartition(".")[2]]
    if case.spec is not None:
        names.append(case.spec.job)
    for name, suffix in itertools.product(names, (".md", ".rst", ".txt")):
        if not all(map(_NO_NOTES.search, case.tree.search(name, suffix))):
            return
    yield blocker(
        "observability.no-notes",
        "no operational notes for this job",
        path=handler.path,
        line=handler.line,
        hint=(
            "in the docstring or the repository's docs: what it does, what a dead letter means, how"
            " to run it again"
        ),
    )


def _has_long_docstring(
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module,
) -> bool:
    return len((ast.get_docstring(node) or "").split()) >= _NOTES_WORDS
