"""What the base's publishers and HEAD's choose to publish: the same rows, at the same times.

A proof takes the message as given. Which rows a nightly run or an endpoint makes a message of is
its own, and a job that is never published fails nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import zip_longest

from skillrun.core.errors import SkillrunError
from skillrun.core.verdict import Finding, Severity
from skillrun.proof.observe import MOMENTS, Published
from skillrun.wall.comparing import add_not_compared, explain_not_comparing, is_code_changed
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.making import quoted
from skillrun.wall.gaming.specs import at, base_document, base_file
from skillrun.wall.new_sweeps import compare_publishers
from skillrun.wall.verification import Job, NotCompared

OTHERWISE = "verify.publishes-otherwise"
HELP = {
    OTHERWISE: (
        "A function of the application that publishes the job (the call of `enqueue`, or one that"
        " the branch changes and that needs no argument) leaves out a job that the base's publishes"
        " over the same rows at the same time, also since it fails there (error), or publishes"
        " another one, fails behind the last of them or does not end (warning)."
    ),
}
_HINT = "publish what the base publishes; where it is meant, a person has to decide that"
# Each is called ten times on both sides.
_MOST_PUBLISHERS = 3
_MOST_SHOWN = 3

ObservePublishers = Callable[[File, list[str]], Mapping[str, list[Published]] | None]
"""Makes some calls in a clean checkout of a spec's side; None where nobody agreed that they run.
Raises SkillrunError where nothing can be run.
"""


@dataclass(frozen=True, order=True)
class _Difference:
    """What HEAD's call does otherwise than the base's, which ends."""

    call: str
    said: str
    severity: Severity
    # Why it came to that. Two attempts may fail of other errors.
    reason: str = field(default="", compare=False)


def judge_publishers(
    job: Job,
    spec: File,
    diff: Diff,
    observe_base: ObservePublishers,
    observe_head: ObservePublishers,
) -> Job:
    """The job, no success where HEAD leaves out what the base publishes. Costs nothing where no
    code changed, where the branch changes no publisher, or the job fails anyway.
    """
    if not is_code_changed(diff):
        return job
    found_calls, gone = _list_publishers(diff, spec)
    calls = found_calls[:_MOST_PUBLISHERS]
    if not calls and not gone:
        return job
    what = f"what {', '.join(calls or gone)} publishes"
    why = explain_not_comparing(job, spec, diff)
    if why is not None:
        return add_not_compared(job, [NotCompared(what, why)])
    job = add_not_compared(job, _list_left(found_calls[_MOST_PUBLISHERS:], gone))
    if not calls:
        return job
    old = base_file(diff, spec)
    found: set[_Difference] | None = None
    # What one run does by chance is not what the next one does.
    for _ in range(2):
        try:
            before, after = observe_base(old, calls), observe_head(spec, calls)
        except SkillrunError as error:
            return add_not_compared(job, [NotCompared(what, error.message)])
        job = add_not_compared(job, _list_failing(before or {}, after or {}))
        job = add_not_compared(job, _list_silent(before or {}, after or {}))
        seen = set(_find_differences(before or {}, after or {}))
        found = seen & (found or seen)
        if not found:
            return job
    return _add_findings(job, spec, found or set())


def _add_findings(job: Job, spec: File, found: set[_Difference]) -> Job:
    findings = []
    for one in sorted(found):
        message = f"{quoted(one.call)} {one.said}"
        if one.reason:
            message += f": {quoted(one.reason)}"
        findings.append(Finding(OTHERWISE, one.severity, message, spec.path, 1, _HINT))
    assert job.proof is not None
    proof = replace(job.proof, findings=(*job.proof.findings, *findings))
    if any(finding.severity == Severity.ERROR for finding in findings):
        return replace(job, proof=proof, outcome="partial")
    return replace(job, proof=proof)


def _list_publishers(diff: Diff, spec: File) -> tuple[list[str], list[str]]:
    """(the call of `enqueue` that both sides name, where what lies between it and the job has
    changed, and the other publishers of which that is so; those that the base alone has).
    """
    old = base_document(diff, spec)
    document = spec.new_document
    if old is None or document is None:
        return [], []
    found = []
    call = at(document.value, "enqueue", "call")
    is_shared = isinstance(call, str) and call == at(old.value, "enqueue", "call")
    # Without arguments of its own it may choose: with them it publishes the one job.
    if is_shared and not at(document.value, "enqueue", "args"):
        found.append(str(call))
    publishers = compare_publishers(diff, spec)
    return list(dict.fromkeys((*found, *publishers.changed))), publishers.gone


def _list_left(further: list[str], gone: list[str]) -> Iterator[NotCompared]:
    """Yields the publishers that are not called."""
    for call in further:
        why = f"no more than {_MOST_PUBLISHERS} functions are called"
        yield NotCompared(f"what {call} publishes", why)
    for call in gone:
        why = "HEAD has no function of this name that leads to the job and needs no argument"
        yield NotCompared(f"what {call} publishes", why)


def _list_silent(
    before: Mapping[str, list[Published]], after: Mapping[str, list[Published]]
) -> Iterator[NotCompared]:
    """Yields the calls that end and publish nothing on both sides: these rows ask for no job."""
    for call, was in before.items():
        made = (*was, *after.get(call, ()))
        if all(one == Published() for one in made):
            why = "neither side publishes a job over the rows of proof.setup and enqueue.call"
            yield NotCompared(f"what {call} publishes", why)


def _find_differences(
    before: Mapping[str, list[Published]], after: Mapping[str, list[Published]]
) -> Iterator[_Difference]:
    """Yields of each kind of difference the first moment of each call."""
    for call, was in before.items():
        told = set[tuple[str, Severity]]()
        for moment, base, head in _pair_moments(was, after.get(call, [])):
            if base.problem is not None:
                continue
            for said, severity, jobs in _compare(base, head):
                if (said, severity) not in told:
                    told.add((said, severity))
                    text = said.format(jobs=_list_jobs(jobs), when=_describe_moment(*moment))
                    yield _Difference(call, text, severity, head.problem or "")


def _pair_moments(
    was: list[Published], now: list[Published]
) -> Iterator[tuple[tuple[bool, int], Published, Published]]:
    """Yields (moment, the base's, HEAD's). HEAD's call that did not end is not made later, and
    stands for those.
    """
    later = None
    if now and now[-1].is_endless:
        later = replace(now[-1], jobs=frozenset())
    for moment, base, head in zip_longest(MOMENTS, was, now):
        made = head or later
        if moment is not None and base is not None and made is not None:
            yield moment, base, made


_LEAVES_OUT = "does not publish {jobs}, which the base publishes {when}"
_ADDS = "publishes {jobs}, which the base does not {when}"
_FAILS = "fails {when}, where the base's ends and publishes {jobs}"
_ENDLESS = "does not end {when}, where the base's ends and publishes {jobs}"


def _compare(base: Published, head: Published) -> Iterator[tuple[str, Severity, frozenset[str]]]:
    """Yields (what HEAD's call does, how bad that is, the jobs that it is about). The base's ended:
    what HEAD's does not publish by its failure is left out as well.
    """
    left_out = base.jobs - head.jobs
    if head.is_endless:
        # It was cut off by a clock, and a machine may be slow.
        if base.jobs:
            yield _ENDLESS, Severity.WARNING, base.jobs
    elif left_out:
        yield _LEAVES_OUT, Severity.ERROR, left_out
    elif head.problem is not None and base.jobs:
        yield _FAILS, Severity.WARNING, base.jobs
    if head.jobs - base.jobs:
        yield _ADDS, Severity.WARNING, head.jobs - base.jobs


def _list_jobs(jobs: frozenset[str]) -> str:
    shown = "; ".join(quoted(job) for job in sorted(jobs)[:_MOST_SHOWN])
    if len(jobs) > _MOST_SHOWN:
        shown += f" and {len(jobs) - _MOST_SHOWN} more"
    return shown


def _describe_moment(is_first: bool, days: int) -> str:
    when = "over the rows that enqueue.call leaves"
    if is_first:
        when = "over the rows of proof.setup"
    if days:
        when += f", {days} days later"
    return when


def _list_failing(
    before: Mapping[str, list[Published]], after: Mapping[str, list[Published]]
) -> Iterator[NotCompared]:
    """Yields the calls that failed or did not end on a side, each with its first problem."""
    for whose, side in (("the base's", before), ("HEAD's", after)):
        for call, made in side.items():
            problem = next((one.problem for one in made if one.problem is not None), None)
            if problem is not None:
                yield NotCompared(f"what {call} publishes", f"{whose}: {problem}")
