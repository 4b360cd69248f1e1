"""What becomes of an exception of a declared effect: does Dramatiq see it, and does it retry it?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from skillrun.frameworks.common.errors import ancestors, short
from skillrun.frameworks.common.facts import calls_of, effect_calls, spec_name
from skillrun.frameworks.common.permanent_errors import Answer, Rerunning, follow_error
from skillrun.frameworks.dramatiq.policy import Options
from skillrun.frameworks.interface import Job
from skillrun.repo.python import Call, Handler
from skillrun.repo.uses import Place

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
    answers = [_read_way_out(job, call, exception) for call in calls]
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


def _read_way_out(job: Job, call: Call, exception: str) -> tuple[str, str]:
    """(whether an exception of one call leaves the handler, as which one)."""
    fate = follow_error(job, call, exception, _LEAVING)
    if fate.answer == "unsure":
        return UNSURE, exception
    if fate.is_left:
        return YES, fate.raised or exception
    return NO, exception


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


def _read_left(job: Job, error: str) -> Answer:
    """The actor's options decide by the class of the error."""
    if is_retry(error):
        return "again"
    answers: dict[str, Answer] = {YES: "again", NO: "ends", UNSURE: "unsure"}
    return answers[is_retried(job, error)]


def _list_named(job: Job) -> Iterator[tuple[str, Place]]:
    asked = options_of(job).predicate()
    if asked is not None and asked[0].readable:
        for name in asked[0].retried:
            yield name, _find_actor(job)


def _find_actor(job: Job) -> Place:
    return Place(job.handler.path, job.handler.line)


# Where an error leaves the handler, whatever Dramatiq then makes of it.
_LEAVING = Rerunning(
    title="Dramatiq",
    read_clause=lambda job, clause: None,
    read_left=lambda job, error: "ends",
    hint="",
)
RERUNNING = replace(
    _LEAVING,
    read_left=_read_left,
    hint="name it in throws=(...) of the actor",
    find_place=_find_actor,
    list_named=_list_named,
)


def declared(job: Job, kind: str) -> list[tuple[str, str]]:
    """(as written in the spec, dotted) of the transient or permanent errors."""
    errors = []
    for written in job.spec.list_errors(kind):
        errors.append((written, short(spec_name(job, written))))
    return errors
