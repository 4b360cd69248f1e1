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
_DEFAULT_TOLERANCES = {"rel": 1e-6, "abs": 1e-12}  # of pytest.approx
_WIDE_ERRORS = ("Exception", "BaseException")
_ERRORS_AROUND_ASSERTION = "|".join(("AssertionError", *_WIDE_ERRORS))
# "contextlib.suppress(ValueError, AssertionError)".
_SUPPRESS = re.compile(rf"\bsuppress\(.*\b({_ERRORS_AROUND_ASSERTION})\b")
_ASSERTING_NAME = re.compile(r"_*(assert|check|expect|verify|ensure)")


def find(diff: Diff) -> Iterator[Finding]:
    """Yields the findings of every test that both sides have."""
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
    """Yields an error for each assertion that stands behind the line that raises, within `with
    pytest.raises(...)`, and did not in the base.
    """
    known = set(map(ast.unparse, list_unreached(old.node)))
    for node in list_unreached(new.node):
        text = ast.unparse(node)
        if text not in known:
            message = (
                f"{new.name} ends before it asserts {quoted(text)}: the block is left by an error"
            )
            yield taken(ID, new.file, node.lineno, message)


# -- assertions


def _compare_assertions(
    old: Test, new: Test, removed: frozenset[str], elsewhere: set[str]
) -> Iterator[Finding]:
    """Yields an error for each assertion of the base in the place of which the test asserts less,
    or nothing. What `elsewhere` names stands in tests now that were part of this one.
    """
    before, after = list(list_assertions(old.node)), list(list_assertions(new.node))
    kept = {assertion.text for assertion in before} & {assertion.text for assertion in after}
    added = [assertion for assertion in after if assertion.text not in kept]
    said_by_helpers = _words_of_new_helpers(old, new)
    local = Locals(new.node, map_local_variables(new.node))
    old_local = Locals(old.node, map_local_variables(old.node))
    for assertion in before:
        if assertion.text in kept | elsewhere or assertion.strength == ALWAYS:
            continue
        adequate, others = added, list[Assertion]()
        if not is_whole_together(added, assertion, local, old_local):
            adequate, others = _sort_by_what_they_say(added, assertion, local, old_local)
        if _is_made(old, new, assertion, adequate):
            continue
        weaker = _find_weaker(assertion, added)
        # Where a helper of another file asserts, nobody can tell what is said by it.
        if weaker is None and said_by_helpers is not None:
            words_now = said_by_helpers.union(*(other.words(local) for other in adequate))
            if assertion.words(old_local) - old.file.renamed <= words_now:
                continue
            weaker = _find_about_same(assertion, others, local, old_local)
        if weaker is not None:
            became = f"{quoted(assertion.text)} became {quoted(weaker.text)}"
            yield taken(ID, new.file, weaker.line, f"{old.name} asserts less: {became}")
        elif said_by_helpers is not None:
            is_moot = bool(names_in(assertion.node) & removed)
            yield _report_gone(old, new, assertion, added, is_moot=is_moot)


def _sort_by_what_they_say(
    added: list[Assertion], assertion: Assertion, local: Locals, old_local: Locals
) -> tuple[list[Assertion], list[Assertion]]:
    """Sorts added assertions into those that say as much as one of the base, and the others."""
    adequate, others = list[Assertion](), list[Assertion]()
    for new in added:
        if says_as_much(new, assertion, local, old_local):
            adequate.append(new)
        else:
            others.append(new)
    return adequate, others


def _list_moved(old: Test, new: Test, renames: Renames) -> set[str]:
    """The texts of the base's assertions that the commit makes of the same functions in other
    modules.
    """
    old_modules = _list_modules(old.file.old_tree)
    new_modules = _list_modules(new.file.new_tree)
    spelled_now = [_spell_origins(other, new_modules) for other in list_assertions(new.node)]
    moved = set()
    for assertion in list_assertions(old.node):
        text, functions = _spell_origins(assertion, old_modules)
        for new_text, new_functions in spelled_now:
            if new_text != text or len(new_functions) != len(functions):
                continue
            if new_functions != functions and all(
                map(renames.names_same, functions, new_functions)
            ):
                moved.add(assertion.text)
    return moved


