"""Tests that were split: what one test did and asserted, several do now.

An assertion belongs to the suite, and not to the function that it stands in. It says the same where
the same had been done before it, whether a statement, another assertion or a fixture did it.
Whether the tests still notice as much is asked where both sides' tests are run (`wall/noticing/`).
"""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from skillrun.wall.diff import Diff
from skillrun.wall.gaming.asserting import Function, list_assertions, list_expected_raises
from skillrun.wall.gaming.pytests import Test, fresh_tests

# More cases than anybody writes tests of their own for.
_MOST_CASES = 50


@dataclass(frozen=True)
class _Asserted:
    """An assertion, and what had been done when it was made."""

    text: str
    before: Counter[str]  # without what the assertion itself calls
    done: Counter[str]  # with it

    def is_covered_by(self, part: _Asserted) -> bool:
        """A part may leave out some of what was done, but nothing one time of two: a test that
        delivers once says nothing of two deliveries.
        """
        if part.text != self.text or (self.before and not part.before):
            return False
        return all(count == self.done[act] for act, count in part.done.items())


class Parts:
    """What the new tests of a branch took over from those of the base."""

    def __init__(self, diff: Diff) -> None:
        self._fresh = fresh_tests(diff)
        self._fixtures: dict[str, Function] = {}
        for file in diff.python_files():
            if file.path.endswith("conftest.py"):
                self._fixtures |= _list_fixtures(file.new_tree)

    def list_asserted(self, old: Test) -> set[str]:
        """The texts of the assertions of a test that its parts make."""
        made: list[_Asserted] = []
        for part in self._fresh:
            made += self._read_part(part, old)
        found = set()
        for assertion in _read_assertions(old.node, ()):
            if any(map(assertion.is_covered_by, made)):
                found.add(assertion.text)
        return found

    def list_raised(self, old: Test) -> set[str]:
        """The texts of the expected exceptions in the parts of a test."""
        found = set()
        whole = Counter(_list_acts(old.node))
        for part in self._fresh:
            own = Counter(_list_acts(part.node))
            if own and own <= whole and self._list_set_up(part, old) is not None:
                found |= list_raised(part)
        return found

    def _read_part(self, part: Test, old: Test) -> list[_Asserted]:
        set_up = self._list_set_up(part, old)
        if set_up is None:
            return []
        return list(_read_assertions(part.node, set_up))

    def _list_set_up(self, part: Test, old: Test) -> list[Function] | None:
        """The new fixtures that are run for a test; None for a test that has something which the
        whole had not.
        """
        if not _dump_decorators(part) <= _dump_decorators(old):
            return None
        fixtures = self._fixtures | _list_fixtures(part.file.new_tree)
        if part.owner is not None:
            fixtures |= _list_fixtures(part.owner)
        known = _list_parameters(old.node)
        waiting = sorted(_list_parameters(part.node) - known)
        if part.owner is not None:
            waiting += [name for name in _list_fixtures(part.owner) if name not in waiting]
        found: list[Function] = []
        while waiting:
            fixture = fixtures.get(waiting.pop())
            if fixture is None:
                return None
            if fixture not in found:
                # What one fixture needs is run before it.
                found.insert(0, fixture)
                waiting += sorted(_list_parameters(fixture) - known)
        return found


def list_raised(test: Test) -> set[str]:
    """The texts of the exceptions that a test expects."""
    return set(map(ast.unparse, list_expected_raises(test.node)))


def expand_cases(test: Test) -> list[Test]:
    """A parametrised test as one for each case that is written out; any other as it is."""
    for decorator in test.node.decorator_list:
        cases = _read_cases(decorator)
        if not cases:
            continue
        return [_fill_in(test, decorator, case) for case in cases]
    return [test]


