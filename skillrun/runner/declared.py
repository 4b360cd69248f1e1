"""A step that no code answers to: somebody attests it, with a statement and the files that show
it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skillrun.core.verdict import Action, Evidence, Finding, Grade, StageResult, Status, status_of
from skillrun.runner.case import Attestation, Case
from skillrun.runner.coded import CodedSkill, Measured
from skillrun.runner.findings import blocker, note

if TYPE_CHECKING:
    from skillrun.contract.skill import Skill


# How much of a step's text its id takes.
_SLUG_WORDS, _SLUG_CHARACTERS = 6, 48


@dataclass(frozen=True)
class DeclaredStage:
    """Fits `Stage`; made from a workflow step or a check of SKILL.md."""

    ID: str
    TITLE: str
    line: int
    READS: tuple[str, ...] = ()
    COSTLY: bool = False
    ANSWERS: re.Pattern[str] = re.compile(r"(?!)")

    def examine(self, case: Case) -> StageResult:
        """Asks for somebody's word. Blocked until it is given, and again when the evidence has
        changed since.
        """
        attestation = case.attestations.get(self.ID)
        if attestation is None:
            return self._tell_unattested()
        findings = tuple(_judge_evidence(case, attestation))
        by = f"{attestation.actor} ({attestation.actor_kind})"
        statement = note("declared.statement", f"{by}: {attestation.statement}")
        evidence = []
        for path in attestation.evidence:
            digest, size = case.tree.sha256(path) or "", case.tree.size(path)
            evidence.append(Evidence("file", path, digest, size))
        steps = []
        if findings:
            steps.append(Action(self.ID, "attest", self.command))
        return StageResult(
            status=status_of(findings),
            grade=Grade.DECLARED,
            findings=(statement, *findings),
            evidence=tuple(evidence),
            next=tuple(steps),
            summary=f"attested: {attestation.statement}",
        )

    def _tell_unattested(self) -> StageResult:
        """The result of the step where nobody has attested it."""
        finding = blocker(
            "declared.unattested", "nobody has attested this step yet", hint=self.command
        )
        return StageResult(
            Status.BLOCKED,
            None,
            (finding,),
            next=(Action(self.ID, "attest", self.command),),
            summary="not attested",
        )

    @property
    def command(self) -> str:
        """The options to add to the command."""
        return f"do it, then add --attest {self.ID}='what was done' --evidence {self.ID}=PATH"


def _judge_evidence(case: Case, attestation: Attestation) -> Iterator[Finding]:
    """A blocker for each file that shows the statement, and is gone or has changed since."""
    for path, sha in attestation.evidence.items():
        # Recorded as a look-up, so that the step is stale once the file changes.
        case.tree.read(path)
        now = case.tree.sha256(path)
        if now is None:
            yield blocker(
                "declared.evidence-gone",
                f"the evidence {path} is gone",
                hint="attest again",
                path=path,
            )
        elif now != sha:
            yield blocker(
                "declared.evidence-changed",
                f"{path} has changed since it was attested",
                hint="attest again",
                path=path,
            )


@dataclass(frozen=True)
class InputsStage:
    """Fits `Stage`; the inputs that a skill without code of its own asks for."""

    skill: Skill
    ID: str = "inputs"
    TITLE: str = "Inputs"
    READS: tuple[str, ...] = ("inputs",)
    COSTLY: bool = False
    ANSWERS: re.Pattern[str] = re.compile(r"(?!)")

    def examine(self, case: Case) -> StageResult:
        """Looks whether every required input has a value in the spec's `inputs`, and no other has
        one.
        """
        given: Mapping[str, Any] = {}
        if case.spec:
            given = case.spec.inputs or {}
        findings = [*self._find_missing(given), *self._find_unknown(given)]
        return StageResult(
            status=status_of(findings),
            grade=Grade.DECLARED,
            findings=tuple(findings),
            next=tuple(Action(self.ID, "edit-spec", f"{f.message}: {f.hint}") for f in findings),
            summary=f"{len(given)} of {len(self.skill.inputs)} given",
        )

    def _find_missing(self, given: Mapping[str, Any]) -> Iterator[Finding]:
        """A blocker for each required input that has no value."""
        for wanted in self.skill.inputs:
            if not wanted.required or given.get(wanted.slug) not in (None, ""):
                continue
            name = wanted.slug
            yield blocker(
                "inputs.missing",
                f"input {name} is not given ({wanted.text})",
                hint=f"--set inputs.{name}=..., or inputs: {{{name}: ...}} in the spec",
            )

    def _find_unknown(self, given: Mapping[str, Any]) -> Iterator[Finding]:
        """A blocker for each value that is neither an input nor a field of telemetry."""
        wanted = [one.slug for one in self.skill.inputs]
        fields = [field.key for field in self.skill.telemetry]
        for name in sorted(given.keys() - {*wanted, *fields}):
            yield blocker(
                "inputs.unknown",
                f"the skill asks for no input {name}",
                hint=f"it asks for: {', '.join(wanted)}",
            )


def slug(text: str, taken: set[str], numbers: dict[str, int] | None = None) -> str:
    """A short id for a step: its first words, made unique. It is added to `taken`.

    `numbers` remembers how far the numbers of the same words have come: without it the thousandth
    of them would try all that are taken before it.
    """
    words = re.findall(r"[a-z0-9]+", text.lower())
    base = "-".join(words[:_SLUG_WORDS])[:_SLUG_CHARACTERS].strip("-") or "step"
    known = {}
    if numbers is not None:
        known = numbers
    name, number = base, known.get(base, 2)
    while name in taken:
        name, number = f"{base}-{number}", number + 1
    known[base] = number
    taken.add(name)
    return name


def _ask_for_inputs(skill: Skill) -> tuple[InputsStage, ...]:
    """The stage that asks for the skill's inputs; none where it has no inputs."""
    if not skill.inputs:
        return ()
    return (InputsStage(skill),)


def find_unknown_fields(measured: Measured) -> list[str]:
    """The fields of the skill's text that are neither measured nor given: the outcome cannot be
    success while one of them is null.
    """
    given = {}
    if measured.spec:
        given = measured.spec.inputs
    unknown = []
    for entry in measured.skill.telemetry:
        is_measured = entry.key in ("skill", "outcome", "files_touched")
        if not is_measured and given.get(entry.key) in (None, ""):
            unknown.append(entry.key)
    return unknown


DECLARED: CodedSkill[Case] = CodedSkill(
    name="",
    stages=_ask_for_inputs,
    open_case=Case,
    unknown_fields=find_unknown_fields,
)
"""What answers to a skill without code: its inputs, and somebody's word for each step."""