def _spell_origins(assertion: Assertion, modules: dict[str, str]) -> tuple[str, list[str]]:
    """An assertion with a blank for each module that its file imports, and the full names of what
    it takes from them: `assert mailer.sent == 1` gives "assert _.sent == 1" and
    ["shop.mailer.sent"].
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
    """Returns each name that a file imports -> the full name of what it stands for."""
    origins: dict[str, str] = {}
    if tree is None:
        return origins
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                origins[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                origins[alias.asname or alias.name] = alias.name
    return origins


def _find_about_same(
    assertion: Assertion, others: list[Assertion], local: Locals, old_local: Locals
) -> Assertion | None:
    """The first of the others that speaks of the same as an assertion of the base; they all say
    less.
    """
    for other in others:
        if other.strength != ALWAYS and is_about_same(other, assertion, local, old_local):
            return other
    return None


def _report_gone(
    old: Test, new: Test, assertion: Assertion, added: list[Assertion], *, is_moot: bool
) -> Finding:
    """The finding for an assertion that is gone: a warning where `is_moot` says that it was about
    something which the application no longer has, else an error.
    """
    was = quoted(assertion.text)
    for empty in added:
        if empty.strength == ALWAYS:
            message = f"{old.name}: {was} became {quoted(empty.text)}, which is always true"
            return taken(ID, new.file, empty.line, message)
    line = _find_line_now(old, new, assertion.line)
    message = f"{old.name} no longer asserts {was}"
    if is_moot:
        return doubtful(ID, new.file, line, message)
    return taken(ID, new.file, line, message)


def _find_line_now(old: Test, new: Test, line: int) -> int:
    """Where a line of the base would stand now; the first line of a test that moved to another
    file.
    """
    if old.file is new.file:
        return new.file.line_of(line)
    return new.node.lineno


def _find_weaker(old: Assertion, added: list[Assertion]) -> Assertion | None:
    """The first added assertion that says less of something that the old one spoke of."""
    for new in added:
        if new.strength < old.strength and new.heads & old.subjects:
            return new
    return None


def _is_made(old: Test, new: Test, lost: Assertion, added: list[Assertion]) -> bool:
    """Whether added assertions that are at least as strong make up for one that is lost: one of
    them speaks of the same (another value is no less), or together they speak of all that it spoke
    of.
    """
    local = map_local_variables(new.node)
    strong = [assertion for assertion in added if assertion.strength >= lost.strength]
    if not strong:
        return False
    words_now: set[str] = set()
    for assertion in strong:
        if assertion.heads & lost.heads:
            return True
        words_now |= assertion.words(local)
    return lost.words(map_local_variables(old.node)) - old.file.renamed <= words_now


def _words_of_new_helpers(old: Test, new: Test) -> set[str] | None:
    """The words of the helpers that the test calls newly. None where one of them lies in another
    file and asserts, by its name, so that nobody can tell what it speaks of.
    """
    before = {node.name for node in find_helpers(old.node, old.file.old_tree)}
    read, said = set(before), set[str]()
    for helper in find_helpers(new.node, new.file.new_tree):
        read.add(helper.name)
        if helper.name not in before:
            said |= words(helper, map_local_variables(helper))
    for name in _list_called(new.node) - _list_called(old.node) - read:
        # Those of a mock are assertions themselves.
        if _ASSERTING_NAME.match(name) and not name.startswith("assert_called"):
            return None
    return said


def _list_called(function: ast.AST) -> set[str]:
    """The names of the functions that are called, without those of methods that assert:
    `self.assertTrue` is an assertion, and no helper.
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
    """Yields the findings about `pytest.raises`: an error where the test expects a wider exception
    or none, a warning where it no longer looks at the message.
    """
    expected_now: dict[str, ast.Call] = {}
    for call in list_expected_raises(new.node):
        expected_now.setdefault(ast.unparse(call.args[0]), call)
    wide = None
    for name, call in expected_now.items():
        if name in _WIDE_ERRORS:
            wide = call
            break
    for call in list_expected_raises(old.node):
        name = ast.unparse(call.args[0])
        if ast.unparse(call) in elsewhere:
            continue
        if name in expected_now:
            yield from _compare_match(old, new, call, expected_now[name])
        elif name not in _WIDE_ERRORS and wide is not None:
            now = quoted(ast.unparse(wide))
            message = f"{old.name} expects {now} where it expected {quoted(name)}"
            yield taken(ID, new.file, wide.lineno, message)
        elif not expected_now and not _calls_asserting_helper(new.node):
            line = _find_line_now(old, new, call.lineno)
            message = f"{old.name} no longer expects {quoted(ast.unparse(call))}"
            yield taken(ID, new.file, line, message)


def _calls_asserting_helper(function: ast.AST) -> bool:
    """Whether a function is called whose name says that it asserts something."""
    return any(_ASSERTING_NAME.search(name) for name in _list_called(function))


def _compare_match(old: Test, new: Test, was: ast.Call, now: ast.Call) -> Iterator[Finding]:
    """Yields a warning where `pytest.raises` had a `match` and has none any more."""
    if find_keyword(was, "match") is not None and find_keyword(now, "match") is None:
        message = (
            f"{old.name} no longer looks at the message: {quoted(ast.unparse(was))} became"
            f" {quoted(ast.unparse(now))}"
        )
        yield doubtful(ID, new.file, now.lineno, message)


