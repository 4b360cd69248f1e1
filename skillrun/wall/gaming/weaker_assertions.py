"""Assertions that say less than they did, in tests that are still there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from skillrun.core.verdict import Finding
from skillrun.repo.syntax import find_keyword
from skillrun.wall.diff import Diff
from skillrun.wall.gaming.asserting import (
    ALWAYS,
    Assertion,
    find_helpers,
    list_assertions,
    list_expected_raises,
    list_unreached,
    map_local_variables,
    words,
)
from skillrun.wall.gaming.constraining import (
    Locals,
    is_about_same,
    is_whole_together,
    says_as_much,
)
from skillrun.wall.gaming.forgiving import find_forgiving
from skillrun.wall.gaming.making import doubtful, quoted, taken
from skillrun.wall.gaming.own_answers import find_own_answers
from skillrun.wall.gaming.pytests import Test, list_changed_tests
from skillrun.wall.gaming.removed_names import names_in, removed_names
from skillrun.wall.gaming.renamed import Renames
from skillrun.wall.gaming.splitting import Parts

ID = "weaker-assertion"
HELP = (
    "A test that asserts less stays green. Found: an assertion that is gone, one that is always"
    " true, an equality that became `is not None`, truth or `in`, pytest.raises(Exception) in the"
    " place of the exception, a wider tolerance, an exception handler around the assertion or in a"
    " decorator of the test, and a test that sets what it asserts. Assertions that moved into a"
    " helper are none."
)
_WIDE_TOLERANCE = 0.05  # of the value
_DEFAULTS = {"rel": 1e-6, "abs": 1e-12}  # of pytest.approx
_WIDE = ("Exception", "BaseException")
_CATCHING = ("AssertionError", *_WIDE)
_ASSERTING_NAME = re.compile(r"_*(assert|check|expect|verify|ensure)")


def find(diff: Diff) -> Iterator[Finding]:
    """The findings of every test that both sides have."""
    removed = removed_names(diff)
    parts = Parts(diff)
    renames = Renames(diff.before, diff.after)
    for change in list_changed_tests(diff):
        old, new = change.old, change.new
        if new is None:
            continue
        if ast.dump(old.node) != ast.dump(new.node):
            elsewhere = parts.list_asserted(old) | _list_moved(old, new, renames)
            yield from _compare_assertions(old, new, removed, elsewhere)
            yield from _compare_raises(old, new, parts.list_raised(old))
            yield from _compare_tolerances(old, new)
            yield from _check_catching(old, new)
            yield from _check_own_answers(old, new)
            yield from _check_unreached(old, new)
        # What runs a test may have changed where the test has not.
        yield from _check_forgiving(old, new, diff)


def _check_unreached(old: Test, new: Test) -> Iterator[Finding]:
    """An assertion behind the line that raises, within `with pytest.raises(...)`."""
    known = set(map(ast.unparse, list_unreached(old.node)))
    for node in list_unreached(new.node):
        text = ast.unparse(node)
        if text not in known:
            said = (
                f"{new.name} ends before it asserts {quoted(text)}: the block is left by an error"
            )
            yield taken(ID, new.file, node.lineno, said)


# -- assertions


def _compare_assertions(
    old: Test, new: Test, removed: frozenset[str], elsewhere: set[str]
) -> Iterator[Finding]:
    """`elsewhere`: what tests assert that were part of it."""
    before, after = list(list_assertions(old.node)), list(list_assertions(new.node))
    kept = {assertion.text for assertion in before} & {assertion.text for assertion in after}
    added = [assertion for assertion in after if assertion.text not in kept]
    covered = _words_of_new_helpers(old, new)
    local = Locals(new.node, map_local_variables(new.node))
    was_local = Locals(old.node, map_local_variables(old.node))
    for assertion in before:
        if assertion.text in kept | elsewhere or assertion.strength == ALWAYS:
            continue
        adequate = added
        if not is_whole_together(added, assertion, local, was_local):
            adequate = [one for one in added if says_as_much(one, assertion, local, was_local)]
        if _is_made(old, new, assertion, adequate):
            continue
        weaker = _find_weaker(assertion, added)
        if weaker is None and covered is not None:
            said_now = covered.union(*(one.words(local) for one in adequate))
            if assertion.words(was_local) - old.file.renamed <= said_now:
                continue
            others = [one for one in added if one not in adequate]
            weaker = _find_about_same(assertion, others, local, was_local)
        if weaker is not None:
            said = f"{old.name} asserts less: {quoted(assertion.text)} became {quoted(weaker.text)}"
            yield taken(ID, new.file, weaker.line, said)
        elif covered is not None:
            is_moot = bool(names_in(assertion.node) & removed)
            yield _report_gone(old, new, assertion, added, is_moot=is_moot)


def _list_moved(old: Test, new: Test, renames: Renames) -> set[str]:
    """The base's assertions that HEAD makes of the same functions in other modules."""
    is_now = _list_modules(new.file.new_tree)
    was = _list_modules(old.file.old_tree)
    now = [_spell_origins(one, is_now) for one in list_assertions(new.node)]
    found = set()
    for assertion in list_assertions(old.node):
        text, called = _spell_origins(assertion, was)
        for other, functions in now:
            is_like = other == text and len(functions) == len(called) and functions != called
            if is_like and all(map(renames.names_same, called, functions)):
                found.add(assertion.text)
    return found


