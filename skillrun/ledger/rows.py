"""The rows of the ledger as values: what a caller hands in, and what an append gives back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from skillrun.core.text import masked_json
from skillrun.core.verdict import Evidence

STAGE_FINISHED = "stage.finished"
INVOCATION_STARTED = "invocation.started"
REDACTED = "output.redacted"
LOOKUPS = "lookups"


# Fields of a skill's telemetry that have a column of their own.
SKILL_COLUMNS = ("trigger", "idempotency", "retries", "tests_added")


@dataclass(frozen=True)
class RunStart:
    """What is known when a run begins."""

    skill: str  # id, e.g. "backend/job-worker-orchestration"
    skill_name: str
    skill_sha: str
    job: str | None
    spec_path: str | None
    repo: str
    git_head: str | None  # None: no commit yet
    dirty: bool
    actor: str
    actor_kind: str  # human | agent | ci | unknown
    agent: str | None
    host_id: str
    runner_version: str
    base_tree: Mapping[str, str | None] | None = (
        None  # path -> sha of what was dirty when the run began
    )
    started_us: int | None = None  # None: now


@dataclass(frozen=True)
class NewEvent:
    """One thing that happened, before it has a number. Durations are microseconds; `data` holds
    JSON values.
    """

    type: str
    stage: str | None = None
    attempt: int | None = None
    dur_us: int | None = None
    outcome: str | None = None
    actor: str | None = None
    actor_kind: str | None = None
    fingerprint: str | None = None
    output_sha: str | None = None
    exit_code: int | None = None
    error_type: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    invocation: int | None = None

    def __post_init__(self) -> None:
        """Nothing that looks like a secret reaches a ledger, whoever writes the event.

        Look-ups stay as they are: they hold paths and digests, and are compared with the tree
        letter by letter.
        """
        said = {}
        for key, value in self.data.items():
            if key != LOOKUPS:
                said[key] = value
        kept = {key: value for key, value in self.data.items() if key == LOOKUPS}
        object.__setattr__(self, "data", masked_json(said) | kept)


@dataclass(frozen=True)
class EvidenceRow:
    """Something that a stage saw: `sha` is the sha256 of a file, or of a command's whole output."""

    role: str  # file | command
    path: str
    sha: str
    size: int = 0
    line: int | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, evidence: Evidence) -> EvidenceRow:
        """The row of a stage's evidence."""
        return cls(
            evidence.role,
            evidence.path,
            evidence.sha256,
            evidence.size,
            evidence.line,
            evidence.detail,
        )


@dataclass(frozen=True)
class Telemetry:
    """The one row of an invocation; the columns are explained in `ledger/README.md`."""

    run_id: str
    invocation: int  # counts from 1 within a run
    skill: str
    outcome: str  # success | partial | blocked
    actor: str
    actor_kind: str  # human | agent | ci | unknown
    repo: str
    ts_utc: str | None = None  # ISO 8601 with Z; None: now
    trigger: str | None = None  # event | cron | poller
    idempotency: str | None = None  # keyed | invariant | unknown
    retries: str | None = None  # none | bounded
    tests_added: str | None = None  # unit | integration | none
    files_touched: Sequence[str] | None = None  # None: not known
    duration_ms: int | None = None
    agent: str | None = None
    git_head: str | None = None
    checks_attempted: Sequence[str] = ()
    checks_passed: Sequence[str] = ()
    checks_failed: Sequence[str] = ()
    grade_min: str | None = None  # proved | executed | static | declared
    # A skill's own fields that have no column.
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StoredEvent:
    """An event that is on disk: its number in the run, its time (microseconds UTC) and its hash."""

    run_id: str
    n: int
    type: str
    stage: str | None
    ts_us: int
    hash: str
    data: dict[str, Any]  # with the `seal` that the ledger added, where it did
