"""Measures what the sandbox costs a schedule: each figure is a ratio within this one run.

    python tests/bench/sandbox_bench.py [--rounds N]

The same proof is run with namespaces and with the audit hooks alone, one after the other and again,
so that other work on the machine falls on both. Prints for a Celery job in SQLite and for an RQ job
with a Redis: the median schedule of both, and their ratio; the whole proof, with what is set up once;
and the processor's time of both, with all children, which other work on the machine changes least.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proof_bench import Timed, rq_job, shop, timed_proof

from skillrun.proof.sandbox.sandbox import Sandbox
from skillrun.proof.sandbox.walls import Walls

JOBS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "celery, SQLite": (shop, "celery"),
    "rq, Redis": (rq_job, "rq"),
}


@contextmanager
def without_walls() -> Iterator[None]:
    """As on a machine that has neither namespaces nor Landlock."""
    start = Sandbox._start

    def leave_open(sandbox: Sandbox, run: Path) -> None:
        sandbox.walls = Walls("hooks")

    Sandbox._start = leave_open  # type: ignore[method-assign]
    try:
        yield
    finally:
        Sandbox._start = start  # type: ignore[method-assign]


@dataclass(frozen=True)
class Side:
    """Some proofs of one kind, and the processor's seconds of each schedule of them."""

    proofs: list[Timed]
    cpu_s: list[float]


def compare(root: Path, driver: str, rounds: int) -> tuple[Side, Side]:
    """(with the sandbox, without it), so many proofs each, in turn."""
    walled, unwalled = Side([], []), Side([], [])
    for _ in range(rounds):
        measure(walled, root, driver)
        with without_walls():
            measure(unwalled, root, driver)
    return walled, unwalled


def measure(side: Side, root: Path, driver: str) -> None:
    """One proof more. The time of bare forks is in both sides alike."""
    begun = read_cpu_s()
    timed = timed_proof(root, workers=1, driver=driver)
    count = sum(map(len, timed.taken.values()))
    side.cpu_s.append((read_cpu_s() - begun) / count)
    side.proofs.append(timed)


def read_cpu_s() -> float:
    """The processor's seconds of this process, and of all children that have ended."""
    found = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        used = resource.getrusage(who)
        found += used.ru_utime + used.ru_stime
    return found


def describe(name: str, one: Side, other: Side) -> str:
    """One line: schedules are compared family by family, since both sides try the same."""
    walled, unwalled = one.proofs, other.proofs
    cpu, bare_cpu = statistics.median(one.cpu_s), statistics.median(other.cpu_s)
    inside, outside = collect_median(walled), collect_median(unwalled)
    whole = statistics.median(timed.all for timed in walled)
    bare = statistics.median(timed.all for timed in unwalled)
    kinds = sorted({timed.proof.walls.kind for timed in (*walled, *unwalled)})
    verdicts = sorted({str(timed.proof.verdict) for timed in (*walled, *unwalled)})
    return (
        f"{name:<16} a schedule {inside * 1000:.1f} ms with, {outside * 1000:.1f} ms without ="
        f" {inside / outside:.2f}x; the whole proof {whole:.1f} s, {bare:.1f} s ="
        f" {whole / bare:.2f}x; processor {cpu * 1000:.1f} ms a schedule, {bare_cpu * 1000:.1f} ms ="
        f" {cpu / bare_cpu:.2f}x  ({', '.join(kinds)}; {', '.join(verdicts)})"
    )


def collect_median(proofs: list[Timed]) -> float:
    """The median schedule of several proofs."""
    taken: list[Any] = []
    for one in proofs:
        for family in one.taken.values():
            taken += family
    return float(statistics.median(taken))


def main() -> None:
    """Entry point; see the module's docstring."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=2, help="proofs of each kind")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sandbox-bench-") as temporary:
        folder = Path(temporary).resolve()
        for name, (build, driver) in JOBS.items():
            walled, unwalled = compare(build(folder), driver, options.rounds)
            print(describe(name, walled, unwalled), flush=True)


if __name__ == "__main__":
    main()
