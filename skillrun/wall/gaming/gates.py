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
_HOOKS_FILE = re.compile(
    r"(^|/)(\.claude/settings(\.local)?\.json|\.codex/(hooks\.json|config\.toml)|\.cursor/hooks\.json|"
    r"\.github/hooks/[^/]+|\.gemini/settings\.json|\.agents/hooks\.json|\.kiro/hooks/[^/]+|\.mcp\.json|"
    r"\.opencode/plugin/[^/]+|opencode\.json|\.pre-commit-config\.yaml)$"
)
_WORKFLOW_FILE = re.compile(
    r"(^|/)(\.github/(workflows|actions)/.+\.ya?ml|\.gitlab-ci\.yml|\.circleci/config\.yml)$"
)
_PROGRAM = re.compile(r"\bskillrun\b")
# "|| true", "; exit 0".
_IGNORING = re.compile(r"(\|\||;)\s*(true|:|exit 0)(?=[\s\"']|$)")
# Lines by which a script that calls skillrun ends well, whatever it says.
_ENDING_WELL = re.compile(r"\s*(exit 0|set \+e)\s*$")
# Words of a call that decide what it judges, and against what.
_STEERING = re.compile(r"--(base|repo|waive)\b[= ]*(?P<value>\S*)")
# A branch of the server is what a request goes to; HEAD compared with itself has changed nothing.
_SERVER_BRANCH = re.compile(r"""["']?origin/(?!HEAD~)[\w./${} -]+["']?$""")
# Inputs of the action that do the same, or name the program that judges.
_STEERING_INPUTS = ("base", "working-directory", "python")
_TRIGGER = re.compile(r"^\s*-?\s*(pull_request|push|merge_group|merge_requests)\b")
# What a step may give the shell that runs its lines; `-n` reads them and runs none.
_SHELL_SETTING = re.compile(r"^\s*(?:-\s+)?shell:\s*(?P<words>.+?)\s*(?:#.*)?$")
_USUAL_SHELL = re.compile(
    r"(?:bash|sh|zsh|dash)(?:\s+(?:-[euxil]*o?|--login|--noprofile|--norc|pipefail|errexit|nounset))*"
    r"(?:\s+\{0\})?|pwsh|powershell|cmd|python|\$\{\{.*\}\}"
)
# `python -m skillrun` takes what lies where it is started; a shell takes what PATH names first.
_SHADOWING = re.compile(r"(^|/)skillrun$|^skillrun(\.py|/__(init|main)__\.py)$")
# Attributes of git by which no difference is shown.
_HIDING = re.compile(r"\s(-diff|binary|linguist-(generated|vendored)(=true)?|gitlab-generated)\s")
# What decides which program a hook of pre-commit is, and what it looks at.
_PRECOMMIT_WORDS = ("repo", "rev", "entry", "args", "files", "exclude", "types", "stages")
HINT = "put it back; a gate is changed by a person, in a change of its own"


def find(diff: Diff) -> Iterator[Finding]:
    """Yields a finding for each entry or line by which a gate became weaker."""
    yield from _find_hidden(diff)
    for file in diff.files:
        if file.old is None:
            continue
        if _HOOKS_FILE.search(file.old_path):
            yield from _check_hooks(file)
        elif _WORKFLOW_FILE.search(file.old_path) and _PROGRAM.search(file.old):
            yield from _check_workflow(file)
    yield from _find_shadowing(diff)


def _find_hidden(diff: Diff) -> Iterator[Finding]:
    """Yields an error for each new line of a .gitattributes by which a reviewer is shown no
    difference of something that this branch changes.
    """
    for file in diff.files:
        if file.path.rpartition("/")[2] != ".gitattributes":
            continue
        for number, line in file.added_lines():
            # "*.py -diff"
            pattern, _, attributes = line.strip().partition(" ")
            if pattern.startswith("#") or not _HIDING.search(f" {attributes} "):
                continue
            hidden = _find_hidden_path(diff, file, pattern)
            if hidden is not None:
                message = f"reviewers are shown no difference of {quoted(hidden)}: {quoted(line)}"
                yield taken(ID, file, number, message, hint=HINT)


