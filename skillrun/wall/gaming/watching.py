"""Code that asks whether it is being watched, and does something else then."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from skillrun.core.verdict import Finding, Severity
from skillrun.repo.places import is_taken_for_tests
from skillrun.repo.source import Module
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.asked import read_asked
from skillrun.wall.gaming.making import doubtful, quoted, taken
from skillrun.wall.sources import CommitSources
from skillrun.wall.watched.decisions import Decision, find_decisions
from skillrun.wall.watched.flow import FoundSign
from skillrun.wall.watched.seen import Signs
from skillrun.wall.watched.signs import Kind

ID = "asks-if-watched"
HELP = (
    "A handler that does something else where it is proved or tested shows nothing of what it does "
    "in production. Found, in code that a handler reaches: a sign of being watched (modules, "
    "arguments, environment, paths, stack, patched functions, names such as TESTING) on which an "
    "effect depends, newly (error) or in the base as well (note); an effect that depends on a "
    "variable which proof.env does not set (warning); and such a sign that is new elsewhere "
    "(note)."
)
HINT = "take it out: what is proved and tested has to be what runs in production"
_CONDITIONS = (ast.Compare, ast.BoolOp, ast.UnaryOp, ast.If, ast.While, ast.IfExp, ast.Assert)


def find(diff: Diff) -> Iterator[Finding]:
    """One finding for each decision, and for each further place that asks."""
    told: set[tuple[str, int]] = set()
    for finding, decision in _find_decisions(diff):
        told.add((decision.path, decision.line))
        told |= {(seen.path, seen.line) for seen in decision.seen}
        yield finding
    for file in diff.python_files():
        if file.new is not None and not is_taken_for_tests(file.path):
            yield from _find_elsewhere(diff, file, told)


# -- what decides about an effect


def _find_decisions(diff: Diff) -> Iterator[tuple[Finding, Decision]]:
    changes = _Changes(diff)
    for decision, is_new in _compare_decisions(diff):
        finding = changes.describe(decision, is_new=is_new)
        if finding is not None:
            yield finding, decision


def list_new_decisions(diff: Diff) -> list[Decision]:
    """Those of HEAD that the base has not."""
    return [decision for decision, is_new in _compare_decisions(diff) if is_new]


def _compare_decisions(diff: Diff) -> Iterator[tuple[Decision, bool]]:
    """(a decision of HEAD, whether the base has fewer of its kind)."""
    decisions = _find_watching(diff, diff.after)
    if not decisions:
        return
    known = Counter(decision.identity for decision in _find_watching(diff, diff.before))
    for decision in decisions:
        is_new = known[decision.identity] == 0
        known[decision.identity] -= 1
        yield decision, is_new


def _find_watching(diff: Diff, sources: CommitSources) -> list[Decision]:
    """Of what is the same for all deliveries of a proof `special_cases` speaks."""
    found = []
    for decision in find_decisions(read_asked(diff, sources)):
        if not decision.is_unvaried:
            found.append(decision)
    return found


@dataclass
class _Changes:
    """Says of a decision where the branch added it."""

    diff: Diff

    def describe(self, decision: Decision, *, is_new: bool) -> Finding | None:
        path, line = self._place_of_decision(decision)
        file = self._file_at(path)
        seen = min(decision.seen, key=_plainest_first)
        read = f"{seen.sign.name} at {seen.path}:{seen.line}"
        said = (
            f"{quoted(decision.text)} depends on {quoted(read)} and decides about {decision.about}"
        )
        if not decision.is_watching:
            # Of the base it says nothing: a job may well read its configuration.
            if not is_new:
                return None
            hint = f"set {seen.sign.name} in proof.env as production does, or ask for it elsewhere"
            message = f"{said}: {seen.sign.why}"
            return doubtful(ID, file, line, message, hint=hint)
        message = f"{said}: {seen.sign.why}"
        if is_new:
            return taken(ID, file, line, message, hint=HINT)
        return _make_note(file, line, f"{message} (the base has it, too)")

    def _place_of_decision(self, decision: Decision) -> tuple[str, int]:
        """The line of it that the branch added, the condition before what it depends on."""
        places = [(decision.path, decision.line)]
        places += sorted((seen.path, seen.line) for seen in decision.seen)
        for path, line in places:
            if line in self._added_lines(path):
                return path, line
        return places[0]

    def _added_lines(self, path: str) -> set[int]:
        for file in self.diff.files:
            if file.path == path:
                return {line for line, _ in file.added_lines()}
        return set()

    def _file_at(self, path: str) -> File:
        for file in self.diff.files:
            if file.path == path:
                return file
        text = self.diff.after.texts.get(path)
        return File(path, path, text, text)


def _plainest_first(seen: FoundSign) -> tuple[int, bool, str, int]:
    """The plainest sign first: what was read before what it was compared with."""
    order = (Kind.FLAG, Kind.PLACE, Kind.VARIABLE)
    is_comparison = seen.sign.name.startswith("compared with")
    return order.index(seen.sign.kind), is_comparison, seen.path, seen.line


# -- what asks and decides about no effect


def _find_elsewhere(diff: Diff, file: File, told: set[tuple[str, int]]) -> Iterator[Finding]:
    """The places of a changed file that ask, and that the base's file has not."""
    known = Counter(text for _, text in _list_questions(diff.before, file.old_path))
    noted: set[int] = set()
    for node, text in _list_questions(diff.after, file.path):
        known[text] -= 1
        line = node.lineno
        if known[text] >= 0 or line in noted or (file.path, line) in told:
            continue
        noted.add(line)
        said = (
            f"{quoted(file.new_line(line))} asks whether it is being watched; no effect was seen to"
            " depend on it"
        )
        yield _make_note(file, line, said)


def _list_questions(sources: CommitSources, path: str) -> Iterator[tuple[ast.expr, str]]:
    """(node, the condition around it) of every sign that a condition reads."""
    project = sources.project
    module = project.module(path)
    if module is None:
        return
    signs = Signs(project, frozenset())
    for node in module.all_nodes:
        if not isinstance(node, ast.expr):
            continue
        around = _condition_around(module, node)
        if around is None:
            continue
        sign = signs.read_sign(module, node)
        if sign is not None and sign.kind is Kind.FLAG:
            yield node, ast.unparse(around)


def _condition_around(module: Module, node: ast.expr) -> ast.expr | None:
    """The comparison or test that an expression belongs to."""
    if isinstance(node, ast.Compare):
        return node
    below: ast.AST = node
    for above in module.parents(node):
        if isinstance(above, ast.If | ast.While | ast.IfExp | ast.Assert):
            # In the body, or in an alternative, nothing is asked.
            if below is above.test:
                return above.test
            return None
        if isinstance(above, ast.Compare | ast.BoolOp | ast.UnaryOp):
            return above
        if isinstance(above, ast.stmt):
            return None
        below = above
    return None


def _make_note(file: File, line: int, message: str) -> Finding:
    return Finding(f"gaming.{ID}", Severity.NOTE, message, file.path, max(line, 1), HINT)
