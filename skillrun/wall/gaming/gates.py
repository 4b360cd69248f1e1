"""The gates themselves: agents' hooks and CI workflows that name skillrun."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from typing import Any

from skillrun.contract.positions import Document, YamlProblem
from skillrun.contract.yamlpos import load_positions
from skillrun.core.verdict import Finding
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.gate_steps import find_moved, is_same_place, list_sources
from skillrun.wall.gaming.making import doubtful, quoted, taken
from skillrun.wall.gaming.specs import at, mapping

ID = "weaker-gate"
HELP = (
    "A hook or workflow that no longer calls skillrun, or no longer minds its answer, lets"
    " everything pass. Found: an entry that named skillrun and is gone, `continue-on-error`,"
    " `allow_failure`, `if: false` or `|| true` in a workflow that calls it, a call that is given"
    " another base or repository, a line that moves the base or puts another program in skillrun's"
    " place, another source of it, and hooks that are turned off as a whole."
)
_HOOKS = re.compile(
    r"(^|/)(\.claude/settings(\.local)?\.json|\.codex/(hooks\.json|config\.toml)|\.cursor/hooks\.json|"
    r"\.github/hooks/[^/]+|\.gemini/settings\.json|\.agents/hooks\.json|\.kiro/hooks/[^/]+|\.mcp\.json|"
    r"\.opencode/plugin/[^/]+|opencode\.json|\.pre-commit-config\.yaml)$"
)
_WORKFLOW = re.compile(
    r"(^|/)(\.github/(workflows|actions)/.+\.ya?ml|\.gitlab-ci\.yml|\.circleci/config\.yml)$"
)
_NAMED = re.compile(r"\bskillrun\b")
_IGNORING = re.compile(r"(\|\||;)\s*(true|:|exit 0)(?=[\s\"']|$)")
# In the script that calls skillrun.
_ENDING = re.compile(r"\s*(exit 0|set \+e)\s*$")
# Words of a call that decide what it judges, and against what.
_STEERING = re.compile(r"--(base|repo|waive)\b[= ]*(?P<value>\S*)")
# A branch of the server is what a request goes to; HEAD compared with itself has changed nothing.
_SERVER_BRANCH = re.compile(r"""["']?origin/(?!HEAD~)[\w./${} -]+["']?$""")
_TRIGGER = re.compile(r"^\s*-?\s*(pull_request|push|merge_group|merge_requests)\b")
# What a step may give the shell that runs its lines; `-n` reads them and runs none.
_SHELL = re.compile(r"^\s*(?:-\s+)?shell:\s*(?P<words>.+?)\s*(?:#.*)?$")
_SHELL_WORDS = re.compile(
    r"(?:bash|sh|zsh|dash)(?:\s+(?:-[euxil]*o?|--login|--noprofile|--norc|pipefail|errexit|nounset))*"
    r"(?:\s+\{0\})?|pwsh|powershell|cmd|python|\$\{\{.*\}\}"
)
# `python -m skillrun` takes what lies where it is started; a shell takes what PATH names first.
_SHADOWING = re.compile(r"(^|/)skillrun$|^skillrun(\.py|/__(init|main)__\.py)$")
_HIDING = re.compile(r"\s(-diff|binary|linguist-(generated|vendored)(=true)?|gitlab-generated)\s")
HINT = "put it back; a gate is changed by a person, in a change of its own"


def find(diff: Diff) -> Iterator[Finding]:
    """One finding for each entry or line."""
    yield from _find_hidden(diff)
    for file in diff.files:
        if file.old is None:
            continue
        if _HOOKS.search(file.old_path):
            yield from _check_hooks(file)
        elif _WORKFLOW.search(file.old_path) and _NAMED.search(file.old):
            yield from _check_workflow(file)
    yield from _find_shadowing(diff)


def _find_hidden(diff: Diff) -> Iterator[Finding]:
    """Lines of .gitattributes by which a reviewer is shown no difference of what this changes."""
    for file in diff.files:
        if file.path.rpartition("/")[2] != ".gitattributes":
            continue
        for number, line in file.added_lines():
            pattern, _, attributes = line.strip().partition(" ")
            if not _HIDING.search(f" {attributes} ") or pattern.startswith("#"):
                continue
            hidden = []
            for one in diff.files:
                if one is not file and _fits_pattern(pattern, one.path):
                    hidden.append(one.path)
            if hidden:
                said = f"reviewers are shown no difference of {quoted(hidden[0])}: {quoted(line)}"
                yield taken(ID, file, number, said, hint=HINT)


def _fits_pattern(pattern: str, path: str) -> bool:
    bare = pattern.strip('"').lstrip("/").removesuffix("/**")
    names = (path, path.rpartition("/")[2])
    return any(fnmatch(name, bare) for name in names) or path.startswith(f"{bare}/")


def is_pipeline(path: str) -> bool:
    """Whether a file is a pipeline's."""
    return bool(_WORKFLOW.search(path))


def _check_hooks(file: File) -> Iterator[Finding]:
    yield from _find_missing_calls(file)
    yield from _find_steering(file)
    yield from _find_indifference(file)
    old, new = file.old_document, file.new_document
    if old is None or new is None or not file.path.endswith(".json"):
        return
    # Where fewer lines call it than did, that was said above already.
    calls_as_often = _count_calls(file.new) >= _count_calls(file.old)
    if calls_as_often:
        for event in sorted(_events_that_call(old.value) - _events_that_call(new.value)):
            said = f"the hook {quoted(event)} no longer calls skillrun"
            yield taken(ID, file, 1, said, hint=HINT)
    if at(new.value, "disableAllHooks") is True and at(old.value, "disableAllHooks") is not True:
        line = new.line(("disableAllHooks",))
        yield taken(ID, file, line, "all hooks are turned off: disableAllHooks", hint=HINT)
    if calls_as_often:
        yield from _find_lost_answers(file)


def _find_lost_answers(file: File) -> Iterator[Finding]:
    """Words that say what a hook does when it fails."""
    for word in ("onFailure", "failClosed"):
        if (file.old or "").count(f'"{word}"') > (file.new or "").count(f'"{word}"'):
            said = f"a hook lost {word}: what it does when it fails has changed"
            yield doubtful(ID, file, 1, said, hint=HINT)


def _events_that_call(value: Any) -> set[str]:
    """The events whose hooks name skillrun."""
    hooks = mapping(at(value, "hooks"))
    return {event for event, entries in hooks.items() if _NAMED.search(json.dumps(entries))}


def _check_workflow(file: File) -> Iterator[Finding]:
    yield from _find_missing_calls(file)
    yield from _find_steering(file)
    if file.new is None:
        return
    yield from _find_indifference(file)
    yield from _find_moved_lines(file)
    yield from _compare_sources(file)
    added = {text.strip() for _, text in file.added_lines()}
    for line, text in file.removed_lines():
        # It was only moved, or indented.
        if text.strip() in added:
            continue
        if _TRIGGER.match(text):
            said = f"the workflow lost a trigger: {quoted(text)}"
            yield doubtful(ID, file, line, said, hint=HINT)
        elif "fetch-depth: 0" in text:
            said = "without fetch-depth: 0 the base branch cannot be compared with"
            yield doubtful(ID, file, line, said, hint=HINT)


def _find_moved_lines(file: File) -> Iterator[Finding]:
    """Lines around the call that move the base, or that decide which program is called."""
    known = {text.strip() for text in (file.old or "").splitlines()}
    for line, text in file.added_lines():
        said = find_moved(text) or _find_other_shell(text)
        if said is not None and text.strip() not in known:
            yield taken(ID, file, line, f"{said}: {quoted(text)}", hint=HINT)


def _find_other_shell(line: str) -> str | None:
    """A shell that may not run the lines that it is given, or not mind how they end."""
    found = _SHELL.match(line)
    if found is None or _SHELL_WORDS.fullmatch(found["words"].strip("\"'")):
        return None
    return "the lines of a step are given to another program"


def _compare_sources(file: File) -> Iterator[Finding]:
    """Where skillrun is installed from: another place is an error, another commit of it for a
    person to see.
    """
    known = [source for _, source in list_sources(file.old or "")]
    for line, source in list_sources(file.new or ""):
        if source in known or not known:
            continue
        said = f"skillrun comes from {quoted(source)}; it came from {quoted(known[0])}"
        is_same = any(is_same_place(other, source) for other in known)
        make = doubtful if is_same else taken
        yield make(ID, file, line, said, hint="look at what is installed; a person changes it")


def _find_shadowing(diff: Diff) -> Iterator[Finding]:
    """A module of the repository by the name of the program that judges it."""
    for file in diff.files:
        is_new = file.old is None and file.new is not None
        if is_new and _SHADOWING.search(file.path):
            said = f"a file by the name of the program that judges: {quoted(file.path)}"
            yield taken(ID, file, 1, said, hint="give it another name")


def _find_missing_calls(file: File) -> Iterator[Finding]:
    """Fewer lines call skillrun than did."""
    missing = _count_calls(file.old) - _count_calls(file.new)
    gone = [(line, text) for line, text in file.removed_lines() if _NAMED.search(text)]
    for line, text in gone[: max(missing, 0)]:
        said = f"{file.path} no longer calls skillrun: {quoted(text)} is gone"
        yield taken(ID, file, line, said, hint=HINT)


def _find_steering(file: File) -> Iterator[Finding]:
    """A call that judges something else than the base's does: `verify --base HEAD` compares HEAD
    with itself.
    """
    known = set(_steering_words(file.old))
    for line, text in file.added_lines():
        for word in _steering_words(text):
            if word not in known:
                said = f"the call of skillrun is steered by {quoted(word)}: {quoted(text)}"
                yield taken(ID, file, line, said, hint=HINT)
                break


def _steering_words(text: str | None) -> Iterator[str]:
    """Each option with its value, unless it names a branch of the server."""
    for found in _STEERING.finditer(text or ""):
        if found[1] != "base" or not _SERVER_BRANCH.match(found["value"]):
            yield found[0]


def _find_indifference(file: File) -> Iterator[Finding]:
    """What became indifferent to skillrun's answer: its own step, its job, its line."""
    known = {text for _, text in _list_indifferent(file.old, file.old_path)}
    for line, text in _list_indifferent(file.new, file.path):
        if text not in known:
            said = f"the answer is no longer minded: {quoted(text)}"
            yield taken(ID, file, line, said, hint=HINT)


def _list_indifferent(text: str | None, path: str) -> Iterator[tuple[int, str]]:
    """(line, words) of each setting or command line; by line where the file is no YAML or JSON."""
    document = _load_workflow(text or "", path)
    if document is None or not isinstance(document.value, dict):
        for number, line in enumerate((text or "").splitlines(), 1):
            if _ignores_answer(line):
                yield number, line.strip()
        return
    for place, value in _parts_that_name((), document.value):
        for words in _ways_of_ignoring(value):
            yield document.line(place), words


def _ignores_answer(line: str) -> bool:
    """`skillrun verify || true`."""
    return bool(_NAMED.search(line) and _IGNORING.search(line))


def _load_workflow(text: str, name: str) -> Document | None:
    """A workflow as GitHub reads it: its key `on` is a word, not a truth value."""
    try:
        return load_positions(re.sub(r"(?m)^on:", '"on":', text), name)
    except YamlProblem:
        return None


def _parts_that_name(
    path: tuple[str | int, ...], value: Any
) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every part of a document that names skillrun somewhere, with its path."""
    if not _NAMED.search(json.dumps(value)):
        return
    yield path, value
    if isinstance(value, dict):
        for key, member in value.items():
            yield from _parts_that_name((*path, key), member)
    elif isinstance(value, list):
        for position, member in enumerate(value):
            yield from _parts_that_name((*path, position), member)


def _ways_of_ignoring(value: Any) -> Iterator[str]:
    """How a step, a job or a script that names skillrun passes over its answer."""
    if isinstance(value, dict):
        for key in ("continue-on-error", "allow_failure"):
            if value.get(key) not in (None, False):
                yield f"{key}: {json.dumps(value[key])}"
        if str(value.get("if", "")).strip("${} ").lower() == "false":
            yield f"if: {value['if']}"
    elif isinstance(value, str):
        lines = value.splitlines()
        own = [line for line in lines if _ignores_answer(line)]
        for line in own:
            yield line.strip()
        # The line that decides about a script is often not the one that calls.
        for line in lines:
            if line not in own and _ENDING.match(line):
                yield line.strip()


def _count_calls(text: str | None) -> int:
    """Lines that name skillrun outside of a comment."""
    count = 0
    for line in (text or "").splitlines():
        is_comment = line.lstrip().startswith(("#", "//"))
        if not is_comment and _NAMED.search(line):
            count += 1
    return count
