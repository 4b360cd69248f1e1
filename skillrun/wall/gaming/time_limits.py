"""The time after which a worker ends a job: taken away, or less than what an effect may take.

A limit below the time-out of an effect's own call ends the job with an error of the library, where
the call would have said that it took too long: most specs try the second again, and not the first.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

from skillrun.core.verdict import Finding
from skillrun.repo.python import Project, is_known
from skillrun.repo.source import Module
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.asked import read_asked
from skillrun.wall.gaming.making import quoted, taken
from skillrun.wall.gaming.settings_named import list_changed_modules, list_named
from skillrun.wall.sources import CommitSources
from skillrun.wall.watched.outgoing import Outgoing

_LIMIT = re.compile(r"^(task_)?(soft_)?time_limit$|^job_timeout$", re.IGNORECASE)
# What a database is told in its options, `-c lock_timeout=45s`.
_SAID = re.compile(
    r"\b((?:lock|statement|idle_in_transaction_session|busy|connect)_timeout)\s*(?:=|to)\s*"
    r"'?(\d+)\s*(ms|s|min)?",
    re.IGNORECASE,
)
_UNITS = {"ms": 0.001, "": 0.001, "s": 1.0, "min": 60.0}
_MS = 1000.0
Limits = Mapping[str, tuple[File, int, float]]
"""Name -> (file, line, seconds)."""
_HINT = (
    "leave the job more time than its calls, or list what the library raises then with the errors"
    " that are tried again"
)


def find_time_limits(look: str, diff: Diff) -> Iterator[Finding]:
    """One finding for each limit that is gone, or newly too short."""
    old = dict(_list_limits(diff, diff.before, is_new=False))
    new = dict(_list_limits(diff, diff.after, is_new=True))
    yield from _find_gone(look, old, new)
    longest = _find_longest_call(diff, diff.after)
    if longest is None:
        return
    for name, (file, line, value) in new.items():
        if not _LIMIT.match(name):
            continue
        is_shorter = name not in old or value < old[name][2]
        if is_shorter and value <= longest:
            said = (
                f"{name} is {value:g} s, and a call of an effect may take {longest:g} s: the job is"
                f" cut off before that ends: {quoted(file.new_line(line))}"
            )
            yield taken(look, file, line, said, hint=_HINT)


def _find_gone(look: str, old: Limits, new: Limits) -> Iterator[Finding]:
    for name, (file, line, value) in old.items():
        if name not in new:
            was = quoted(file.old_line(line))
            said = f"{name} was {value:g} s and is gone: what hangs holds its worker: {was}"
            yield taken(look, file, file.line_of(line), said, hint=_HINT)


def _list_limits(
    diff: Diff, sources: CommitSources, *, is_new: bool
) -> Iterator[tuple[str, tuple[File, int, float]]]:
    project = sources.project
    for file, module in list_changed_modules(diff, project, is_new=is_new):
        for name, node in list_named(module.tree):
            if not _LIMIT.match(name):
                continue
            value = _read_seconds(project, module, node)
            if value is not None:
                # As the setting of the application and as an option of one task it is another one.
                yield name.lower(), (file, node.lineno, value)
        for node in module.nodes(ast.Constant):
            for said in _SAID.finditer(node.value if isinstance(node.value, str) else ""):
                seconds = int(said[2]) * _UNITS[(said[3] or "").lower()]
                # None is 0 in these.
                if seconds > 0:
                    yield said[1].lower(), (file, node.lineno, seconds)


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
    project = sources.project
    reach = sources.reach_from(read_asked(diff, sources).effects)
    found: list[float] = []
    for node, definition in reach.functions.items():
        lines = {line for _, line in Outgoing(reach).list_calls([node])}
        for call in ast.walk(node):
            if isinstance(call, ast.Call) and call.lineno in lines:
                found += _list_timeouts(project, definition.module, call)
    return max(found, default=None)


def _list_timeouts(project: Project, module: Module, call: ast.Call) -> Iterator[float]:
    for keyword in call.keywords:
        value = project.literal(keyword.value, module)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if keyword.arg == "timeout" and is_number:
            yield float(value)
