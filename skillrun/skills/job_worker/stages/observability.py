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
# Statements and addresses are no log lines: "SELECT id FROM orders", f"https://{host}/v1".
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
# What a library calls the error that it hands to its failure hook.
_ERROR_ARGUMENTS = (
    "exc",
    "exception",
    "einfo",
    "error",
    "traceback",
    "exc_value",
    "value",
)
# Calls whose arguments stand in every later log line.
_BINDING = (
    "bind",
    "bind_contextvars",
    "bound_contextvars",
    "new",
    "contextualize",
    "LoggerAdapter",
)
# Names in a file of these are no notes for an operator: "requirements-dev.txt", "docs/CHANGES.md".
_NO_NOTES = re.compile(
    r"(^|/)(requirements|constraints|changelog|history|news|changes)[^/]*$", re.IGNORECASE
)
# A docstring of fewer words tells an operator nothing.
_NOTES_WORDS = 12


@dataclass(frozen=True)
class LogCall:
    """A log call that the handler comes to, or that a hook of its framework makes."""

    call: Call
    text: str  # message and arguments as written
    order: int  # its position among the handler's calls
    # The event of the hook that it stands in: started, succeeded, failed, retried.
    event: str | None = None


# "will retry in 5 s", "attempt 3 of 5", "trying again", "again at 12:30".
_RETRYING = re.compile(
    r"retr(?:y|ie)|attempt|\b(?:try|tries|tried|trying) again\b|\bagain (?:in|at)\b", re.IGNORECASE
)


def examine(case: JobCase) -> StageResult:
    """Looks for a log line of the job's own that answers each of the four questions and carries
    the key fields; what is missing is found.
    """
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
    logs = _find_log_calls(case, handler)
    answers = _sort_by_question(case, spec, handler, logs)
    silent = [
        *_find_unanswered(case, handler, answers, logs),
        *_find_missing_fields(case, spec, handler, logs),
    ]
    findings = [
        *_doubt_silence(case, handler, silent),
        *_find_no_correlation(case, handler, logs),
        *_find_no_metrics(case, handler),
        *_find_no_notes(case, handler),
        *case.rule_findings(ID),
    ]
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


def _find_log_calls(case: JobCase, handler: Definition) -> tuple[LogCall, ...]:
    """The log calls of the handler in their order, then those of the framework's hooks.

    What an adapter logs inside says nothing of the job.
    """
    adapters = _list_adapter_names(case)
    logs = []
    for order, call in enumerate(handler_calls(case, handler)):
        if not adapters.isdisjoint(call.via):
            continue
        if _is_log(call) or _hands_to_log(case, call):
            logs.append(LogCall(call, ast.unparse(call.node), order))
    for event, hook in case.hooks.items():
        for call in case.project.calls(hook, depth=2):
            if _is_log(call):
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


def _is_log(call: Call) -> bool:
    """Whether a method of a level is called on a logger: `log.info`, `self._logger.error`,
    `logging.getLogger("shop").warning`.
    """
    receiver, _, method = call.name.rpartition(".")
    if method not in _LEVELS or not receiver:
        return False
    # Whatever the logger is called: what made it says so.
    if call.origin.partition(".")[0] in _LOG_LIBRARIES:
        return True
    made_by = receiver.replace("()", "").split(".")
    if not {"getLogger", "get_task_logger"}.isdisjoint(made_by):
        return True
    as_written = ast.unparse(call.node.func).split(".")
    return any(_is_called_logger(word) for word in (*made_by, *as_written))


def _is_called_logger(word: str) -> bool:
    return word.lower() in _LOGGERS or word.lower().endswith(("_log", "_logger"))


def _hands_to_log(case: JobCase, call: Call) -> bool:
    """Whether a function of the repository is called that logs what it is given, or a method of a
    logger that the repository derives from a library's: then this call is the log call.
    """
    if _is_derived_logger(case, call):
        return True
    if not call.resolved:
        return False
    wrapper = case.project.definition(call.origin)
    if wrapper is None or wrapper.is_class:
        return False
    for inner in case.project.calls(wrapper, depth=0):
        if _is_log(inner) and find_names(inner.node) & set(wrapper.parameters):
            return True
    return False


