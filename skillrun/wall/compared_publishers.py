"""What the base's publishers and HEAD's choose to publish: the same rows, at the same times.

A proof takes the message as given. Which rows a nightly run or an endpoint makes a message of is
its own, and a job that is never published fails nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from skillrun.core.errors import SkillrunError
from skillrun.core.verdict import Finding, Severity
from skillrun.proof.observe import MOMENTS, Published
from skillrun.wall.comparing import add_not_compared, explain_not_comparing, is_code_changed
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.making import quoted
from skillrun.wall.gaming.specs import at, base_document, base_file
from skillrun.wall.new_sweeps import list_changed_publishers
from skillrun.wall.verification import Job, NotCompared

OTHERWISE = "verify.publishes-otherwise"
HELP = {
    OTHERWISE: (
        "A function of the application that publishes the job (the call of `enqueue`, or one that"
        " the branch changes and that needs no argument) leaves out a job that the base's publishes"
        " over the same rows at the same time (error), or publishes another one (warning)."
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
_Said = tuple[str, str, bool]
"""(call, what HEAD's does otherwise, whether it leaves a job out)."""


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
    calls = _list_publishers(diff, spec)
    if not calls:
        return job
    what = f"what {', '.join(calls)} publishes"
    why = explain_not_comparing(job, spec, diff)
    if why is not None:
        return add_not_compared(job, [NotCompared(what, why)])
    old = base_file(diff, spec)
    found: set[_Said] | None = None
    # What one run does by chance is not what the next one does.
    for _ in range(2):
        try:
            before, after = observe_base(old, calls), observe_head(spec, calls)
        except SkillrunError as error:
            return add_not_compared(job, [NotCompared(what, error.message)])
        job = add_not_compared(job, _list_failing(before or {}, after or {}))
        seen = set(_find_differences(before or {}, after or {}))
        found = seen & (found or seen)
        if not found:
            return job
    return _add_findings(job, spec, found or set())


def _add_findings(job: Job, spec: File, found: set[_Said]) -> Job:
    findings = []
    for call, said, is_left_out in sorted(found):
        severity = Severity.WARNING
        if is_left_out:
            severity = Severity.ERROR
        message = f"{quoted(call)} {said}"
        findings.append(Finding(OTHERWISE, severity, message, spec.path, 1, _HINT))
    assert job.proof is not None
    proof = replace(job.proof, findings=(*job.proof.findings, *findings))
    if any(finding.severity == Severity.ERROR for finding in findings):
        return replace(job, proof=proof, outcome="partial")
    return replace(job, proof=proof)


def _list_publishers(diff: Diff, spec: File) -> list[str]:
    """The call of `enqueue` that both sides name, where what lies between it and the job has
    changed, and the other publishers of which that is so.
    """
    old = base_document(diff, spec)
    document = spec.new_document
    if old is None or document is None:
        return []
    found = []
    call = at(document.value, "enqueue", "call")
    is_shared = isinstance(call, str) and call == at(old.value, "enqueue", "call")
    # Without arguments of its own it may choose: with them it publishes the one job.
    if is_shared and not at(document.value, "enqueue", "args"):
        found.append(str(call))
    found += list_changed_publishers(diff, spec)
    return list(dict.fromkeys(found))[:_MOST_PUBLISHERS]


def _find_differences(
    before: Mapping[str, list[Published]], after: Mapping[str, list[Published]]
) -> Iterator[_Said]:
    """Yields the first moment of each call at which HEAD leaves a job out, and at which it publishes
    another one.
    """
    for call, was in before.items():
        told = set[bool]()
        for (is_first, days), base, head in zip(MOMENTS, was, after.get(call, ()), strict=False):
            if base.problem is not None or head.problem is not None:
                break
            for is_left_out, jobs in (
                (True, base.jobs - head.jobs),
                (False, head.jobs - base.jobs),
            ):
                if jobs and is_left_out not in told:
                    told.add(is_left_out)
                    yield call, _describe(jobs, days, is_first, is_left_out), is_left_out


def _describe(jobs: frozenset[str], days: int, is_first: bool, is_left_out: bool) -> str:
    shown = "; ".join(quoted(job) for job in sorted(jobs)[:_MOST_SHOWN])
    if len(jobs) > _MOST_SHOWN:
        shown += f" and {len(jobs) - _MOST_SHOWN} more"
    when = "over the rows that enqueue.call leaves"
    if is_first:
        when = "over the rows of proof.setup"
    if days:
        when += f", {days} days later"
    if is_left_out:
        return f"does not publish {shown}, which the base publishes {when}"
    return f"publishes {shown}, which the base does not {when}"


def _list_failing(
    before: Mapping[str, list[Published]], after: Mapping[str, list[Published]]
) -> Iterator[NotCompared]:
    """Yields the calls that failed or did not end on a side."""
    for whose, side in (("the base's", before), ("HEAD's", after)):
        for call, made in side.items():
            for published in made:
                if published.problem is not None:
                    what = f"what {call} publishes"
                    yield NotCompared(what, f"{whose}: {published.problem}")
