"""What a test is worth is what it notices. The base's tests and HEAD's are put to the same small
breaks of the same code: a break that the base's notice and HEAD's do not is evidence that is gone.

A test can keep every assertion and lose what it does: it delivers once where it delivered twice, it
writes the log itself, it imports a stand-in. Its text shows nothing of that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skillrun.core.errors import SkillrunError
from skillrun.core.verdict import Finding, Severity
from skillrun.proof.breaking.noticed import Bounds, Noticed, find_noticed
from skillrun.proof.breaking.runs import Asked, Job, Ran, Records, run_forked, run_tests
from skillrun.proof.breaking.sites import Site
from skillrun.repo.git import Repo
from skillrun.validations.environment import command_env
from skillrun.validations.run import run_command
from skillrun.wall.commit import read_entries
from skillrun.wall.counting.places import find_django_settings
from skillrun.wall.counting.runs import Side
from skillrun.wall.diff import Diff
from skillrun.wall.gaming.making import quoted
from skillrun.wall.noticing.places import Places, find_places
from skillrun.wall.noticing.test_side import (
    exchange_tests,
    find_test_side,
    has_changed,
    list_files,
)

LESS_RULE = "verify.tests-notice-less"
NOT_COMPARED_RULE = "verify.tests-not-compared"
HELP = {
    LESS_RULE: (
        "What a test is worth is what it notices. The base's tests and HEAD's meet the same small "
        "breaks of HEAD's code: a break that the base's tests notice and HEAD's do not is evidence "
        "that is gone, whatever the tests' text says."
    ),
    NOT_COMPARED_RULE: "What the tests of both sides notice could not be compared, or not all of it.",
}
_MOST_BREAKS = 60
# An option is read when a module is imported, so that each needs a process of its own: the job's
# own come first, and a job has about ten.
_MOST_OPTIONS = 16
# Seconds of each side, besides the run of its tests with nothing broken: both sides, and what is
# lost asked again, come to about five minutes at most.
_ENOUGH_S = 90.0
_SHOWN = 3
_MOST_FINDINGS = 12
_HINT = (
    "let the test do and assert again what it did; where the break no longer matters, a person"
    " decides that"
)


@dataclass(frozen=True)
class Suite:
    """One side's tests on one side's code, in a folder where they can be copied from."""

    root: Path
    files: tuple[str, ...]
    places: Places
    side: Side
    folder: str

    def find_noticed(self, sites: Mapping[str, str]) -> Noticed:
        """Runs the tests with these sites broken, one after the other."""
        job = self._make_job()

        def run(asked: Asked) -> Records:
            return run_tests(job, asked, self._run)

        def forked(asked: Asked, breaks: list[Mapping[str, Any]]) -> list[Records] | None:
            return run_forked(job, asked, breaks, self._run)

        bounds = Bounds(self.side.limit_s, _MOST_BREAKS, _ENOUGH_S, _MOST_OPTIONS)
        return find_noticed(sites, bounds, run, forked, self.places.early)

    def _run(self, command: str, folder: Path, env: Mapping[str, str], limit_s: float) -> Ran:
        return run_command(command, cwd=folder, env=env, timeout_s=limit_s, on_line=self.side.say)

    def _make_job(self) -> Job:
        env = {**self.places.env, **command_env(self.root)}
        settings = find_django_settings(self.root / self.folder)
        if settings is not None:
            env["DJANGO_SETTINGS_MODULE"] = settings
        return Job(
            root=self.root,
            files=self.files,
            edits={},
            modules=self.places.modules,
            python=self.side.python,
            folder=self.folder,
            import_root=self.places.import_root,
            env=env,
            texts=self.places.texts,
        )


# -- both sides


@dataclass(frozen=True)
class Commits:
    """What is compared, and how a clean checkout of a commit is made."""

    repo: Repo
    base: str
    head: str
    folders: tuple[str, ...]
    check_out: Callable[[str], AbstractContextManager[Side]]


def compare_noticing(commits: Commits, diff: Diff) -> tuple[Finding, ...]:
    """The findings; none where the tests are the same on both sides, or no job is tested.

    Repository code runs.
    """
    places = find_places(diff.specs, diff.after, is_new=True)
    tests = _find_changed_tests(commits, diff, places)
    if not tests or not places.sites:
        return ()
    try:
        return tuple(_Comparison(commits, diff, places, tests).find())
    except SkillrunError as error:
        return (_say_not_compared(error.message),)


def _find_changed_tests(commits: Commits, diff: Diff, places: Places) -> frozenset[str]:
    old = read_entries(commits.repo.root, commits.base)
    new = read_entries(commits.repo.root, commits.head)
    tests = find_test_side(diff, frozenset(old.keys() | new.keys()), places.paths)
    if not has_changed(old, new, tests):
        return frozenset()
    return tests


@dataclass
class _Comparison:
    commits: Commits
    diff: Diff
    places: Places  # in HEAD's code
    tests: frozenset[str]

    def find(self) -> Iterator[Finding]:
        sites = self.places.by_id
        was = self._run_base(dict.fromkeys(sites, ""))
        if was.problem is not None:
            yield _say_not_compared(f"the base's tests on HEAD's code: {was.problem}")
            return
        wanted = dict(was.by)
        unlike: tuple[str, ...] = ()
        if was.red:
            # What they notice is asked of the code that they were written for.
            further, unlike = self._ask_old_code()
            wanted = {**further, **wanted}
        yield from _describe_unasked(self.places, was.untried - wanted.keys())
        if not wanted:
            message = (
                f"the base's tests notice none of the {len(was.missed)} breaks that were tried"
            )
            yield Finding(NOT_COMPARED_RULE, Severity.NOTE, message)
            return
        now = self._run_head(wanted)
        if now.problem is not None:
            yield _say_not_compared(f"HEAD's tests: {now.problem}")
            return
        lost = {site: wanted[site] for site in wanted if site in now.missed}
        if lost:
            lost = self._confirm_lost(lost, was)
        yield from _describe_lost(lost, sites, now)
        yield from _describe_untried(wanted, now, set(was.red) - set(now.red), unlike)

    def _confirm_lost(self, lost: dict[str, str], was: Noticed) -> dict[str, str]:
        """Those that are lost when both sides are asked again: a test may fail by itself."""
        now = self._run_head(lost)
        on_head = {site: test for site, test in lost.items() if site in was.by}
        again = Noticed()
        if on_head:
            again = self._run_base(on_head)
        kept = {}
        for site, test in lost.items():
            is_noticed = site not in was.by or site in again.by
            if is_noticed and site in now.missed:
                kept[site] = test
        return kept

    def _run_base(self, sites: Mapping[str, str]) -> Noticed:
        """The base's tests on HEAD's code."""
        commits = self.commits
        with commits.check_out(commits.head) as side:
            exchange_tests(commits.repo, side.root, commits.base, commits.head, self.tests)
            old = read_entries(commits.repo.root, commits.base)
            new = read_entries(commits.repo.root, commits.head)
            files = list_files(old, new, self.tests)
            return self._run(side, files, self.places, sites)

    def _run_head(self, sites: Mapping[str, str]) -> Noticed:
        commits = self.commits
        files = _list_commit(commits, commits.head)
        with commits.check_out(commits.head) as side:
            return self._run(side, files, self.places, sites)

    def _ask_old_code(self) -> tuple[dict[str, str], tuple[str, ...]]:
        """(site in HEAD's code -> the base's test that notices it in the base's, words of those
        that HEAD's code does not have).
        """
        commits = self.commits
        places = find_places(self.diff.specs, self.diff.before, is_new=False)
        files = _list_commit(commits, commits.base)
        with commits.check_out(commits.base) as side:
            was = self._run(side, files, places, dict.fromkeys(places.by_id, ""))
        same = places.find_same(self.places)
        further: dict[str, str] = {}
        unlike = []
        for site in places.sites:
            if site.id not in was.by:
                continue
            if site.id in same:
                further[same[site.id].id] = was.by[site.id]
            else:
                unlike.append(site.words)
        return further, tuple(unlike)

    def _run(
        self, side: Side, files: tuple[str, ...], places: Places, sites: Mapping[str, str]
    ) -> Noticed:
        found = []
        for folder in side.folders:
            if (side.root / folder).is_dir():
                suite = Suite(side.root, files, places, side, folder)
                found.append(suite.find_noticed(sites))
        return merge_noticed(found)


def merge_noticed(parts: Iterable[Noticed]) -> Noticed:
    """What the tests of several folders notice together."""
    whole = Noticed()
    for part in parts:
        by = {**part.by, **whole.by}
        missed = {}
        for site in (*whole.missed, *part.missed):
            if site not in by:
                missed[site] = (*whole.missed.get(site, ()), *part.missed.get(site, ()))
        whole = Noticed(
            by=by,
            missed=missed,
            red=(*whole.red, *part.red),
            green=whole.green + part.green,
            problem=whole.problem or part.problem,
            untried=(whole.untried | part.untried) - by.keys(),
        )
    return whole


def _list_commit(commits: Commits, commit: str) -> tuple[str, ...]:
    entries = read_entries(commits.repo.root, commit)
    return list_files({}, entries, frozenset())


# -- how it is said


def _describe_lost(
    lost: Mapping[str, str], sites: Mapping[str, Site], now: Noticed
) -> Iterator[Finding]:
    """One finding for each test of the base that noticed something."""
    groups: dict[str, list[Site]] = {}
    for site, test in lost.items():
        groups.setdefault(test, []).append(sites[site])
    for number, (test, broken) in enumerate(groups.items()):
        if number == _MOST_FINDINGS:
            message = f"what {len(groups) - number} further tests of the base notice is lost"
            yield Finding(LESS_RULE, Severity.ERROR, message, hint=_HINT)
            return
        first = broken[0]
        shown = "; ".join(site.words for site in broken[:_SHOWN])
        more = len(broken) - _SHOWN
        if more > 0:
            shown += f"; and {more} more"
        message = f"the base's {test} notices what no test of HEAD does: {shown}"
        green = now.missed.get(first.id, ())
        if green:
            message += f" (still green: {', '.join(green[:_SHOWN])})"
        else:
            message += " (no test of HEAD comes by)"
        yield Finding(LESS_RULE, Severity.ERROR, message, first.path, first.line, _HINT)


def _describe_unasked(places: Places, untried: frozenset[str]) -> Iterator[Finding]:
    """Where a job reaches much code the bounds leave most of it out, and silence would say that it
    was compared. Nobody can do much about it, so it is a note.
    """
    count = len(untried) + places.left_out
    if not count:
        return
    every = len(places.sites) + places.left_out
    named = ", ".join(sorted({places.by_id[site].function for site in untried})[:_SHOWN])
    message = (
        f"not compared: {count} of the {every} places where the code can be broken: at most"
        f" {_MOST_BREAKS} are tried with each side's tests, within {_ENOUGH_S:g} s"
    )
    if named:
        message += f" (left out are some of {quoted(named, 200)})"
    yield Finding(NOT_COMPARED_RULE, Severity.NOTE, message)


def _describe_untried(
    wanted: Mapping[str, str], now: Noticed, red: set[str], unlike: tuple[str, ...]
) -> Iterator[Finding]:
    untried = [site for site in wanted if site not in now.by and site not in now.missed]
    if untried:
        message = (
            f"{len(untried)} of the {len(wanted)} breaks that the base's tests notice were not"
            " tried with HEAD's: there was no time, or nothing was broken there"
        )
        yield _say_not_compared(message)
    if unlike and red:
        named = ", ".join(sorted(red)[:_SHOWN])
        message = (
            f"{len(red)} of the base's tests fail on HEAD's code ({quoted(named, 300)}), and"
            f" {len(unlike)} breaks that the base's notice are in code that HEAD has not"
        )
        yield _say_not_compared(message)


def _say_not_compared(why: str) -> Finding:
    hint = "look yourself at what became of the tests"
    return Finding(NOT_COMPARED_RULE, Severity.WARNING, f"not compared: {why}", hint=hint)
