"""Stage 7: can somebody on call tell whether the job ran, succeeded, why it failed, and whether it
will retry?
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
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
from skillrun.frameworks.common.unfollowed import Unfollowed
from skillrun.runner.coded import wording
from skillrun.runner.findings import blocker, note, warning
from skillrun.skills.job_worker.job_case import PROOF_PARTS, JobCase
from skillrun.skills.job_worker.readings.effects import dotted, effect_calls, handler_calls
from skillrun.skills.job_worker.readings.foreign import attest_stage
from skillrun.skills.job_worker.readings.logs.log_calls import (
    LogCall,
    find_log_calls,
    find_unread_logs,
)
from skillrun.skills.job_worker.readings.logs.log_questions import (
    QUESTIONS,
    find_record_of_failure,
    sort_by_question,
)
from skillrun.skills.job_worker.readings.logs.logged_fields import (
    carries_correlation,
    find_carrier,
    list_missing_fields,
)
from skillrun.skills.job_worker.readings.unread import ask_proof, unread

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
# Names in a file of these are no notes for an operator: "requirements-dev.txt", "docs/CHANGES.md".
_NO_NOTES = re.compile(
    r"(^|/)(requirements|constraints|changelog|history|news|changes)[^/]*$", re.IGNORECASE
)
# A docstring of fewer words tells an operator nothing.
_NOTES_WORDS = 12


def examine(case: JobCase) -> StageResult:
    """Looks for a log line of the job's own that answers each of the four questions and carries
    the key fields; what is missing is found.
    """
    if case.language is not None:
        return attest_stage(case, case.language, ID)
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
    logs = find_log_calls(case, handler)
    answers = sort_by_question(case, spec, handler, logs)
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
    places: dict[str, list[str]] = {}
    answered = []
    for question in QUESTIONS:
        places[question] = [f"{call.path}:{call.line}" for call in answers[question]]
        if places[question]:
            answered.append(question)
    return StageResult(
        status=status_of(findings),
        grade=Grade.STATIC,
        findings=tuple(findings),
        next=list_edits(ID, findings),
        summary=f"{len(logs)} log calls; answered: {', '.join(answered) or 'nothing'}",
        facts={"answers": places},
    )


def _doubt_silence(
    case: JobCase, handler: Definition, silent: Sequence[Finding]
) -> Iterator[Finding]:
    """Yields the findings about what no log line says. Where something that may log was not
    followed, the blockers among them become one question to the proof.
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


def _find_unanswered(
    case: JobCase,
    handler: Definition,
    answers: dict[str, tuple[Call, ...]],
    logs: tuple[LogCall, ...],
) -> Iterator[Finding]:
    """Yields a blocker for each question that no log call answers, or a warning where the library's
    own log does.
    """
    hints = _list_hints(case)
    place = {"path": handler.path, "line": handler.line}
    for question, calls in answers.items():
        if calls:
            continue
        # A job that is never tried again has nothing to say about a retry.
        if question == "retries" and _never_retries(case.policy):
            continue
        if question == "ran" and answers["succeeded"] and answers["failed"]:
            # Whichever way it ends, somebody reads that it ran; when it began is not told.
            message = "no log line tells that it begins"
            yield warning("observability.no-start", message, hint=hints[question], **place)
            continue
        failure = None
        if question == "retries":
            failure = find_record_of_failure(case, logs)
        if failure is not None:
            # These words of somebody's own may well say that the job is tried again.
            yield _ask_about_log_call(
                failure,
                "whether a log line says that it will be retried",
                "a record of the failure is there, and what its words say is not judged",
            )
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


def _ask_about_log_call(log: LogCall, question: str, because: str) -> Finding:
    """Asks the proof what reading cannot tell of a log call; `because`: why it cannot."""
    place = place_of(log.call.module, log.call.node)
    return ask_proof(ID, question, Unfollowed(because, place))


