"""What becomes of an exception of a declared effect: does Dramatiq see it, and does it retry it?"""

from __future__ import annotations

import ast
from collections.abc import Iterable

from skillrun.frameworks.common.errors import ancestors, short
from skillrun.frameworks.common.facts import calls_of, effect_calls, spec_name
from skillrun.frameworks.dramatiq.policy import Options
from skillrun.frameworks.interface import Job
from skillrun.repo.python import Call, Handler
from skillrun.repo.syntax import find_nodes

YES, NO, UNSURE = "yes", "no", "unsure"
_RETRY = ("dramatiq.Retry", "dramatiq.errors.Retry")


def options_of(job: Job) -> Options:
    """The options of the handler and of its messages."""
    return Options(job.project, job.use, job.handler)


def is_kind_of(job: Job, exception: str, names: Iterable[str]) -> str:
    """Whether an exception is one of these or derives from one; unsure for classes of one library
    that is not read.
    """
    bases = ancestors(job.project, exception)
    shortened = [short(name) for name in names]
    if bases & set(shortened):
        return YES
    library = exception.partition(".")[0]
    outside = library != "builtins" and job.project.definition(exception) is None
    if outside and any(name.partition(".")[0] == library for name in shortened):
        return UNSURE
    return NO


def leaves(job: Job, exception: str) -> tuple[str, str]:
    """(whether it leaves the handler, as what); where no declared effect is seen on the way, unless
    a clause fits.
    """
    calls = effect_calls(job)
    if not calls:
        clauses = []
        for call in calls_of(job):
            for h in call.in_try:
                clauses.append(h)
        fits = any(h.bare or is_kind_of(job, exception, h.exceptions) != NO for h in clauses)
        return (UNSURE if fits else YES), exception
    answers = [_follow_outward(job, call, exception) for call in calls]
    for wanted in (YES, UNSURE, NO):
        for a in answers:
            if a[0] == wanted:
                return a
    return (YES, exception)


def _follow_outward(job: Job, call: Call, exception: str) -> tuple[str, str]:
    """Follows it outward through the clauses around one call."""
    done: set[ast.AST] = set()
    for handler in call.in_try:
        block = next(
            n for n in handler.module.parents(handler.node) if isinstance(n, ast.Try | ast.TryStar)
        )
        if handler.bare:
            caught = YES
        else:
            caught = is_kind_of(job, exception, handler.exceptions)
        if block in done or caught == NO:
            continue
        if caught == UNSURE:
            return UNSURE, exception
        done.add(block)
        if not handler.reraises:
            return NO, exception
        raised = _name_raised(job, handler)
        if raised is None or not handler.always_raises:
            return UNSURE, exception
        exception = raised or exception
    return YES, exception


def _name_raised(job: Job, handler: Handler) -> str | None:
    """The one class that a clause raises instead, "" for the caught one; None where that is not
    plain.
    """
    found = set()
    for node in find_nodes(handler.node, ast.Raise):
        same = node.exc is None or (isinstance(node.exc, ast.Name) and node.exc.id == handler.name)
        made = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        name = None
        if same:
            name = ""
        elif made is not None:
            name = handler.module.resolve(made)
        found.add(job.project.origin(name) if name else name)
    if len(found) != 1:
        return None
    return found.pop()


def is_retried(job: Job, exception: str) -> str:
    """Whether Dramatiq retries an exception that leaves the actor."""
    options = options_of(job)
    thrown = is_kind_of(job, exception, options.throws()[0])
    if thrown != NO:
        if thrown == YES:
            return NO
        return UNSURE
    if job.policy.max_attempts == 1:
        if "max_attempts" in job.policy.unknown:
            return UNSURE
        return NO
    asked = options.predicate()
    if asked is None:
        return YES
    predicate = asked[0]
    if is_kind_of(job, exception, predicate.spared) == YES:
        return NO
    if predicate.retried:
        named = is_kind_of(job, exception, predicate.retried)
    else:
        named = YES
    if predicate.readable and predicate.found:
        return named
    return UNSURE


def is_retry(exception: str) -> bool:
    """`dramatiq.Retry`, by which an actor asks for a retry."""
    return exception in _RETRY


def declared(job: Job, kind: str) -> list[tuple[str, str]]:
    """(as written in the spec, dotted) of the transient or permanent errors."""
    found = []
    for written in job.spec.list_errors(kind):
        found.append((written, short(spec_name(job, written))))
    return found
