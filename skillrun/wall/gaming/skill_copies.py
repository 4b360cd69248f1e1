"""A repository's copy of a bundled skill that asks for less than the bundled one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from skillrun.core.errors import SkillInvalid
from skillrun.core.verdict import Finding
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.making import doubtful, quoted, taken

if TYPE_CHECKING:
    from skillrun.contract.skill import Skill

ID = "weaker-skill"
HELP = (
    "An agent follows the repository's copy of a skill. Found: a step or a check of the bundled"
    " skill that a changed copy has no more. The bundled stages and checks run all the same; extra"
    " steps of a copy are somebody's word, and a verification from scratch has none of them."
)
_COPY = re.compile(r"(^|/)\.[\w-]+/skills/(.+/)?SKILL\.md$")


def find(diff: Diff) -> Iterator[Finding]:
    """One finding for each step or check that this branch took out of a copy."""
    for file in diff.files:
        if not _COPY.search(file.old_path) or (file.old is None and file.new is None):
            continue
        bundled = _find_bundled(file.old or file.new or "", file.old_path)
        if bundled is None:
            continue
        if file.new is None:
            said = f"the copy of the skill {bundled.name} is gone; the bundled one is used"
            yield doubtful(ID, file, 1, said)
            continue
        before: set[str] = set()
        if file.old is not None:
            before = set(_list_lacking(file.old, file.old_path, bundled))
        for lacking in _list_lacking(file.new, file.path, bundled):
            if lacking not in before:
                said = f"the copy of {bundled.name} has no {lacking} any more"
                yield taken(ID, file, _first_removed_line(file), said)


def _list_lacking(text: str, path: str, bundled: Skill) -> Iterator[str]:
    """The bundled steps and checks that a copy does not have."""
    from skillrun.runner.planned import match_stages

    copy = _read_copy(text, path, bundled)
    if copy is None:
        yield "readable workflow"
        return
    planned, _ = match_stages(copy)
    for plan in planned:
        if plan.line is None:
            yield f"step for {quoted(plan.stage.TITLE)}"
    stages = {plan.stage.ID for plan in planned}
    here = _map_checks(copy, stages)
    for rule, said in _map_checks(bundled, stages).items():
        if rule not in here:
            yield f"check {quoted(said)}"


def _map_checks(skill: Skill, stages: set[str]) -> dict[str, str]:
    """Rule -> the wording of each check that code answers to."""
    from skillrun.runner.coded import CheckRule
    from skillrun.runner.conclude import assign_checks

    found = {}
    for said, _, answer in assign_checks(skill, stages):
        if isinstance(answer, CheckRule):
            found[answer.id] = said
    return found


def _read_copy(text: str, path: str, bundled: Skill) -> Skill | None:
    """The bundled skill with the copy's steps and checks; None where it has no workflow."""
    from skillrun.contract.frontmatter import read_front_matter
    from skillrun.contract.markdown import parse_body
    from skillrun.contract.skill import find_workflow, read_checks, read_steps

    try:
        front = read_front_matter(text, Path(path))
    except SkillInvalid:
        return None
    body = parse_body(front.body, front.body_line)
    workflow = find_workflow(body)
    if not workflow:
        return None
    steps = tuple(read_steps(workflow))
    if not steps:
        return None
    return replace(bundled, steps=steps, checks=read_checks(body))


def _find_bundled(text: str, path: str) -> Skill | None:
    """The bundled skill of which this is a copy."""
    from skillrun.contract.frontmatter import read_front_matter
    from skillrun.contract.locate import bundled_skill
    from skillrun.contract.skill import load_skill

    try:
        name = read_front_matter(text, Path(path)).text("name") or Path(path).parent.name
    except SkillInvalid:
        name = Path(path).parent.name
    found = bundled_skill(name)
    if found is None:
        return None
    return load_skill(found)


def _first_removed_line(file: File) -> int:
    for line, _ in file.removed_lines():
        return line
    return 1
