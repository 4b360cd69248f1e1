"""What a verification found, as one frozen value that every format is made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from skillrun.core.text import masked, masked_json
from skillrun.core.verdict import Finding, Severity

if TYPE_CHECKING:
    from skillrun.proof.baseline import Compared

EXIT_CODES = {"success": 0, "known": 0, "partial": 1, "blocked": 3, "refused": 4}
"""Outcome -> exit code, the best outcome first."""

SUCCESS, KNOWN = "success", "known"

NOT_LOOKED_AT = "gaming.not-looked-at"


@dataclass(frozen=True)
class BaseProof:
    """What the base's own spec and code came to, proved in the same call."""

    commit: str
    verdict: str  # proved | refuted | incomplete | none
    proved: tuple[str, ...] = ()  # stages
    risks: tuple[str, ...] = ()  # their rules
    why: str | None = None  # it is not proved
    duration_ms: int = 0


@dataclass(frozen=True)
class Proof:
    """What a job's proof came to. `base` None: it was not needed to decide."""

    verdict: str  # proved | refuted | incomplete | none
    base: BaseProof | None = None
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class NotCompared:
    """What was not compared between the base's runs and HEAD's, and why: "other rows", "the base
    holds no spec of this job".
    """

    what: str
    why: str


@dataclass(frozen=True)
class Job:
    """One committed spec and what its run came to. `report` is a report.v1 without ledger and
    telemetry.
    """

    spec: str  # path relative to the repository
    spec_sha256: str
    name: str  # the job's, or the spec's path where it cannot be read
    outcome: str  # success | known | partial | blocked | refused
    report: Mapping[str, Any] = field(default_factory=dict)
    problem: str | None = None  # why it was refused: nothing of it ran
    hint: str | None = None
    proof: Proof | None = None  # None: neither its spec nor the base's asks for one
    # Its proof beside the base's baseline; None where that says nothing of the job.
    compared: Compared | None = None
    stories: Sequence[Mapping[str, Any]] = ()  # of its proof; see `stories.list_stories`
    not_compared: tuple[NotCompared, ...] = ()

    def __post_init__(self) -> None:
        for name in ("report", "problem", "hint", "stories"):
            object.__setattr__(self, name, masked_json(getattr(self, name)))
        safe = (NotCompared(masked(one.what), masked(one.why)) for one in self.not_compared)
        object.__setattr__(self, "not_compared", tuple(safe))

    @property
    def is_passing(self) -> bool:
        """Whether nothing has failed so far but what the base's baseline knows."""
        return self.outcome in (SUCCESS, KNOWN)

    @property
    def stages(self) -> list[Mapping[str, Any]]:
        """The stages of the report."""
        return list(self.report.get("stages", ()))

    @property
    def checks(self) -> list[Mapping[str, Any]]:
        """The checks of the report."""
        return list(self.report.get("checks", ()))

    def findings(self) -> Iterator[Finding]:
        """Every finding of its stages, and the refusal."""
        if self.problem is not None:
            yield Finding("verify.refused", Severity.BLOCKER, self.problem, self.spec, 1, self.hint)
        for stage in self.stages:
            for found in stage["findings"]:
                place = {key: found[key] for key in ("rule", "message", "path", "line", "hint")}
                yield Finding(severity=Severity(found["severity"]), **place)
        if self.proof:
            yield from self.proof.findings


@dataclass(frozen=True)
class Gaming:
    """What was looked for between base and HEAD, and found. `missing`: why nothing was looked at,
    `hint` what to do.
    """

    base: str | None = None  # commit
    base_name: str | None = None
    looks: tuple[str, ...] = ()  # ids of the looks that were made
    findings: tuple[Finding, ...] = ()
    missing: str | None = None
    hint: str | None = None

    @property
    def all_findings(self) -> tuple[Finding, ...]:
        """With a warning where nothing was looked at, so that no reader takes silence for a
        pass.
        """
        if self.missing is None and self.looks:
            return self.findings
        if self.missing is None:
            message = "the changes were not looked at: there is no look to look with"
            hint = "install skillrun again"
            return (*self.findings, Finding(NOT_LOOKED_AT, Severity.ERROR, message, hint=hint))
        message = f"the changes were not looked at: {self.missing}"
        return (*self.findings, Finding(NOT_LOOKED_AT, Severity.WARNING, message, hint=self.hint))

    def of(self, look: str) -> tuple[Finding, ...]:
        """The findings of one look: its rule is the look's id, or begins with it."""
        return tuple(f for f in self.findings if f.rule == f"gaming.{look}")


@dataclass(frozen=True)
class Tally:
    """What one side's runner collected. Of the base, only what HEAD does not show to pass is
    run.
    """

    collected: int
    passed: int
    failed: int
    duration_ms: int


@dataclass(frozen=True)
class Tests:
    """The tests of both sides, as skillrun ran them itself. `missing`: why nothing was counted."""

    __test__ = False

    runner: str | None = None  # pytest | unittest
    head: Tally | None = None
    base: Tally | None = None
    findings: tuple[Finding, ...] = ()
    missing: str | None = None


@dataclass(frozen=True)
class Verification:
    """One verification of a commit."""

    commit: str
    branch: str | None
    jobs: tuple[Job, ...]
    gaming: Gaming
    notes: tuple[str, ...] = ()  # what was not looked at, and why: one sentence each
    version: str = ""
    duration_ms: int = 0
    tests: Tests | None = None

    def __post_init__(self) -> None:
        """A branch or a note that holds a secret shows it in no format."""
        object.__setattr__(self, "branch", masked_json(self.branch))
        object.__setattr__(self, "notes", tuple(map(masked, self.notes)))

    @property
    def outcome(self) -> str:
        """The worst of all jobs; an error among the gaming findings makes a success partial."""
        found = (*self.gaming.all_findings, *self._of_tests)
        seen = {job.outcome for job in self.jobs}
        for finding in found:
            if finding.severity in (Severity.ERROR, Severity.BLOCKER):
                seen.add("partial")
        return max(seen, key=list(EXIT_CODES).index, default="blocked")

    @property
    def known(self) -> int:
        """How many causes the base's baseline knows, and the jobs still have."""
        count = 0
        for job in self.jobs:
            if job.compared is not None:
                count += len(job.compared.known)
        return count

    @property
    def exit_code(self) -> int:
        """0 success or known, 1 partial, 3 blocked, 4 refused."""
        return EXIT_CODES[self.outcome]

    def findings(self) -> Iterator[Finding]:
        """All findings, those of the jobs first; what two jobs share comes once."""
        of_jobs: list[Finding] = []
        for job in self.jobs:
            of_jobs += job.findings()
        yield from dict.fromkeys([*of_jobs, *self.gaming.all_findings, *self._of_tests])

    @property
    def _of_tests(self) -> tuple[Finding, ...]:
        if self.tests is None:
            return ()
        return self.tests.findings
