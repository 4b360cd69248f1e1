"""A step that no code answers to: somebody attests it, with a statement and the files that show
it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.core.verdict import Action, Evidence, Finding, Grade, StageResult, Status, status_of
from skillrun.runner.case import Attestation, Case
from skillrun.runner.coded import CodedSkill, Measured
from skillrun.runner.findings import blocker, note

if TYPE_CHECKING:
    from skillrun.contract.skill import Skill


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
        """Blocked until attested; blocked again when the evidence has changed since."""
        said = case.attestations.get(self.ID)
        if said is None:
            return self._unattested()
        findings = tuple(_evidence_findings(self, case, said))
        return StageResult(
            status=status_of(findings),
            grade=Grade.DECLARED,
            findings=(
                note("declared.statement", f"{said.actor} ({said.actor_kind}): {said.statement}"),
                *findings,
            ),
            evidence=tuple(
                Evidence("file", path, case.tree.sha256(path) or "", case.tree.size(path))
                for path in said.evidence
            ),
            next=(Action(self.ID, "attest", self.command),) if findings else (),
            summary=f"attested: {said.statement}",
        )

    def _unattested(self) -> StageResult:
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


def _evidence_findings(stage: DeclaredStage, case: Case, said: Attestation) -> Iterator[Finding]:
    for path, sha in said.evidence.items():
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
        """Every required input has a value in the spec's `inputs`."""
        given = (case.spec.inputs if case.spec else None) or {}
        findings = []
        for wanted in self.skill.inputs:
            if wanted.required and given.get(wanted.slug) in (None, ""):
                findings.append(
                    blocker(
                        "inputs.missing",
                        f"input {wanted.slug} is not given ({wanted.text})",
                        hint=(
                            f"--set inputs.{wanted.slug}=..., or inputs: {{{wanted.slug}: ...}} in the spec"
                        ),
                    )
                )
        known = {wanted.slug for wanted in self.skill.inputs} | {
            field.key for field in self.skill.telemetry
        }
        unknown = sorted(given.keys() - known)
        for slug in unknown:
            findings.append(
                blocker(
                    "inputs.unknown",
                    f"the skill asks for no input {slug}",
                    hint=f"it asks for: {', '.join(i.slug for i in self.skill.inputs)}",
                )
            )
        return StageResult(
            status=status_of(findings),
            grade=Grade.DECLARED,
            findings=tuple(findings),
            next=tuple(Action(self.ID, "edit-spec", f"{f.message}: {f.hint}") for f in findings),
            summary=f"{len(given)} of {len(self.skill.inputs)} given",
        )


def slug(text: str, taken: set[str], numbers: dict[str, int] | None = None) -> str:
    """A short id for a step: its first words, made unique.

    `numbers` remembers how far the numbers of the same words have come: without it the thousandth
    of them would try
    all that are taken before it.
    """
    words = re.findall(r"[a-z0-9]+", text.lower())
    base = "-".join(words[:6])[:48].strip("-") or "step"
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
    if not skill.inputs:
        return ()
    return (InputsStage(skill),)


def find_unknown_fields(seen: Measured) -> list[str]:
    """The fields of the skill's text that are neither measured nor given: the outcome cannot be
    success while one of them is null.
    """
    given = {}
    if seen.spec:
        given = seen.spec.inputs
    unknown = []
    for entry in seen.skill.telemetry:
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