def _read_cases(decorator: ast.expr) -> list[dict[str, ast.expr]]:
    """Name -> value, for each case of a parametrisation."""
    if not isinstance(decorator, ast.Call) or len(decorator.args) != 2:
        return []
    names, values = decorator.args
    is_written_out = isinstance(values, ast.List | ast.Tuple) and len(values.elts) <= _MOST_CASES
    if "parametrize" not in ast.unparse(decorator.func) or not is_written_out:
        return []
    listed = _read_names(names)
    found = []
    for value in getattr(values, "elts", ()):
        parts = [value] if len(listed) == 1 else getattr(value, "elts", [])
        found.append(dict(zip(listed, parts, strict=False)))
    return found


def _read_names(node: ast.expr) -> list[str]:
    if isinstance(node, ast.Constant):
        return [name.strip() for name in str(node.value).split(",")]
    return [str(getattr(part, "value", "")) for part in getattr(node, "elts", ())]


def _fill_in(test: Test, decorator: ast.expr, case: dict[str, ast.expr]) -> Test:
    node = copy.deepcopy(test.node)
    kept = [one for one in test.node.decorator_list if one is not decorator]
    node.decorator_list = kept
    node.args.args = [one for one in node.args.args if one.arg not in case]
    node.body = [_Fill(case).visit(statement) for statement in node.body]
    return replace(test, node=node)


class _Fill(ast.NodeTransformer):
    """Puts values in the place of names, at the places of the names."""

    def __init__(self, values: dict[str, ast.expr]) -> None:
        self.values = values

    def visit_Name(self, node: ast.Name) -> ast.AST:
        value = self.values.get(node.id)
        if value is None or not isinstance(node.ctx, ast.Load):
            return node
        return ast.copy_location(copy.deepcopy(value), node)


def _dump_decorators(test: Test) -> set[str]:
    return set(map(ast.dump, test.node.decorator_list))


def _list_parameters(function: Function) -> set[str]:
    return {argument.arg for argument in function.args.args} - {"self", "cls"}


def _list_fixtures(owner: ast.Module | ast.ClassDef | None) -> dict[str, Function]:
    found = {}
    for node in owner.body if owner is not None else ():
        if isinstance(node, Function) and any(map(_makes_fixture, node.decorator_list)):
            found[node.name] = node
    return found


def _makes_fixture(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return ast.unparse(called).rpartition(".")[2] == "fixture"


# -- what is done


def _read_assertions(function: Function, set_up: Iterable[Function]) -> Iterator[_Asserted]:
    """The assertions of a test with what was done before each: by its fixtures, then by itself."""
    first: list[str] = []
    given: dict[str, ast.expr] = {}
    for fixture in set_up:
        last = fixture.body[-1]
        first += _list_acts(fixture)
        if isinstance(last, ast.Return) and last.value is not None:
            given[fixture.name] = last.value
    acts = list(_find_acts(function))
    for assertion in list_assertions(function):
        own = set(map(id, ast.walk(assertion.node)))
        before, done = Counter(first), Counter(first)
        for act in acts:
            if id(act) in own:
                done[ast.dump(act)] += 1
            elif act.lineno < assertion.node.lineno:
                before[ast.dump(act)] += 1
                done[ast.dump(act)] += 1
        text = assertion.text
        if given:
            # Who reads what a fixture returned reads what the fixture called for it.
            text = ast.unparse(_Fill(given).visit(ast.parse(text)))
        yield _Asserted(text, before, done)


def _list_acts(function: Function) -> list[str]:
    """The calls and settings of a function; how a fixture hands on its value is none."""
    found = []
    last = function.body[-1]
    for act in _find_acts(function):
        if act is not last:
            found.append(ast.dump(act))
    return found


def _find_acts(function: Function) -> Iterator[ast.expr | ast.stmt]:
    for statement in function.body:
        for node in ast.walk(statement):
            is_act = isinstance(node, ast.Call | ast.Assign | ast.AugAssign | ast.Delete)
            # A way around or out of what follows is none of the whole either.
            is_turn = isinstance(node, ast.If | ast.Try | ast.Return | ast.Raise)
            if isinstance(node, ast.expr | ast.stmt) and (is_act or is_turn):
                yield node
