"""What a coded skill is: the stages and checks that code answers to, and all else that a run asks
of it.

A skill without code has the value `runner.declared.DECLARED`, so that a run asks the same questions
of every skill. `docs/skills.md` shows a small one from its folder to its telemetry.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from skillrun.contract.spec_format import SHARED_SPECS
from skillrun.contract.spec_format import SpecFormat as SpecFormat
from skillrun.runner.case import AskConsent, Case

if TYPE_CHECKING:
    from skillrun.contract.skill import Skill
    from skillrun.core.verdict import Finding, StageResult
    from skillrun.repo.git import Repo
    from skillrun.repo.tree import Tree
    from skillrun.runner.changes import Change, Plan
    from skillrun.validations.consent import CommandPlan

C = TypeVar("C", bound=Case)
C_contra = TypeVar("C_contra", bound=Case, contravariant=True)

Results = Mapping[str, "StageResult"]
"""Stage -> what it has concluded."""


class Stage(Protocol[C_contra]):
    """A module or a value that answers to one step of a workflow."""

    @property
    def ID(self) -> str: ...

    @property
    def TITLE(self) -> str: ...

    @property
    def ANSWERS(self) -> re.Pattern[str]:
        """The wording of the workflow step that it answers to."""

    @property
    def READS(self) -> tuple[str, ...]:
        """The parts of the spec that its result depends on."""

    @property
    def COSTLY(self) -> bool:
        """Runs only when the cheap stages are clean."""

    def examine(self, case: C_contra) -> StageResult:
        """Looks and says what it found; changes nothing in the repository."""


def wording(pattern: str) -> re.Pattern[str]:
    """How `ANSWERS` is written: case does not matter."""
    return re.compile(pattern, re.IGNORECASE)


@dataclass(frozen=True)
class CheckRule:
    """A check that code answers to: by its wording, from these stages."""

    id: str
    text: str
    answers: re.Pattern[str]
    stages: tuple[str, ...]
    # Where these are proved, the check is: the proof ran what the others read.
    proved_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recommendation:
    """Another skill that this work calls for: why, and the file that would satisfy it."""

    skill: str
    reason: str
    installed: bool = False
    satisfied_by: str | None = None
    waived: str | None = None


@dataclass(frozen=True)
class Measured:
    """What the telemetry of one invocation can be made of. `files`: what was touched since the run
    began; None where that was not measured. `outcome`: "" while `unknown_fields` is asked, since
    its answer may change it.
    """

    skill: Skill
    spec: Any  # of the skill's own format, or None
    outcome: str
    files: Sequence[str] | None
    results: Results = field(default_factory=dict)


def measure_declared_fields(measured: Measured) -> dict[str, Any]:
    """The fields of the skill's text: what is measured, what the spec's inputs give, and null for
    what nobody knows.
    """
    known: dict[str, Any] = {
        "skill": measured.skill.id,
        "outcome": measured.outcome,
        "files_touched": measured.files,
    }
    given = {}
    if measured.spec:
        given = measured.spec.inputs
    return {
        entry.key: known.get(entry.key, given.get(entry.key)) for entry in measured.skill.telemetry
    }


class Prover(Protocol[C_contra]):
    """Runs the work under faults, and tells the stages what was seen."""

    @property
    def PROOF_STAGES(self) -> Collection[str]:
        """The stages that a proof speaks of."""

    def explain_no_proof(self, case: C_contra) -> Finding | None:
        """Why no proof is made, as a note; None where one can be made."""

    def draft_proof(self, case: C_contra) -> str | None:
        """What a person would write to have one made, as far as the repository says it."""

    def is_decided(self, case: C_contra, results: Results) -> bool:
        """Whether a proof may run: what only a person can decide is decided."""

    def speaks_of(self, stage: str, result: StageResult) -> bool:
        """Whether a proof could change what a stage has found by itself."""

    def prove_case(self, case: C_contra) -> dict[str, Any] | None:
        """The proof's report; None where nobody agreed to run it."""

    def add_proof(
        self,
        case: C_contra,
        stage: str,
        result: StageResult,
        report: Mapping[str, Any] | None,
        told: Sequence[str],
    ) -> StageResult:
        """A stage's result, with what the proof says of it. `told`: the stages that are told of
        this proof; what it says of any other stage, the first of them tells.
        """

    def record_proof(self, report: Mapping[str, Any] | None) -> dict[str, Any]:
        """What the ledger keeps of a proof besides what the stages found."""


