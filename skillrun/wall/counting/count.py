"""The tests of HEAD and of the base, run by us and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from skillrun.core.verdict import Finding, Severity
from skillrun.wall.checkout import Checkout, clean_checkout
from skillrun.wall.counting.compare import NOT_RUN_RULE, UNCOUNTED_RULE, compare_counts
from skillrun.wall.counting.places import (
    MOST_FOLDERS,
    find_other_languages,
    find_test_folders,
    read_paths,
)
from skillrun.wall.counting.records import DEAF, PASSED, RED, Counted
from skillrun.wall.counting.runs import Side, count_tests
from skillrun.wall.noticing.compare import Commits, compare_noticing
from skillrun.wall.verification import Tally, Tests

if TYPE_CHECKING:
    from skillrun.repo.git import Repo
    from skillrun.repo.profile import Profile
    from skillrun.wall.diff import Diff
    from skillrun.wall.surroundings import Surroundings

DEFAULT_LIMIT_S = 600.0


@dataclass(frozen=True)
class Sides:
    """The two commits, and how their tests are run."""

    repo: Repo
    base: str
    head: str
    pythons: tuple[str, ...]  # that the specs name
    say: Callable[[str], None]
    around: Surroundings | None = None  # compared once a side has run


def count_both(sides: Sides, diff: Diff) -> Tests:
    """Runs HEAD's tests, collects the base's, and runs of these what HEAD does not show to pass.

    Repository code runs. What a command of the repository prints, and how it ends, is not asked.
    """
    paths = read_paths(sides.repo.root, sides.base) | read_paths(sides.repo.root, sides.head)
    found = find_test_folders(paths)
    folders = found[:MOST_FOLDERS]
    if not folders:
        others = _name_other_languages(paths)
        missing = f"there are no tests that pytest or unittest would run{others}"
        return Tests(missing=missing)
    with _check_out_side(sides, sides.head, folders) as side:
        head = count_tests(side)
        says_none = _says_none(side.root)
    # Before the base is run: what its code changes is no doing of HEAD's.
    changes = tuple(sides.around.find_changes()) if sides.around else ()
    with _check_out_side(sides, sides.base, folders) as side:
        base = _count_base(side, head)
        says_none = says_none and not _says_none(side.root)
    findings = (
        *changes,
        *compare_counts(base, head, diff),
        *_report_left_out(found, paths, base, head),
    )
    if head.problem is None:
        findings = (*findings, *compare_sides(sides, diff, folders))
    if says_none and head.tests:
        findings = (_report_denied(head), *findings)
    return Tests(
        runner=head.runner or base.runner or None,
        head=_make_tally(head),
        base=_make_tally(base),
        findings=findings,
    )


def compare_sides(sides: Sides, diff: Diff, folders: tuple[str, ...]) -> tuple[Finding, ...]:
    """What HEAD's tests notice less than the base's."""

    def check_out(commit: str) -> AbstractContextManager[Side]:
        return _check_out_side(sides, commit, folders)

    return compare_noticing(Commits(sides.repo, sides.base, sides.head, folders, check_out), diff)


def _count_base(side: Side, head: Counted) -> Counted:
    """Each test that passes at HEAD is collected and not run: what it came to at the base
    changes nothing.
    """
    passed = [test.id for test in head.of(PASSED)]
    deaf = [test.id for test in head.of(DEAF)]
    # A test that nothing was found against at HEAD needs no second look: none is named that is not
    # there.
    return count_tests(side, known=passed, broken_only=deaf or ["-"])


@contextmanager
def _check_out_side(sides: Sides, commit: str, folders: tuple[str, ...]) -> Iterator[Side]:
    """A checkout of its own: what the stages of a run left behind could change what is
    collected.
    """
    with clean_checkout(sides.repo, commit, sides.pythons) as checkout:
        yield Side(
            root=checkout.root,
            python=_find_python(checkout, sides.pythons),
            limit_s=_limit_s(checkout.root),
            say=sides.say,
            folders=folders,
        )


def _find_python(checkout: Checkout, pythons: Iterable[str]) -> str:
    """As for the stage that runs the tests: the spec's, else the repository's environment, else
    the active one.
    """
    from skillrun.validations.environment import find_python

    for name in pythons:
        if (checkout.root / name).exists():
            return str(checkout.root / name)
    return find_python(checkout.root)


def _limit_s(root: Path) -> float:
    profile = _read_profile(root)
    if profile is None or not profile.validation_timeout:
        return DEFAULT_LIMIT_S
    return profile.validation_timeout


def _says_none(root: Path) -> bool:
    profile = _read_profile(root)
    return profile is not None and profile.commands.get("test") == "none"


def _read_profile(root: Path) -> Profile | None:
    from skillrun.core.errors import SkillrunError
    from skillrun.repo.profile import load_profile

    try:
        return load_profile(root)
    except SkillrunError:
        return None  # the jobs say what is wrong with it


def _report_denied(head: Counted) -> Finding:
    message = f"commands.test is none now, and {len(head.tests)} tests are collected at HEAD"
    hint = "name the command that runs them, e.g. python -m pytest"
    return Finding(NOT_RUN_RULE, Severity.ERROR, message, "REPO_PROFILE.json", 1, hint)


def _make_tally(counted: Counted) -> Tally:
    return Tally(
        collected=len(counted.tests),
        passed=len(counted.of(PASSED)),
        failed=len(counted.of(*RED)),
        duration_ms=counted.duration_ms,
    )


def _name_other_languages(paths: Iterable[str]) -> str:
    others = ", ".join(find_other_languages(paths))
    if not others:
        return ""
    return f", and those in {others} are not counted"


def _report_left_out(
    found: tuple[str, ...], paths: Iterable[str], base: Counted, head: Counted
) -> Iterator[Finding]:
    """What nobody counted, never silently."""
    hint = "look at their changes yourself"
    others = find_other_languages(paths)
    if others:
        message = f"not counted: tests in {', '.join(others)}"
        yield Finding(UNCOUNTED_RULE, Severity.NOTE, message, hint=hint)
    if len(found) > MOST_FOLDERS:
        message = (
            f"not counted: the tests in {', '.join(found[MOST_FOLDERS:])}; {MOST_FOLDERS} projects"
            " are run"
        )
        yield Finding(UNCOUNTED_RULE, Severity.WARNING, message, hint=hint)
    if not base.tests and not head.tests and head.problem is None:
        message = (
            "not counted: there are files with tests, and nothing in them is collected at the base"
            " or at HEAD"
        )
        yield Finding(
            UNCOUNTED_RULE, Severity.WARNING, message, hint="see what python -m pytest says"
        )
