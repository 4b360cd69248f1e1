"""Finds the lint, typecheck, test and build commands in CI files, whoever's CI it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.repo.commands import CommandFact
from skillrun.repo.declared import own_scripts
from skillrun.repo.languages import JAVASCRIPT
from skillrun.repo.managers import CI_FILES
from skillrun.repo.offers import Offer, Source
from skillrun.repo.places import is_shown
from skillrun.repo.shell import (
    find_purpose,
    folder_after,
    is_partial,
    moved_to,
    named_kind,
    runs_front_end,
    strip_excuse,
    unset_variables,
    without_prefix,
)

if TYPE_CHECKING:
    from skillrun.repo.tree import Tree

_COMMAND_KEY = re.compile(r"(?:run|script|command|cmd|bash|commands|before_script)\s*:\s*(.*)$")
# `uv run --python "${PYTHON_VERSION}"`: which interpreter the CI takes is its own matter.
_PICKED = re.compile(r"\s--python[\s=]\"?(?:\$\{\{[^}]*\}\}|\$\{?\w+\}?)\"?")
_OTHER_KEY = re.compile(r"[\w.$-]+\s*:(?:\s|$)")
# GitHub's working-directory, CircleCI's working_directory, Azure's workingDirectory.
_FOLDER = re.compile(r"\s*(?:- )?working(?:[-_]d|D)irectory\s*:\s*[\"']?([^\"'#\s]+)")
_PACKAGE = re.compile(r"(?:^|/)(?:pyproject\.toml|setup\.py)$")
_PYTHON_BUILD = re.compile(
    r"(?:uv|poetry|hatch|pdm|flit)\s+build\b|(?:py)?build\b|python[\d.]*\s+setup\.py\b|pyproject-build\b"
)
_ENVIRONMENT = re.compile(r"(?m)^([ ]*)(?:- )?env:[ ]*\n((?:\1[ ]+.*\n|[ ]*\n)+)")
_VARIABLE = re.compile(r"(?m)^[ ]*([A-Za-z_]\w*):[ ]*([^#\n]*)$")
_REFERENCE = re.compile(
    r"\$\{\{\s*env\.(?P<ci>\w+)\s*\}\}|\$\{(?P<shell>[A-Za-z_]\w*)\}|\$(?P<plain>[A-Za-z_]\w*)"
)
_KEY = re.compile(r"\s*(?:- )?[\w-]+\s*:(?:\s|$)")
# GitLab runs a job's `before_script` and its `script` in one shell.
_SAME_SHELL = re.compile(r"\s*script\s*:")
# `(cd backend && pytest)`, a shell of its own.
_BRACKETED = re.compile(r"\(([^()]*)\)")
_CONTROL = re.compile(r"(?:if|then|else|fi|for|do|done|while|echo|case|esac)\b")
# Of several workflows, the one that tests each push comes before those that deploy or scan.
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
    reader = _Reader(
        javascript=not JAVASCRIPT.isdisjoint(languages[:1]),
        scripts=frozenset(own_scripts(tree)),
        packages=frozenset(path.rpartition("/")[0] for path in tree.files if _PACKAGE.search(path)),
    )
    for path in tree.files:
        if CI_FILES.fullmatch(path):
            text = (tree.peek_small(path) or b"").decode("utf-8", "replace")
            yield from reader.offers(path, _replace_variables(text))


@dataclass(frozen=True)
class _Reader:
    """Reads CI files, knowing of the repository: its language, its own console scripts, where it
    has packages.
    """

    javascript: bool
    scripts: frozenset[str]
    packages: frozenset[str]

    def offers(self, path: str, text: str) -> Iterator[Offer]:
        # "deploy-backend.yml" is both: it deploys.
        name = path.rpartition("/")[2]
        if _UNLIKELY.search(name):
            fit = 20
        elif _LIKELY.search(name):
            fit = 0
        else:
            fit = 10
        for step in _list_steps(text):
            command = _PICKED.sub("", strip_excuse(step.command))
            kind = find_purpose(command)
            if kind:
                own = None
            else:
                own = own_purpose(command, self.scripts)
            # What only the CI sets is not set where somebody else runs the command.
            if unset_variables(command):
                continue
            if (kind and self._is_of_interest(kind, step)) or own:
                if step.folder and step.folder != ".":
                    whole = f"cd {step.folder} && {command}"
                else:
                    whole = command
                distance = _rate_distance(kind or "", command)
                fact = CommandFact(whole, path, step.line, command)
                yield Offer(kind or own or "", fact, Source.CI, fit + distance)

    def _is_of_interest(self, kind: str, step: _Step) -> bool:
        """Of a front end, only building; of a second package beside the main one, not even that."""
        plain = without_prefix(step.command)
        folder = (step.folder or folder_after(step.command)).strip("./")
        # What checks or builds the documentation is not for the application.
        if folder and is_shown(f"{folder}/"):
            return False
        is_beside = bool(folder) and folder in self.packages and "" in self.packages
        if is_beside and (kind != "build" or _PYTHON_BUILD.match(plain)):
            return False
        if kind == "build":
            return True
        return self.javascript or not runs_front_end(plain)


def own_purpose(command: str, scripts: frozenset[str]) -> str | None:
    """What `NAME test` is for, where NAME is a console script of the repository. Building may be
    what it sells.
    """
    words = without_prefix(command).split()
    named = None
    if len(words) > 1 and words[0] in scripts and "${{" not in command:
        named = named_kind(words[1])
    if named and named[0] != "build":
        return named[0]
    return None


def _replace_variables(text: str) -> str:
    """`${{ env.NAME }}` and `$NAME` replaced where the file gives the name one plain value."""
    found: dict[str, set[str]] = {}
    for block in _ENVIRONMENT.finditer(text):
        for name, value in _VARIABLE.findall(block[2]):
            found.setdefault(name, set()).add(value.strip("\"' "))
    plain = {}
    for name, values in found.items():
        if len(values) == 1 and "$" not in str(values):
            plain[name] = next(iter(values))

    def replace_name(reference: re.Match[str]) -> str:
        name = reference["ci"] or reference["shell"] or reference["plain"]
        return plain.get(name, reference[0])

    return _REFERENCE.sub(replace_name, text)


def _rate_distance(kind: str, command: str) -> int:
    """Formatting checks are lesser linting, partial tests lesser tests."""
    lesser = {
        "lint": (
            r"\sformat\b|black|isort|prettier|cargo fmt|dotnet format|exit-zero|djlint|shellcheck"
        ),
        "test": r"e2e|integration|doctest|append|docker",
    }
    distance = 0
    if kind in lesser and re.search(lesser[kind], command):
        distance = 3
    if kind == "test" and is_partial(command):
        distance += 2
    return distance


def _list_steps(text: str) -> Iterator[_Step]:
    lines = text.splitlines()
    defaults = _default_folders(lines)
    held, start, moved = "", 0, ""
    for number, line in enumerate(lines, 1):
        command = held + _command_of(line)
        if not held:
            start = number
        if command.endswith("\\"):
            held = command[:-1].rstrip() + " "
            continue
        held = ""
        if _KEY.match(line) and not _SAME_SHELL.match(line):
            moved = ""
        alone = _BRACKETED.fullmatch(command)
        if alone:
            command = alone[1].strip()
        if command and not _CONTROL.match(command):
            yield _Step(
                start, command, moved or _find_step_folder(lines, start - 1) or defaults[start - 1]
            )
        if not alone:
            moved = moved_to(moved, command)


def _command_of(line: str) -> str:
    """The shell text of a line, "" where the line is some other key, a comment, or only opens a
    block.
    """
    text = line.strip().removeprefix("- ").strip()
    keyed = _COMMAND_KEY.match(text)
    if keyed:
        text = keyed[1].strip()
    elif _OTHER_KEY.match(text) or text.startswith("#"):
        return ""
    if text[:1] in "|>" or not text:
        return ""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    return text


def _find_folder(lines: list[str]) -> str | None:
    for line in lines:
        found = _FOLDER.match(line)
        if found:
            return found[1]
    return None


def _unfold(line: str) -> str:
    """ "working-directory: backend" of `defaults: {run: {working-directory: backend}}`."""
    return line.rpartition("{")[2].rstrip("} ")


def _default_folders(lines: list[str]) -> list[str | None]:
    """For each line the working directory that a `defaults:` block gives its file, or its job."""
    whole, of_job, depth = None, None, 0
    found: list[str | None] = []
    for number, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if of_job and line.strip() and indent < depth:
            of_job = None
        if line.lstrip().startswith("defaults:"):
            folder = _find_folder([_unfold(line), *lines[number + 1 : number + 4]])
            if indent:
                whole, of_job, depth = (whole, folder, indent)
            else:
                whole, of_job, depth = (folder, of_job, depth)
        found.append(of_job)
    return [folder or whole for folder in found]


def _indent_of(line: str) -> int:
    return len(line) - len(line.lstrip())


def _find_step_folder(lines: list[str], at: int) -> str | None:
    """The working directory of the step that holds a line."""
    first = at
    while first > 0 and not re.match(
        r"\s*- (?:name|uses|run|id|if|env|shell|working)", lines[first]
    ):
        first -= 1
    depth = _indent_of(lines[first])
    for number in range(first, min(first + 40, len(lines))):
        # The step ends where its job does.
        if lines[number].strip() and _indent_of(lines[number]) < depth:
            return None
        if number > first and re.match(r"\s*- ", lines[number]) and number > at:
            return None
        found = _FOLDER.match(lines[number])
        if found:
            if "${{" in found[1]:
                return None
            return found[1]
    return None
