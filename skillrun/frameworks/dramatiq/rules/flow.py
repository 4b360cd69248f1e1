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
    """(whether an exception leaves the handler, as which one): the worst of all declared effects.
    Where none of them is seen on the way, it leaves, unless a clause fits.
    """
    calls = effect_calls(job)
    if not calls:
        for call in calls_of(job):
            for clause in call.in_try:
                if _catches(job, clause, exception) != NO:
                    return UNSURE, exception
        return YES, exception
    answers = [_follow_outward(job, call, exception) for call in calls]
    for wanted in (YES, UNSURE):
        for answer in answers:
            if answer[0] == wanted:
                return answer
    return answers[0]


def _catches(job: Job, clause: Handler, exception: str) -> str:
    """Whether a clause takes an exception."""
    if clause.bare:
        return YES
    return is_kind_of(job, exception, clause.exceptions)


def _follow_outward(job: Job, call: Call, exception: str) -> tuple[str, str]:
    """(whether an exception of one call leaves the handler, as which one): follows it through the
    clauses around the call, the innermost first.
    """
    # Of one `try`, the first clause that fits is taken alone.
    passed: set[ast.AST | None] = set()
    for clause in call.in_try:
        block = clause.module.above(clause.node, ast.Try, ast.TryStar)
        caught = _catches(job, clause, exception)
        if block in passed or caught == NO:
            continue
        if caught == UNSURE:
            return UNSURE, exception
        passed.add(block)
        if not clause.reraises:
            return NO, exception
        raised = _name_raised(job, clause)
        if raised is None or not clause.always_raises:
            return UNSURE, exception
        exception = raised or exception
    return YES, exception


def _name_raised(job: Job, handler: Handler) -> str | None:
    """The one class that a clause raises instead, "" for the caught one; None where that is not
    plain.
    """
    names = set[str | None]()
    for node in find_nodes(handler.node, ast.Raise):
        error = node.exc
        # `raise`, and `raise error` in `except ... as error`
        is_caught_one = isinstance(error, ast.Name) and error.id == handler.name
        if error is None or is_caught_one:
            names.add("")
            continue
        if isinstance(error, ast.Call):
            error = error.func
        name = handler.module.resolve(error)
        if name:
            name = job.project.origin(name)
        names.add(name)
    if len(names) != 1:
        return None
    return names.pop()


def is_retried(job: Job, exception: str) -> str:
    """Whether Dramatiq retries an exception that leaves the actor."""
    options = options_of(job)
    # What `throws` names is an expected end.
    thrown = is_kind_of(job, exception, options.throws()[0])
    if thrown == YES:
        return NO
    if thrown == UNSURE:
        return UNSURE
    if job.policy.max_attempts == 1:
        if "max_attempts" in job.policy.unknown:
            return UNSURE
        return NO
    # `retry_when`: a function that is asked after each error.
    asked = options.predicate()
    if asked is None:
        return YES
    predicate = asked[0]
    if is_kind_of(job, exception, predicate.spared) == YES:
        return NO
    if not predicate.readable or not predicate.found:
        return UNSURE
    if not predicate.retried:
        return YES
    return is_kind_of(job, exception, predicate.retried)


def is_retry(exception: str) -> bool:
    """Whether it is `dramatiq.Retry`, by which an actor asks for a retry."""
    return exception in _RETRY


def declared(job: Job, kind: str) -> list[tuple[str, str]]:
    """(as written in the spec, dotted) of the transient or permanent errors."""
    errors = []
    for written in job.spec.list_errors(kind):
        errors.append((written, short(spec_name(job, written))))
    return errors