def _spell_origins(assertion: Assertion, modules: dict[str, str]) -> tuple[str, list[str]]:
    """An assertion with a blank for each module that its file imports, and what is named in
    them.
    """
    named = []
    copy = ast.parse(ast.unparse(assertion.node))
    for node in ast.walk(copy):
        if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
            continue
        module = modules.get(node.value.id)
        if module is not None:
            named.append(f"{module}.{node.attr}")
            node.value.id = "_"
    return ast.unparse(copy), named


def _list_modules(tree: ast.Module | None) -> dict[str, str]:
    """Name -> what a file imports by it."""
    found: dict[str, str] = {}
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                found[alias.asname or alias.name] = alias.name
    return found


def _find_about_same(
    assertion: Assertion, others: list[Assertion], local: Locals, was_local: Locals
) -> Assertion | None:
    """What stands in the place of an assertion, and says less."""
    for one in others:
        if one.strength != ALWAYS and is_about_same(one, assertion, local, was_local):
            return one
    return None


def _report_gone(
    old: Test, new: Test, assertion: Assertion, added: list[Assertion], *, is_moot: bool
) -> Finding:
    """`is_moot`: it spoke of something that the application no longer has."""
    was = quoted(assertion.text)
    for empty in added:
        if empty.strength == ALWAYS:
            said = f"{old.name}: {was} became {quoted(empty.text)}, which is always true"
            return taken(ID, new.file, empty.line, said)
    line = _line_now(old, new, assertion.line)
    make = doubtful if is_moot else taken
    return make(ID, new.file, line, f"{old.name} no longer asserts {was}")


def _line_now(old: Test, new: Test, line: int) -> int:
    """Where a line of the base would stand now; the first line of a test that moved to another
    file.
    """
    if old.file is new.file:
        return new.file.line_of(line)
    return new.node.lineno


def _find_weaker(old: Assertion, added: list[Assertion]) -> Assertion | None:
    """The first that says less of something that the old one spoke of."""
    for new in added:
        if new.strength < old.strength and new.heads & old.subjects:
            return new
    return None


def _is_made(old: Test, new: Test, lost: Assertion, added: list[Assertion]) -> bool:
    """Assertions at least as strong speak of the same (another value is no less), or of all that it
    spoke of.
    """
    local = map_local_variables(new.node)
    strong = [assertion for assertion in added if assertion.strength >= lost.strength]
    said: set[str] = set()
    for assertion in strong:
        if assertion.heads & lost.heads:
            return True
        said |= assertion.words(local)
    return bool(strong) and lost.words(map_local_variables(old.node)) - old.file.renamed <= said


def _words_of_new_helpers(old: Test, new: Test) -> set[str] | None:
    """What newly called helpers speak of; None: a helper of another file asserts."""
    before = {node.name for node in find_helpers(old.node, old.file.old_tree)}
    known, found = set(before), set[str]()
    for helper in find_helpers(new.node, new.file.new_tree):
        known.add(helper.name)
        if helper.name not in before:
            found |= words(helper, map_local_variables(helper))
    for name in _called_functions(new.node) - _called_functions(old.node) - known:
        # Those of a mock are assertions themselves.
        if _ASSERTING_NAME.match(name) and not name.startswith("assert_called"):
            return None
    return found


def _called_functions(function: ast.AST) -> set[str]:
    """The names of plain functions that are called: a method `x.assertTrue` is an assertion, no
    helper.
    """
    called, methods = set(), set()
    for node in ast.walk(function):
        if isinstance(node, ast.Attribute) and node.attr.startswith("assert"):
            methods.add(node.attr)
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name):
            called.add(node.func.id)
        elif isinstance(node.func, ast.Attribute):
            called.add(node.func.attr)
    return called - methods


# -- expected exceptions


def _compare_raises(old: Test, new: Test, elsewhere: set[str]) -> Iterator[Finding]:
    after: dict[str, ast.Call] = {}
    for call in list_expected_raises(new.node):
        after.setdefault(ast.unparse(call.args[0]), call)
    wide = next((call for name, call in after.items() if name in _WIDE), None)
    for call in list_expected_raises(old.node):
        name = ast.unparse(call.args[0])
        if ast.unparse(call) in elsewhere:
            continue
        if name in after:
            yield from _compare_match(old, new, call, after[name])
        elif name not in _WIDE and wide is not None:
            now = quoted(ast.unparse(wide))
            said = f"{old.name} expects {now} where it expected {quoted(name)}"
            yield taken(ID, new.file, wide.lineno, said)
        elif not after and not _ASSERTING_NAME.search(" ".join(_called_functions(new.node))):
            line = _line_now(old, new, call.lineno)
            said = f"{old.name} no longer expects {quoted(ast.unparse(call))}"
            yield taken(ID, new.file, line, said)


