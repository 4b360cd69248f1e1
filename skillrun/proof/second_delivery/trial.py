"""A test of a second delivery, run as it is and then with the handler broken: each decision that
the job meets when it is delivered again, after its effect, is turned round once, and what its first
delivery remembers is left out.
"""

from __future__ import annotations

import secrets
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from skillrun.core.opening import read_file
from skillrun.proof.breaking.runs import Ran, limit_of_break
from skillrun.proof.breaking.scratch import scratch_copy
from skillrun.proof.second_delivery.broken_grammar import (
    DECIDED,
    DROPS_ALL,
    DROPS_BEHIND,
    ENTERED,
    MADE,
    RECORDS,
)
from skillrun.proof.second_delivery.closing_lines import TestCount, count_tests
from skillrun.proof.second_delivery.installed import link_installed
from skillrun.proof.second_delivery.rewriting import (
    CONDITION,
    KEY,
    MEMORY,
    Break,
    Decision,
    Rewritten,
    add_helper,
)

# Each is a run of the test; a handler has few decisions behind its first effect.
MOST_BREAKS = 12
_UNBROKEN = Break()


class Ended(Ran, Protocol):
    """How a command ended, with whether it succeeded."""

    @property
    def ok(self) -> bool: ...


Runner = Callable[[str, Path, Mapping[str, str], float], Ended]
"""Runs a shell line in a folder with this environment, within so many seconds."""


@dataclass(frozen=True)
class TestedJob:
    """Which test is run, and the files in which the handler can be broken."""

    # Pytest takes no class of this name for tests of its own.
    __test__ = False

    root: Path
    files: tuple[str, ...]  # of the repository: what is copied
    command: str
    language: str
    rewritten: Mapping[str, Rewritten]  # path -> its text with counters
    env: Mapping[str, str]
    limit_s: float


@dataclass(frozen=True)
class TestRun:
    """What one run of the test showed."""

    __test__ = False

    ended: Ended
    tests: TestCount | None
    made: Mapping[str, int] = field(default_factory=dict)  # effect -> how often it took place
    # Effect -> how often it took place though an earlier delivery of the same job had made it.
    repeated: Mapping[str, int] = field(default_factory=dict)
    # Decisions that were met by a job that was delivered again, after its effect.
    met_again: frozenset[int] = frozenset()
    # Why something of what was counted cannot be read; None: all of it can.
    unreadable: str | None = None

    @property
    def is_green(self) -> bool:
        """Exactly one test ran, and it passed."""
        return self.ended.ok and self.tests == TestCount(1, 0)

    @property
    def is_red(self) -> bool:
        """A test failed; a command that was cut off, or that no test is seen in, is neither."""
        has_failed = self.tests is not None and self.tests.failed > 0
        return has_failed and not self.ended.ok and not self.ended.timed_out


@dataclass(frozen=True)
class BrokenRun:
    """The run with one decision turned round, or with what is remembered left out."""

    decision: Decision
    run: TestRun


@dataclass(frozen=True)
class SecondDelivery:
    """What the runs showed, in their order; a run that does not pass is the last one."""

    plain: TestRun
    counted: TestRun | None = None
    broken: tuple[BrokenRun, ...] = ()
    untried: tuple[Decision, ...] = ()  # those beyond the most that are tried


def list_repeated(run: TestRun, counted: TestRun) -> list[str]:
    """The effects that were repeated more often than with nothing broken."""
    names = []
    for name, times in run.repeated.items():
        if times > counted.repeated.get(name, 0):
            names.append(name)
    return names


def list_kinds_repeating(name: str, broken: Iterable[BrokenRun], counted: TestRun) -> set[str]:
    """The kinds of the breaks, keys apart, that made this effect take place again."""
    kinds = set()
    for one in broken:
        if one.decision.kind != KEY and name in list_repeated(one.run, counted):
            kinds.add(one.decision.kind)
    return kinds


def try_second_delivery(job: TestedJob, run: Runner) -> SecondDelivery:
    """Runs the test in fresh scratch copies. Repository code runs."""
    plain = _run_once(job, run, job.limit_s, is_rewritten=False)
    if not plain.is_green:
        return SecondDelivery(plain)
    limit_s = limit_of_break(plain.ended.duration_ms / 1000)
    # The same text as that of every break: what fails there fails by the decision alone.
    counted = _run_once(job, run, limit_s, is_rewritten=True)
    if not counted.is_green:
        return SecondDelivery(plain, counted)
    chosen = [one for one in _list_decisions(job) if one.number in counted.met_again]
    broken = []
    for decision in chosen[:MOST_BREAKS]:
        broken_by = Break(decision.number)
        with_break = _run_once(job, run, limit_s, is_rewritten=True, broken=broken_by)
        broken.append(BrokenRun(decision, with_break))
    guards = [one for one in broken if one.decision.kind == CONDITION]
    if any(list_repeated(one.run, counted) for one in guards):
        broken += _forget(job, run, limit_s, counted)
    return SecondDelivery(plain, counted, tuple(broken), tuple(chosen[MOST_BREAKS:]))