def _find_hidden_path(diff: Diff, attributes: File, pattern: str) -> str | None:
    """The first of the other changed files that a pattern of .gitattributes fits, or None."""
    for file in diff.files:
        if file is not attributes and _fits_pattern(pattern, file.path):
            return file.path
    return None


def _fits_pattern(pattern: str, path: str) -> bool:
    """Whether a pattern of .gitattributes fits a path, or the folder that it lies in."""
    bare = pattern.strip('"').lstrip("/").removesuffix("/**")
    if path.startswith(f"{bare}/"):
        return True
    name = path.rpartition("/")[2]
    return fnmatch(path, bare) or fnmatch(name, bare)


def is_pipeline(path: str) -> bool:
    """Whether a file configures a CI pipeline."""
    return bool(_WORKFLOW_FILE.search(path))


def _check_hooks(file: File) -> Iterator[Finding]:
    """Yields the findings about the file in which an agent or pre-commit keeps its hooks."""
    yield from _find_missing_calls(file)
    yield from _find_steering(file)
    yield from _find_indifference(file)
    old, new = file.old_document, file.new_document
    if old is not None and new is not None and file.path.endswith(".pre-commit-config.yaml"):
        yield from _find_changed_precommit(file, old.value, new.value)
    if old is None or new is None or not file.path.endswith(".json"):
        return
    # Where fewer lines call it than did, that was said above already.
    calls_as_often = _count_calls(file.new) >= _count_calls(file.old)
    if calls_as_often:
        for event in sorted(_list_calling_events(old.value) - _list_calling_events(new.value)):
            message = f"the hook {quoted(event)} no longer calls skillrun"
            yield taken(ID, file, 1, message, hint=HINT)
    if at(new.value, "disableAllHooks") is True and at(old.value, "disableAllHooks") is not True:
        line = new.line(("disableAllHooks",))
        yield taken(ID, file, line, "all hooks are turned off: disableAllHooks", hint=HINT)
    if calls_as_often:
        yield from _find_lost_answers(file)


def _find_changed_precommit(file: File, old: Any, new: Any) -> Iterator[Finding]:
    """Yields an error for each hook of skillrun that comes from elsewhere or looks at less, and a
    warning for another revision.
    """
    hooks = _list_precommit_hooks(new)
    for name, before in _list_precommit_hooks(old).items():
        after = hooks.get(name)
        if after is None:
            continue  # that fewer lines name skillrun was said already
        for word in _PRECOMMIT_WORDS:
            if before.get(word) == after.get(word):
                continue
            message = f"the hook {quoted(name)} has another {word}: {quoted(after.get(word))}"
            make_finding = doubtful if word == "rev" else taken
            yield make_finding(ID, file, 1, message, hint=HINT)


def _list_precommit_hooks(config: Any) -> dict[str, dict[str, Any]]:
    """Hook -> what it is configured with; those that skillrun's own repository brings."""
    found: dict[str, dict[str, Any]] = {}
    repos = at(config, "repos")
    for repo in repos if isinstance(repos, list) else []:
        hooks = at(repo, "hooks")
        for hook in hooks if isinstance(hooks, list) else []:
            name = str(at(hook, "id"))
            if name.startswith("skillrun-"):
                source = {"repo": at(repo, "repo"), "rev": at(repo, "rev")}
                found[name] = {**mapping(hook), **source}
    return found


def _find_lost_answers(file: File) -> Iterator[Finding]:
    """Yields a warning for each word that said what a hook does when it fails, and that is gone."""
    for word in ("onFailure", "failClosed"):
        count_before = (file.old or "").count(f'"{word}"')
        if count_before > (file.new or "").count(f'"{word}"'):
            message = f"a hook lost {word}: what it does when it fails has changed"
            yield doubtful(ID, file, 1, message, hint=HINT)


def _list_calling_events(settings: Any) -> set[str]:
    """The events whose hooks name skillrun."""
    events = set()
    for event, entries in mapping(at(settings, "hooks")).items():
        if _PROGRAM.search(json.dumps(entries)):
            events.add(event)
    return events