def _compare_match(old: Test, new: Test, was: ast.Call, now: ast.Call) -> Iterator[Finding]:
    if find_keyword(was, "match") is not None and find_keyword(now, "match") is None:
        said = (
            f"{old.name} no longer looks at the message: {quoted(ast.unparse(was))} became"
            f" {quoted(ast.unparse(now))}"
        )
        yield doubtful(ID, new.file, now.lineno, said)


def _compare_tolerances(old: Test, new: Test) -> Iterator[Finding]:
    before = {ast.dump(call.args[0]): call for call in _find_approx_calls(old.node)}
    for call in _find_approx_calls(new.node):
        was = before.get(ast.dump(call.args[0]))
        if was is None:
            if _tolerance_of(call, "rel") > _WIDE_TOLERANCE:
                said = f"{new.name} is content with {quoted(ast.unparse(call))}"
                yield doubtful(ID, new.file, call.lineno, said)
        elif _is_wider(call, was, "rel") or _is_wider(call, was, "abs"):
            said = (
                f"{old.name}: {quoted(ast.unparse(was))} became {quoted(ast.unparse(call))}, a"
                " wider tolerance"
            )
            yield doubtful(ID, new.file, call.lineno, said)


def _is_wider(now: ast.Call, was: ast.Call, keyword: str) -> bool:
    return _tolerance_of(now, keyword) > _tolerance_of(was, keyword)


def _find_approx_calls(function: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(function):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        if ast.unparse(node.func).endswith("approx"):
            yield node


def _tolerance_of(call: ast.Call, key: str) -> float:
    """What is written there; else pytest's own default."""
    for keyword in call.keywords:
        given = keyword.value
        if keyword.arg != key:
            continue
        if isinstance(given, ast.Constant) and isinstance(given.value, int | float):
            return float(given.value)
    return _DEFAULTS[key]


# -- handlers around assertions


def _check_catching(old: Test, new: Test) -> Iterator[Finding]:
    if next(_find_catching(old.node), None) is not None:
        return
    for node in _find_catching(new.node):
        said = f"{new.name} catches its own assertion: {quoted(new.file.new_line(node.lineno))}"
        yield taken(ID, new.file, node.lineno, said)


def _check_own_answers(old: Test, new: Test) -> Iterator[Finding]:
    known = {answer.text for answer in find_own_answers(old.node)}
    for answer in find_own_answers(new.node):
        if answer.text not in known:
            said = f"{new.name} sets what it asserts: {quoted(answer.text)}"
            yield taken(ID, new.file, answer.line, said)


def _check_forgiving(old: Test, new: Test, diff: Diff) -> Iterator[Finding]:
    """What stood around the test in the base, and forgave then, is none."""
    known = {one.name for one in find_forgiving(old, old.file.old_tree, diff.before)}
    for one in find_forgiving(new, new.file.new_tree, diff.after):
        if one.name not in known:
            said = f"{new.name} is run by {quoted(one.name)}, which catches failed assertions"
            make = doubtful if one.may_raise else taken
            yield make(ID, new.file, one.line, said)


def _find_catching(function: ast.AST) -> Iterator[ast.With | ast.ExceptHandler]:
    """Handlers and suppressions that an AssertionError from inside ends in."""
    for node in ast.walk(function):
        if not isinstance(node, ast.Try | ast.With) or not any(map(_has_assertion, node.body)):
            continue
        if isinstance(node, ast.Try):
            yield from filter(_swallows_assertions, node.handlers)
            continue
        for item in node.items:
            if re.search(_SUPPRESS, ast.unparse(item.context_expr)):
                yield node


_SUPPRESS = rf"\bsuppress\(.*\b({'|'.join(_CATCHING)})\b"


def _has_assertion(statement: ast.stmt) -> bool:
    return next(iter(list_assertions(statement)), None) is not None


def _swallows_assertions(handler: ast.ExceptHandler) -> bool:
    # A handler without a type catches everything.
    caught = ast.unparse(handler.type) if handler.type else "BaseException"
    for node in ast.walk(handler):
        if isinstance(node, ast.Raise):
            return False
        # `pytest.fail(...)` and `self.fail(...)` end the test as well.
        if isinstance(node, ast.Call) and "fail" in ast.unparse(node.func):
            return False
    return bool(re.search(rf"\b({'|'.join(_CATCHING)})\b", caught))
