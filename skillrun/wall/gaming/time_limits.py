"""The time after which a worker ends a job: taken away, or less than what an effect may take.

A limit below the time-out of an effect's own call ends the job with an error of the library, where
the call would have said that it took too long: most specs try the second again, and not the first.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from skillrun.core.verdict import Finding
from skillrun.repo.python import Project, is_known
from skillrun.repo.source import Module
from skillrun.skills.job_worker.stages.testcases import is_test_file
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.asked import read_asked
from skillrun.wall.gaming.making import quoted, taken
from skillrun.wall.gaming.settings_named import list_named
from skillrun.wall.sources import CommitSources
from skillrun.wall.watched.outgoing import Outgoing
from skillrun.wall.watched.reach import Reach

_LIMIT = re.compile(r"^(task_)?(soft_)?time_limit$|^job_timeout$", re.IGNORECASE)
_MS = 1000.0
_HINT = (
    "leave the job more time than its calls, or list what the library raises then with the errors"
    " that are tried again"
)


def find_time_limits(look: str, diff: Diff) -> Iterator[Finding]:
    """One finding for each limit that is gone, or newly too short."""
    old, new = dict(_list_limits(diff, diff.before, is_new=False)), {}
    for name, place in _list_limits(diff, diff.after, is_new=True):
        new[name] = place
    for name, (file, line, value) in old.items():
        if name not in new:
            said = (
                f"{name} was {value:g} s and is gone: a call that hangs holds its worker for ever"
            )
            place = file.line_of(line)
            yield taken(look, file, place, f"{said}: {quoted(file.old_line(line))}", hint=_HINT)
    longest = _find_longest_call(diff, diff.after)
    for name, (file, line, value) in new.items():
        was = old.get(name)
        if longest is None or value > longest or (was is not None and was[2] <= value):
            continue
        said = (
            f"{name} is {value:g} s, and a call of an effect may take {longest:g} s: the job is cut"
            f" off before that ends: {quoted(file.new_line(line))}"
        )
        yield taken(look, file, line, said, hint=_HINT)


def _list_limits(
    diff: Diff, sources: CommitSources, *, is_new: bool
) -> Iterator[tuple[str, tuple[File, int, float]]]:
    project = Project(sources)
    for file in diff.python_files():
        path = file.path if is_new else file.old_path
        module = project.module(path)
        if module is None or is_test_file(path):
            continue
        for name, node in list_named(module.tree):
            if not _LIMIT.match(name):
                continue
            value = _read_seconds(project, module, node)
            if value is not None:
                # As the setting of the application and as an option of one task it is another one.
                yield name.lower(), (file, node.lineno, value)


def _read_seconds(project: Project, module: Module, node: ast.expr) -> float | None:
    value = project.literal(node, module)
    if not is_known(value) or isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # Dramatiq counts in milliseconds.
    is_dramatiq = any("dramatiq" in name for name in _list_imports(module))
    return value / _MS if is_dramatiq else float(value)


def _list_imports(module: Module) -> Iterator[str]:
    for node in module.tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def _find_longest_call(diff: Diff, sources: CommitSources) -> float | None:
    """The longest time-out of the calls that go out behind the effects; None where none is read."""
    project = Project(sources)
    reach = Reach(project)
    reach.follow(list(read_asked(diff, sources).effects))
    longest: float | None = None
    for node, definition in reach.functions.items():
        lines = {line for _, line in Outgoing(reach).list_calls([node])}
        for call in ast.walk(node):
            if not isinstance(call, ast.Call) or call.lineno not in lines:
                continue
            for keyword in call.keywords:
                value = project.literal(keyword.value, definition.module)
                is_number = isinstance(value, int | float) and not isinstance(value, bool)
                if keyword.arg == "timeout" and is_number:
                    longest = max(longest or 0.0, float(value))
    return longest