def _check_workflow(file: File) -> Iterator[Finding]:
    """Yields the findings about a CI workflow that named skillrun in the base."""
    yield from _find_missing_calls(file)
    yield from _find_steering(file)
    if file.new is None:
        return
    yield from _find_steered_actions(file)
    yield from _find_indifference(file)
    yield from _find_moved_lines(file)
    yield from _compare_sources(file)
    added = {text.strip() for _, text in file.added_lines()}
    for line, text in file.removed_lines():
        # It was only moved, or indented.
        if text.strip() in added:
            continue
        if _TRIGGER.match(text):
            message = f"the workflow lost a trigger: {quoted(text)}"
            yield doubtful(ID, file, line, message, hint=HINT)
        elif "fetch-depth: 0" in text:
            message = "without fetch-depth: 0 the base branch cannot be compared with"
            yield doubtful(ID, file, line, message, hint=HINT)


def _find_moved_lines(file: File) -> Iterator[Finding]:
    """Yields an error for each new line around the call that moves the base, or that decides which
    program is called.
    """
    known = {text.strip() for text in (file.old or "").splitlines()}
    for line, text in file.added_lines():
        message = find_moved(text) or _find_other_shell(text)
        if message is not None and text.strip() not in known:
            yield taken(ID, file, line, f"{message}: {quoted(text)}", hint=HINT)


def _find_other_shell(line: str) -> str | None:
    """What is wrong, in words, with a line that sets another shell than the usual ones: it may not
    run what it is given, or not mind how that ends. None for any other line.
    """
    setting = _SHELL_SETTING.match(line)
    if setting is None or _USUAL_SHELL.fullmatch(setting["words"].strip("\"'")):
        return None
    return "the lines of a step are given to another program"


def _compare_sources(file: File) -> Iterator[Finding]:
    """Yields a finding where skillrun is installed from another source: an error for another place,
    a warning for another commit of the same place, for a person to see.
    """
    known = [source for _, source in list_sources(file.old or "")]
    if not known:
        return
    for line, source in list_sources(file.new or ""):
        if source in known:
            continue
        message = f"skillrun comes from {quoted(source)}; it came from {quoted(known[0])}"
        make_finding = taken
        if any(is_same_place(other, source) for other in known):
            make_finding = doubtful
        hint = "look at what is installed; a person changes it"
        yield make_finding(ID, file, line, message, hint=hint)


def _find_shadowing(diff: Diff) -> Iterator[Finding]:
    """Yields an error for each new file by the name of the program that judges the repository."""
    for file in diff.files:
        is_new = file.old is None and file.new is not None
        if is_new and _SHADOWING.search(file.path):
            message = f"a file by the name of the program that judges: {quoted(file.path)}"
            yield taken(ID, file, 1, message, hint="give it another name")


def _find_missing_calls(file: File) -> Iterator[Finding]:
    """Yields an error for each line that called skillrun and is gone, as many as there are fewer
    calls.
    """
    missing = _count_calls(file.old) - _count_calls(file.new)
    gone = [(line, text) for line, text in file.removed_lines() if _PROGRAM.search(text)]
    for line, text in gone[: max(missing, 0)]:
        message = f"{file.path} no longer calls skillrun: {quoted(text)} is gone"
        yield taken(ID, file, line, message, hint=HINT)


def _find_steering(file: File) -> Iterator[Finding]:
    """Yields an error for each call that judges something else than the base's does: `verify --base
    HEAD` compares HEAD with itself.
    """
    known = set(_list_steering_options(file.old))
    for line, text in file.added_lines():
        for option in _list_steering_options(text):
            if option not in known:
                message = f"the call of skillrun is steered by {quoted(option)}: {quoted(text)}"
                yield taken(ID, file, line, message, hint=HINT)
                break


def _list_steering_options(text: str | None) -> Iterator[str]:
    """Yields each option that decides what is judged, with its value: "--base HEAD". A base that is
    a branch of the server is as it should be.
    """
    for option in _STEERING.finditer(text or ""):
        is_server_branch = option[1] == "base" and _SERVER_BRANCH.match(option["value"])
        if not is_server_branch:
            yield option[0]