def _is_derived_logger(case: JobCase, call: Call) -> bool:
    """Whether a level's method of a class is called that derives from a logger of a library."""
    receiver, _, method = call.origin.replace("()", "").rpartition(".")
    if method not in _LEVELS or not receiver:
        return False
    kinds = case.project.ancestors(receiver)
    return any(kind.partition(".")[0] in _LOG_LIBRARIES for kind in kinds)


def find_unread_logs(case: JobCase, handler: Definition) -> tuple[Unfollowed, ...]:
    """What may log and cannot be seen: what stands around the handler, functions that are handed
    on, and calls with a text that lead to an installed package.
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
    """Whether it is `step(export)` where `step` is a parameter: what that does is not followed."""
    func = call.node.func
    scope = call.module.function_of(call.node)
    if not isinstance(func, ast.Name) or scope is None or call.resolved:
        return False
    bindings = call.module.bindings(scope).get(func.id, ())
    return any(isinstance(binding.node, ast.arg) for binding in bindings)


def _may_log(case: JobCase, call: Call) -> bool:
    """Whether a function of an installed package is given a sentence, or an object that one made is
    called as a logger is.
    """
    if not call.resolved or not is_foreign(case.project, call.origin):
        return False
    # What reaches another system is an effect.
    if reach(call.origin):
        return False
    if "()" in call.origin:
        return call.name.rpartition(".")[2] in _LEVELS
    if not call.node.args:
        return False
    first = call.node.args[0]
    is_text = isinstance(first, ast.Constant) and isinstance(first.value, str)
    if not is_text and not isinstance(first, ast.JoinedStr):
        return False
    return _NO_SENTENCE.search(ast.unparse(first)) is None


def _doubt_silence(
    case: JobCase, handler: Definition, silent: Sequence[Finding]
) -> Iterator[Finding]:
    """The findings about what no log line says. Where something that may log was not followed, the
    blockers among them become one question to the proof.
    """
    blockers = [finding for finding in silent if finding.severity == Severity.BLOCKER]
    unread_logs: tuple[Unfollowed, ...] = ()
    if blockers:
        unread_logs = find_unread_logs(case, handler)
    if not unread_logs:
        yield from silent
        return
    for finding in silent:
        if finding not in blockers:
            yield finding
    question = "; ".join(finding.message for finding in blockers)
    yield ask_proof(ID, f"whether it is so that {question}", unread_logs[0])


def _sort_by_question(
    case: JobCase, spec: JobSpec, handler: Definition, logs: tuple[LogCall, ...]
) -> dict[str, tuple[Call, ...]]:
    """Question -> the log calls that answer it, told by where they stand: before the first effect,
    after the last one, or in an except clause.
    """
    first, last = _find_effect_span(case, spec, handler)
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
        if not _is_log(call):
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
    """Whether it stands in an except clause or in the framework's failure hook, and says why:
    `.exception`, exc_info, or the error itself.
    """
    clause = log.call.in_except
    if clause is None and log.event != "failed":
        return False
    if clause is not None and _is_left_before(log.call):
        return False
    causes = set()
    if clause and clause.name:
        causes.add(clause.name)
    if log.event == "failed":
        causes.update(_ERROR_ARGUMENTS)
    method = log.call.name.rpartition(".")[2]
    if method == "exception" or "exc_info" in log.text:
        return True
    return not causes.isdisjoint(find_names(log.call.node))


def _is_left_before(call: Call) -> bool:
    """Whether the last attempt has left the except clause before it comes to this call: by a branch
    on `request.retries` that ends in a return.
    """
    below: ast.AST = call.node
    for above in call.module.parents(call.node):
        if isinstance(above, ast.If) and below not in above.body and _leaves_at_last(above):
            return True
        if isinstance(above, ast.ExceptHandler):
            before = []
            if below in above.body:
                before = above.body[: above.body.index(below)]
            return any(_leaves_at_last(statement) for statement in before)
        below = above
    return False


def _leaves_at_last(node: ast.stmt) -> bool:
    """Whether it is a branch of the last attempt, whose body ends in a return or a raise."""
    return isinstance(node, ast.If) and _is_for_last_attempt(node) and _ends_in_leaving(node.body)


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
    return isinstance(body[-1], ast.Return | ast.Raise)


def _tells_retry(log: LogCall) -> bool:
    """Whether it stands in the framework's retry hook, or in an except clause and speaks of a
    further attempt.
    """
    if log.event == "retried":
        return True
    return log.call.in_except is not None and _RETRYING.search(log.text) is not None


def _find_unanswered(
    case: JobCase,
    handler: Definition,
    answers: dict[str, tuple[Call, ...]],
    logs: tuple[LogCall, ...],
) -> Iterator[Finding]:
    """A blocker for each question that nothing answers, or a warning where the library's own log
    does.
    """
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
        failure = None
        if question == "retries":
            failure = _find_record_of_failure(case, logs)
        if failure is not None:
            yield _doubt_words(failure)
        elif _is_told_by_library(case, handler, question):
            message = (
                f"{QUESTIONS[question]} only {_name_framework(case)}'s own log answers,"
                " without the key fields"
            )
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
    """A question for a failure that is logged in words of somebody's own: they may well say that it
    is tried again.
    """
    because = "a record of the failure is there, and what its words say is not judged"
    place = place_of(log.call.module, log.call.node)
    question = "whether a log line says that it will be retried"
    return ask_proof(ID, question, Unfollowed(because, place))


def _is_told_by_library(case: JobCase, handler: Definition, question: str) -> bool:
    """Whether the library's own log answers a question: it tells of each retry and its cause, but
    of no failure that the handler takes for itself.
    """
    if question not in ("failed", "retries") or not case.framework:
        return False
    if question == "failed" and _swallows_permanent_error(case, handler):
        return False
    return _is_retried_by_library(case.policy)


def _name_framework(case: JobCase) -> str:
    if case.framework:
        return case.framework.TITLE
    return "the library"


def _find_record_of_failure(case: JobCase, logs: tuple[LogCall, ...]) -> LogCall | None:
    """The first log call that tells of a failure which may be tried again, whatever its words."""
    for log in logs:
        clause = log.call.in_except
        if clause is None or _is_left_before(log.call) or takes_permanent_alone(case, clause):
            continue
        if not _is_given_up(log.call):
            return log
    return None


def _is_given_up(call: Call) -> bool:
    """Whether it stands in a branch that leaves its except clause: the job is given up there, and
    what is tried again goes on behind the branch.
    """
    below: ast.AST = call.node
    for above in call.module.parents(call.node):
        if isinstance(above, ast.ExceptHandler):
            return False
        # With an else, nothing goes on behind the branch.
        is_branch = isinstance(above, ast.If) and below in above.body and not above.orelse
        if is_branch and isinstance(above, ast.If) and _ends_in_leaving(above.body):
            return True
        below = above
    return False


def _swallows_permanent_error(case: JobCase, handler: Definition) -> bool:
    """Whether a clause around an effect takes a permanent error and lets the job end, for which the
    library logs a success.
    """
    spec = case.spec
    if spec is None or spec.failures is None:
        return False
    permanent = spec.failures.permanent_names
    for effect in spec.effects or ():
        for call in effect_calls(case, handler, effect):
            for clause in call.in_try:
                if not clause.reraises and _takes_any(case, clause, permanent):
                    return True
    return False


def _takes_any(case: JobCase, clause: Handler, errors: Iterable[str]) -> bool:
    """Whether a clause takes one of these errors, or one of their bases."""
    for error in errors:
        name = dotted(error)
        if "." not in name:
            name = f"builtins.{name}"
        if any(case.project.is_subclass(name, taken) for taken in clause.exceptions):
            return True
    return False


def _never_retries(policy: Policy | None) -> bool:
    """Whether one attempt is all there is. A limit that could not be read may well be more."""
    return policy is not None and policy.max_attempts == 1 and "max_attempts" not in policy.unknown


def _is_retried_by_library(policy: Policy | None) -> bool:
    """Whether the decorator retries (autoretry): then the library itself logs each retry and its
    cause.
    """
    return policy is not None and "autoretry" in (policy.sources.keys() | set(policy.unknown))


def _find_missing_fields(
    case: JobCase, spec: JobSpec, handler: Definition, logs: tuple[LogCall, ...]
) -> Iterator[Finding]:
    """A blocker where no log line carries a key field; a question where one may carry it under
    another name. A job that logs nothing has been told so already.
    """
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
    if spec.idempotency is None:
        return []
    missing = []
    texts = _list_logged_texts(case, handler, logs)
    for key in spec.idempotency.key:
        if not any(_names_field(text, key) for text in texts):
            missing.append(key)
    return missing


def _find_carrier(
    case: JobCase, spec: JobSpec, handler: Definition, logs: tuple[LogCall, ...]
) -> LogCall | None:
    """A log call with an argument that may hold the key fields under another name."""
    callers = handler_calls(case, handler)
    keys: set[str] = set()
    if spec.idempotency:
        keys.update(spec.idempotency.key)
    for log in logs:
        for value in _list_values(log):
            lacking = missing_fields(case.project, spec, handler, log.call, value, callers)
            # What a library hands to its hook is not followed back to the message.
            if log.event is not None or set(lacking) != keys:
                return log
    return None


def _list_values(log: LogCall) -> Iterator[ast.expr]:
    """The arguments of a log call that may hold a field of the message: not the error, and not what
    the library counts.
    """
    no_fields = {"self", "task", "repr", "str", "type"}
    clause = log.call.in_except
    if clause and clause.name:
        no_fields.add(clause.name)
    for value in list_given(log.call.node):
        names = find_names(value)
        if names and not names <= no_fields:
            yield value


def _list_logged_texts(case: JobCase, handler: Definition, logs: tuple[LogCall, ...]) -> list[str]:
    """The log calls as they are written, and the calls that bind something to the logger."""
    texts = [log.text for log in logs]
    for call in handler_calls(case, handler):
        if call.name.rpartition(".")[2] in _BINDING:
            texts.append(ast.unparse(call.node))
    return texts


def _names_field(text: str, key: str) -> bool:
    """Whether the last part of a key, `id` of `order.id`, is a word of the text."""
    field = key.rpartition(".")[2]
    return re.search(rf"\b{re.escape(field)}\b", text) is not None


def _find_no_correlation(
    case: JobCase, handler: Definition, logs: tuple[LogCall, ...]
) -> Iterator[Finding]:
    """A note where no log line carries the id by which lines of one run are found together."""
    text = "\n".join(_list_logged_texts(case, handler, logs))
    if logs and not any(word in text for word in _CORRELATION):
        yield note(
            "observability.no-correlation",
            "no log line carries a correlation id (the task's id, or the caller's)",
            hint="log the id that the library gives the job, or one that the payload brings",
            path=handler.path,
            line=handler.line,
        )


def _find_no_metrics(case: JobCase, handler: Definition) -> Iterator[Finding]:
    """A warning where the repository has a metrics library and the handler emits no metric."""
    used = [library for library in _METRIC_LIBRARIES if _is_imported(case, library)]
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


def _is_imported(case: JobCase, library: str) -> bool:
    return any(_imports(module, library) for module in case.project.modules_with(library))


def _imports(module: Module, library: str) -> bool:
    """Whether a module imports a library, or a module of it."""
    for node in module.all_nodes:
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for name in names:
            if name.partition(".")[0] == library:
                return True
    return False


def _find_no_notes(case: JobCase, handler: Definition) -> Iterator[Finding]:
    """A blocker where neither a docstring says how to operate the job nor a document names it."""
    if _has_long_docstring(handler.node) or _has_long_docstring(handler.module.tree):
        return
    names = [handler.name.rpartition(".")[2]]
    if case.spec is not None:
        names.append(case.spec.job)
    for name, suffix in itertools.product(names, (".md", ".rst", ".txt")):
        for path in case.tree.search(name, suffix):
            if not _NO_NOTES.search(path):
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
