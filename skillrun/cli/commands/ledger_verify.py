"""`skillrun ledger verify`: is the ledger whole, is it complete, and what holds it from outside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from skillrun.cli.commands.common import checkout, ledger_of, print_json
from skillrun.core.tally import count_things
from skillrun.core.text import visible

if TYPE_CHECKING:
    from skillrun.ledger.findings import RunAnchor, VerifyReport

# Runs; --json names all.
_SHOWN = 20


def verify(
    repo: Path, ledger: Path | None, anchors: list[Path], json: bool, name: str | None = None
) -> int:
    """Two verdicts, integrity and completeness; exit code 1 where either is not good. `name`: shown
    for the path.
    """
    from skillrun.ledger.anchoring.publish import find_anchors, name_of
    from skillrun.ledger.verify import verify_ledger

    path = ledger_of(repo, ledger)
    report = verify_ledger(
        path, anchors=find_anchors(path, checkout(repo), anchors), own=name_of(path)
    )
    good = report.integrity == "whole" and report.completeness == "complete"
    if json:
        print_json({**asdict(report), "path": name or str(report.path)})
    else:
        for line in _lines(report, name or str(report.path)):
            print(visible(line, 2000))
    if good:
        return 0
    return 1


def _lines(report: VerifyReport, name: str) -> Iterator[str]:
    yield f"{name}: {count_things(report.runs, 'run')}, {count_things(report.events, 'event')}"
    yield f"integrity: {report.integrity}"
    yield f"completeness: {report.completeness}"
    for problem in report.problems:
        where = ""
        if problem.run_id:
            where = f"run {problem.run_id[:13]}… "
        number = ""
        if problem.n is not None:
            number = f" {problem.n}"
        yield f"  {where}{problem.table}{number}: {problem.what}"
    yield from _anchor_lines(report.anchors)
    for note in (*report.notes, *report.limits):
        yield f"note: {note}"


def _anchor_lines(runs: tuple[RunAnchor, ...]) -> Iterator[str]:
    """Up to which event each run is anchored; nothing where none is, as a note says so."""
    full = sum(run.anchored_n >= run.last_n for run in runs)
    if not any(run.anchored_n for run in runs):
        return
    yield f"anchored: {full} of {len(runs)} runs up to their last event"
    for run in runs[-_SHOWN:]:
        places = ", ".join(run.places)
        how = "not anchored"
        if run.anchored_n:
            how = f"up to event {run.anchored_n} of {run.last_n}  {places}"
        yield f"  run {run.run_id[:13]}… {how}" + ("  (archived)" if run.archive else "")
    if len(runs) > _SHOWN:
        yield f"  and {len(runs) - _SHOWN} older runs (--json names all)"
