"""Tests that were split: what one test did and asserted, several do now.

An assertion belongs to the suite, and not to the function that it stands in. A part does nothing
that the whole did not do, so that what it asserts comes from the same code; whether it still
notices as much is asked where both sides' tests are run (`wall/noticing/`).
"""

from __future__ import annotations

import ast

from skillrun.wall.diff import Diff
from skillrun.wall.gaming.asserting import list_assertions, list_expected_raises
from skillrun.wall.gaming.pytests import Test, fresh_tests


class Parts:
    """What the new tests of a branch took over from those of the base."""

    def __init__(self, diff: Diff) -> None:
        self._fresh = fresh_tests(diff)

    def list_asserted(self, old: Test) -> set[str]:
        """The texts of the assertions in the parts of a test."""
        found = set()
        for part in self._list_parts(old):
            for assertion in list_assertions(part.node):
                found.add(assertion.text)
        return found

    def list_raised(self, old: Test) -> set[str]:
        """The texts of the expected exceptions in the parts of a test."""
        found = set()
        for part in self._list_parts(old):
            found |= list_raised(part)
        return found

    def _list_parts(self, old: Test) -> list[Test]:
        return [test for test in self._fresh if _is_part(test, old)]


def list_raised(test: Test) -> set[str]:
    """The texts of the exceptions that a test expects."""
    return set(map(ast.unparse, list_expected_raises(test.node)))


def _is_part(test: Test, old: Test) -> bool:
    """Whether a test is made of what the other one does: of its fixtures and its statements, so
    that it neither sets what it asserts nor is skipped. It may leave out some of both.
    """
    if not _dump_decorators(test) <= _dump_decorators(old):
        return False
    if not _list_parameters(test) <= _list_parameters(old):
        return False
    own, whole = _dump_acts(test), _dump_acts(old)
    return own <= whole and bool(own) == bool(whole)


def _dump_decorators(test: Test) -> set[str]:
    return set(map(ast.dump, test.node.decorator_list))


def _list_parameters(test: Test) -> set[str]:
    return {argument.arg for argument in test.node.args.args}


def _dump_acts(test: Test) -> set[str]:
    """The calls and settings of a test that are no assertions."""
    asserting: set[int] = set()
    for assertion in list_assertions(test.node):
        asserting.update(map(id, ast.walk(assertion.node)))
    found = set()
    for statement in test.node.body:
        for node in ast.walk(statement):
            is_act = isinstance(node, ast.Call | ast.Assign | ast.AugAssign | ast.Delete)
            # A way around or out of what follows is none of the whole either.
            is_turn = isinstance(node, ast.If | ast.Try | ast.Return | ast.Raise)
            if (is_act or is_turn) and id(node) not in asserting:
                found.add(ast.dump(node))
    return found
