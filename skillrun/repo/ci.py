"""Finds the lint, typecheck, test and build commands in CI files, whoever's CI it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.repo.commands import CommandFact
from skillrun.repo.managers import CI_FILES
from skillrun.repo.offers import Offer, Source
from skillrun.repo.shell import cleaned, purpose, without_prefix

if TYPE_CHECKING:
    from skillrun.repo.tree import Tree

_COMMAND_KEY = re.compile(r"(?:run|script|command|cmd|bash|commands|before_script)\s*:\s*(.*)$")
_OTHER_KEY = re.compile(r"[\w.$-]+\s*:(?:\s|$)")
_FOLDER = re.compile(r"\s*(?:- )?working[-_]directory\s*:\s*[\"']?([^\"'#\s]+)")
_FRONT_END = re.compile(
    r"(?:cd\s+\S+\s*&&\s*)?(?:npx|npm|pnpm|yarn|bun|bunx|eslint|prettier|jest|vitest|tsc|stylelint|biome)\b"
)
_PARTIAL = re.compile(  # some of the tests only
    r"\s-(?:k|Dtest=\S+)\s|(?:pytest|rspec|phpunit|jest|vitest)\b(?:\s+-\S+)*\s+(?!\S*tests?/?(?:\s|$))[\w.][\w./-]*(?:\s|$)"
)
_CONTROL = re.compile(r"(?:if|then|else|fi|for|do|done|while|echo|case|esac)\b")
_LIKELY = re.compile(r"(?i)test|ci\b|check|lint|python|backend|main|build|quality|pull")
_UNLIKELY = re.compile(
    r"(?i)deploy|release|publish|docs?\b|e2e|nightly|docker|copilot|claude|bump|codeql|security|scan|migrat|cd\b"
)


@dataclass(frozen=True)
class _Step:
    line: int
    command: str
    folder: str | None


def ci_offers(tree: Tree, languages: tuple[str, ...]) -> Iterator[Offer]:
    """Every command in a CI file whose purpose is plain."""
    for path in tree.files:
        if CI_FILES.fullmatch(path):
            text = (tree.peek(path) or b"").decode("utf-8", "replace")
            yield from _file_offers(path, text, languages[:1] in (("javascript",), ("typescript",)))


def _file_offers(path: str, text: str, javascript: bool) -> Iterator[Offer]:
    fit = 20 if _UNLIKELY.search(path.rpartition("/")[2]) else 0 if _LIKELY.search(path.rpartition("/")[2]) else 10
    for step in _steps(text):
        kind = purpose(step.command)
        if kind and (javascript or kind == "build" or not _FRONT_END.match(without_prefix(step.command))):
            command = cleaned(step.command)
            whole = f"cd {step.folder} && {command}" if step.folder and step.folder != "." else command
            yield Offer(
                kind,
                CommandFact(whole, path, step.line, command),
                Source.CI,
                fit + _distance(kind, command),
            )


def _distance(kind: str, command: str) -> int:
    """Formatting checks are lesser linting, partial tests lesser tests."""
    lesser = {
        "lint": r"\sformat\b|black|isort|prettier|cargo fmt|dotnet format|exit-zero|djlint|shellcheck",
        "test": r"e2e|integration|doctest|append|docker",
    }
    distance = 3 if kind in lesser and re.search(lesser[kind], command) else 0
    distance += 2 if kind == "test" and _PARTIAL.search(command) else 0
    return distance + (5 if "$" in command else 0)  # a variable of the CI is not set elsewhere


def _steps(text: str) -> Iterator[_Step]:
    lines = text.splitlines()
    default = _default_folder(lines)
    held, start, moved = "", 0, ""
    for number, line in enumerate(lines, 1):
        command = held + _command(line)
        start = start if held else number
        if command.endswith("\\"):
            held = command[:-1].rstrip() + " "
            continue
        held = ""
        moved = _moved(moved, line, command)
        if command and not _CONTROL.match(command):
            yield _Step(start, command, moved or _folder(lines, start - 1) or default)


def _moved(folder: str, line: str, command: str) -> str:
    """The folder that a `cd` on a line of its own leaves the rest of a step in."""
    found = re.fullmatch(r"cd\s+([\w./-]+)", command)
    if found:
        return found[1]
    return "" if re.match(r"\s*(?:- )?[\w-]+\s*:(?:\s|$)", line) else folder


def _command(line: str) -> str:
    """The shell text of a line, "" where the line is some other key, a comment, or only opens a block."""
    text = line.strip().removeprefix("- ").strip()
    keyed = _COMMAND_KEY.match(text)
    if keyed:
        text = keyed[1].strip()
    elif _OTHER_KEY.match(text) or text.startswith("#"):
        return ""
    if text[:1] in "|>" or not text:
        return ""
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def _default_folder(lines: list[str]) -> str | None:
    """The working directory that a `defaults:` block sets for a whole file."""
    for number, line in enumerate(lines):
        if re.match(r"defaults\s*:", line):
            found = next((_FOLDER.match(below) for below in lines[number : number + 4] if _FOLDER.match(below)), None)
            return found[1] if found else None
    return None


def _folder(lines: list[str], at: int) -> str | None:
    """The working directory of the step that holds a line."""
    first = at
    while first > 0 and not re.match(r"\s*- (?:name|uses|run|id|if|env|shell|working)", lines[first]):
        first -= 1
    for number in range(first, min(first + 40, len(lines))):
        if number > first and re.match(r"\s*- ", lines[number]) and number > at:
            return None
        found = _FOLDER.match(lines[number])
        if found:
            return found[1] if "${{" not in found[1] else None
    return None
