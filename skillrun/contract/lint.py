"""Reports what is wrong with a SKILL.md by the published format of skills, every problem with its
line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from skillrun.contract.frontmatter import (
    SPEC_KEYS,
    FrontMatter,
    decode_text,
    read_front_matter,
    read_skill_bytes,
)
from skillrun.contract.locate import skill_files
from skillrun.contract.markdown import Body, is_relative, parse_body
from skillrun.contract.skill import find_workflow, read_steps, skill_file
from skillrun.core.errors import SkillInvalid
from skillrun.core.verdict import Finding, Severity

MAX_BODY_LINES = 500

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_TOOL = re.compile(r"[A-Za-z][\w.*-]*(\([^()]*\))?")
_PLACE = re.compile(r":(\d+): ")


def lint_paths(paths: Sequence[Path]) -> list[Finding]:
    """The findings for every SKILL.md among and below the paths. SkillInvalid for a path without
    any.
    """
    return [finding for file in skill_files(list(paths)) for finding in lint_skill(file)]


def lint_skill(path: Path) -> list[Finding]:
    """Everything that is wrong with one SKILL.md (given as the file or its folder), in the order of
    its lines.
    """
    file = skill_file(path)
    try:
        front = read_front_matter(decode_text(read_skill_bytes(file), file), file)
    except SkillInvalid as error:
        return [_explain_unreadable(file, error)]
    body = parse_body(front.body, front.body_line)
    found = [*_front_findings(front, file), *_body_findings(front, body, file)]
    return sorted(found, key=lambda finding: (finding.line or 0, finding.rule))


def _explain_unreadable(file: Path, error: SkillInvalid) -> Finding:
    place = error.message.removeprefix(str(file))
    match = _PLACE.match(place)
    if match:
        what, line = (place[match.end() :], int(match[1]))
    else:
        what, line = (place, 1)
    return Finding("skill.unreadable", Severity.ERROR, what, str(file), line, error.hint)


def _front_findings(front: FrontMatter, file: Path) -> Iterator[Finding]:
    def error(rule: str, key: str, message: str, hint: str) -> Finding:
        return Finding(f"skill.{rule}", Severity.ERROR, message, str(file), front.line(key), hint)

    if front.repaired:
        yield error(
            "yaml",
            "",
            "a value contains a colon and stands without quotes",
            "quote it: YAML readers refuse it",
        )
    for key in front.values:
        if key not in SPEC_KEYS:
            yield error(
                "unknown-key",
                key,
                f"{key} is not a key of the format",
                f"remove it, or move it under metadata; keys: {', '.join(SPEC_KEYS)}",
            )
    for message, hint in _name_problems(front, file):
        yield error("name", "name", message, hint)
    for message, hint in _text_problems(front, "description", 1024, required=True):
        yield error("description", "description", message, hint)
    for message, hint in _text_problems(front, "compatibility", 500, required=False):
        yield error("compatibility", "compatibility", message, hint)
    for message, hint in _text_problems(front, "license", 500, required=False):
        yield error("license", "license", message, hint)
    yield from _metadata_findings(front, file)
    for message, hint in _tools_problems(front):
        yield error("allowed-tools", "allowed-tools", message, hint)


def _name_problems(front: FrontMatter, file: Path) -> Iterator[tuple[str, str]]:
    name = front.values.get("name")
    if name is None or name == "":
        yield "name is missing", "name the skill like its folder"
        return
    if not isinstance(name, str):
        yield f"name is {_kind_of(name)}, not text", "quote it"
        return
    if len(name) > 64:
        yield f"name has {len(name)} characters", "at most 64"
    if not _NAME.fullmatch(name):
        yield (
            f"name {name[:64]!r} is not of the form a-z, 0-9 and single hyphens",
            "write for example my-skill",
        )
    folder = file.absolute().parent.name
    if name != folder:
        yield f"name {name[:64]!r} differs from its folder {folder!r}", "give both the same name"


def _text_problems(
    front: FrontMatter, key: str, limit: int, *, required: bool
) -> Iterator[tuple[str, str]]:
    value = front.values.get(key)
    if key not in front.values:
        if required:
            yield f"{key} is missing", f"add it, at most {limit} characters"
        return
    if not isinstance(value, str):
        yield f"{key} is {_kind_of(value)}, not text", "quote it"
    elif not value.strip():
        yield f"{key} is empty", f"1 to {limit} characters"
    elif len(value) > limit:
        yield f"{key} has {len(value)} characters", f"at most {limit}"


def _metadata_findings(front: FrontMatter, file: Path) -> Iterator[Finding]:
    metadata = front.values.get("metadata")
    if metadata is None:
        return
    if not isinstance(metadata, dict):
        yield _make_finding(
            "metadata",
            Severity.ERROR,
            f"metadata is {_kind_of(metadata)}, not a mapping",
            file,
            front.line("metadata"),
        )
        return
    for key, value in metadata.items():
        line = front.line("metadata", key)
        if isinstance(value, dict | list) or value is None:
            yield _make_finding(
                "metadata",
                Severity.ERROR,
                f"metadata.{key} is {_kind_of(value)}, not text",
                file,
                line,
                "write text",
            )
        elif not isinstance(value, str):
            text = front.metadata[key]
            what = f"metadata.{key} is {_kind_of(value)}; it is taken as the text {text!r}"
            yield _make_finding(
                "metadata",
                Severity.WARNING,
                what,
                file,
                line,
                "quote it for readers that are stricter",
            )


def _tools_problems(front: FrontMatter) -> Iterator[tuple[str, str]]:
    tools = front.values.get("allowed-tools")
    hint = "write names with spaces between them, such as Bash(git:*) Read"
    if "allowed-tools" not in front.values:
        return
    if not isinstance(tools, str):
        yield f"allowed-tools is {_kind_of(tools)}, not text", hint
        return
    names = _tool_names(tools)
    if not names:
        yield "allowed-tools is empty", hint
    for name in names:
        if not _TOOL.fullmatch(name):
            yield f"allowed-tools: {name[:60]!r} is not the name of a tool", hint


def _tool_names(text: str) -> list[str]:
    """Split at spaces outside parentheses: `Bash(git add:*) Read`."""
    return re.findall(r"(?:[^\s()]|\([^()]*\)|[()])+", text)


def _body_findings(front: FrontMatter, body: Body, file: Path) -> Iterator[Finding]:
    count = len(front.body.rstrip("\n").split("\n"))
    if count > MAX_BODY_LINES:
        what = f"the body has {count} lines"
        yield _make_finding(
            "long",
            Severity.WARNING,
            what,
            file,
            front.body_line,
            f"at most {MAX_BODY_LINES}; move details into files",
        )
    for line in body.open_fences:
        yield _make_finding(
            "fence",
            Severity.ERROR,
            "this code block is never closed",
            file,
            line,
            "close it; it swallows the rest",
        )
    yield from _link_findings(body, file)
    yield from _workflow_findings(front, body, file)


def _link_findings(body: Body, file: Path) -> Iterator[Finding]:
    for link in body.links:
        if not is_relative(link.target):
            continue
        target = unquote(link.target.split("#")[0].split("?")[0])
        if "\0" not in target and (file.parent / target).exists():
            continue
        yield _make_finding(
            "link",
            Severity.ERROR,
            f"the link to {target} leads nowhere",
            file,
            link.line,
            "add the file, or mend the path",
        )


def _workflow_findings(front: FrontMatter, body: Body, file: Path) -> Iterator[Finding]:
    workflow = find_workflow(body)
    if workflow is None:
        yield _make_finding(
            "no-workflow",
            Severity.NOTE,
            "no section Workflow, so skillrun cannot run it",
            file,
            front.body_line,
            "add ## Workflow",
        )
    elif not list(read_steps(workflow)):
        hint = "number them: 1) ... 2) ..."
        yield _make_finding(
            "no-steps",
            Severity.WARNING,
            "the workflow has no numbered steps",
            file,
            workflow.line,
            hint,
        )


def _make_finding(
    rule: str, severity: Severity, message: str, file: Path, line: int, hint: str | None = None
) -> Finding:
    return Finding(f"skill.{rule}", severity, message, str(file), line, hint)


def _kind_of(value: Any) -> str:
    if value is None:
        return "empty"
    names = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "a mapping",
    }
    return names.get(type(value), "text")