def _is_told_by_library(case: JobCase, handler: Definition, question: str) -> bool:
    """Whether the library's own log answers a question: it tells of each retry and its cause, but
    of no failure that the handler catches and keeps to itself.
    """
    if question not in ("failed", "retries") or not case.framework:
        return False
    if question == "failed" and _swallows_permanent_error(case, handler):
        return False
    return _is_retried_by_library(case.policy)


def _name_framework(case: JobCase) -> str:
    """The job library as a sentence names it."""
    if case.framework:
        return case.framework.TITLE
    return "the library"


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
    """Whether an except clause catches one of these errors, by its own name or by a base class."""
    for error in errors:
        name = dotted(error)
        if "." not in name:
            name = f"builtins.{name}"
        if any(case.project.is_subclass(name, taken) for taken in clause.exceptions):
            return True
    return False


def _never_retries(policy: Policy | None) -> bool:
    """Whether the job has one attempt. A limit that could not be read may well be more."""
    if policy is None or "max_attempts" in policy.unknown:
        return False
    return policy.max_attempts == 1


def _is_retried_by_library(policy: Policy | None) -> bool:
    """Whether the decorator says that the library retries (autoretry): then the library itself logs
    each retry and its cause.
    """
    if policy is None:
        return False
    return "autoretry" in policy.sources or "autoretry" in policy.unknown


def _find_missing_fields(
    case: JobCase, spec: JobSpec, handler: Definition, logs: tuple[LogCall, ...]
) -> Iterator[Finding]:
    """Yields a blocker where no log line carries a key field, or a question to the proof where one
    may carry it under another name.
    """
    # A job that logs nothing has been told so already.
    if not logs:
        return
    missing = list_missing_fields(case, spec, handler, logs)
    if not missing:
        return
    carrier = find_carrier(case, spec, handler, logs)
    if carrier is not None:
        question = f"whether a log line carries the key field {', '.join(missing)}"
        because = f"what {ast.unparse(carrier.call.node.func)} is given there was not followed"
        yield _ask_about_log_call(carrier, question, because)
        return
    yield blocker(
        "observability.no-key-fields",
        f"no log line carries the key field {', '.join(missing)}",
        hint="log it at start, end and failure",
        path=handler.path,
        line=handler.line,
    )


def _find_no_correlation(
    case: JobCase, handler: Definition, logs: tuple[LogCall, ...]
) -> Iterator[Finding]:
    """Yields a note where no log line carries an id by which the lines of one run are found
    together.
    """
    if logs and not carries_correlation(case, handler, logs):
        yield note(
            "observability.no-correlation",
            "no log line carries a correlation id (the task's id, or the caller's)",
            hint="log the id that the library gives the job, or one that the payload brings",
            path=handler.path,
            line=handler.line,
        )


def _find_no_metrics(case: JobCase, handler: Definition) -> Iterator[Finding]:
    """Yields a warning where the repository has a metrics library and the handler no metric."""
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
    """Whether a module of the repository imports a library."""
    return any(_has_import_of(module, library) for module in case.project.modules_with(library))


def _has_import_of(module: Module, library: str) -> bool:
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
    """Yields a blocker where neither a docstring is long enough to say how to operate the job, nor
    a document names it.
    """
    if _has_long_docstring(handler.node) or _has_long_docstring(handler.module.tree):
        return
    names = [handler.name.rpartition(".")[2]]
    if case.spec is not None:
        names.append(case.spec.job)
    for name in names:
        if _is_named_in_document(case, name):
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


def _is_named_in_document(case: JobCase, name: str) -> bool:
    """Whether a text of the repository that may be notes for an operator has this name in it."""
    for suffix in (".md", ".rst", ".txt"):
        for path in case.tree.search(name, suffix):
            if not _NO_NOTES.search(path):
                return True
    return False


def _has_long_docstring(
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module,
) -> bool:
    """Whether a docstring has enough words to be notes for an operator."""
    docstring = ast.get_docstring(node) or ""
    return len(docstring.split()) >= _NOTES_WORDS