class Writer(Protocol[C_contra]):
    """Writes the work itself: `--implement scaffold`."""

    @property
    def GATES(self) -> Collection[str]:
        """The stages that must be clean before anything is written."""

    @property
    def STAGE(self) -> str:
        """The stage that the written work is for."""

    def find_obstacles(self, stages: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The findings of a report's stages that must be gone before anything is written."""

    def can_be_written(self, report: Mapping[str, Any]) -> bool:
        """Whether the work is missing, and nothing is in the way of writing it."""

    def plan_changes(self, case: C_contra) -> Plan:
        """The changes that write it, or what has to be decided first."""

    def format_files(
        self, case: C_contra, written: Plan, ask: AskConsent, on_line: Callable[[str], None]
    ) -> tuple[str, ...]:
        """Runs the repository's formatters over what was written; what a person should know."""

    def mark_proof(self, case: C_contra) -> tuple[Change, str] | None:
        """The change that marks in a written file what a proof has seen, and a line that says
        so.
        """


class Guide(Protocol[C_contra]):
    """What a work order says of a stage besides its findings."""

    def list_places(self, case: C_contra, stage: str) -> list[str]:
        """Where its work lies."""

    def find_idiom(self, case: C_contra, stage: str) -> str | None:
        """The usual way to write it."""

    def list_checked(self, case: C_contra | None, stage: str) -> tuple[str, ...]:
        """What it will look at. `case`: None where nothing could be read."""


def recommend_nothing(case: Case, results: Results) -> Iterable[Recommendation]:
    """No other skill, besides those that findings name."""
    return ()


def list_nothing(case: Case) -> Iterable[str]:
    """Code answers to every stage."""
    return ()


def list_no_plans(case: Case) -> list[CommandPlan]:
    """No code of the repository runs."""
    return []


def list_no_fields(measured: Measured) -> list[str]:
    """All fields are measured."""
    return []


@dataclass(frozen=True)
class CodedSkill(Generic[C]):
    """One skill that code answers to. `stages`, `prover`, `writer` and `guide` are called when they
    are needed, so that a look at a run need not import them.
    """

    name: str  # as in the front-matter of its SKILL.md
    stages: Callable[[Skill], Sequence[Stage[C]]]
    open_case: Callable[[Skill, Any, Repo, Tree], C]  # from skill, spec, repository and tree
    checks: tuple[CheckRule, ...] = ()
    spec: SpecFormat = SHARED_SPECS
    # Field of the telemetry -> value. One that `ledger.rows.SKILL_COLUMNS` names goes to its
    # column, every other one to the column `fields`.
    measure: Callable[[Measured], Mapping[str, Any]] = measure_declared_fields
    # The fields that a person has to give before the outcome can be success.
    unknown_fields: Callable[[Measured], list[str]] = list_no_fields
    # Stage or check -> what to do instead of waiving it.
    never_waived: Mapping[str, str] = field(default_factory=dict)
    # The stages of one case that somebody attests, since no code answers to them there.
    list_attestable: Callable[[C], Iterable[str]] = list_nothing
    # Those of them that an agent cannot attest.
    attested_by_people: tuple[str, ...] = ()
    # The names of the risks that a proof may find: a person can accept each, as a waiver is given.
    risks: tuple[str, ...] = ()
    # The skills that findings of the stages may recommend; each can be waived.
    recommends: tuple[str, ...] = ()
    recommend: Callable[[C, Results], Iterable[Recommendation]] = recommend_nothing
    # All code of the repository that the stages would run, so that one question can show it.
    list_command_plans: Callable[[C], list[CommandPlan]] = list_no_plans
    prover: Callable[[], Prover[C]] | None = None
    writer: Callable[[], Writer[C]] | None = None
    guide: Callable[[], Guide[C]] | None = None
