"""Whoever reads a ledger trusts its rows to be as skillrun wrote them. Where that fails, this says
whether they are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from skillrun.core.errors import LedgerUnusable
from skillrun.ledger.connection import OPENED
from skillrun.ledger.findings import Problem
from skillrun.ledger.verify import verify_ledger


def find_tampered_ledger(paths: Iterable[Path] = OPENED) -> LedgerUnusable | None:
    """The first of these ledgers that is not what was written into it, with its first problem; None
    where all are.

    For an error that nobody foresaw: every hash is computed anew, which may take its time.
    """
    for path in paths:
        # What cannot be read gives no reason, and the first error is the one to see.
        with contextlib.suppress(Exception):
            for problem in verify_ledger(path).problems:
                # An invocation that did not end breaks nothing.
                if problem.kind != "open":
                    return _describe_tampering(path, problem)
    return None


def _describe_tampering(path: Path, problem: Problem) -> LedgerUnusable:
    return LedgerUnusable(
        f"{path}: it is not as it was written: {_name_place(problem)}{problem.what}",
        hint="skillrun ledger verify says all that is wrong; restore the file from a copy, or move"
        " it away",
    )


def _name_place(problem: Problem) -> str:
    if problem.run_id is None:
        return ""
    row = problem.table
    if problem.n is not None:
        row += f" {problem.n}"
    return f"run {problem.run_id}, {row}: "
