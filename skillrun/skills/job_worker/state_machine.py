"""When a job is a state machine that should be written down, and where that is done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from skillrun.runner.coded import Recommendation

if TYPE_CHECKING:
    from skillrun.contract.spec import JobSpec
    from skillrun.core.verdict import Finding, StageResult
    from skillrun.skills.job_worker.job_case import JobCase

STATE_MACHINE = "system/state-machine-mapper"


def recommend_mapper(case: JobCase, results: Mapping[str, StageResult]) -> Iterator[Recommendation]:
    """The state-machine mapper, where the job retries or polls, or its handler branches a lot."""
    if case.spec is None:
        return
    findings: list[Finding] = []
    for result in results.values():
        findings += result.findings
    reasons = list(_list_reasons(case.spec, findings))
    if reasons:
        said = f"the job {' and '.join(reasons)}: its states and transitions should be written down"
        yield Recommendation(STATE_MACHINE, said, satisfied_by=_find_machine(case))


def _list_reasons(spec: JobSpec, findings: Iterable[Finding]) -> Iterator[str]:
    retry = spec.retry
    if retry is not None and retry.kind != "none":
        if retry.backoff is not None and retry.backoff.kind != "none":
            yield "retries with backoff"
        else:
            yield "retries"
    if spec.trigger is not None and spec.trigger.type == "poller":
        yield "polls"
    if any(finding.rule == "handler.not-thin" for finding in findings):
        yield "branches in many ways"


def _find_machine(case: JobCase) -> str | None:
    """A `*.state-machine.md` beside the handler."""
    if case.handler is None:
        return None
    folder, slash, _ = case.handler.path.rpartition("/")
    found = case.tree.match(f"{folder}{slash}*.state-machine.md")
    if not found:
        return None
    return found[0]
