"""`skillrun ledger import`: another tool's telemetry as declared runs of the ledger."""

from __future__ import annotations

import os
from pathlib import Path

from skillrun.cli.commands.common import ledger_of, print_json
from skillrun.core.tally import count_things
from skillrun.core.text import visible


def import_telemetry(file: Path, repo: Path, ledger: Path | None, json: bool) -> int:
    """Says how many lines are new. A bad line is named, and nothing is written."""
    from dataclasses import asdict

    from skillrun.ledger.exports.reading import import_lines, read_lines

    lines = read_lines(file)
    done = import_lines(lines, file.name, _prepared(repo, ledger))
    if json:
        print_json(asdict(done))
        return 0
    again = ""
    if done.known:
        again = f", {count_things(done.known, 'line')} known already"
    print(
        f"{visible(str(file))}: {count_things(done.lines, 'line')} imported into"
        f" {count_things(done.runs, 'run')}{again}"
    )
    return 0


def _prepared(repo: Path, ledger: Path | None) -> Path:
    """The ledger's path; a repository's own ledger is ignored by git from the beginning."""
    from skillrun.repo.git import open_repo
    from skillrun.runner.target import prepare_ledger_folder

    path = ledger_of(repo, ledger)
    if ledger is None and not os.environ.get("SKILLRUN_LEDGER"):
        prepare_ledger_folder(open_repo(repo), path)
    return path
