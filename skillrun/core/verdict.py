"""The words of a judgement: status, grade, finding, evidence, and how many become one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from skillrun.core.text import masked_json


class Status(StrEnum):
    """Of a stage or a check."""

    PASSED = "passed"
    FAILED = "failed"  # the evidence contradicts
    BLOCKED = "blocked"  # a decision, an input or the work is missing
    PENDING = "pending"  # not reached yet, or read alone where a proof was asked for
    WAIVED = "waived"
    NOT_APPLICABLE = "not_applicable"


class Grade(StrEnum):
    """How strong evidence is, strongest first."""

    PROVED = "proved"  # fault injection
    EXECUTED = "executed"  # a command or a test ran
    STATIC = "static"  # read from the code
    DECLARED = "declared"  # somebody said so


class Outcome(StrEnum):
    """Of an invocation."""

    SUCCESS = "success"
    PARTIAL = "partial"
    BLOCKED = "blocked"


class Severity(StrEnum):
    """What a finding does to its stage."""

    BLOCKER = "blocker"  # something is missing: the stage is blocked
    ERROR = "error"  # the evidence contradicts: the stage fails
    WARNING = "warning"  # said, and does not stop
    NOTE = "note"


class RiskGrade(StrEnum):
    """What a risk would cost, the worst first. A risk is what a fault can do and no promise covers:
    what breaks a promise is a refutation instead.

    money: something is paid, sent or done twice, or wrongly. lost: a job that nobody will do, and
    nothing says so. leak: a secret is where it does not belong. stuck: it waits until a person
    looks, but its state shows it. blind: it has ended, well or badly, and nobody can tell which
    job it was. minor: none of these, and worth knowing.
    """

    MONEY = "money"
    LOST = "lost"
    LEAK = "leak"
    STUCK = "stuck"
    BLIND = "blind"
    MINOR = "minor"

    @property
    def keeps_success_away(self) -> bool:
        """Until a person has accepted it by name: nobody notices these by themselves."""
        return self in (RiskGrade.MONEY, RiskGrade.LOST)


GRADES_WEAKEST_FIRST = (Grade.DECLARED, Grade.STATIC, Grade.EXECUTED, Grade.PROVED)


@dataclass(frozen=True)
class Finding:
    """One thing that somebody should know: rule id, sentence, place, and what to do about it.

    What a finding, an evidence, an action or a result says is masked when it is made. Whatever
    shows it afterwards, a terminal, a page, an export, cannot forget to.
    """

    rule: str  # e.g. "celery.retry-unbounded"
    severity: Severity
    message: str
    path: str | None = None  # relative to the repository, '/' separated
    line: int | None = None  # 1-based
    hint: str | None = None  # what to do
    recommends: str | None = None  # a skill id that does this work

    def __post_init__(self) -> None:
        _mask(self, "message", "hint")


@dataclass(frozen=True)
class Evidence:
    """Something a stage saw: `sha256` of a file (`role` "file"), or of a command's whole output
    (`role` "command").
    """

    role: str
    path: str
    sha256: str
    size: int = 0
    line: int | None = None
    detail: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _mask(self, "detail")
        # Its path is the command line; that of a file is a name.
        if self.role == "command":
            _mask(self, "path")


@dataclass(frozen=True)
class Action:
    """One next step for the reader: which stage it serves, what kind of step, and the words or
    command.
    """

    stage: str
    action: str  # decide | edit-spec | edit-code | run | prove | attest | consent | consider
    detail: str

    def __post_init__(self) -> None:
        _mask(self, "detail")


@dataclass(frozen=True)
class Risk:
    """A risk as a stage tells of it. `rule` is the name by which a person accepts it."""

    rule: str  # e.g. "broker-lost"
    grade: RiskGrade
    message: str
    closes: str  # what to do so that it is gone
    story: str  # in one line: what happened
    replay: str  # the command that shows it again
    schedules: int = 1  # under how many schedules it was seen

    def __post_init__(self) -> None:
        _mask(self, "message", "closes", "story", "replay")


@dataclass(frozen=True)
class StageResult:
    """What one stage concluded. The status follows from the findings unless it is given."""

    status: Status
    grade: Grade | None
    findings: tuple[Finding, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    next: tuple[Action, ...] = ()
    summary: str = ""  # one line for a person: what was found
    # JSON values that the checks and the telemetry read.
    facts: dict[str, Any] = field(default_factory=dict)
    # They change no status: see `RiskGrade.keeps_success_away`.
    risks: tuple[Risk, ...] = ()

    def __post_init__(self) -> None:
        _mask(self, "summary", "facts")


def _mask(value: object, *names: str) -> None:
    """Masks these fields of a frozen value that is being made."""
    for name in names:
        before = getattr(value, name)
        after = masked_json(before)
        if after != before:
            object.__setattr__(value, name, after)


def status_of(findings: Iterable[Finding]) -> Status:
    """Blocked wins over failed, failed over passed: what is missing comes before what is wrong."""
    severities = {finding.severity for finding in findings}
    if Severity.BLOCKER in severities:
        return Status.BLOCKED
    if Severity.ERROR in severities:
        return Status.FAILED
    return Status.PASSED


def list_edits(stage: str, findings: Iterable[Finding]) -> tuple[Action, ...]:
    """What is to be changed in the code because of a stage's findings."""
    edits = []
    for finding in findings:
        if finding.severity in (Severity.BLOCKER, Severity.ERROR):
            if finding.hint:
                words = f"{finding.message}: {finding.hint}"
            else:
                words = finding.message
            edits.append(Action(stage, "edit-code", words))
    return tuple(edits)


def outcome_of(statuses: Iterable[Status]) -> Outcome:
    """Blocked if any is blocked; else partial if any is failed, pending or waived; else success."""
    seen = set(statuses)
    if Status.BLOCKED in seen:
        return Outcome.BLOCKED
    if seen & {Status.FAILED, Status.PENDING, Status.WAIVED} or not seen:
        return Outcome.PARTIAL
    return Outcome.SUCCESS


def weakest(grades: Iterable[Grade | None]) -> Grade | None:
    """The weakest of the given grades; None where there is none."""
    known = []
    for grade in grades:
        if grade is not None:
            known.append(grade)
    return min(known, key=GRADES_WEAKEST_FIRST.index, default=None)


def strongest(grades: Iterable[Grade | None]) -> Grade | None:
    """The strongest of the given grades; None where there is none."""
    known = []
    for grade in grades:
        if grade is not None:
            known.append(grade)
    return max(known, key=GRADES_WEAKEST_FIRST.index, default=None)
