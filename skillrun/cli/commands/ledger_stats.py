"""`skillrun ledger stats`: the dozen figures to look at first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from skillrun.cli.commands.common import ledger_of, print_rows
from skillrun.reports.watchers import show

if TYPE_CHECKING:
    from skillrun.cli.options import Format


def stats(
    repo: Path, ledger: Path | None, days: int, format: Format, name: str | None = None
) -> int:
    """The figures of the last days, as lines with bars, or as rows. `name`: shown for the path."""
    from dataclasses import asdict

    from skillrun.ledger.stats import ledger_stats
    from skillrun.reports.stats import COLUMNS, stats_lines, stats_rows
    from skillrun.runner.files_now import query_params

    path = ledger_of(repo, ledger)
    found = ledger_stats(path, days, query_params(repo, path))
    if format == "table":
        show("\n".join(stats_lines(found, name or str(path))))
        return 0
    print_rows(format, COLUMNS, stats_rows(found), {"path": name or str(path), **asdict(found)})
    return 0
