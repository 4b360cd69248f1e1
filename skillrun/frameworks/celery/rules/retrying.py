"""Rules about what is retried, how often, and after which wait."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.celery.retries import NEVER_RETRIED, Path, takes
from skillrun.frameworks.celery.rules.facts import retries_of, say
from skillrun.frameworks.common.errors import ancestors, short, takes_any
from skillrun.frameworks.common.facts import at, effect_calls, spec_name
from skillrun.frameworks.common.wait_rules import Wait, find_flat_backoffs
from skillrun.frameworks.interface import Job
from skillrun.frameworks.rulebook import rule
from skillrun.repo.python import Call, Handler
from skillrun.repo.syntax import find_nodes

_EVERYTHING = {"builtins.Exception", "builtins.BaseException"}


@rule(
    "celery.retry-unbounded",
    stage="retry",
    source="joeflow#28; Task.max_retries in celery/app/task.py",
)
def retry_unbounded(job: Job) -> Iterator[Finding]:
    """max_retries=None retries for ever, so a job that cannot succeed occupies workers for ever."""
    for path in retries_of(job).paths:
        if path.max_retries is None:
            message = (
                "max_retries=None retries without end: a job that cannot succeed runs for ever"
            )
            place = at(job, path.max_place or path.place)
            yield say(
                "retry-unbounded", Severity.ERROR, place, message, "give max_retries a number"
            )


@rule(
    "celery.retry-everything",
    stage="retry",
    source="PDF-Assistant-RAG#664: autoretry_for=(Exception,)",
)
def retry_everything(job: Job) -> Iterator[Finding]:
    """Retrying every exception repeats bad input and programming errors that no wait can mend.

    Every exception is retried, those that will never pass among them.
    """
    for path in retries_of(job).paths:
        if not _EVERYTHING & set(path.exceptions) or path.conditional or path.spared:
            continue
        what = "this clause catches"
        if path.kind == "autoretry":
            what = "autoretry_for names"
        message = (
            f"{what} every exception: bad input and programming errors are retried too, to no use"
        )
        if _permanent_kept_away(job, path):
            severity = Severity.WARNING
        else:
            severity = Severity.ERROR
        hint = (
            "name the exceptions that may pass by waiting, or the permanent ones in"
            " dont_autoretry_for"
        )
        yield say("retry-everything", severity, path.place, message, hint)


def _permanent_kept_away(job: Job, path: Path) -> bool:
    """The handler itself ends every permanent error of the spec before it gets here."""
    listed = job.spec.list_errors("permanent")
    for written in listed:
        if reaches(job, path, short(spec_name(job, written))) != "no":
            return False
    return bool(listed)


@rule(
    "celery.flat-backoff",
    stage="retry",
    source="PDF-Assistant-RAG#664; retry_backoff in celery/app/autoretry.py",
)
def flat_backoff(job: Job) -> Iterator[Finding]:
    """A constant wait brings all failed jobs back together and never slows down while the other
    side is down.

    The same wait before every retry.
    """
    waits = []
    for path in retries_of(job).paths:
        is_flat = path.backoff is not None and path.backoff.kind == "fixed"
        if path.backoff is not None and is_flat and path.max_retries not in (0, 1):
            waits.append(Wait(path.backoff.base_s, path.backoff_place or path.place))
    hint = (
        "retry_backoff=True with retry_backoff_max, or a countdown that grows with"
        " self.request.retries"
    )
    return find_flat_backoffs(job, waits, hint)


@rule(
    "celery.retry-without-exc",
    stage="retry",
    source="celery/celery#6358; Task.retry in celery/app/task.py",
)
def retry_without_exc(job: Job) -> Iterator[Finding]:
    """self.retry() without exc hides the cause: the job ends with MaxRetriesExceededError."""
    for path in retries_of(job).paths:
        if (
            path.call is None
            or path.call.in_except is None
            or path.call.argument(2, "exc") is not None
        ):
            continue
        if any(keyword.arg is None for keyword in path.call.node.keywords):
            continue
        message = (
            "self.retry() without exc: after the last attempt the job fails"
            " with MaxRetriesExceededError, not with its cause"
        )
        name = path.call.in_except.name or "exc"
        yield say(
            "retry-without-exc",
            Severity.WARNING,
            path.place,
            message,
            f"raise self.retry(exc={name})",
        )


@rule(
    "celery.permanent-retried",
    stage="retry",
    source="open-wearables#1053: 462 attempts in a week, none of them successful",
)
def permanent_retried(job: Job) -> Iterator[Finding]:
    """An error that the spec calls permanent will not pass by waiting; retrying it only delays the
    dead letter.
    """
    for written in job.spec.list_errors("permanent"):
        name = short(spec_name(job, written))
        for path in retries_of(job).paths:
            yield from _find_retried_permanent(job, path, name, written)


def _find_retried_permanent(job: Job, path: Path, name: str, written: str) -> Iterator[Finding]:
    hint = "leave it out of what is retried, or name it in dont_autoretry_for"
    if takes(job.project, path, name):
        if path.conditional:
            answer = "unsure"
        else:
            answer = reaches(job, path, name)
        if answer == "yes":
            message = f"{written} is permanent in the spec, and is retried here: {path.place.text}"
            yield say("permanent-retried", Severity.ERROR, path.place, message, hint)
        elif answer == "unsure":
            message = (
                f"{written} is permanent in the spec and may be retried here; whether it is depends"
                " on a condition"
            )
            yield say(
                "permanent-retried",
                Severity.NOTE,
                path.place,
                message,
                "see that no permanent error comes this way",
            )
        return
    below = []
    for n in path.exceptions:
        if name in ancestors(job.project, n):
            below.append(n)
    if below:
        message = (
            f"{', '.join(below)} is retried here, and is a kind of {written}, which the spec calls"
            " permanent"
        )
        yield say("permanent-retried", Severity.WARNING, path.place, message, hint)


def reaches(job: Job, path: Path, exception: str) -> str:
    """Whether an exception of the declared effects gets to this way: yes, no, or unsure.

    Where no declared effect is seen on the way, nothing stands against it: yes.
    """
    answers = set()
    for call in effect_calls(job):
        if call.node is not _node_of(path):
            answers.add(_follow_outward(job, call, path, exception))
    for answer in ("yes", "unsure", "no"):
        if answer in answers:
            return answer
    return "yes"


def _node_of(path: Path) -> ast.Call | None:
    if not path.call:
        return None
    return path.call.node


def _follow_outward(job: Job, call: Call, path: Path, exception: str) -> str:
    """Follows an exception outward through the clauses around one call."""
    bases = ancestors(job.project, exception)
    retrying = None
    if path.call and path.call.in_except:
        retrying = path.call.in_except.node
    done: set[ast.AST] = set()
    for handler in call.in_try:
        block = next(
            n for n in handler.module.parents(handler.node) if isinstance(n, ast.Try | ast.TryStar)
        )
        if block in done or not takes_any(handler, bases):
            continue
        done.add(block)
        if handler.node is retrying:
            return "yes"
        if not handler.reraises:
            return "no"
        if not _same_again(handler):
            return _follow_converted(job, path, handler)
    if path.kind == "autoretry":
        return "yes"
    return "no"


def _follow_converted(job: Job, path: Path, handler: Handler) -> str:
    """A clause that raises something else: what becomes of that."""
    if path.kind != "autoretry":
        return "unsure"
    taken = set()
    for node in find_nodes(handler.node, ast.Raise):
        name = _name_raised(handler, node)
        if not name:
            return "unsure"
        origin = job.project.origin(name)
        taken.add(origin not in NEVER_RETRIED and takes(job.project, path, origin))
    if len(taken) > 1:
        return "unsure"
    if False in taken:
        return "no"
    return "yes"


def _name_raised(handler: Handler, node: ast.Raise) -> str | None:
    """The dotted name of the class; None where it cannot be told."""
    raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
    if raised is not None:
        return handler.module.resolve(raised)
    return None


def _same_again(handler: Handler) -> bool:
    """Every `raise` of the clause lets the caught exception go on."""
    raised = []
    for n in find_nodes(handler.node, ast.Raise):
        raised.append(n.exc)
    return all(
        exc is None or (isinstance(exc, ast.Name) and exc.id == handler.name) for exc in raised
    )
