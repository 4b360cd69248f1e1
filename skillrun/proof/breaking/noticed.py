"""Which small breaks do the tests notice? The question is put to two suites on the same code: what
one notices and the other does not is what the other has lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from skillrun.proof.breaking import reach
from skillrun.proof.breaking.runs import Asked, Records, limit_of_break

RunTests = Callable[[Asked], Records]
RunForked = Callable[[Asked, list[Mapping[str, Any]]], list[Records] | None]


@dataclass(frozen=True)
class Bounds:
    """How much is tried at most, so that a verification has an end."""

    limit_s: float  # of the unbroken run
    most: int
    enough_s: float
    most_early: int = 0  # of the sites that need a process each


@dataclass(frozen=True)
class Noticed:
    """What one suite did. Sites that are in neither mapping and are not `untried` made no
    difference where they were broken.
    """

    by: Mapping[str, str] = field(default_factory=dict)  # site -> the test that noticed
    # Site -> the tests that came by and stayed green; none where no test comes by.
    missed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    red: tuple[str, ...] = ()  # tests that fail with nothing broken: they say nothing
    green: int = 0
    problem: str | None = None  # why nothing can be said
    untried: frozenset[str] = frozenset()  # sites behind the bounds, or whose run did not end


def find_noticed(
    sites: Mapping[str, str],
    bounds: Bounds,
    run: RunTests,
    forked: RunForked,
    early: tuple[str, ...] = (),
) -> Noticed:
    """Runs the tests with nothing broken, then with each site that they come by, in this order.

    `sites` maps one to the test that is likely to notice: it runs first, and may save the others.
    `early`: those that are settled when a module is imported, before anything could be forked.
    """
    late = {site: test for site, test in sites.items() if site not in early}
    asked = Asked((), bounds.limit_s, most=bounds.most, enough_s=bounds.enough_s)
    breaks: list[Mapping[str, Any]] = [{"site": site, "first": test} for site, test in late.items()]
    answer = forked(asked, breaks)
    if answer is None:
        # Something would outlast a fork: a process for each, as many as there is time for.
        unbroken, seen = _try_one_by_one(late, bounds, run)
    else:
        unbroken, *forks = answer
        seen = dict(zip(late, forks, strict=False))
    problem = _find_problem(unbroken)
    if problem is not None:
        return Noticed(problem=problem)
    asked_early = [site for site in early if site in sites]
    seen |= _try_early(asked_early, bounds, unbroken, run)
    return _conclude(sites, unbroken, seen)


def _try_early(
    sites: list[str], bounds: Bounds, unbroken: Records, run: RunTests
) -> dict[str, Records]:
    """A process for each, with all tests that come by anything of the jobs."""
    tests: set[str] = set()
    for met in unbroken.met.values():
        tests |= reach.reaching(met, unbroken.outcomes)
    seen: dict[str, Records] = {}
    began = time.monotonic()
    limit_s = limit_of_break(unbroken.ran.duration_ms / 1000)
    for site in sites[: bounds.most_early]:
        if not tests:
            seen[site] = Records(unbroken.ran, unmet=True)
        elif time.monotonic() - began > bounds.enough_s:
            break
        else:
            asked = Asked((), limit_s, {"site": site}, frozenset(tests), unbroken.of("failed"))
            seen[site] = run(asked)
    return seen


def _try_one_by_one(
    sites: Iterable[str], bounds: Bounds, run: RunTests
) -> tuple[Records, dict[str, Records]]:
    began = time.monotonic()
    unbroken = run(Asked((), bounds.limit_s))
    if _find_problem(unbroken) is not None:
        return unbroken, {}
    limit_s = limit_of_break(unbroken.ran.duration_ms / 1000)
    red = unbroken.of("failed")
    seen: dict[str, Records] = {}
    tried = 0
    for site in sites:
        only = reach.reaching(unbroken.met.get(site, {}), unbroken.outcomes)
        if not only:
            seen[site] = Records(unbroken.ran, unmet=True)
            continue
        if tried >= bounds.most or time.monotonic() - began > bounds.enough_s:
            break
        tried += 1
        seen[site] = run(Asked((), limit_s, {"site": site}, only, red))
    return unbroken, seen


def _find_problem(unbroken: Records) -> str | None:
    if unbroken.no_pytest:
        return "pytest is missing in the target's interpreter"
    if unbroken.elsewhere:
        return f"the tests import the code from elsewhere: {unbroken.elsewhere[0]}"
    if not unbroken.ended:
        return f"the tests did not come to an end ({unbroken.words})"
    return None


def _conclude(sites: Iterable[str], unbroken: Records, seen: Mapping[str, Records]) -> Noticed:
    red = unbroken.of("failed")
    by: dict[str, str] = {}
    missed: dict[str, tuple[str, ...]] = {}
    untried = set(sites) - seen.keys()
    for site, records in seen.items():
        # A file that can no longer be imported runs none of its tests, and says so.
        unread = set(records.uncollected) - set(unbroken.uncollected)
        failed = sorted((records.of("failed") - red) | unread)
        if records.unmet:
            missed[site] = ()
        elif records.struck and failed:
            by[site] = records.shown(failed[0])
        elif records.struck and records.timed_out:
            by[site] = "the tests do not end"
        elif records.struck and records.ended and not failed:
            missed[site] = tuple(sorted(map(records.shown, records.of("passed"))))
        elif not records.ended:
            untried.add(site)
    return Noticed(
        by=by,
        missed=missed,
        red=tuple(sorted((*map(unbroken.shown, red), *map(unbroken.shown, unbroken.uncollected)))),
        green=len(unbroken.of("passed")),
        untried=frozenset(untried),
    )
