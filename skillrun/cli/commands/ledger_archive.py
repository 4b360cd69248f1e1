"""`skillrun ledger archive`: moves old runs into a sealed file."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from skillrun.cli.commands.common import ledger_of, print_json
from skillrun.core.errors import Misuse
from skillrun.core.tally import count_things
from skillrun.core.text import visible


def archive(before: str, to: Path, repo: Path, ledger: Path | None, json: bool) -> int:
    """Says what was moved, and what was old enough and stayed."""
    from skillrun.core.actor import person
    from skillrun.ledger.archive import archive_runs

    person("archive")
    done = archive_runs(ledger_of(repo, ledger), _microseconds(before), to)
    if json:
        print_json({**asdict(done), "archive": str(done.archive)})
        return 0
    print(visible(f"{count_things(len(done.moved), 'run')} moved to {done.archive}"))
    for run_id, why in done.kept:
        print(visible(f"  run {run_id} stays: {why}"))
    return 0


def _microseconds(text: str) -> int:
    """A date, or a date and a time, in UTC where it names no zone. Raises Misuse for anything
    else.
    """
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise Misuse(f"--before {text}: not a date", hint="--before 2026-01-31") from None
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1_000_000)