def _compare_tolerances(old: Test, new: Test) -> Iterator[Finding]:
    """Yields a warning for each `approx` that is new and wide, or wider than it was for the same
    value.
    """
    before = {ast.dump(call.args[0]): call for call in _find_approx_calls(old.node)}
    for call in _find_approx_calls(new.node):
        was = before.get(ast.dump(call.args[0]))
        if was is None:
            if _read_tolerance(call, "rel") > _WIDE_TOLERANCE:
                message = f"{new.name} is content with {quoted(ast.unparse(call))}"
                yield doubtful(ID, new.file, call.lineno, message)
        elif _is_wider(call, was, "rel") or _is_wider(call, was, "abs"):
            message = (
                f"{old.name}: {quoted(ast.unparse(was))} became {quoted(ast.unparse(call))}, a"
                " wider tolerance"
            )
            yield doubtful(ID, new.file, call.lineno, message)


def _is_wider(now: ast.Call, was: ast.Call, keyword: str) -> bool:
    """Whether an `approx` tolerates more than it did, by "rel" or by "abs"."""
    return _read_tolerance(now, keyword) > _read_tolerance(was, keyword)


def _find_approx_calls(function: ast.AST) -> Iterator[ast.Call]:
    """Yields the calls of `pytest.approx`, by whatever name its module goes."""
    for node in ast.walk(function):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        if ast.unparse(node.func).endswith("approx"):
            yield node


def _read_tolerance(call: ast.Call, name: str) -> float:
    """The tolerance that a call of `approx` is given by this name, or else pytest's own default."""
    for keyword in call.keywords:
        if keyword.arg != name:
            continue
        tolerance = keyword.value
        if isinstance(tolerance, ast.Constant) and isinstance(tolerance.value, int | float):
            return float(tolerance.value)
    return _DEFAULT_TOLERANCES[name]


# -- handlers around assertions


def _check_catching(old: Test, new: Test) -> Iterator[Finding]:
    """Yields an error for each handler that catches an assertion of the test, where the base had
    none.
    """
    if next(_find_catching(old.node), None) is not None:
        return
    for node in _find_catching(new.node):
        caught = quoted(new.file.new_line(node.lineno))
        yield taken(ID, new.file, node.lineno, f"{new.name} catches its own assertion: {caught}")


def _check_own_answers(old: Test, new: Test) -> Iterator[Finding]:
    """Yields an error for each value that the test asserts and sets itself, and did not before."""
    known = {answer.text for answer in find_own_answers(old.node)}
    for answer in find_own_answers(new.node):
        if answer.text not in known:
            message = f"{new.name} sets what it asserts: {quoted(answer.text)}"
            yield taken(ID, new.file, answer.line, message)


def _check_forgiving(old: Test, new: Test, diff: Diff) -> Iterator[Finding]:
    """Yields a finding for each decorator or fixture around the test that catches failed
    assertions, and did not stand around it in the base: an error unless it may raise them again.
    """
    known = {forgiving.name for forgiving in find_forgiving(old, old.file.old_tree, diff.before)}
    for forgiving in find_forgiving(new, new.file.new_tree, diff.after):
        if forgiving.name in known:
            continue
        name = quoted(forgiving.name)
        make_finding = taken
        if forgiving.may_raise:
            make_finding = doubtful
        message = f"{new.name} is run by {name}, which catches failed assertions"
        yield make_finding(ID, new.file, forgiving.line, message)


def _find_catching(function: ast.AST) -> Iterator[ast.With | ast.ExceptHandler]:
    """Yields the except clauses, and the `with suppress(...)`, that catch an AssertionError raised
    inside.
    """
    for node in ast.walk(function):
        if not isinstance(node, ast.Try | ast.With) or not any(map(_has_assertion, node.body)):
            continue
        if isinstance(node, ast.Try):
            yield from filter(_swallows_assertions, node.handlers)
            continue
        for item in node.items:
            if _SUPPRESS.search(ast.unparse(item.context_expr)):
                yield node


def _has_assertion(statement: ast.stmt) -> bool:
    """Whether a statement asserts something, itself or inside."""
    return next(iter(list_assertions(statement)), None) is not None


def _swallows_assertions(handler: ast.ExceptHandler) -> bool:
    """Whether an except clause catches a failed assertion and lets the test go on."""
    # A clause without a type catches everything.
    caught = "BaseException"
    if handler.type:
        caught = ast.unparse(handler.type)
    for node in ast.walk(handler):
        if isinstance(node, ast.Raise):
            return False
        # `pytest.fail(...)` and `self.fail(...)` end the test as well.
        if isinstance(node, ast.Call) and "fail" in ast.unparse(node.func):
            return False
    return bool(re.search(rf"\b({_ERRORS_AROUND_ASSERTION})\b", caught))
