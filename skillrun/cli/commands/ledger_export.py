"""`skillrun ledger export`: chosen runs in a format that other tools read."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from skillrun.cli.commands.common import ledger_of
from skillrun.errors import Misuse
from skillrun.exports.interface import Tables
from skillrun.exports.source import TABLES, Source
from skillrun.text import visible


def export(
    format: str,
    run: str | None,
    since: str | None,
    output: Path | None,
    table: str | None,
    repo: Path,
    ledger: Path | None,
) -> int:
    """Writes to `output`, else to standard output; a format of tables wants a folder, or one table's name."""
    from skillrun.exports.registry import LINES, NAMES
    from skillrun.exports.registry import TABLES as BY_TABLE

    if format not in NAMES:
        raise Misuse(f"--format {format}: no such format", hint=f"the formats are: {', '.join(NAMES)}")
    if table is not None and format not in BY_TABLE:
        raise Misuse(f"--table: {format} has no tables", hint=f"formats of tables are: {', '.join(BY_TABLE)}")
    with Source(ledger_of(repo, ledger), run, since) as source:
        if format in LINES:
            return _one(output, (line.encode() for line in LINES[format].lines(source)))
        return _tables(BY_TABLE[format], source, output, table)


def _tables(format: Tables, source: Source, output: Path | None, table: str | None) -> int:
    format.check()
    if table is not None and table not in TABLES:
        raise Misuse(f"--table {table}: no such table", hint=f"the tables are: {', '.join(TABLES)}")
    if table is not None:
        return _one(output, format.table(source, table))
    if output is None:
        raise Misuse("a file for each table needs a folder", hint="-o FOLDER; or --table NAME for one of them")
    from skillrun.exports.writing import write_folder

    write_folder(output, _files(format, source))
    print(visible(f"{output}: {', '.join(f'{name}.{format.SUFFIX}' for name in TABLES)}"))
    return 0


def _files(format: Tables, source: Source) -> Iterator[tuple[str, Iterable[bytes]]]:
    return ((f"{name}.{format.SUFFIX}", format.table(source, name)) for name in TABLES)


def _one(output: Path | None, pieces: Iterable[bytes]) -> int:
    if output is None:
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.flush()
        return 0
    from skillrun.exports.writing import write_file

    write_file(output, pieces)
    print(f"{visible(str(output))}: written")
    return 0
