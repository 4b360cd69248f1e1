"""Tests that are gone, or that no runner collects any more. One that was moved or renamed is
neither.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.core.verdict import Finding
from skillrun.wall.diff import Diff
from skillrun.wall.gaming.asserting import list_assertions, open_assertions
from skillrun.wall.gaming.making import doubtful, quoted, taken
from skillrun.wall.gaming.pytests import Change, Test, fresh_tests, list_changed_tests
from skillrun.wall.gaming.removed_names import names_in, removed_names
from skillrun.wall.gaming.splitting import Parts, expand_cases, list_raised

ID = "deleted-test"
HELP = (
    "A test that is gone finds nothing. Found: a test function, file or case that the base has and"
    " HEAD has not, and one whose name no runner collects any more. A moved or renamed test with"
    " the same body is none, nor is one whose assertions a new parametrised test makes. A test of"
    " something that the branch removes is a warning."
)


_NAMED = 5  # of the tests that are gone together


def find(diff: Diff) -> Iterator[Finding]:
    """One finding for each test, and one for each file or class that is gone with all its tests."""
    every = list(list_changed_tests(diff))
    groups: dict[tuple[str, str | None], list[Change]] = {}
    for change in _list_lost(diff, every):
        groups.setdefault(_group_key(change), []).append(change)
    # Worked out only where it is asked: it reads the whole application.
    removed = removed_names(diff) if groups else frozenset()
    for group in groups.values():
        yield _report_group(group, removed)
    for change in every:
        if change.new:
            yield from _find_lost_cases(change.old, change.new)


def _list_lost(diff: Diff, every: list[Change]) -> list[Change]:
    """The tests that are gone, but for those whose assertions a new parametrised test makes, or the
    tests into which it was split.
    """
    merged = []
    for test in fresh_tests(diff):
        if _is_parametrised(test):
            merged.append(open_assertions(test.node))
    lost = []
    parts = Parts(diff)
    for change in every:
        if change.new is not None:
            continue
        is_there = _is_merged(change.old, merged) or _is_split(change.old, parts)
        if change.uncollected or not is_there:
            lost.append(change)
    return lost


def _group_key(change: Change) -> tuple[str, str | None]:
    """What is said in one finding: a file, a class, else the test alone."""
    old = change.old
    if change.uncollected is None and old.file.new is None:
        return old.file.path, None
    if old.owner is None or change.uncollected is not None:
        return old.file.path, old.name
    if _has_class(old.file.new_tree, old.owner.name):
        return old.file.path, old.name
    return old.file.path, old.owner.name


def _report_group(group: list[Change], removed: frozenset[str]) -> Finding:
    if len(group) == 1 and group[0].old.file.new is not None:
        return _report_test(group[0], removed)
    old = group[0].old
    names = ", ".join(change.old.name for change in group[:_NAMED])
    if len(group) > _NAMED:
        names += " ..."
    many = "1 test" if len(group) == 1 else f"{len(group)} tests"
    is_moot = all(_subject_is_gone(change.old, removed) for change in group)
    make = doubtful if is_moot else taken
    if old.file.new is None:
        message = f"{old.file.path} is gone with {many}: {quoted(names)}"
        return make(ID, old.file, old.node.lineno, message)
    first = old.owner or old.node
    line = old.file.line_of(first.lineno)
    return make(ID, old.file, line, f"a class is gone with {many}: {quoted(names)}")


def _report_test(change: Change, removed: frozenset[str]) -> Finding:
    old, hidden = change.old, change.uncollected
    if hidden is not None:
        now = quoted(hidden.file.new_line(hidden.node.lineno))
        said = f"the test {old.name} is now {now}, which no runner collects"
        return taken(ID, hidden.file, hidden.node.lineno, said, hint="give it its name back")
    said = f"the test {old.name} is gone: {quoted(old.file.old_line(old.node.lineno))}"
    make = doubtful if _subject_is_gone(old, removed) else taken
    return make(ID, old.file, old.file.line_of(old.node.lineno), said)


def _subject_is_gone(test: Test, removed: frozenset[str]) -> bool:
    """It tests what this branch removes from the application."""
    used = names_in(test.node, test.owner)
    # With the modules that the names come from: a whole module may be what is removed.
    origins: set[str] = set()
    for node in ast.walk(test.file.old_tree or ast.Module([], [])):
        if isinstance(node, ast.ImportFrom):
            imported = {alias.name for alias in node.names}
            if imported & used:
                origins |= names_in(node)
    return bool((used | origins) & removed)


def _find_lost_cases(old: Test, new: Test) -> Iterator[Finding]:
    """Cases of a parametrised test that are gone; where as many are left, they were changed."""
    after = _written_out_cases(new)
    for names, cases in _written_out_cases(old).items():
        left = after.get(names)
        if not left or len(left) >= len(cases):
            continue
        gone = [text for text in cases if text not in left]
        if gone:
            said = (
                f"{new.name} lost {len(cases) - len(left)} of its {len(cases)} cases, e.g."
                f" {quoted(gone[0])}"
            )
            yield taken(ID, new.file, new.node.lineno, said)


def _written_out_cases(test: Test) -> dict[str, list[str]]:
    """The names of a parametrisation -> its cases, where they are written out."""
    found = {}
    for node in test.node.decorator_list:
        if not isinstance(node, ast.Call) or len(node.args) < 2:
            continue
        names, values = node.args[:2]
        if not isinstance(values, ast.List | ast.Tuple):
            continue
        if "parametrize" in ast.unparse(node.func):
            found[ast.unparse(names)] = [ast.unparse(case) for case in values.elts]
    return found


def _has_class(tree: ast.Module | None, name: str) -> bool:
    if tree is None:
        return False
    return name in [node.name for node in tree.body if isinstance(node, ast.ClassDef)]


def _is_parametrised(test: Test) -> bool:
    return any("parametrize" in ast.unparse(decorator) for decorator in test.node.decorator_list)


def _is_merged(old: Test, merged: list[set[str]]) -> bool:
    made = open_assertions(old.node)
    return bool(made) and any(made <= test for test in merged)


def _is_split(old: Test, parts: Parts) -> bool:
    """Whether parts make all that a test asserts, in each of its cases."""
    for case in expand_cases(old):
        made = {assertion.text for assertion in list_assertions(case.node)}
        raised = list_raised(case)
        if not made | raised:
            return False
        if not (made <= parts.list_asserted(case) and raised <= parts.list_raised(case)):
            return False
    return True
