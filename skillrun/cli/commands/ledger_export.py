"""`skillrun ledger export`: chosen runs in a format that other tools read."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from skillrun.cli.commands.common import ledger_of
from skillrun.core.errors import Misuse
from skillrun.core.tally import count_things
from skillrun.core.text import visible
from skillrun.ledger.exports.interface import Tables
from skillrun.ledger.exports.source import TABLES, Source


def export(
    format: str,
    run: str | None,
    since: str | None,
    output: Path | None,
    table: str | None,
    to: str | None,
    repo: Path,
    ledger: Path | None,
) -> int:
    """Writes to `output`, sends to `to`, else prints; a format of tables wants a folder, or one
    table's name.
    """
    from skillrun.ledger.exports.registry import LINES
    from skillrun.ledger.exports.registry import TABLES as BY_TABLE

    _check_options(format, output, table, to)
    with Source(ledger_of(repo, ledger), run, since) as source:
        if to is not None:
            return _send_spans(source, to)
        if format in LINES:
            return _write_pieces(
                output, (line.encode() for line in LINES[format].format_lines(source))
            )
        return _write_tables(BY_TABLE[format], source, output, table)


def _check_options(format: str, output: Path | None, table: str | None, to: str | None) -> None:
    from skillrun.ledger.exports.registry import NAMES
    from skillrun.ledger.exports.registry import TABLES as BY_TABLE

    if format not in NAMES:
        raise Misuse(
            f"--format {format}: no such format", hint=f"the formats are: {', '.join(NAMES)}"
        )
    if table is not None and format not in BY_TABLE:
        raise Misuse(
            f"--table: {format} has no tables", hint=f"formats of tables are: {', '.join(BY_TABLE)}"
        )
    if to is not None and format != "otlp":
        raise Misuse(f"--to: {format} is not sent anywhere", hint="--format otlp --to URL")
    if to is not None and output is not None:
        raise Misuse("--to and --output at once", hint="one of them")


def _send_spans(source: Source, to: str) -> int:
    """Exit code 1 where the collector rejected some."""
    from skillrun.ledger.exports.sending import send_spans

    sent = send_spans(source, to)
    rejected = ""
    if sent.rejected:
        rejected = f", {sent.rejected} rejected: {sent.why}"
    print(f"{visible(to)}: {count_things(sent.spans, 'span')} sent{rejected}")
    if sent.rejected:
        return 1
    return 0


def _write_tables(format: Tables, source: Source, output: Path | None, table: str | None) -> int:
    format.check_packages()
    if table is not None and table not in TABLES:
        raise Misuse(f"--table {table}: no such table", hint=f"the tables are: {', '.join(TABLES)}")
    if table is not None:
        if output is None and format.SUFFIX == "parquet" and sys.stdout.isatty():
            raise Misuse("a terminal cannot show Parquet", hint="-o FILE")
        return _write_pieces(output, format.format_table(source, table))
    if output is None:
        raise Misuse(
            "a file for each table needs a folder",
            hint="-o FOLDER; or --table NAME for one of them",
        )
    from skillrun.ledger.exports.writing import write_folder

    write_folder(output, _list_files(format, source))
    print(visible(f"{output}: {', '.join(f'{name}.{format.SUFFIX}' for name in TABLES)}"))
    return 0


def _list_files(format: Tables, source: Source) -> Iterator[tuple[str, Iterable[bytes]]]:
    return ((f"{name}.{format.SUFFIX}", format.format_table(source, name)) for name in TABLES)


def _write_pieces(output: Path | None, pieces: Iterable[bytes]) -> int:
    if output is None:
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.flush()
        return 0
    from skillrun.ledger.exports.writing import write_file

    write_file(output, pieces)
    print(f"{visible(str(output))}: written")
    return 0
