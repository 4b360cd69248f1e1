"""Tests that are gone, or that no runner collects any more. One that was moved or renamed is neither."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from skillrun.verdict import Finding
from skillrun.wall.diff import Diff
from skillrun.wall.gaming.asserting import shapes
from skillrun.wall.gaming.making import doubtful, quoted, taken
from skillrun.wall.gaming.pytests import Change, Test, changes, fresh_tests

ID = "deleted-test"
HELP = (
    "A test that is gone finds nothing. Found: a test function or file that the base has and HEAD has not, and one "
    "whose name no runner collects any more. A moved or renamed test with the same body is none, nor is one whose "
    "assertions a new parametrised test makes."
)


def find(diff: Diff) -> Iterator[Finding]:
    """One finding for each test, one for each file that is gone with all its tests."""
    lost = [change for change in changes(diff) if change.new is None]
    merged = [shapes(test.node) for test in fresh_tests(diff) if _is_parametrised(test)]
    left = [change for change in lost if change.uncollected or not _is_merged(change.old, merged)]
    whole = {change.old.file.path for change in left if change.old.file.new is None}
    for path in sorted(whole):
        yield _file_gone(diff, [change for change in left if change.old.file.path == path])
    yield from (_test_gone(diff, change) for change in left if change.old.file.path not in whole)


def _file_gone(diff: Diff, gone: list[Change]) -> Finding:
    old = gone[0].old
    names = ", ".join(change.old.name for change in gone[:5]) + (" ..." if len(gone) > 5 else "")
    said = f"{old.file.path} is gone with {len(gone)} test{'s' if len(gone) > 1 else ''}: {quoted(names)}"
    return (doubtful if _subject_is_gone(diff, old) else taken)(ID, old.file, old.node.lineno, said)


def _test_gone(diff: Diff, change: Change) -> Finding:
    old, hidden = change.old, change.uncollected
    text = quoted(old.file.old_line(old.node.lineno))
    if hidden is not None:
        said = (
            f"the test {old.name} is now {quoted(hidden.file.new_line(hidden.node.lineno))}, which no runner collects"
        )
        return taken(ID, hidden.file, hidden.node.lineno, said, hint="give it its name back")
    said = f"the test {old.name} is gone: {text}"
    make = doubtful if _subject_is_gone(diff, old) else taken
    return make(ID, old.file, old.file.line_of(old.node.lineno), said)


def _is_parametrised(test: Test) -> bool:
    return any("parametrize" in ast.unparse(decorator) for decorator in test.node.decorator_list)


def _is_merged(old: Test, merged: list[set[str]]) -> bool:
    made = shapes(old.node)
    return bool(made) and any(made <= test for test in merged)


def _subject_is_gone(diff: Diff, test: Test) -> bool:
    """The file imports a module that this branch removes: its tests may go with it."""
    removed = {_dotted(file.old_path) for file in diff.python() if file.new is None or file.path != file.old_path}
    imports = [node for node in ast.walk(test.file.old_tree or ast.Module([], [])) if isinstance(node, ast.ImportFrom)]
    names = {f"{n.module}.{alias.name}" for n in imports for alias in n.names} | {str(n.module) for n in imports}
    return any(f".{name}".endswith(f".{n}") or name == n for name in removed for n in names if n != "None")


def _dotted(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
