"""Tests that are gone, or that no runner collects any more. One that was moved or renamed is
neither.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.core.tally import count_things
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
# A finding names so many of the tests that are gone together.
_TESTS_NAMED = 5


def find(diff: Diff) -> Iterator[Finding]:
    """Yields a finding for each test that is gone, and one for each file or class that is gone with
    all its tests.
    """
    changes = list(list_changed_tests(diff))
    groups: dict[tuple[str, str | None], list[Change]] = {}
    for change in _list_lost(diff, changes):
        groups.setdefault(_find_group(change), []).append(change)
    removed: frozenset[str] = frozenset()
    if groups:
        # Only where it is needed: it reads the whole application.
        removed = removed_names(diff)
    for group in groups.values():
        yield _report_group(group, removed)
    for change in changes:
        if change.new:
            yield from _find_lost_cases(change.old, change.new)


def _list_lost(diff: Diff, changes: list[Change]) -> list[Change]:
    """The tests that are gone, but for those whose assertions are made by a new parametrised test,
    or by the tests into which it was split.
    """
    made_by_parametrised = []
    for test in fresh_tests(diff):
        if _is_parametrised(test):
            made_by_parametrised.append(open_assertions(test.node))
    lost = []
    parts = Parts(diff)
    for change in changes:
        if change.new is not None:
            continue
        is_still_made = _is_merged(change.old, made_by_parametrised)
        is_still_made = is_still_made or _is_split(change.old, parts)
        if change.uncollected or not is_still_made:
            lost.append(change)
    return lost


def _find_group(change: Change) -> tuple[str, str | None]:
    """What is reported together in one finding: (path, None) where a file is gone, (path, class)
    where a class is, else (path, test).
    """
    old = change.old
    if change.uncollected is None and old.file.new is None:
        return old.file.path, None
    if old.owner is None or change.uncollected is not None:
        return old.file.path, old.name
    if _has_class(old.file.new_tree, old.owner.name):
        return old.file.path, old.name
    return old.file.path, old.owner.name


def _report_group(group: list[Change], removed: frozenset[str]) -> Finding:
    """The finding for tests that are gone together: an error, or a warning where the branch removes
    what they all test.
    """
    if len(group) == 1 and group[0].old.file.new is not None:
        return _report_test(group[0], removed)
    old = group[0].old
    names = ", ".join(change.old.name for change in group[:_TESTS_NAMED])
    if len(group) > _TESTS_NAMED:
        names += " ..."
    count = count_things(len(group), "test")
    make_finding = taken
    if all(_is_subject_removed(change.old, removed) for change in group):
        make_finding = doubtful
    if old.file.new is None:
        message = f"{old.file.path} is gone with {count}: {quoted(names)}"
        return make_finding(ID, old.file, old.node.lineno, message)
    first = old.owner or old.node
    line = old.file.line_of(first.lineno)
    return make_finding(ID, old.file, line, f"a class is gone with {count}: {quoted(names)}")


def _report_test(change: Change, removed: frozenset[str]) -> Finding:
    """The finding for one test: no runner collects it any more, or it is gone."""
    old, hidden = change.old, change.uncollected
    if hidden is not None:
        now = quoted(hidden.file.new_line(hidden.node.lineno))
        message = f"the test {old.name} is now {now}, which no runner collects"
        return taken(ID, hidden.file, hidden.node.lineno, message, hint="give it its name back")
    line = old.file.line_of(old.node.lineno)
    message = f"the test {old.name} is gone: {quoted(old.file.old_line(old.node.lineno))}"
    if _is_subject_removed(old, removed):
        return doubtful(ID, old.file, line, message)
    return taken(ID, old.file, line, message)


def _is_subject_removed(test: Test, removed: frozenset[str]) -> bool:
    """Whether a test is about something that this branch removes from the application."""
    used = names_in(test.node, test.owner)
    origins: set[str] = set()
    if test.file.old_tree is not None:
        # With the modules that the names come from: a whole module may be what is removed.
        for node in ast.walk(test.file.old_tree):
            if not isinstance(node, ast.ImportFrom):
                continue
            if any(alias.name in used for alias in node.names):
                origins |= names_in(node)
    return bool((used | origins) & removed)


def _find_lost_cases(old: Test, new: Test) -> Iterator[Finding]:
    """Yields an error where a parametrised test has fewer cases; where it has as many, they were
    changed.
    """
    cases_now = _read_written_cases(new)
    for names, cases in _read_written_cases(old).items():
        left = cases_now.get(names)
        if not left or len(left) >= len(cases):
            continue
        gone = [text for text in cases if text not in left]
        if gone:
            message = (
                f"{new.name} lost {len(cases) - len(left)} of its {len(cases)} cases, e.g."
                f" {quoted(gone[0])}"
            )
            yield taken(ID, new.file, new.node.lineno, message)


def _read_written_cases(test: Test) -> dict[str, list[str]]:
    """Returns the names of each parametrisation -> its cases, where they are written out."""
    cases = {}
    for node in test.node.decorator_list:
        if not isinstance(node, ast.Call) or len(node.args) < 2:
            continue
        names, values = node.args[:2]
        if not isinstance(values, ast.List | ast.Tuple):
            continue
        if "parametrize" in ast.unparse(node.func):
            cases[ast.unparse(names)] = [ast.unparse(case) for case in values.elts]
    return cases


def _has_class(tree: ast.Module | None, name: str) -> bool:
    """Whether a module has a class of this name at its top."""
    if tree is None:
        return False
    return any(isinstance(node, ast.ClassDef) and node.name == name for node in tree.body)


def _is_parametrised(test: Test) -> bool:
    return any("parametrize" in ast.unparse(decorator) for decorator in test.node.decorator_list)


def _is_merged(old: Test, made_by_parametrised: list[set[str]]) -> bool:
    """Whether one new parametrised test makes all assertions of a test."""
    asserted = open_assertions(old.node)
    if not asserted:
        return False
    return any(asserted <= made for made in made_by_parametrised)


def _is_split(old: Test, parts: Parts) -> bool:
    """Whether new tests make all that a test asserts, in each of its cases."""
    for case in expand_cases(old):
        asserted = {assertion.text for assertion in list_assertions(case.node)}
        raised = list_raised(case)
        # Nobody can tell where a test has gone that asserts nothing.
        if not asserted and not raised:
            return False
        if not asserted <= parts.list_asserted(case):
            return False
        if not raised <= parts.list_raised(case):
            return False
    return True
