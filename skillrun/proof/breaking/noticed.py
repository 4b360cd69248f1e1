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
    sites: Mapping[str, str], bounds: Bounds, run: RunTests, forked: RunForked
) -> Noticed:
    """Runs the tests with nothing broken, then with each site that they come by, in this order.

    `sites` maps one to the test that is likely to notice: it runs first, and may save the others.
    """
    asked = Asked((), bounds.limit_s, most=bounds.most, enough_s=bounds.enough_s)
    breaks: list[Mapping[str, Any]] = [
        {"site": site, "first": test} for site, test in sites.items()
    ]
    answer = forked(asked, breaks)
    if answer is None:
        # Something would outlast a fork: a process for each, as many as there is time for.
        return _try_one_by_one(sites, bounds, run)
    unbroken, *seen = answer
    problem = _find_problem(unbroken)
    if problem is not None:
        return Noticed(problem=problem)
    return _conclude(sites, unbroken, dict(zip(sites, seen, strict=False)))


def _try_one_by_one(sites: Iterable[str], bounds: Bounds, run: RunTests) -> Noticed:
    began = time.monotonic()
    unbroken = run(Asked((), bounds.limit_s))
    problem = _find_problem(unbroken)
    if problem is not None:
        return Noticed(problem=problem)
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
    return _conclude(sites, unbroken, seen)


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
        failed = sorted(records.of("failed") - red)
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
