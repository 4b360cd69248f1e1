"""What the tests of HEAD show less than those of the base: a pure function of what both runs
told.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from skillrun.core.verdict import Finding, Severity
from skillrun.wall.counting.records import (
    DEAF,
    DESELECTED,
    NOT_RUN,
    PASSED,
    RED,
    REWRITTEN,
    Counted,
    Test,
)
from skillrun.wall.diff import Diff
from skillrun.wall.gaming import pytests
from skillrun.wall.gaming.making import quoted

NOT_RUN_RULE = "verify.tests-not-run"
RED_RULE = "verify.tests-red"
DEAF_RULE = "verify.tests-deaf"
DIED_RULE = "verify.tests-died"
UNCOUNTED_RULE = "verify.tests-not-counted"
HELP = {
    NOT_RUN_RULE: (
        "A test that ran at the base and does not run at HEAD finds nothing, whatever keeps it from"
        " running: an option, a marker, a hook, a plugin, a skip. skillrun runs the tests of both"
        " sides itself and compares them."
    ),
    RED_RULE: "A test that passes at the base and fails at HEAD, or a new one that fails.",
    DEAF_RULE: (
        "A test that cannot fail shows nothing. Its code raised and it was said to have passed, it"
        " was never called, other code ran in its place, or it passed with a body that fails at"
        " once."
    ),
    DIED_RULE: (
        "A run of the tests that ends before its session does, or whose records were written to by"
        " something else than skillrun's plugin, shows nothing."
    ),
    UNCOUNTED_RULE: "Not all of the tests could be counted.",
}
_SHOWN, _MOST_FINDINGS = 5, 12
_WORDS = {
    "absent": (NOT_RUN_RULE, "not collected"),
    DESELECTED: (NOT_RUN_RULE, "deselected"),
    "skipped": (NOT_RUN_RULE, "skipped"),
    "xfailed": (NOT_RUN_RULE, "expected to fail"),
    "xpassed": (NOT_RUN_RULE, "allowed to fail"),
    NOT_RUN: (NOT_RUN_RULE, "collected and not run"),
    "failed": (RED_RULE, "red"),
    "error": (RED_RULE, "red"),
    REWRITTEN: (DEAF_RULE, "said to pass though its code raised or was never called"),
    DEAF: (DEAF_RULE, "passed with a body that fails at once"),
    "replaced": (DEAF_RULE, "not what runs: other code runs in its place"),
}
_HINTS = {
    NOT_RUN_RULE: (
        "let it run again as it does at the base; where it shall not, a person decides that"
    ),
    RED_RULE: "make it pass; skillrun runs it as python -m pytest does",
    DEAF_RULE: "take out the hook, plugin or fixture that decides what its result is",
}


@dataclass(frozen=True)
class Lost:
    """A test that passes at the base, and what it is at HEAD."""

    test: Test  # of HEAD where it is there, else of the base
    how: str


def compare_counts(base: Counted, head: Counted, diff: Diff) -> Iterator[Finding]:
    """The findings, the errors first."""
    if head.problem is not None:
        yield _report_death(head)
        return
    lost = tuple(_find_lost(base, head, diff))
    if not head.tests and lost:
        count = len(base.tests)
        message = f"none of the base's tests is collected at HEAD; there are {count}"
        path = lost[0].test.path
        yield Finding(NOT_RUN_RULE, Severity.ERROR, message, path, 1, _HINTS[NOT_RUN_RULE])
        return
    one, several = "passes at the base, and at HEAD it is", "pass at the base, and at HEAD they are"
    yield from _group_findings(lost, head, one, several)
    yield from _group_findings(_new_and_bad(base, head), head, "is new and", "are new and")
    yield from _red_before(base, head, {entry.test.id for entry in lost})
    yield from _said_of_base(base, head)


# -- what is lost


def _find_lost(base: Counted, head: Counted, diff: Diff) -> Iterator[Lost]:
    moved = _map_moved(diff)
    spared = _spared_cases(base, head)
    # Those that pass at HEAD were not run at the base: all that can be asked of them is whether
    # their code ran.
    for old in base.of(PASSED, NOT_RUN):
        test_name = _function_id(old.id)
        now_name = moved.get(test_name, test_name)
        # A look at deleted tests has said so, or another case stands for it.
        if now_name is None or old.id in spared:
            continue
        same_case = head.tests.get(now_name + old.id.removeprefix(test_name))
        now = same_case or _other_form(old, now_name, head)
        # It did not run at the base either, though it was asked for.
        if old.outcome == NOT_RUN and (now is None or now.outcome != PASSED):
            continue
        how = _what_became(old, now, diff)
        if how is not None:
            yield Lost(now or old, how)


def _what_became(old: Test, now: Test | None, diff: Diff) -> str | None:
    """None where it passes at HEAD, with its own code."""
    if now is None:
        return "absent"
    if now.outcome != PASSED:
        return now.outcome
    own = f"{old.path}:{old.name.rpartition('::')[2]}"
    was_own = old.code == own
    is_own = now.code_run in (own, f"{now.path}:{now.name.rpartition('::')[2]}", "")
    if was_own and not is_own and not _is_decorated_anew(old, diff):
        return "replaced"
    return None


def _map_moved(diff: Diff) -> dict[str, str | None]:
    """Test of the base -> the one of HEAD that it became; None: it is gone, which another look
    judges.
    """
    found: dict[str, str | None] = {}
    for change in pytests.list_changed_tests(diff):
        old, new = change.old, change.new
        became = None
        if new:
            became = f"{new.file.path}::{_with_colons(new.name)}"
        found[f"{old.file.old_path}::{_with_colons(old.name)}"] = became
    return found


def _with_colons(name: str) -> str:
    return name.replace(".", "::")


def _function_id(test: str) -> str:
    """Without the case."""
    return test.partition("[")[0]


def _other_form(old: Test, name: str, head: Counted) -> Test | None:
    """A test that was turned into a parametrised one, or back: its worst case stands for it."""
    had_cases = "[" in old.id
    has_cases = name not in head.tests
    # Then it is this one case that is gone.
    if had_cases and has_cases:
        return None
    first = None
    for test in head.tests.values():
        if _function_id(test.id) != name:
            continue
        if test.outcome != PASSED:
            return test
        first = first or test
    return first


def _spared_cases(base: Counted, head: Counted) -> frozenset[str]:
    """Cases of the base for which other, passing ones came: a case that was changed is not one
    that is lost.
    """
    fresh: dict[str, int] = {}
    for test in head.of(PASSED):
        if test.id not in base.tests:
            name = _function_id(test.id)
            fresh[name] = fresh.get(name, 0) + 1
    spared = set()
    for test in base.tests.values():
        name = _function_id(test.id)
        if test.id not in head.tests and fresh.get(name, 0) > 0:
            fresh[name] -= 1
            spared.add(test.id)
    return frozenset(spared)


def _is_decorated_anew(old: Test, diff: Diff) -> bool:
    """The branch put another decorator on it, which may well hide the function behind one of
    its own.
    """
    for change in pytests.list_changed_tests(diff):
        known = f"{change.old.file.old_path}::{_with_colons(change.old.name)}"
        if known == _function_id(old.id) and change.new is not None:
            return _dump_decorators(change.old) != _dump_decorators(change.new)
    return False


def _dump_decorators(test: pytests.Test) -> list[str]:
    owner = test.owner.decorator_list if test.owner else []
    return [ast.dump(node) for node in (*test.node.decorator_list, *owner)]


def _new_and_bad(base: Counted, head: Counted) -> Iterator[Lost]:
    """Tests that the base does not have, and that are red. One that cannot fail takes nothing
    away.
    """
    for test in head.of(*RED):
        if test.id not in base.tests:
            yield Lost(test, test.outcome)


# -- how it is said


def _group_findings(
    lost: Iterable[Lost], head: Counted, one: str, several: str
) -> Iterator[Finding]:
    """One finding for each file and each way in which its tests are lost."""
    groups: dict[tuple[str, str], list[Lost]] = {}
    for entry in lost:
        groups.setdefault((entry.test.path, _WORDS[entry.how][1]), []).append(entry)
    for number, ((path, words), entries) in enumerate(sorted(groups.items())):
        if number == _MOST_FINDINGS:
            message = f"tests of {len(groups) - number} further files are lost"
            yield Finding(_WORDS[entries[0].how][0], Severity.ERROR, message)
            return
        rule = _WORDS[entries[0].how][0]
        names = [entry.test.id.partition("::")[2] for entry in entries]
        shown = _list_first(names)
        verb = one if len(names) == 1 else several
        message = f"{quoted(shown, 400)} {verb} {words}{_reason_words(entries[0], head)}"
        yield Finding(rule, Severity.ERROR, message, path, entries[0].test.line, _HINTS[rule])


def _reason_words(entry: Lost, head: Counted) -> str:
    """Why, where the runner said it."""
    why = entry.test.message or head.uncollected.get(entry.test.path, "")
    if not why:
        return ""
    return f": {quoted(why, 200)}"


def _list_first(names: list[str]) -> str:
    """A few of them; dots where there are more."""
    shown = ", ".join(names[:_SHOWN])
    if len(names) > _SHOWN:
        shown += " ..."
    return shown


def _report_death(head: Counted) -> Finding:
    hint = (
        "look for what ends the process or closes its files: os._exit, sys.exit, pytest.exit, a"
        " crash, a time limit"
    )
    return Finding(DIED_RULE, Severity.ERROR, f"the run of HEAD's tests: {head.problem}", hint=hint)


def _red_before(base: Counted, head: Counted, lost: set[str]) -> Iterator[Finding]:
    red = [test for test in head.of(*RED) if test.id in base.tests and test.id not in lost]
    if red:
        names = _list_first([test.id for test in red])
        message = (
            f"{len(red)} of the tests fail at HEAD and at the base alike: {quoted(names, 400)}"
        )
        hint = "they may need a service that is not here; what they would show is not shown"
        yield Finding(RED_RULE, Severity.NOTE, message, red[0].path, red[0].line, hint)


def _said_of_base(base: Counted, head: Counted) -> Iterator[Finding]:
    """What could not be compared."""
    if head.doubt is not None:
        hint = (
            "look for what cannot be set up twice in one process, or ends it: a fixture of the"
            " session"
        )
        yield Finding(UNCOUNTED_RULE, Severity.WARNING, head.doubt, hint=hint)
    if base.problem is not None:
        message = f"the base's tests could not all be counted: {base.problem}"
        yield Finding(
            UNCOUNTED_RULE, Severity.WARNING, message, hint="HEAD was compared with those that were"
        )
    only_there = [item for item in base.uncollected.items() if item[0] not in head.uncollected]
    for path, why in sorted(only_there)[:_SHOWN]:
        message = f"the base's tests in it cannot be collected here: {quoted(why, 200)}"
        hint = "its packages are those of this environment; look at what became of these tests"
        yield Finding(UNCOUNTED_RULE, Severity.WARNING, message, path, 1, hint)
