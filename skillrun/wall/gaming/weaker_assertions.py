"""Assertions that say less than they did, in tests that are still there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from skillrun.verdict import Finding
from skillrun.wall.diff import Diff
from skillrun.wall.gaming.asserting import (
    ALWAYS,
    Assertion,
    assertions,
    helpers,
    raising,
    variables,
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
from skillrun.wall.gaming.pytests import Test, changes
from skillrun.wall.gaming.removed_names import names_in, removed_names

ID = "weaker-assertion"
HELP = (
    "A test that asserts less stays green. Found: an assertion that is gone, one that is always"
    " true, an equality that became `is not None`, truth or `in`, pytest.raises(Exception) in the"
    " place of the exception, a wider tolerance, an exception handler around the assertion or in a"
    " decorator of the test, and a test that sets what it asserts. Assertions that moved into a"
    " helper are none."
)
_WIDE_TOLERANCE = 0.05  # of the value
_WIDE = ("Exception", "BaseException")
_CATCHING = ("AssertionError", *_WIDE)
_ASSERTING_NAME = re.compile(r"_*(assert|check|expect|verify|ensure)")


def find(diff: Diff) -> Iterator[Finding]:
    """The findings of every test that both sides have."""
    removed = removed_names(diff)
    for change in changes(diff):
        if change.new is not None and ast.dump(change.old.node) != ast.dump(change.new.node):
            yield from _assertions(change.old, change.new, removed)
            yield from _raising(change.old, change.new)
            yield from _tolerance(change.old, change.new)
            yield from _caught(change.old, change.new)
            yield from _answered(change.old, change.new)
        if change.new is not None:
            yield from _forgiven(change.old, change.new, diff)


# -- assertions


def _assertions(old: Test, new: Test, removed: frozenset[str]) -> Iterator[Finding]:
    before, after = list(assertions(old.node)), list(assertions(new.node))
    kept = {assertion.text for assertion in before} & {assertion.text for assertion in after}
    lost = [a for a in before if a.text not in kept and a.strength > ALWAYS]
    added = [a for a in after if a.text not in kept]
    covered = _covered(old, new)
    local = Locals(new.node, variables(new.node))
    was_local = Locals(old.node, variables(old.node))
    for assertion in lost:
        adequate = [a for a in added if says_as_much(a, assertion, local, was_local)]
        if is_whole_together(added, assertion, local, was_local):
            adequate = added
        if _is_made(old, new, assertion, adequate):
            continue
        weaker = next((a for a in added if _is_weaker(a, assertion)), None)
        if weaker is None and covered is not None:
            said_now = covered | {word for a in adequate for word in a.words(local)}
            if assertion.words(was_local) - old.file.renamed <= said_now:
                continue
            rest = [a for a in added if a not in adequate and a.strength > ALWAYS]
            weaker = next((a for a in rest if is_about_same(a, assertion, local, was_local)), None)
        if weaker is not None:
            said = f"{old.name} asserts less: {quoted(assertion.text)} became {quoted(weaker.text)}"
            yield taken(ID, new.file, weaker.line, said)
        elif covered is not None:
            is_moot = bool(names_in(assertion.node) & removed)
            yield _gone(old, new, assertion, added, is_moot=is_moot)


def _gone(
    old: Test, new: Test, assertion: Assertion, added: list[Assertion], *, is_moot: bool
) -> Finding:
    """`is_moot`: it spoke of something that the application no longer has."""
    empty = next((a for a in added if a.strength == ALWAYS), None)
    if empty is not None:
        said = (
            f"{old.name}: {quoted(assertion.text)} became {quoted(empty.text)}, which is always"
            " true"
        )
        return taken(ID, new.file, empty.line, said)
    line = new.file.line_of(assertion.line) if old.file is new.file else new.node.lineno
    make = doubtful if is_moot else taken
    return make(ID, new.file, line, f"{old.name} no longer asserts {quoted(assertion.text)}")


def _is_weaker(new: Assertion, old: Assertion) -> bool:
    return new.strength < old.strength and bool(new.heads & old.subjects)


def _is_made(old: Test, new: Test, lost: Assertion, added: list[Assertion]) -> bool:
    """Assertions at least as strong speak of the same (another value is no less), or of all that it
    spoke of.
    """
    local = variables(new.node)
    strong = [assertion for assertion in added if assertion.strength >= lost.strength]
    if any(assertion.heads & lost.heads for assertion in strong):
        return True
    said = {word for assertion in strong for word in assertion.words(local)}
    return bool(strong) and lost.words(variables(old.node)) - old.file.renamed <= said


def _covered(old: Test, new: Test) -> set[str] | None:
    """What newly called helpers speak of; None: a helper of another file asserts."""
    before = {node.name for node in helpers(old.node, old.file.old_tree)}
    fresh = [node for node in helpers(new.node, new.file.new_tree) if node.name not in before]
    known = {node.name for node in fresh} | before
    called = _called(new.node) - _called(old.node) - known
    if any(_ASSERTING_NAME.match(name) for name in called if not name.startswith("assert_called")):
        return None
    return {word for helper in fresh for word in words(helper, variables(helper))}


def _called(function: ast.AST) -> set[str]:
    """The names of plain functions that are called: a method `x.assertTrue` is an assertion, no
    helper.
    """
    calls = (node.func for node in ast.walk(function) if isinstance(node, ast.Call))
    return {
        f.id if isinstance(f, ast.Name) else f.attr
        for f in calls
        if isinstance(f, ast.Name | ast.Attribute)
    } - {
        name
        for f in ast.walk(function)
        if isinstance(f, ast.Attribute) and (name := f.attr).startswith("assert")
    }


# -- expected exceptions


def _raising(old: Test, new: Test) -> Iterator[Finding]:
    after = list(raising(new.node))
    names = [ast.unparse(call.args[0]) for call in after]
    wide = next((call for call in after if ast.unparse(call.args[0]) in _WIDE), None)
    for call in raising(old.node):
        name = ast.unparse(call.args[0])
        if name in names:
            yield from _match(old, new, call, after[names.index(name)])
        elif name not in _WIDE and wide is not None:
            said = (
                f"{old.name} expects {quoted(ast.unparse(wide))} where it expected {quoted(name)}"
            )
            yield taken(ID, new.file, wide.lineno, said)
        elif not after and not _ASSERTING_NAME.search(" ".join(_called(new.node))):
            line = new.file.line_of(call.lineno) if old.file is new.file else new.node.lineno
            yield taken(
                ID, new.file, line, f"{old.name} no longer expects {quoted(ast.unparse(call))}"
            )


def _match(old: Test, new: Test, was: ast.Call, now: ast.Call) -> Iterator[Finding]:
    if any(k.arg == "match" for k in was.keywords) and not any(
        k.arg == "match" for k in now.keywords
    ):
        said = (
            f"{old.name} no longer looks at the message: {quoted(ast.unparse(was))} became"
            f" {quoted(ast.unparse(now))}"
        )
        yield doubtful(ID, new.file, now.lineno, said)


def _tolerance(old: Test, new: Test) -> Iterator[Finding]:
    before = {ast.dump(call.args[0]): call for call in _approximate(old.node)}
    for call in _approximate(new.node):
        was = before.get(ast.dump(call.args[0]))
        if was is None and _limit(call, "rel") > _WIDE_TOLERANCE:
            said = f"{new.name} is content with {quoted(ast.unparse(call))}"
            yield doubtful(ID, new.file, call.lineno, said)
        if was is not None and any(_limit(call, key) > _limit(was, key) for key in ("rel", "abs")):
            said = (
                f"{old.name}: {quoted(ast.unparse(was))} became {quoted(ast.unparse(call))}, a"
                " wider tolerance"
            )
            yield doubtful(ID, new.file, call.lineno, said)


def _approximate(function: ast.AST) -> Iterator[ast.Call]:
    calls = (node for node in ast.walk(function) if isinstance(node, ast.Call))
    return (call for call in calls if call.args and ast.unparse(call.func).endswith("approx"))


def _limit(call: ast.Call, key: str) -> float:
    """pytest's own default is 1e-6 of the value."""
    given = next((k.value for k in call.keywords if k.arg == key), None)
    if isinstance(given, ast.Constant) and isinstance(given.value, int | float):
        return float(given.value)
    return 1e-6 if key == "rel" else 1e-12