def _forget(job: TestedJob, run: Runner, limit_s: float, counted: TestRun) -> Iterator[BrokenRun]:
    """The runs in which a first delivery leaves out what it does behind its effect, and, where
    nothing was repeated then, what it does before as well: a job may be claimed first.
    """
    calling = [item for item in job.rewritten.items() if item[1].effects]
    path, rewritten = calling[0]
    for drops, what in (
        (DROPS_BEHIND, "what a first delivery does behind its effect"),
        (DROPS_ALL, "all that a first delivery does beside its effect"),
    ):
        decision = Decision(0, MEMORY, path, rewritten.effect_line, what)
        with_break = _run_once(job, run, limit_s, is_rewritten=True, broken=Break(drops=drops))
        yield BrokenRun(decision, with_break)
        if list_repeated(with_break, counted):
            return


def _list_decisions(job: TestedJob) -> Iterator[Decision]:
    for rewritten in job.rewritten.values():
        yield from rewritten.decisions


def _run_once(
    job: TestedJob,
    run: Runner,
    limit_s: float,
    *,
    is_rewritten: bool,
    broken: Break = _UNBROKEN,
) -> TestRun:
    """A run in a fresh copy: what an earlier one left behind could change the next. What is counted
    lies apart from it, under a name drawn for the run.
    """
    with (
        scratch_copy(job.root, job.files) as scratch,
        tempfile.TemporaryDirectory(prefix="", ignore_cleanup_errors=True) as folder,
    ):
        repo, counts = scratch / "repo", Path(folder).resolve()
        link_installed(job.root, job.files, repo)
        for name in RECORDS:
            (counts / name).touch()
        if is_rewritten:
            drawn = f"r{secrets.token_hex(6)}"
            for path, rewritten in job.rewritten.items():
                text = add_helper(rewritten.text, job.language, str(counts), broken, drawn)
                # A link would lead out of the copy.
                (repo / path).unlink(missing_ok=True)
                (repo / path).write_text(text, encoding="utf-8")
        env = {**job.env, "TMPDIR": str(scratch / "tmp")}
        ended = run(job.command, repo, env, limit_s)
        made, repeated = _count_effects(counts)
        met = frozenset(_read_numbers(counts / DECIDED))
        unreadable = find_unreadable(counts)
        return TestRun(ended, count_tests(ended.tail), made, repeated, met, unreadable)


def find_unreadable(counts: Path) -> str | None:
    """Why a record of a run cannot be read. None where each can: an empty one says that nothing took
    place, and one that is too large, gone or a pipe says nothing.
    """
    for name in RECORDS:
        try:
            read_file(counts / name)
        except OSError as error:
            return f"{name}: {error.strerror}"
    return None


def _count_effects(counts: Path) -> tuple[Counter[str], Counter[str]]:
    """How often each effect took place, and how often though an earlier delivery of the same job
    had made it.
    """
    made: Counter[str] = Counter()
    repeated: Counter[str] = Counter()
    # "0\t[...]": how many effects took place before, and the job
    jobs = [line.partition("\t")[2] for line in _read_lines(counts / ENTERED)]
    first_made: dict[tuple[str, str], int] = {}
    # "1\tmail": the number of the delivery, and the effect
    for line in _read_lines(counts / MADE):
        number, _, name = line.partition("\t")
        if not name or not number.isdigit():
            continue
        made[name] += 1
        delivery = int(number)
        if not 0 < delivery <= len(jobs):
            continue
        if first_made.setdefault((jobs[delivery - 1], name), delivery) < delivery:
            repeated[name] += 1
    return made, repeated


def _read_lines(path: Path) -> list[str]:
    """Split at line ends alone: a job may have other separators in it. The test may have put a pipe
    in the place of the file: nothing was recorded then.
    """
    try:
        return read_file(path).decode("utf-8", "replace").split("\n")[:-1]
    except OSError:
        return []


def _read_numbers(decided: Path) -> Iterator[int]:
    """One number a line; a line that was cut off when its process was ended says nothing."""
    for line in _read_lines(decided):
        if line.isdigit():
            yield int(line)
