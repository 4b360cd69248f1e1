"""Do the tests notice a broken handler? First the handler as it is, then each break, until one test
fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from skillrun.proof.breaking.runs import Asked, Ran, Records, limit_of_break

RunTests = Callable[[Asked], Records]
RunForked = Callable[[Asked, list[Mapping[str, Any]]], list[Records] | None]
"""As `runs.run_forked`: the unbroken run, then each break; None where each needs a process of its own."""


@dataclass(frozen=True)
class Break:
    """One way in which the handler is broken. `why_not`: it cannot be broken so; then nothing
    runs.
    """

    id: str
    words: str  # "the handler <words>"
    settings: Mapping[str, Any] = field(default_factory=dict)
    why_not: str | None = None
    is_unreadable: bool = False  # the job has it, and the code was not found


@dataclass(frozen=True)
class Expected:
    """The tests that run the handler as far as their text tells."""

    paths: tuple[str, ...]  # files, relative to the folder in which the tests run
    tests: frozenset[str]  # ids relative to the repository, without parameters


@dataclass(frozen=True)
class Noticing:
    """What became of one break: noticed, missed, not_applicable or incomplete."""

    broken: Break
    state: str
    tests: tuple[str, ...] = ()  # the test that noticed, or those that stayed green
    struck: bool = False  # some test met it
    why: str = ""
    ran: Ran | None = None


@dataclass(frozen=True)
class Trial:
    """The whole. `incomplete`: why nothing can be said; `red`: test -> error of the handler as it
    is.
    """

    baseline: Records | None = None
    reaching: tuple[str, ...] = ()
    breaks: tuple[Noticing, ...] = ()
    red: Mapping[str, str] = field(default_factory=dict)
    incomplete: str | None = None
    hint: str | None = None
    passing: bool = False  # it may be otherwise the next time, with the same files


def try_breaks(
    breaks: tuple[Break, ...], expected: Expected, limit_s: float, run: RunTests, forked: RunForked
) -> Trial:
    """Runs the tests in the expected files; where these miss a break, also all others that reach
    the handler.
    """
    asked, tried = (
        Asked(expected.paths, limit_s),
        [broken for broken in breaks if broken.why_not is None],
    )
    baseline, *seen = forked(asked, [broken.settings for broken in tried]) or [run(asked)]
    trial = _unusable(baseline) or _red(baseline, expected.paths, limit_s, run)
    if trial is not None:
        return trial
    found = _Tests(baseline, expected, limit_s, run)
    if baseline.reaching:
        found.seen = dict(zip((broken.id for broken in tried), seen, strict=False))
    if not baseline.reaching and not found.everything().reaching:
        return _not_reached(found)
    noticed = tuple(found.try_one(broken) for broken in breaks)
    return Trial(found.known, tuple(sorted(found.shown())), noticed)


class _Tests:
    """The tests that reach the handler: those of the named files, and once they are asked for,
    all.
    """

    def __init__(
        self, baseline: Records, expected: Expected, limit_s: float, run: RunTests
    ) -> None:
        self.baseline = baseline
        self.expected = expected
        self.limit_s = limit_s
        self.run = run
        self._all: Records | None = None
        # What the expected files' tests did under each break.
        self.seen: dict[str, Records] = {}

    @property
    def known(self) -> Records:
        return self._all or self.baseline

    def everything(self) -> Records:
        """The whole suite, run once."""
        if self._all is None:
            self._all = self.run(Asked((), self.limit_s))
        return self._all

    def shown(self) -> set[str]:
        return set(map(self.known.shown, self.known.reaching))

    def try_one(self, broken: Break) -> Noticing:
        if broken.why_not is not None:
            return Noticing(
                broken,
                "incomplete" if broken.is_unreadable else "not_applicable",
                why=broken.why_not,
            )
        seen = self.seen.get(broken.id)
        red = self.baseline.of("failed")
        first = (
            _noticing(broken, seen, red)
            if seen
            else self._try(broken, self.baseline, self.expected.paths)
        )
        if first.state != "missed":
            return first
        everything = self.everything()
        if not everything.ended:
            return _doubted(
                first,
                f"these tests missed it, and the whole suite did not end ({everything.words})",
            )
        return self._unsure(self._try(broken, everything, ()) if self._has_more() else first)

    def _has_more(self) -> bool:
        shown = set(map(self.baseline.shown, self.baseline.reaching))
        return bool(self.shown() - shown)

    def _try(self, broken: Break, baseline: Records, paths: tuple[str, ...]) -> Noticing:
        if not baseline.reaching:
            return Noticing(broken, "missed")
        return _noticing(
            broken, self.run(self._asked(broken, baseline, paths)), baseline.of("failed")
        )

    def _asked(self, broken: Break, baseline: Records, paths: tuple[str, ...]) -> Asked:
        limit = limit_of_break(baseline.ran.duration_ms / 1000)
        return Asked(paths, limit, broken.settings, baseline.reaching, baseline.of("failed"))

    def _unsure(self, noticing: Noticing) -> Noticing:
        """A test that was skipped here might have noticed."""
        skipped = self.doubtful("skipped")
        if noticing.state != "missed" or not skipped:
            return noticing
        return _doubted(
            noticing,
            f"the tests that ran missed it, and {len(skipped)} were skipped here ({skipped[0]})",
        )

    def doubtful(self, *outcomes: str) -> list[str]:
        """The tests that should run the handler by their text, and that ended so."""
        found = set()
        for outcome in outcomes:
            for test in map(self.baseline.shown, self.baseline.of(outcome)):
                if test.partition("[")[0] in self.expected.tests:
                    found.add(test)
        return sorted(found)


def _doubted(noticing: Noticing, why: str) -> Noticing:
    return replace(noticing, state="incomplete", why=why)


def _noticing(broken: Break, seen: Records, red: frozenset[str]) -> Noticing:
    """A failure counts where the break made a difference; no end counts too, since the unbroken
    tests came to one.
    """
    struck = bool(seen.struck)
    failed = _list_shown(seen, seen.of("failed") - red)
    if struck and failed:
        return Noticing(broken, "noticed", failed[:1], struck, ran=seen.ran)
    if struck and not seen.ended and seen.timed_out:
        return Noticing(broken, "noticed", ("the tests do not end",), struck, ran=seen.ran)
    green = _list_shown(seen, seen.of("passed"))
    why = _unusable_break(seen, failed)
    return Noticing(broken, "incomplete" if why else "missed", green, struck, why or "", seen.ran)


def _list_shown(records: Records, tests: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(map(records.shown, tests)))


def _unusable_break(seen: Records, failed: tuple[str, ...]) -> str | None:
    if seen.unresolved:
        return f"the declared error {seen.unresolved[0]} cannot be imported"
    if seen.elsewhere:
        return f"the code was imported from elsewhere: {seen.elsewhere[0]}"
    if not seen.ended or seen.uncollected or failed:
        return f"the tests could not be repeated ({seen.words})"
    return None


def _unusable(baseline: Records) -> Trial | None:
    if baseline.no_pytest:
        hint = "install pytest there, or name the interpreter: proof.python in the spec"
        return Trial(
            baseline,
            incomplete="pytest is missing in the target's interpreter",
            hint=hint,
            passing=True,
        )
    if baseline.elsewhere:
        hint = "the tests must import the code of the checkout that they lie in"
        why = f"the tests import the handler from elsewhere: {baseline.elsewhere[0]}"
        return Trial(baseline, incomplete=why, hint=hint, passing=True)
    if not baseline.ended:
        why = f"the tests did not come to an end ({baseline.words})"
        return Trial(
            baseline, incomplete=why, hint=_last_line(baseline), passing=not baseline.timed_out
        )
    if baseline.uncollected:
        test = baseline.uncollected[0]
        why = (
            f"{baseline.shown(test)} cannot be imported in the scratch copy:"
            f" {baseline.messages.get(test, '')}"
        )
        return Trial(
            baseline,
            incomplete=why,
            hint="only files that git does not ignore are copied",
            passing=True,
        )
    return None


def _red(baseline: Records, paths: tuple[str, ...], limit_s: float, run: RunTests) -> Trial | None:
    """Tests that reach the handler and fail; seen again without our edits, which could be the
    cause.
    """
    failed = baseline.of("failed") & frozenset(baseline.reached)
    if not failed:
        return None
    only = frozenset(test.partition("[")[0] for test in failed)
    again = run(Asked(paths, limit_s, only=only, is_edited=False))
    still = {again.shown(test): again.messages.get(test, "") for test in sorted(again.of("failed"))}
    if still:
        return Trial(baseline, red=still)
    why = (
        f"{baseline.shown(min(failed))} fails only some of the time, or only where skillrun"
        " watches it"
    )
    return Trial(baseline, incomplete=why, hint="run it several times", passing=True)


def _not_reached(found: _Tests) -> Trial:
    """No test runs the handler; where some failed or were skipped, one of these might."""
    problem = _unusable(found.known)
    doubtful = found.doubtful("failed", "skipped")
    if problem is not None or not doubtful:
        return problem or Trial(found.known)
    why = f"no test reaches the handler here, and {doubtful[0]} failed or was skipped"
    return Trial(
        found.baseline,
        incomplete=why,
        hint=next(iter(found.baseline.messages.values()), None),
        passing=True,
    )


def _last_line(records: Records) -> str | None:
    for line in reversed(records.ran.tail.splitlines()):
        if line.strip():
            return line.strip()[:300]
    return None
