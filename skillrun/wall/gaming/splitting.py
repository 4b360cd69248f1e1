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
        """Whether a part of the test asserts the same after the same. It may leave out some of what
        was done, but not one time of two: a test that delivers once says nothing of two deliveries.
        """
        if part.text != self.text:
            return False
        if self.before and not part.before:
            return False
        return all(count == self.done[act] for act, count in part.done.items())


class Parts:
    """The new tests of a branch, each of which may be a part of a test of the base."""

    def __init__(self, diff: Diff) -> None:
        self._fresh = fresh_tests(diff)
        self._fixtures: dict[str, Function] = {}
        for file in diff.python_files():
            if file.path.endswith("conftest.py"):
                self._fixtures |= _list_fixtures(file.new_tree)

    def list_asserted(self, old: Test) -> set[str]:
        """The texts of the assertions of a test that its parts make."""
        made_by_parts: list[_Asserted] = []
        for part in self._fresh:
            made_by_parts += self._read_part(part, old)
        covered = set()
        for assertion in _read_assertions(old.node, ()):
            if any(map(assertion.is_covered_by, made_by_parts)):
                covered.add(assertion.text)
        return covered

    def list_raised(self, old: Test) -> set[str]:
        """The texts of the expected exceptions in the parts of a test."""
        raised = set()
        acts_of_whole = Counter(_list_acts(old.node))
        for part in self._fresh:
            acts = Counter(_list_acts(part.node))
            if not acts or not acts <= acts_of_whole:
                continue
            if self._list_set_up(part, old) is not None:
                raised |= list_raised(part)
        return raised

    def _read_part(self, part: Test, old: Test) -> list[_Asserted]:
        """The assertions of a new test; none where it cannot be a part of the old one."""
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
        in_order: list[Function] = []
        while waiting:
            fixture = fixtures.get(waiting.pop())
            if fixture is None:
                return None
            if fixture not in in_order:
                # What one fixture needs is run before it.
                in_order.insert(0, fixture)
                waiting += sorted(_list_parameters(fixture) - known)
        return in_order


def list_raised(test: Test) -> set[str]:
    """The texts of the exceptions that a test expects."""
    return set(map(ast.unparse, list_expected_raises(test.node)))


def expand_cases(test: Test) -> list[Test]:
    """A parametrised test as a test for each case that is written out; any other test alone."""
    for decorator in test.node.decorator_list:
        cases = _read_cases(decorator)
        if not cases:
            continue
        return [_fill_in(test, decorator, case) for case in cases]
    return [test]


def _read_cases(decorator: ast.expr) -> list[dict[str, ast.expr]]:
    """Returns name -> value for each case of `parametrize("name, value", [...])`; nothing for
    another decorator, or where the cases are not written out.
    """
    if not isinstance(decorator, ast.Call) or len(decorator.args) != 2:
        return []
    names_node, values = decorator.args
    if not isinstance(values, ast.List | ast.Tuple) or len(values.elts) > _MOST_CASES:
        return []
    if "parametrize" not in ast.unparse(decorator.func):
        return []
    names = _read_names(names_node)
    cases = []
    for value in values.elts:
        parts = getattr(value, "elts", [])
        if len(names) == 1:
            parts = [value]
        # A case that is no tuple, or too short, leaves names open.
        cases.append(dict(zip(names, parts, strict=False)))
    return cases


def _read_names(node: ast.expr) -> list[str]:
    """The names of a parametrisation: of "name, value", or of ("name", "value")."""
    if isinstance(node, ast.Constant):
        return [name.strip() for name in str(node.value).split(",")]
    return [str(getattr(part, "value", "")) for part in getattr(node, "elts", ())]


def _fill_in(test: Test, decorator: ast.expr, case: dict[str, ast.expr]) -> Test:
    """A copy of a parametrised test in which the values of one case stand for their names."""
    node = copy.deepcopy(test.node)
    node.decorator_list = [other for other in test.node.decorator_list if other is not decorator]
    node.args.args = [parameter for parameter in node.args.args if parameter.arg not in case]
    node.body = [_FillingIn(case).visit(statement) for statement in node.body]
    return replace(test, node=node)


class _FillingIn(ast.NodeTransformer):
    """Puts values in the place of names."""

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
    """The names of the fixtures and cases that a test or a fixture takes."""
    return {argument.arg for argument in function.args.args} - {"self", "cls"}


def _list_fixtures(owner: ast.Module | ast.ClassDef | None) -> dict[str, Function]:
    """Returns name -> function of each fixture at the top of a module or a class."""
    fixtures: dict[str, Function] = {}
    if owner is None:
        return fixtures
    for node in owner.body:
        if isinstance(node, Function) and any(map(_makes_fixture, node.decorator_list)):
            fixtures[node.name] = node
    return fixtures


def _makes_fixture(decorator: ast.expr) -> bool:
    """Whether a decorator is `@pytest.fixture`, called or not."""
    function = decorator
    if isinstance(decorator, ast.Call):
        function = decorator.func
    return ast.unparse(function).rpartition(".")[2] == "fixture"


# -- what is done


def _read_assertions(function: Function, set_up: Iterable[Function]) -> Iterator[_Asserted]:
    """Yields the assertions of a test, each with what was done before it: by the fixtures of
    `set_up`, then by the test itself.
    """
    done_by_fixtures: list[str] = []
    returned: dict[str, ast.expr] = {}
    for fixture in set_up:
        done_by_fixtures += _list_acts(fixture)
        last = fixture.body[-1]
        if isinstance(last, ast.Return) and last.value is not None:
            returned[fixture.name] = last.value
    acts = list(_find_acts(function))
    for assertion in list_assertions(function):
        own_nodes = set(map(id, ast.walk(assertion.node)))
        before, done = Counter(done_by_fixtures), Counter(done_by_fixtures)
        for act in acts:
            if id(act) in own_nodes:
                done[ast.dump(act)] += 1
            elif act.lineno < assertion.node.lineno:
                before[ast.dump(act)] += 1
                done[ast.dump(act)] += 1
        text = assertion.text
        if returned:
            # Who reads what a fixture returned reads what the fixture called for it.
            text = ast.unparse(_FillingIn(returned).visit(ast.parse(text)))
        yield _Asserted(text, before, done)


def _list_acts(function: Function) -> list[str]:
    """What a function does, in a form that can be compared. How a fixture hands on its value, which
    is its last statement, is left out.
    """
    acts = []
    last = function.body[-1]
    for act in _find_acts(function):
        if act is not last:
            acts.append(ast.dump(act))
    return acts


def _find_acts(function: Function) -> Iterator[ast.expr | ast.stmt]:
    """Yields the calls and assignments of a function, and its turns: branches, returns, raises."""
    for statement in function.body:
        for node in ast.walk(statement):
            is_act = isinstance(node, ast.Call | ast.Assign | ast.AugAssign | ast.Delete)
            # A part that goes around or out of what follows does not do what the whole does.
            is_turn = isinstance(node, ast.If | ast.Try | ast.Return | ast.Raise)
            if isinstance(node, ast.expr | ast.stmt) and (is_act or is_turn):
                yield node