def _find_steered_actions(file: File) -> Iterator[Finding]:
    """The same for a step that uses the action: what its inputs name decides what is judged, and by
    which program.
    """
    known = {text for _, text in _list_action_inputs(file.old, file.old_path)}
    for line, text in _list_action_inputs(file.new, file.path):
        if text not in known:
            message = f"the action of skillrun is steered by {quoted(text)}"
            yield taken(ID, file, line, message, hint=HINT)


def _list_action_inputs(text: str | None, path: str) -> Iterator[tuple[int, str]]:
    """Yields (line, "base: HEAD") of each input that decides what is judged."""
    document = _load_workflow(text or "", path)
    if document is None:
        return
    for place, value in _list_calling_parts((), document.value):
        if not isinstance(value, dict) or not _PROGRAM.search(str(value.get("uses"))):
            continue
        given = mapping(value.get("with"))
        for name in _STEERING_INPUTS:
            words = str(given.get(name, ""))
            is_server_branch = name == "base" and _SERVER_BRANCH.match(words)
            if words and not is_server_branch:
                yield document.line((*place, "with", name)), f"{name}: {words}"


def _find_indifference(file: File) -> Iterator[Finding]:
    """Yields an error for each step, job or line that no longer minds skillrun's answer."""
    known = {text for _, text in _list_indifferent(file.old, file.old_path)}
    for line, text in _list_indifferent(file.new, file.path):
        if text not in known:
            message = f"the answer is no longer minded: {quoted(text)}"
            yield taken(ID, file, line, message, hint=HINT)


def _list_indifferent(text: str | None, path: str) -> Iterator[tuple[int, str]]:
    """Yields (line, words) of each setting or command line by which skillrun's answer is ignored. A
    file that is no YAML or JSON is read by its lines.
    """
    document = _load_workflow(text or "", path)
    if document is None or not isinstance(document.value, dict):
        for number, line in enumerate((text or "").splitlines(), 1):
            if _ignores_answer(line):
                yield number, line.strip()
        return
    for place, value in _list_calling_parts((), document.value):
        for words in _list_ways_of_ignoring(value):
            yield document.line(place), words


def _ignores_answer(line: str) -> bool:
    """Whether a line is one like `skillrun verify || true`."""
    return bool(_PROGRAM.search(line) and _IGNORING.search(line))


def _load_workflow(text: str, name: str) -> Document | None:
    """A workflow as GitHub reads it: its key `on` is a word, not a truth value."""
    try:
        return load_positions(re.sub(r"(?m)^on:", '"on":', text), name)
    except YamlProblem:
        return None


def _list_calling_parts(
    path: tuple[str | int, ...], value: Any
) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Yields (path, part) of every part of a document that names skillrun somewhere in it."""
    if not _PROGRAM.search(json.dumps(value)):
        return
    yield path, value
    if isinstance(value, dict):
        for key, member in value.items():
            yield from _list_calling_parts((*path, key), member)
    elif isinstance(value, list):
        for position, member in enumerate(value):
            yield from _list_calling_parts((*path, position), member)


def _list_ways_of_ignoring(value: Any) -> Iterator[str]:
    """Yields in words how a step, job or script that names skillrun passes over its answer."""
    if isinstance(value, dict):
        for key in ("continue-on-error", "allow_failure"):
            if value.get(key) not in (None, False):
                yield f"{key}: {json.dumps(value[key])}"
        if str(value.get("if", "")).strip("${} ").lower() == "false":
            yield f"if: {value['if']}"
    elif isinstance(value, str):
        lines = value.splitlines()
        ignoring = [line for line in lines if _ignores_answer(line)]
        for line in ignoring:
            yield line.strip()
        # The line that decides about a script is often not the one that calls.
        for line in lines:
            if line not in ignoring and _ENDING_WELL.match(line):
                yield line.strip()


def _count_calls(text: str | None) -> int:
    """How many lines name skillrun outside of a comment."""
    count = 0
    for line in (text or "").splitlines():
        is_comment = line.lstrip().startswith(("#", "//"))
        if not is_comment and _PROGRAM.search(line):
            count += 1
    return count
