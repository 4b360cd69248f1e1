"""The rules about the attempts that a library makes of a job which says itself when it runs again
(arq, SAQ): too few, none left for a death, some for what will not pass, and nothing kept at the
end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from skillrun.core.verdict import Finding, Severity
from skillrun.frameworks.common.again import Way
from skillrun.frameworks.common.facts import expects_record, seconds, tell
from skillrun.frameworks.common.giving_up import Record
from skillrun.frameworks.common.permanent_errors import Rerunning, find_permanent_retried
from skillrun.frameworks.common.policy_reader import Limit
from skillrun.frameworks.interface import Job, Rule, RuleStage
from skillrun.frameworks.rulebook import read_reason
from skillrun.repo.python import is_known

# How many attempts a limit is to leave for the deaths of workers, which use them up.
SPARE = 5


@dataclass(frozen=True)
class Limiting:
    """What one library says for itself in these rules."""

    title: str
    below: str  # the published name of the rule about too few attempts
    option: str  # that gives the limit
    attempt: str  # what the library calls one
    find_limits: Callable[[Job], Iterable[Limit]]
    find_ways: Callable[[Job], Sequence[Way]]
    find_record: Callable[[Job], Record | None]
    # For how many seconds its own record of a failed job is there, where anybody sends the job;
    # infinite where it is all there is.
    find_kept: Callable[[Job], Limit | None]
    write: Callable[[Job, int], str]  # how the option is given
    rerunning: Rerunning  # what becomes of an error
    # What too few attempts are read from: the handler, or whoever sends it.
    rests_on: Literal["handler", "setup"] = "handler"


def limit_below_spec(job: Job, limiting: Limiting) -> Iterator[Finding]:
    """The library's own limit ends the job before the attempts that the spec promises."""
    wanted = None
    if job.spec.retry is not None:
        wanted = job.spec.retry.max_attempts
    if wanted is None:
        return
    for limit in limiting.find_limits(job):
        if not is_known(limit.value) or limit.value >= wanted:
            continue
        by_default = ""
        if limit.by_default:
            by_default = " by default"
        message = (
            f"{limiting.option} is {limit.value:g}{by_default}, and the spec asks for"
            f" {wanted} attempts"
        )
        given = limiting.write(job, wanted + SPARE)
        hint = f"{given}: the first {limiting.attempt} counts, and a death uses one up"
        yield tell(job, limiting.below, Severity.ERROR, limit.place, message, hint)


def no_room_for_deaths(job: Job, limiting: Limiting) -> Iterator[Finding]:
    """Each begun run uses up an attempt: a worker that dies in the last one leaves no dead
    letter.
    """
    bounds: list[int] = []
    for way in limiting.find_ways(job):
        if way.bound is not None:
            bounds.append(way.bound)
    if not expects_record(job) or not bounds:
        return
    last, one = max(bounds), limiting.attempt
    for limit in limiting.find_limits(job):
        if not is_known(limit.value) or last < limit.value:
            continue
        # A default below the handler's own count is too low for the spec as well.
        if limit.by_default and limit.value < last:
            continue
        message = (
            f"{limiting.option} is {limit.value:g}, and the handler writes its dead letter at {one}"
            f" {last}: a worker that dies in it has used up the last {one}, and {limiting.title}"
            " gives the job up without a record"
        )
        hint = f"{limiting.write(job, last + SPARE)}: the handler's own count stays the bound"
        yield tell(job, "no-room-for-deaths", Severity.WARNING, limit.place, message, hint)


def failure_unrecorded(job: Job, limiting: Limiting) -> Iterator[Finding]:
    """The library keeps no dead letters: what it remembers of a failed job is deleted after a
    while.
    """
    kept = limiting.find_kept(job)
    if not expects_record(job) or kept is None or limiting.find_record(job) is not None:
        return
    after = "is all there is"
    if is_known(kept.value) and kept.value != float("inf"):
        after = f"is gone after {seconds(kept.value)}"
    message = (
        f"nothing is recorded when the job is given up: what {limiting.title} keeps of it {after}"
    )
    hint = "write the dead letter in the handler, at the last attempt and on a permanent error"
    yield tell(job, "failure-unrecorded", Severity.WARNING, kept.place, message, hint)


def permanent_retried(job: Job, limiting: Limiting) -> Iterator[Finding]:
    """An error that the spec calls permanent is run again: trying once more only delays the dead
    letter.
    """
    return find_permanent_retried(job, limiting.rerunning)


def declare_limit_rules(
    library: str, limiting: Limiting, sources: Mapping[str, str]
) -> tuple[Rule, ...]:
    """All four under a library's name; `sources` says for each where it stands: that the limit is
    there, that a death counts, what is run again, and that a failed job is deleted.
    """
    rules: dict[str, tuple[RuleStage, Callable[[Job, Limiting], Iterator[Finding]]]] = {
        limiting.below: ("retry", limit_below_spec),
        "no-room-for-deaths": ("dead-letter", no_room_for_deaths),
        "permanent-retried": ("retry", permanent_retried),
        "failure-unrecorded": ("dead-letter", failure_unrecorded),
    }
    declared = []
    for slug, (stage, find) in rules.items():
        declared.append(_declare_rule(f"{library}.{slug}", stage, sources[slug], find, limiting))
    return tuple(declared)


def _declare_rule(
    id_: str,
    stage: RuleStage,
    source: str,
    find: Callable[[Job, Limiting], Iterator[Finding]],
    limiting: Limiting,
) -> Rule:
    def find_with_words(job: Job) -> Iterator[Finding]:
        return find(job, limiting)

    rests_on = limiting.rests_on if find is limit_below_spec else "handler"
    return Rule(id_, stage, read_reason(find), source, find_with_words, rests_on)
