"""What the base's baseline knows of a job: a proof that refutes nothing else fails no branch.

It is the base's, and never HEAD's: whoever does the work does not agree to what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from skillrun.core.errors import Refused
from skillrun.core.verdict import Severity
from skillrun.proof.baseline import (
    BASELINE,
    Baseline,
    Compared,
    KnownCause,
    compare_causes,
    read_committed,
)
from skillrun.repo.git import Repo
from skillrun.runner.report import is_open
from skillrun.runner.unproved import PROOF_RULE
from skillrun.wall.base import Base
from skillrun.wall.stories import list_stories
from skillrun.wall.verification import KNOWN, Job


@dataclass(frozen=True)
class BaseDebt:
    """The baseline of the base. `note`: why there is one that does not count."""

    baseline: Baseline
    note: str | None = None


def read_base_debt(repo: Repo, base: Base) -> BaseDebt:
    """Out of git's objects alone."""
    if base.commit is None:
        return BaseDebt({}, _explain_unused(repo, "there is no base whose baseline counts"))
    if base.commit == repo.head:
        said = "HEAD is the base, and a branch's own baseline does not count (--base names another)"
        return BaseDebt({}, _explain_unused(repo, said))
    try:
        baseline = read_committed(repo.root, base.commit)
    except Refused as error:
        return BaseDebt({}, f"nothing in the base's baseline counts: {error.message}")
    if baseline is None:
        said = "the base has no baseline yet, and a branch's own does not count"
        return BaseDebt({}, _explain_unused(repo, said))
    return BaseDebt(baseline)


def _explain_unused(repo: Repo, said: str) -> str | None:
    """Nothing where HEAD has no baseline either."""
    try:
        is_there = read_committed(repo.root, repo.head) is not None
    except Refused:
        is_there = True
    if is_there:
        return f"{BASELINE}: {said}"
    return None


class DebtWatch:
    """Asked of the proof of one job, which it compares with the baseline and keeps; it keeps the
    proof's stories, too.
    """

    def __init__(self, baseline: Baseline) -> None:
        self.baseline = baseline
        self.compared: Compared | None = None
        self.stories: list[dict[str, Any]] = []

    def is_agreed(self, report: Mapping[str, Any]) -> bool:
        """Whether all that the proof refutes is known."""
        self.stories = list_stories(report)
        known = self.baseline.get(report["handler"], frozenset())
        if not known:
            return False
        self.compared = compare_causes(report, known)
        return bool(self.compared.known) and self.compared.holds


def judge_known_debt(job: Job, compared: Compared | None) -> Job:
    """The job beside the baseline: its outcome is `known` where nothing has failed but what that
    knows.
    """
    if compared is None:
        return job
    job = replace(job, compared=compared)
    if not compared.known or not compared.holds or not _is_well_otherwise(job):
        return job
    return replace(job, outcome=KNOWN)


def _is_well_otherwise(job: Job) -> bool:
    """Whether every stage and check passed that does not rest on a refutation alone."""
    if job.problem is not None or any(map(is_open, job.report.get("risks", ()))):
        return False
    refuted = set()
    for stage in job.stages:
        if _fails_by_proof_alone(stage):
            refuted.add(stage["id"])
        elif stage["status"] not in _WELL:
            return False
    for check in job.checks:
        # It failed with its stage, and says nothing of its own.
        rests_on_refuted = check["status"] == "failed" and refuted.intersection(check["evidence"])
        if check["status"] not in _WELL and not rests_on_refuted:
            return False
    return bool(refuted)


_WELL = ("passed", "not_applicable")


def _fails_by_proof_alone(stage: Mapping[str, Any]) -> bool:
    """As `runner.unproved.fails_by_proof_alone`, of a stage of a report."""
    for finding in stage["findings"]:
        is_wrong = finding["severity"] in (Severity.BLOCKER, Severity.ERROR)
        if is_wrong and not finding["rule"].startswith(PROOF_RULE):
            return False
    return bool(stage["status"] == "failed")


def tell_debt(compared: Compared) -> Iterator[tuple[str, str]]:
    """(word, cause) for everything that is known, new or paid off: none is left out."""
    yield from _tell_causes("new", compared.new)
    yield from _tell_causes("known", compared.known)
    yield from _tell_causes("paid off", compared.paid)


def _tell_causes(word: str, causes: Iterable[KnownCause]) -> Iterator[tuple[str, str]]:
    for one in causes:
        yield word, one.text
