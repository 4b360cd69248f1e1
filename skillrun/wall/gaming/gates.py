"""The gates themselves: agents' hooks and CI workflows that name skillrun."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from skillrun.verdict import Finding
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.making import doubtful, quoted, taken
from skillrun.wall.gaming.specs import at, mapping

ID = "weaker-gate"
HELP = (
    "A hook or workflow that no longer calls skillrun, or no longer minds its answer, lets everything pass. Found: an "
    "entry that named skillrun and is gone, `continue-on-error`, `allow_failure`, `if: false` or `|| true` in a "
    "workflow that calls it, and hooks that are turned off as a whole."
)
_HOOKS = re.compile(
    r"(^|/)(\.claude/settings(\.local)?\.json|\.codex/(hooks\.json|config\.toml)|\.cursor/hooks\.json|"
    r"\.github/hooks/[^/]+|\.gemini/settings\.json|\.agents/hooks\.json|\.kiro/hooks/[^/]+|\.mcp\.json|"
    r"\.opencode/plugin/[^/]+|opencode\.json|\.pre-commit-config\.yaml)$"
)
_WORKFLOW = re.compile(r"(^|/)(\.github/(workflows|actions)/.+\.ya?ml|\.gitlab-ci\.yml|\.circleci/config\.yml)$")
_NAMED = re.compile(r"\bskillrun\b")
_MINDS_NOT = re.compile(
    r"continue-on-error:\s*(true|\$\{\{)|allow_failure:\s*true|^\s*-?\s*if:\s*(false|\$\{\{\s*false\s*\}\})|"
    r"(\|\||;)\s*(true|:)(?=[\s\"']|$)|\bexit 0\b|\bset \+e\b"
)
_TRIGGER = re.compile(r"^\s*-?\s*(pull_request|push|merge_group|merge_requests)\b")
HINT = "put it back; a gate is changed by a person, in a change of its own"


def find(diff: Diff) -> Iterator[Finding]:
    """One finding for each entry or line."""
    for file in diff.files:
        if file.old is None:
            continue
        if _HOOKS.search(file.old_path):
            yield from _hooks(file)
        elif _WORKFLOW.search(file.old_path) and _NAMED.search(file.old):
            yield from _workflow(file)


def _hooks(file: File) -> Iterator[Finding]:
    yield from _no_longer_named(file)
    old, new = file.old_document, file.new_document
    if old is None or new is None or not file.path.endswith(".json"):
        return
    for event in _events(old.value) - _events(new.value):
        if _count(file.new) >= _count(file.old):  # else it was said already
            yield taken(ID, file, 1, f"the hook {quoted(event)} no longer calls skillrun", hint=HINT)
    if at(new.value, "disableAllHooks") is True and at(old.value, "disableAllHooks") is not True:
        yield taken(ID, file, new.line(("disableAllHooks",)), "all hooks are turned off: disableAllHooks", hint=HINT)
    for word in ("onFailure", "failClosed"):
        lost = (file.old or "").count(f'"{word}"') > (file.new or "").count(f'"{word}"')
        if lost and _count(file.new) >= _count(file.old):
            yield doubtful(ID, file, 1, f"a hook lost {word}: what it does when it fails has changed", hint=HINT)
    yield from _minds_not(file)


def _events(value: Any) -> set[str]:
    """The events whose hooks name skillrun."""
    hooks = mapping(at(value, "hooks"))
    return {event for event, entries in hooks.items() if _NAMED.search(json.dumps(entries))}


def _workflow(file: File) -> Iterator[Finding]:
    yield from _no_longer_named(file)
    if file.new is None:
        return
    yield from _minds_not(file)
    for line, text in file.removed():
        again = any(text.strip() == other.strip() for _, other in file.added())
        if again:
            continue
        if _TRIGGER.match(text):
            yield doubtful(ID, file, line, f"the workflow lost a trigger: {quoted(text)}", hint=HINT)
        elif "fetch-depth: 0" in text:
            yield doubtful(ID, file, line, "without fetch-depth: 0 the base branch cannot be compared with", hint=HINT)


def _no_longer_named(file: File) -> Iterator[Finding]:
    """Fewer lines call skillrun than did."""
    missing = _count(file.old) - _count(file.new)
    gone = [(line, text) for line, text in file.removed() if _NAMED.search(text)]
    for line, text in gone[: max(missing, 0)]:
        yield taken(ID, file, line, f"{file.path} no longer calls skillrun: {quoted(text)} is gone", hint=HINT)


def _minds_not(file: File) -> Iterator[Finding]:
    for line, text in file.added():
        if _MINDS_NOT.search(text) and _NAMED.search(file.new or ""):
            yield taken(ID, file, line, f"the answer is no longer minded: {quoted(text)}", hint=HINT)


def _count(text: str | None) -> int:
    """Lines that name skillrun outside of a comment."""
    lines = (line for line in (text or "").splitlines() if not line.lstrip().startswith(("#", "//")))
    return sum(1 for line in lines if _NAMED.search(line))