# -- handlers around assertions


def _caught(old: Test, new: Test) -> Iterator[Finding]:
    if any(True for _ in _catching(old.node)):
        return
    for node in _catching(new.node):
        said = f"{new.name} catches its own assertion: {quoted(new.file.new_line(node.lineno))}"
        yield taken(ID, new.file, node.lineno, said)


def _answered(old: Test, new: Test) -> Iterator[Finding]:
    known = {answer.text for answer in find_own_answers(old.node)}
    for answer in find_own_answers(new.node):
        if answer.text not in known:
            said = f"{new.name} sets what it asserts: {quoted(answer.text)}"
            yield taken(ID, new.file, answer.line, said)


def _forgiven(old: Test, new: Test, diff: Diff) -> Iterator[Finding]:
    """What stood around the test in the base, and forgave then, is none."""
    known = {one.name for one in find_forgiving(old, old.file.old_tree, diff.before)}
    for one in find_forgiving(new, new.file.new_tree, diff.after):
        if one.name not in known:
            said = f"{new.name} is run by {quoted(one.name)}, which catches failed assertions"
            make = doubtful if one.may_raise else taken
            yield make(ID, new.file, one.line, said)


def _catching(function: ast.AST) -> Iterator[ast.With | ast.ExceptHandler]:
    """Handlers and suppressions that an AssertionError from inside ends in."""
    for node in ast.walk(function):
        if isinstance(node, ast.Try) and any(_asserts(statement) for statement in node.body):
            yield from (handler for handler in node.handlers if _swallows(handler))
        elif isinstance(node, ast.With) and any(_asserts(statement) for statement in node.body):
            yield from (
                node for item in node.items if re.search(_SUPPRESS, ast.unparse(item.context_expr))
            )


_SUPPRESS = rf"\bsuppress\(.*\b({'|'.join(_CATCHING)})\b"


def _asserts(statement: ast.stmt) -> bool:
    return any(True for _ in assertions(statement))


def _swallows(handler: ast.ExceptHandler) -> bool:
    caught = ast.unparse(handler.type) if handler.type else "BaseException"
    ends = any(
        isinstance(n, ast.Raise) or (isinstance(n, ast.Call) and "fail" in ast.unparse(n.func))
        for n in ast.walk(handler)
    )
    return not ends and bool(re.search(rf"\b({'|'.join(_CATCHING)})\b", caught))
