"""A test of a second delivery, run as it is and then with the handler broken: each decision that
the job meets when it is delivered again, after its effect, is turned round once.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from skillrun.proof.breaking.runs import Ran, limit_of_break
from skillrun.proof.breaking.scratch import scratch_copy
from skillrun.proof.second_delivery.broken_grammar import BROKEN, DECIDED, MADE, RECORDS
from skillrun.proof.second_delivery.closing_lines import TestCount, count_tests
from skillrun.proof.second_delivery.rewriting import Decision, Rewritten, add_helper

# Each is a run of the test; a handler has few decisions behind its first effect.
MOST_BREAKS = 8
# What lies in a working tree, is ignored by git, and is needed to run: linked, since it is large.
_INSTALLED = ("node_modules", "vendor/bundle", ".bundle")
_MANIFESTS = ("package.json", "Gemfile")


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
    # Decisions that were met by a job that was delivered again, after its effect.
    met_again: frozenset[int] = frozenset()

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
    """The run with one decision turned round."""

    decision: Decision
    run: TestRun


@dataclass(frozen=True)
class SecondDelivery:
    """What the runs showed, in their order; a run that does not pass is the last one."""

    plain: TestRun
    counted: TestRun | None = None
    broken: tuple[BrokenRun, ...] = ()
    untried: int = 0  # decisions beyond the most that are tried


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
        with_break = _run_once(job, run, limit_s, is_rewritten=True, broken=decision.number)
        broken.append(BrokenRun(decision, with_break))
    return SecondDelivery(plain, counted, tuple(broken), len(chosen[MOST_BREAKS:]))


def _list_decisions(job: TestedJob) -> Iterator[Decision]:
    for rewritten in job.rewritten.values():
        yield from rewritten.decisions


def _run_once(
    job: TestedJob, run: Runner, limit_s: float, *, is_rewritten: bool, broken: int = 0
) -> TestRun:
    """A run in a fresh copy: what an earlier one left behind could change the next."""
    with scratch_copy(job.root, job.files) as scratch:
        repo, counts = scratch / "repo", scratch / "counts"
        counts.mkdir()
        _link_installed(job, repo)
        for name in RECORDS:
            (counts / name).touch()
        (counts / BROKEN).write_text(f"{broken}\n")
        if is_rewritten:
            for path, rewritten in job.rewritten.items():
                text = add_helper(rewritten.text, job.language, str(counts))
                # A link would lead out of the copy.
                (repo / path).unlink(missing_ok=True)
                (repo / path).write_text(text, encoding="utf-8")
        env = {**job.env, "TMPDIR": str(scratch / "tmp")}
        ended = run(job.command, repo, env, limit_s)
        made = Counter((counts / MADE).read_text(errors="replace").splitlines())
        met = frozenset(_read_numbers(counts / DECIDED))
        return TestRun(ended, count_tests(ended.tail), made, met)


def _read_numbers(decided: Path) -> Iterator[int]:
    """One number a line; a line that was cut off when its process was ended says nothing."""
    for line in decided.read_text(errors="replace").splitlines():
        if line.isdigit():
            yield int(line)


def _link_installed(job: TestedJob, repo: Path) -> None:
    """Links the installed packages of each folder with a manifest into the copy."""
    folders = {""}
    for path in job.files:
        folder, _, name = path.rpartition("/")
        if name in _MANIFESTS:
            folders.add(folder)
    for folder in sorted(folders):
        for name in _INSTALLED:
            source, target = job.root / folder / name, repo / folder / name
            if source.is_dir() and not os.path.lexists(target):
                with contextlib.suppress(OSError):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.symlink_to(source.resolve())
