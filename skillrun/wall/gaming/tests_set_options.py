"""Tests that set the options of a job: what they show holds for these values, and not for those
that a worker has.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from skillrun.core.verdict import Finding
from skillrun.repo.places import is_taken_for_tests
from skillrun.repo.source import FunctionNode, last_word
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.making import found, quoted
from skillrun.wall.gaming.settings_named import list_keys

ID = "tests-set-options"
HELP = (
    "Tests that set a job's attempts, acknowledgements, queue, limits or serializer themselves no "
    "longer notice what the application sets. Found, newly: for all tests, in a conftest, a module "
    "or a fixture that is always used (error); in one test, or a wait alone (warning)."
)
_HINT = "let the tests run the job with the options that its worker has"
_PROMISE = re.compile(
    r"(^|_)(max_retries|max_tries|max_attempts|retries|retry|autoretry_for|retry_for|retry_when"
    r"|throws"
    r"|acks_late|acks_on_failure_or_timeout|reject_on_worker_lost|retry_on_worker_lost"
    r"|(soft_)?time_limit|job_timeout|visibility_timeout|serializer|accept_content"
    r"|routes|default_queue|queue|queue_name|expires|rate_limit)$",
    re.IGNORECASE,
)
_WAIT = re.compile(
    r"(^|_)(retry_backoff(_max)?|retry_jitter|default_retry_delay|retry_delay"
    r"|min_backoff|max_backoff"
    r"|backoff|timeout|timeout_s)$",
    re.IGNORECASE,
)
_SETTERS = ("setattr", "setitem", "object", "dict")
_BY_PATH = ("patch",)
_BY_KEYWORD = ("update", "override_settings", "modify_settings", "configure", "conf_from_object")


@dataclass(frozen=True)
class Setting:
    """One option that a test sets. `is_for_all`: it holds for every test of a folder or file."""

    name: str
    owner: str
    line: int
    is_for_all: bool


def find(diff: Diff) -> Iterator[Finding]:
    """One finding for each option that the base's tests do not set."""
    changed = [file for file in diff.python_files() if is_taken_for_tests(file.path)]
    known: Counter[tuple[str, bool]] = Counter()
    for file in changed:
        for setting in _list_settings(file.old_tree):
            known[setting.name, setting.is_for_all] += 1
    for file in changed:
        for setting in _list_settings(file.new_tree):
            known[setting.name, setting.is_for_all] -= 1
            if known[setting.name, setting.is_for_all] < 0:
                yield _describe(file, setting)


def _describe(file: File, setting: Setting) -> Finding:
    is_promise = bool(_PROMISE.search(setting.name))
    line = quoted(file.new_line(setting.line))
    said = f"tests run with a {setting.name} of their own, whatever the application says: {line}"
    is_error = is_promise and setting.is_for_all
    return found(ID, file, setting.line, said, is_error=is_error, hint=_HINT)


def _list_settings(tree: ast.Module | None) -> Iterator[Setting]:
    waiting: list[tuple[ast.AST, bool]] = [(tree or ast.Module([], []), True)]
    while waiting:
        node, is_for_all = waiting.pop()
        for name, owner in _list_named(node):
            if _PROMISE.search(name) or _WAIT.search(name):
                yield Setting(name.lower(), owner, getattr(node, "lineno", 1), is_for_all)
        inside = is_for_all
        if isinstance(node, FunctionNode):
            inside = _is_always_run(node)
        for child in ast.iter_child_nodes(node):
            waiting.append((child, inside))


def _is_always_run(function: FunctionNode) -> bool:
    """A fixture with autouse, or a hook of pytest or unittest."""
    if function.name.startswith(("pytest_", "setup_", "setUp")):
        return True
    named = " ".join(map(ast.unparse, function.decorator_list))
    return "autouse" in named


def _list_named(node: ast.AST) -> Iterator[tuple[str, str]]:
    """(option, whose) of what a statement or a call sets on something that is not its own."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Attribute) and not _is_own(target.value):
                yield target.attr, ast.unparse(target.value)
            elif isinstance(target, ast.Subscript) and _is_settings(target.value):
                yield _read_text(target.slice), ast.unparse(target.value)
    elif isinstance(node, ast.Call):
        yield from _list_of_call(node)


def _list_of_call(node: ast.Call) -> Iterator[tuple[str, str]]:
    word = last_word(node.func)
    if word == "setenv" or word in (*_SETTERS, *_BY_PATH):
        # `setattr(task, "max_retries", 4)`, `setattr("shop.tasks.send.max_retries", 4)`
        texts = [_read_text(argument) for argument in node.args[:2] if _is_text(argument)]
        for text in texts[:1]:
            yield text.rpartition(".")[2], ast.unparse(node.func)
    if word == "update" and not _is_settings(getattr(node.func, "value", node.func)):
        return
    if word in (*_BY_KEYWORD, "multiple", "dict"):
        names = [keyword.arg or "" for keyword in node.keywords]
        for argument in node.args:
            names += dict(list_keys(argument))
        for name in names:
            yield name, ast.unparse(node.func)


def _is_own(node: ast.expr) -> bool:
    """An object of the tests themselves."""
    return isinstance(node, ast.Name) and node.id in (
        "self",
        "cls",
        "request",
        "response",
        "parser",
    )


def _is_settings(node: ast.expr) -> bool:
    return bool(re.search(r"conf|settings|config|options", last_word(node) or "", re.IGNORECASE))


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _read_text(node: ast.expr) -> str:
    return str(getattr(node, "value", ""))
