"""Measures what the sandbox costs a schedule: each figure is a ratio within this one run.

    python tests/bench/sandbox_bench.py [--rounds N]

The same proof is run with namespaces and with the audit hooks alone, one after the other and again,
so that other work on the machine falls on both. Prints for a Celery job in SQLite and for an RQ job
with a Redis: the median schedule of both, and their ratio; the whole proof, with what is set up once.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


def compare(root: Path, driver: str, rounds: int) -> tuple[list[Timed], list[Timed]]:
    """(with the sandbox, without it), so many proofs each, in turn."""
    walled, unwalled = [], []
    for _ in range(rounds):
        walled.append(timed_proof(root, workers=1, driver=driver))
        with without_walls():
            unwalled.append(timed_proof(root, workers=1, driver=driver))
    return walled, unwalled


def describe(name: str, walled: list[Timed], unwalled: list[Timed]) -> str:
    """One line: schedules are compared family by family, since both sides try the same."""
    inside, outside = collect_median(walled), collect_median(unwalled)
    whole = statistics.median(one.all for one in walled)
    bare = statistics.median(one.all for one in unwalled)
    kinds = sorted({one.proof.walls.kind for one in (*walled, *unwalled)})
    verdicts = sorted({str(one.proof.verdict) for one in (*walled, *unwalled)})
    return (
        f"{name:<16} a schedule {inside * 1000:.1f} ms with, {outside * 1000:.1f} ms without ="
        f" {inside / outside:.2f}x; the whole proof {whole:.1f} s, {bare:.1f} s ="
        f" {whole / bare:.2f}x  ({', '.join(kinds)}; {', '.join(verdicts)})"
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
