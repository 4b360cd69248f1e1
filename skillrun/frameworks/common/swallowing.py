"""Rules about exceptions that never reach the library: what it does not see, it calls a success."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common.again import find_taking_clause
from skillrun.frameworks.common.errors import ancestors, short
from skillrun.frameworks.common.facts import calls_of, effect_calls, spec_name, tell
from skillrun.frameworks.common.reading import place_of
from skillrun.frameworks.common.records import first_record
from skillrun.frameworks.interface import Job, Rule
from skillrun.frameworks.rulebook import read_reason
from skillrun.repo.calls import exception_names
from skillrun.repo.python import Call, Handler
from skillrun.repo.syntax import find_nodes
from skillrun.repo.uses import Place

_EVERY = frozenset({"builtins.Exception", "builtins.BaseException"})
_SEEN = "stock-screener#49: except, then return {'status': 'error'}"


def declare_swallowing_rules(library: str, says: str, source: str) -> tuple[Rule, ...]:
    """Both rules under a library's name. `says` what it does with a job that ends normally;
    `source` is where that stands.
    """

    def find_swallowed(job: Job) -> Iterator[Finding]:
        return swallowed_exception(job, says)

    whence = f"{source}; {_SEEN}"
    return (
        Rule(
            f"{library}.swallowed-exception",
            "retry",
            read_reason(swallowed_exception),
            whence,
            find_swallowed,
        ),
        Rule(
            f"{library}.permanent-not-recorded",
            "dead-letter",
            read_reason(permanent_not_recorded),
            whence,
            permanent_not_recorded,
        ),
    )


def swallowed_exception(job: Job, says: str) -> Iterator[Finding]:
    """An exception that the handler catches and does not raise is a success for the library: it
    does not run the job again, and keeps no dead letter.

    A clause around an effect ends the job normally; `says` what the library does then.
    """
    transient = _bases_of_transient(job)
    seen: set[ast.AST] = set()
    for call in effect_calls(job):
        for handler in call.in_try:
            if handler.node in seen or not _drops_error(job, handler):
                continue
            seen.add(handler.node)
            named = _list_taken(transient, handler.exceptions)
            if handler.broad:
                what = "catches every exception"
                if transient:
                    severity = Severity.ERROR
                else:
                    severity = Severity.WARNING
                yield _make_finding(job, says, handler, what, severity)
            elif named:
                what = f"catches {', '.join(named)}, which the spec calls transient"
                yield _make_finding(job, says, handler, what, Severity.ERROR)
    yield from _find_suppressed(job, transient, says)


def _list_taken(transient: dict[str, frozenset[str]], caught: Iterable[str]) -> list[str]:
    """The transient errors that are among what is caught, as the spec has them."""
    names = {short(name) for name in caught}
    return [written for written, bases in transient.items() if bases & names]


def _find_suppressed(
    job: Job, transient: dict[str, frozenset[str]], says: str
) -> Iterator[Finding]:
    """`with contextlib.suppress(...)` around an effect, in the handler or in a function on the way
    to it.
    """
    effects = effect_calls(job)
    seen: set[ast.AST] = set()
    for call in calls_of(job):
        if not any(effect.node is call.node or call.origin in effect.via for effect in effects):
            continue
        for node, caught in list_suppressing(call):
            named = _list_taken(transient, caught)
            what = _say_suppressed(caught, named)
            if node in seen or what is None:
                continue
            seen.add(node)
            message = f"suppress(...) {what}, around a declared effect: {says}"
            if named:
                severity = Severity.ERROR
            else:
                severity = Severity.WARNING
            place = place_of(call.module, node)
            hint = "let it through"
            yield tell(job, "swallowed-exception", severity, place, message, hint)


def _say_suppressed(caught: Iterable[str], named: list[str]) -> str | None:
    """None where it drops nothing that matters."""
    if _EVERY & {short(name) for name in caught}:
        return "drops every exception"
    if named:
        return f"drops {', '.join(named)}, which the spec calls transient"
    return None


def list_suppressing(call: Call) -> Iterator[tuple[ast.Call, tuple[str, ...]]]:
    """The `suppress(...)` around a call in its own function, each with what it drops."""
    below: ast.AST = call.node
    for above in call.module.parents(call.node):
        if isinstance(above, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            return
        if isinstance(above, ast.With | ast.AsyncWith) and below in above.body:
            for node in (item.context_expr for item in above.items):
                if (
                    isinstance(node, ast.Call)
                    and call.module.resolve(node.func) == "contextlib.suppress"
                ):
                    yield (
                        node,
                        tuple(n for arg in node.args for n in exception_names(call.module, arg)),
                    )
        below = above


def _make_finding(job: Job, says: str, handler: Handler, what: str, severity: Severity) -> Finding:
    place = Place(handler.path, handler.line)
    message = f"this clause {what}, around a declared effect, and lets the job end: {says}"
    return tell(
        job,
        "swallowed-exception",
        severity,
        place,
        message,
        "raise it again, or retry, or record a dead letter",
    )


def _bases_of_transient(job: Job) -> dict[str, frozenset[str]]:
    failures = job.spec.failures
    written = []
    if failures:
        for error in failures.transient:
            written.append(error.type)
    return {name: ancestors(job.project, short(spec_name(job, name))) for name in written}


def _drops_error(job: Job, handler: Handler) -> bool:
    """It neither raises nor retries nor leaves a record."""
    retries = any(name.endswith(".retry") for name in handler.calls)
    return (
        not handler.reraises
        and not retries
        and first_record(job.project, handler.node.body, handler.module) is None
    )


def permanent_not_recorded(job: Job) -> Iterator[Finding]:
    """A permanent error that the handler catches and does not record is lost: for the library the
    job has succeeded.
    """
    if job.spec.dead_letter is None or job.spec.dead_letter.kind == "none":
        return
    seen: set[ast.AST] = set()
    for written in job.spec.list_errors("permanent"):
        bases = ancestors(job.project, short(spec_name(job, written)))
        for call in effect_calls(job):
            clause = find_taking_clause(call, bases)
            if clause is None or clause.node in seen or not _loses_error(job, clause):
                continue
            seen.add(clause.node)
            message = f"{written} is permanent in the spec, and ends here without a dead letter"
            hint = "record it here, or raise it on to an on_failure that records"
            place = Place(clause.path, clause.line)
            yield tell(job, "permanent-not-recorded", Severity.ERROR, place, message, hint)


def _loses_error(job: Job, clause: Handler) -> bool:
    return _drops_error(job, clause) and not _recorded_later(job, clause)


def _recorded_later(job: Job, clause: Handler) -> bool:
    """What follows the clause may leave the record: a `finally`, or code below that the clause runs
    on to.
    """
    block = next(
        (n for n in clause.module.parents(clause.node) if isinstance(n, ast.Try | ast.TryStar)),
        None,
    )
    function = clause.module.function_of(clause.node)
    if block is None or function is None:
        return True
    if first_record(job.project, block.finalbody, clause.module) is not None:
        return True
    if isinstance(clause.node.body[-1], ast.Return):
        return _hands_over(clause.node.body[-1])
    after = []
    for n in find_nodes(function, ast.stmt):
        if n.lineno > (block.end_lineno or 0):
            after.append(n)
    return first_record(job.project, after, clause.module) is not None


def _hands_over(node: ast.Return) -> bool:
    """A value is returned that the caller may record."""
    return node.value is not None and not isinstance(node.value, ast.Constant | ast.Dict)
