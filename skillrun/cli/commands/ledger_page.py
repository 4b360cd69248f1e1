"""`skillrun ledger show RUN --html FILE`: one page for a browser, which needs nothing else."""

from __future__ import annotations

from pathlib import Path

from skillrun.cli.commands.common import ledger_of
from skillrun.core.text import visible


def write_page(
    run: str, repo: Path, ledger: Path | None, file: Path, name: str | None = None
) -> int:
    """Writes the page whole, in the place of an older one. `name`: shown for the ledger's path."""
    from skillrun.ledger.exports.writing import write_file
    from skillrun.reports.page.build import run_page

    page = run_page(ledger_of(repo, ledger), run, name)
    write_file(file, [page.encode()])
    print(f"{visible(str(file))}: written; open it in a browser")
    return 0
