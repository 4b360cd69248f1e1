"""Tests that are gone, or that no runner collects any more. One that was moved or renamed is
neither.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.verdict import Finding
from skillrun.wall.diff import Diff
from skillrun.wall.gaming.asserting import shapes
from skillrun.wall.gaming.making import doubtful, quoted, taken
from skillrun.wall.gaming.pytests import Change, Test, changes, fresh_tests
from skillrun.wall.gaming.removed_names import names_in, removed_names

ID = "deleted-test"
HELP = (
    "A test that is gone finds nothing. Found: a test function, file or case that the base has and"
    " HEAD has not, and one whose name no runner collects any more. A moved or renamed test with"
    " the same body is none, nor is one whose assertions a new parametrised test makes. A test of"
    " something that the branch removes is a warning."
)


def find(diff: Diff) -> Iterator[Finding]:
    """One finding for each test, and one for each file or class that is gone with all its tests."""
    every = list(changes(diff))
    lost = [change for change in every if change.new is None]
    merged = [shapes(test.node) for test in fresh_tests(diff) if _is_parametrised(test)]
    left = [change for change in lost if change.uncollected or not _is_merged(change.old, merged)]
    removed = removed_names(diff) if left else frozenset()
    groups: dict[tuple[str, str | None], list[Change]] = {}
    for change in left:
        groups.setdefault(_together(change), []).append(change)
    yield from (_gone(group, removed) for group in groups.values())
    yield from (
        finding for change in every if change.new for finding in _cases(change.old, change.new)
    )


def _together(change: Change) -> tuple[str, str | None]:
    """What is said in one finding: a file, a class, else the test alone."""
    old = change.old
    if change.uncollected is None and old.file.new is None:
        return old.file.path, None
    owner = old.owner.name if old.owner else None
    whole = (
        owner is not None
        and change.uncollected is None
        and not _has_class(old.file.new_tree, owner)
    )
    return old.file.path, owner if whole else old.name


def _gone(group: list[Change], removed: frozenset[str]) -> Finding:
    if len(group) == 1 and group[0].old.file.new is not None:
        return _test_gone(group[0], removed)
    old = group[0].old
    names = ", ".join(change.old.name for change in group[:5]) + (" ..." if len(group) > 5 else "")
    many = f"{len(group)} test{'s' if len(group) > 1 else ''}"
    make = doubtful if all(_subject_is_gone(change.old, removed) for change in group) else taken
    if old.file.new is None:
        return make(
            ID, old.file, old.node.lineno, f"{old.file.path} is gone with {many}: {quoted(names)}"
        )
    line = old.file.line_of(old.owner.lineno if old.owner else old.node.lineno)
    return make(ID, old.file, line, f"a class is gone with {many}: {quoted(names)}")


def _test_gone(change: Change, removed: frozenset[str]) -> Finding:
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
    imports = [
        node
        for node in ast.walk(test.file.old_tree or ast.Module([], []))
        if isinstance(node, ast.ImportFrom)
    ]
    origins = {word for n in imports if {a.name for a in n.names} & used for word in names_in(n)}
    return bool((used | origins) & removed)


def _cases(old: Test, new: Test) -> Iterator[Finding]:
    """Cases of a parametrised test that are gone; where as many are left, they were changed."""
    after = _parameters(new)
    for names, cases in _parameters(old).items():
        left = after.get(names)
        gone = [text for text in cases if left is not None and text not in left]
        if left and gone and len(left) < len(cases):
            said = (
                f"{new.name} lost {len(cases) - len(left)} of its {len(cases)} cases, e.g."
                f" {quoted(gone[0])}"
            )
            yield taken(ID, new.file, new.node.lineno, said)


def _parameters(test: Test) -> dict[str, list[str]]:
    """The names of a parametrisation -> its cases, where they are written out."""
    found = {}
    for node in test.node.decorator_list:
        if (
            isinstance(node, ast.Call)
            and "parametrize" in ast.unparse(node.func)
            and len(node.args) > 1
        ):
            values = node.args[1]
            if isinstance(values, ast.List | ast.Tuple):
                found[ast.unparse(node.args[0])] = [ast.unparse(case) for case in values.elts]
    return found


def _has_class(tree: ast.Module | None, name: str) -> bool:
    return tree is not None and any(
        isinstance(node, ast.ClassDef) and node.name == name for node in tree.body
    )


def _is_parametrised(test: Test) -> bool:
    return any("parametrize" in ast.unparse(decorator) for decorator in test.node.decorator_list)


def _is_merged(old: Test, merged: list[set[str]]) -> bool:
    made = shapes(old.node)
    return bool(made) and any(made <= test for test in merged)
