"""A SKILL.md as a frozen value: what it asks for, its steps, its checks, each with the line it
stands on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skillrun.contract.frontmatter import (
    SPEC_KEYS,
    FrontMatter,
    decode_text,
    read_front_matter,
    read_skill_bytes,
)
from skillrun.contract.markdown import Block, Body, Bullet, Section, parse_body, plain_title
from skillrun.contract.telemetry import TelemetryField, read_field
from skillrun.core.canonical import sha256
from skillrun.core.errors import SkillInvalid

FILE_NAME = "SKILL.md"

_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,99}")
_NUMBERED_HEADING = re.compile(
    r"(?:step\s+)?(?P<number>[0-9]{1,4})\s*[.):]\s+(?P<text>\S.*)", re.IGNORECASE
)
_WORKFLOW_TITLES = {
    f"{word} workflow" for word in ("the", "minimal", "main", "standard", "recommended", "default")
}
_ARROW = re.compile("→|⇒|➜|-->|->|=>")
_OPTIONAL = re.compile(
    r"\(\s*(?:preferred|optional)\b[^)]{0,200}\)\s{0,9}(?::|$)|\((?:preferred|optional)\)\s*`|^\W*optional\b",
    re.I,
)
_IF_THERE = re.compile(
    r"\bif (?:present|known|available|any)\)?\s*(?::|$)|\bif (?:present|known|available|any)\b\s*:",
    re.I,
)


@dataclass(frozen=True)
class Step:
    """One numbered step of the workflow."""

    number: int
    text: str
    bullets: tuple[Bullet, ...]
    line: int


@dataclass(frozen=True)
class Check:
    """One item of Checks, with the questions nested in it."""

    text: str
    questions: tuple[Bullet, ...]
    line: int


@dataclass(frozen=True)
class Input:
    """Something that the skill asks for; `slug` is its name in `inputs:` of a job spec."""

    slug: str
    text: str
    required: bool
    line: int
    bullets: tuple[Bullet, ...] = ()


@dataclass(frozen=True)
class FailureMode:
    """When this happens, do that; `reaction` is empty where the skill names none."""

    condition: str
    reaction: str
    line: int


@dataclass(frozen=True)
class Skill:
    """One SKILL.md, read. `path` is the file, `sha256` of its bytes; `id` is `<layer>/<name>`, or
    the name.
    """

    id: str
    name: str
    layer: str | None
    mode: str  # write | read: a skill that reads must leave the tree unchanged
    description: str
    path: Path
    sha256: str
    frontmatter: dict[str, Any]
    sections: tuple[str, ...]
    inputs: tuple[Input, ...]
    outputs: tuple[Bullet, ...]
    steps: tuple[Step, ...]
    checks: tuple[Check, ...]
    failure_modes: tuple[FailureMode, ...]
    telemetry: tuple[TelemetryField, ...]
    tail_notes: tuple[Bullet, ...]  # paragraphs of the workflow after its steps
    warnings: tuple[str, ...]  # "SKILL.md:3: ..."


def skill_file(path: Path) -> Path:
    """The SKILL.md that a path to it, or to its folder, means."""
    if path.is_dir():
        return path / FILE_NAME
    return path


def load_skill(path: Path) -> Skill:
    """Reads a SKILL.md, given as the file or its folder. SkillInvalid (`path:line: what`) where it
    cannot be run.
    """
    file = skill_file(path)
    data = read_skill_bytes(file)
    front = read_front_matter(decode_text(data, file), file)
    name, layer = skill_name(front, file), skill_layer(front)
    body = parse_body(front.body, front.body_line)
    workflow = find_workflow(body)
    if workflow is None:
        raise _no_workflow(file, front, None)
    steps = tuple(read_steps(workflow))
    if not steps:
        raise _no_workflow(file, front, workflow)
    skill_id = name
    if layer:
        skill_id = f"{layer}/{name}"
    frontmatter = dict(front.values)
    if front.metadata:
        frontmatter["metadata"] = front.metadata
    return Skill(
        id=skill_id,
        name=name,
        layer=layer,
        mode=skill_mode(front.metadata),
        description=front.text("description"),
        path=file.absolute(),
        sha256=sha256(data),
        frontmatter=frontmatter,
        sections=tuple(section.title for section in body.sections),
        inputs=_unique_slugs(_read_input(item) for item in _list_items(body, "inputs")),
        outputs=tuple(_list_items(body, "outputs")),
        steps=steps,
        checks=read_checks(body),
        failure_modes=tuple(
            _read_failure_mode(item) for item in _list_items(body, "failure modes")
        ),
        telemetry=read_telemetry(body),
        tail_notes=tuple(_list_notes(workflow)),
        warnings=tuple(_list_warnings(front, body, file)),
    )


def skill_name(front: FrontMatter, file: Path) -> str:
    """The skill's name, or that of its folder. A name that could not be a part of an id is
    refused.
    """
    name = front.text("name") or file.absolute().parent.name
    if not _SAFE_NAME.fullmatch(name):
        raise SkillInvalid(
            f"{file}:{front.line('name')}: the name {name[:60]!r} cannot be used",
            hint="use lower-case letters, digits and hyphens",
        )
    return name


def skill_layer(front: FrontMatter) -> str | None:
    """`metadata.layer`, where it can be a part of an id."""
    layer = front.metadata.get("layer", "")
    if not _SAFE_NAME.fullmatch(layer):
        return None
    return layer


def skill_mode(metadata: dict[str, str]) -> str:
    """`read` for a skill that says so in `metadata.mode` or with `read-only: true`, else
    `write`.
    """
    says_read = metadata.get("mode", "").lower() in ("read", "read-only", "readonly")
    if says_read or metadata.get("read-only", "").lower() == "true":
        return "read"
    return "write"


def find_workflow(body: Body) -> Section | None:
    """The section Workflow, else "Minimal workflow" and the like; "Table creation workflow" is
    about something else.
    """
    exact = body.section("workflow")
    if exact is not None:
        return exact
    for section in body.sections:
        if plain_title(section.title) in _WORKFLOW_TITLES:
            return section
    return None


def read_steps(workflow: Section) -> Iterator[Step]:
    """The numbered steps: headings `### 1) ...` where there are such, else the items of the
    numbered lists.

    Numbers that are nested in a step are no steps. A number that does not grow is replaced by the
    next one.
    """
    level = _step_heading_level(workflow)
    if level:
        found = _heading_steps(workflow, level)
    else:
        found = _list_steps(workflow)
    previous = -1
    for step in found:
        if previous >= 0:
            previous = max(step.number, previous + 1)
        else:
            previous = step.number
        yield Step(previous, step.text, step.bullets, step.line)


def _step_heading_level(workflow: Section) -> int:
    """The level of the headings that are steps: the highest that has a number; 0 without any."""
    levels = []
    for block in workflow.blocks:
        if block.kind == "heading" and _NUMBERED_HEADING.fullmatch(block.text):
            levels.append(block.level)
    return min(levels, default=0)


def _heading_steps(workflow: Section, level: int) -> Iterator[Step]:
    """The numbered headings with what stands below them; a heading without a number ends a step."""
    current: Step | None = None
    for block in workflow.blocks:
        if block.kind == "heading" and block.level <= level:
            if current:
                yield current
            current = None
            numbered = _NUMBERED_HEADING.fullmatch(block.text)
            if numbered:
                current = Step(int(numbered["number"]), numbered["text"], (), block.line)
        elif current:
            current = _add_bullets(current, _bullets_of(block))
    if current:
        yield current


def _list_steps(workflow: Section) -> Iterator[Step]:
    """Items of numbered lists; a bullet list that follows an item without indentation belongs to
    it.
    """
    current: Step | None = None
    for block in workflow.blocks:
        if block.kind == "ordered_list":
            for item, number in zip(block.items, block.numbers, strict=True):
                if current:
                    yield current
                current = Step(number, item.text, item.bullets, item.line)
        elif block.kind == "bullet_list" and current:
            current = _add_bullets(current, block.items)
    if current:
        yield current


def _add_bullets(step: Step, bullets: tuple[Bullet, ...]) -> Step:
    return Step(step.number, step.text, step.bullets + bullets, step.line)


def _bullets_of(block: Block) -> tuple[Bullet, ...]:
    """What a block adds to a step; in a step under a heading, paragraphs say as much as lists."""
    if block.kind in ("paragraph", "heading"):
        return (Bullet(block.text, block.line),)
    return block.items


def _list_notes(workflow: Section) -> Iterator[Bullet]:
    """Paragraphs that belong to no step: those beside a numbered list, after it has begun."""
    if _step_heading_level(workflow):
        return
    begun = False
    for block in workflow.blocks:
        begun = begun or block.kind == "ordered_list"
        if begun and block.kind == "paragraph":
            yield Bullet(block.text, block.line)


def _list_items(body: Body, name: str) -> Iterator[Bullet]:
    section = body.section(name)
    if section:
        for block in section.blocks:
            yield from block.items


def _read_input(item: Bullet) -> Input:
    """An item of Inputs; what stands before its colon, bracket or dash is its name."""
    label = re.split(r"[(:]| [-–—] ", item.text.replace("`", ""), maxsplit=1)[0]
    required = not (_OPTIONAL.search(item.text) or _IF_THERE.search(item.text))
    return Input(
        make_slug(label) or make_slug(item.text), item.text, required, item.line, item.bullets
    )


def make_slug(text: str) -> str:
    """`Trigger type` -> `trigger-type`; at most 60 characters, cut between words."""
    slug = re.sub(r"[^a-z0-9]+", "-", text.casefold().replace("’", "").replace("'", "")).strip("-")
    if len(slug) <= 60:
        return slug
    return slug[:61].rsplit("-", 1)[0]


def _unique_slugs(inputs: Iterator[Input]) -> tuple[Input, ...]:
    """The inputs with a name of their own each: the second `url` is `url-2`."""
    taken: dict[str, int] = {}
    unique = []
    for given in inputs:
        slug = given.slug or "input"
        taken[slug] = taken.get(slug, 0) + 1
        if taken[slug] == 1:
            numbered = slug
        else:
            numbered = f"{slug}-{taken[slug]}"
        unique.append(Input(numbered, given.text, given.required, given.line, given.bullets))
    return tuple(unique)


def read_checks(body: Body) -> tuple[Check, ...]:
    """The items of the section Checks."""
    return tuple(Check(item.text, item.bullets, item.line) for item in _list_items(body, "checks"))


def _read_failure_mode(item: Bullet) -> FailureMode:
    """`Broker is down → retry later`; items that are nested in it belong to the reaction."""
    condition, *behind_arrow = _ARROW.split(item.text, maxsplit=1)
    nested = "; ".join(bullet.text for bullet in item.bullets)
    reactions = [*map(str.strip, behind_arrow), nested]
    return FailureMode(condition.strip(), "; ".join(filter(None, reactions)), item.line)


def read_telemetry(body: Body) -> tuple[TelemetryField, ...]:
    """The fields of the section Telemetry."""
    unique = {}
    for item in _list_items(body, "telemetry"):
        field = read_field(item)
        if field is not None:
            unique[field.key] = field
    return tuple(unique.values())


def _no_workflow(file: Path, front: FrontMatter, workflow: Section | None) -> SkillInvalid:
    hint = "number them: 1) ... 2) ... in a list, or ### 1) ... as headings"
    if workflow:
        return SkillInvalid(
            f"{file}:{workflow.line}: the workflow has no numbered steps", hint=hint
        )
    return SkillInvalid(
        f"{file}:{front.body_line}: no section Workflow, so nothing can be run",
        hint=f"add ## Workflow with steps; {hint}",
    )


def _list_warnings(front: FrontMatter, body: Body, file: Path) -> Iterator[str]:
    for key in front.values:
        if key not in SPEC_KEYS:
            yield f"{file.name}:{front.line(key)}: unknown key {key} in the front-matter"
    for key in ("name", "description"):
        if not front.text(key):
            yield f"{file.name}:1: no {key} in the front-matter"
    if front.repaired:
        yield f"{file.name}:2: front-matter: a value that contains a colon must be quoted"
    for line in body.open_fences:
        yield (
            f"{file.name}:{line}: this code block is never closed and swallows the rest of the text"
        )
