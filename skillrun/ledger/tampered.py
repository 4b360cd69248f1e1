"""Whoever reads a ledger trusts its rows to be as skillrun wrote them. Where that fails, this says
whether they are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from skillrun.errors import LedgerUnusable
from skillrun.ledger.connection import OPENED
from skillrun.ledger.findings import Problem
from skillrun.ledger.verify import verify_ledger


def tampered(paths: Iterable[Path] = OPENED) -> LedgerUnusable | None:
    """The first of these ledgers that is not what was written into it, with its first problem; None
    where all are.

    For an error that nobody foresaw: every hash is computed anew, which may take its time.
    """
    for path in paths:
        # What cannot be read gives no reason, and the first error is the one to see.
        with contextlib.suppress(Exception):
            report = verify_ledger(path)
            if report.integrity == "broken":
                first = next(problem for problem in report.problems if problem.kind != "open")
                return LedgerUnusable(
                    f"{path}: it is not as it was written: {_place(first)}{first.what}",
                    hint=(
                        "skillrun ledger verify says all that is wrong; restore the file from a"
                        " copy, or move it away"
                    ),
                )
    return None


def _place(problem: Problem) -> str:
    if problem.run_id is None:
        return ""
    row = problem.table if problem.n is None else f"{problem.table} {problem.n}"
    return f"run {problem.run_id}, {row}: "
