"""`skillrun ledger ship`: sends a ledger's rows to a PostgreSQL database."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from skillrun.cli.commands.common import ledger_of, print_json
from skillrun.core.tally import count_things
from skillrun.core.text import visible


def ship(to: str, repo: Path, ledger: Path | None, json: bool) -> int:
    """What was sent, and what the database refused; exit code 1 where it refused a run."""
    from skillrun.ledger.shipping.ship import ship_ledger

    shipped = ship_ledger(ledger_of(repo, ledger), to)
    if json:
        print_json(asdict(shipped))
        if shipped.refused:
            return 1
        return 0
    sent = f"{count_things(shipped.events, 'event')} of {count_things(shipped.runs, 'run')} sent"
    print(visible(f"{shipped.sink}: {sent}, {shipped.waiting} waiting"))
    for note in shipped.notes:
        print(visible(f"  {note}"))
    for run_id, why in shipped.refused.items():
        print(visible(f"  run {run_id} was refused: {why}"))
    if shipped.refused:
        print(
            "It is sent again the next time; `skillrun ledger verify` says whether its rows are"
            " whole."
        )
    if shipped.refused:
        return 1
    return 0
