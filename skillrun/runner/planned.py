"""The stages of a run in their order, and which step of a workflow each answers to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from skillrun.core.verdict import Finding, Severity
from skillrun.runner.declared import DECLARED, DeclaredStage, slug
from skillrun.runner.plugins import list_stages, skill_code

if TYPE_CHECKING:
    from skillrun.contract.skill import Skill, Step
    from skillrun.runner.coded import Stage


@dataclass(frozen=True)
class Planned:
    """One stage of a run, and the line of SKILL.md that it answers to (None: the file has no such
    step).
    """

    stage: Stage[Any]
    line: int | None
    extra: bool = False  # a declared step that the repository's copy adds


def match_stages(skill: Skill) -> tuple[tuple[Planned, ...], tuple[Finding, ...]]:
    """The stages of a run, in order, and what the skill's text is missing.

    For a coded skill all its stages run whatever the file says; steps that no stage answers to are
    declared ones.
    """
    code = skill_code(skill.name)
    coded = list_stages(code, skill)
    if code is DECLARED:
        inputs = [Planned(stage, None) for stage in coded]
        return (*inputs, *_declare_steps(skill.steps, set())), ()
    answered, left = _pair_steps(coded, skill.steps)
    planned: list[Planned] = []
    missing = []
    for stage in coded:
        step = answered.get(stage.ID)
        if step is None:
            missing.append(_say_missing(skill, stage))
            planned.append(Planned(stage, None))
        else:
            planned.append(Planned(stage, step.line))
    for one in _declare_steps(left, {stage.ID for stage in coded}):
        planned.insert(_find_place(planned, one.line), replace(one, extra=True))
    return tuple(planned), tuple(missing)


def _find_place(planned: Sequence[Planned], line: int | None) -> int:
    """Where a declared step stands: as in the text, behind the step before it. What is costly at
    the end of a run waits for all others.
    """
    place = 0
    nearest = 0
    for number, other in enumerate(planned, 1):
        if line is not None and other.line is not None and nearest < other.line < line:
            nearest, place = other.line, number
    if place == len(planned) and planned[-1].stage.COSTLY:
        return place - 1
    return place


def _pair_steps(
    stages: Sequence[Stage[Any]], steps: tuple[Step, ...]
) -> tuple[dict[str, Step], list[Step]]:
    """Each step goes to the first stage whose wording it has and that has no step yet."""
    answered: dict[str, Step] = {}
    left: list[Step] = []
    for step in steps:
        stage = None
        for s in stages:
            if s.ID not in answered and s.ANSWERS.search(step.text):
                stage = s
                break
        if stage is None:
            left.append(step)
        else:
            answered[stage.ID] = step
    return answered, left


def _say_missing(skill: Skill, stage: Stage[Any]) -> Finding:
    message = f"SKILL.md has no step for {stage.ID} ({stage.TITLE}); the stage runs all the same"
    return Finding(
        "skill.step-missing",
        Severity.WARNING,
        message,
        hint="put the step into the Workflow of the skill's text",
    )


def _declare_steps(steps: tuple[Step, ...] | list[Step], taken: set[str]) -> tuple[Planned, ...]:
    planned: list[Planned] = []
    numbers: dict[str, int] = {}
    for step in steps:
        stage = DeclaredStage(slug(step.text, taken, numbers), step.text, step.line)
        planned.append(Planned(stage, step.line))
    return tuple(planned)
