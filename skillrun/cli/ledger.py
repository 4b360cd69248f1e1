"""`skillrun ledger ...`: each command reads its options and calls one function of
`cli/commands/`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from skillrun.cli.options import Json, LedgerFile, LedgerPlace, Pairs, Repo, RowFormat, Run

ledger_app = typer.Typer(help="Ask the ledger.", no_args_is_help=True, rich_markup_mode=None)


@ledger_app.command("list")
def ledger_list(
    repo: Repo = Path(),
    ledger: LedgerPlace = None,
    limit: Annotated[int, typer.Option("--limit", help="How many runs.")] = 20,
    format: RowFormat = None,
    json: Json = False,
) -> int:
    """List the runs, newest first."""
    from skillrun.cli.commands.common import chosen_format, reading
    from skillrun.cli.commands.ledger import list_runs

    with reading(ledger) as (path, _):
        return list_runs(repo, path, limit, chosen_format(format, json))


@ledger_app.command("show")
def ledger_show(
    run: Annotated[str, typer.Argument(help="The run's id, or its beginning.")],
    repo: Repo = Path(),
    ledger: LedgerPlace = None,
    json: Json = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write one page for a browser.")
    ] = None,
) -> int:
    """Show a run's events, evidence and telemetry."""
    from skillrun.cli.commands.common import reading
    from skillrun.cli.commands.ledger import show_run

    with reading(ledger) as (path, name):
        if html is not None:
            from skillrun.cli.commands.ledger_page import write_page

            return write_page(run, repo, path, html, name)
        return show_run(run, repo, path, json)


@ledger_app.command("query")
def ledger_query(
    query: Annotated[
        str | None, typer.Argument(help="A named query or SQL; nothing lists the named ones.")
    ] = None,
    param: Annotated[
        Pairs, typer.Option("--param", metavar="NAME=VALUE", help="A parameter.")
    ] = [],  # noqa: B006
    repo: Repo = Path(),
    ledger: LedgerPlace = None,
    limit: Annotated[int, typer.Option("--limit", help="How many rows.")] = 1000,
    format: RowFormat = None,
    json: Json = False,
) -> int:
    """Ask a question in SQL; nothing can be changed by it."""
    from skillrun.cli.commands.common import chosen_format, reading
    from skillrun.cli.commands.ledger import query as ask

    with reading(ledger) as (path, _):
        return ask(query, param, repo, path, limit, chosen_format(format, json))


@ledger_app.command("stats")
def ledger_stats(
    repo: Repo = Path(),
    ledger: LedgerPlace = None,
    days: Annotated[int, typer.Option("--days", min=1, help="So many days back.")] = 30,
    format: RowFormat = None,
    json: Json = False,
) -> int:
    """The dozen figures to look at first: how runs end, what stops them, and what they rest on."""
    from skillrun.cli.commands.common import chosen_format, reading
    from skillrun.cli.commands.ledger_stats import stats

    with reading(ledger) as (path, name):
        return stats(repo, path, days, chosen_format(format, json), name)


@ledger_app.command("verify")
def ledger_verify(
    anchors: Annotated[
        list[Path],
        typer.Option(
            "--anchors",
            metavar="FILE",
            help="Published heads, besides the git notes that are here.",
        ),
    ] = [],  # noqa: B006
    repo: Repo = Path(),
    ledger: LedgerPlace = None,
    json: Json = False,
) -> int:
    """Recompute every hash; say whether the ledger is whole and complete, and what anchors hold."""
    from skillrun.cli.commands.common import reading
    from skillrun.cli.commands.ledger_verify import verify

    with reading(ledger, anew=True) as (path, name):
        return verify(repo, path, anchors, json, name)


@ledger_app.command("anchor")
def ledger_anchor(
    file: Annotated[Path | None, typer.Argument(help="The statement, with --to intoto.")] = None,
    to: Annotated[
        str, typer.Option("--to", metavar="PLACE", help="git-note, FILE, or intoto.")
    ] = "git-note",
    repo: Repo = Path(),
    ledger: LedgerFile = None,
    json: Json = False,
) -> int:
    """Publish the head of every run outside the ledger, so that a cut or rewritten one is found."""
    from skillrun.cli.commands.ledger_anchor import anchor

    return anchor(to, file, repo, ledger, json)


@ledger_app.command("archive")
def ledger_archive(
    before: Annotated[
        str, typer.Option("--before", metavar="DATE", help="Runs whose last event is older.")
    ],
    to: Annotated[
        Path,
        typer.Option("--to", metavar="FILE", help="The archive: a new file, or an earlier one."),
    ],
    repo: Repo = Path(),
    ledger: LedgerFile = None,
    json: Json = False,
) -> int:
    """Move whole runs into a sealed file that still verifies; open runs stay."""
    from skillrun.cli.commands.ledger_archive import archive

    return archive(before, to, repo, ledger, json)


@ledger_app.command("redact")
def ledger_redact(
    run: Annotated[str, typer.Argument(help="The run's id, or its beginning.")],
    n: Annotated[int | None, typer.Argument(help="The number of the event.")] = None,
    containing: Annotated[
        Path | None,
        typer.Option(
            "--containing",
            metavar="FILE",
            help="Only texts with the secret in this file; - reads it.",
        ),
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is recorded.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go; change nothing.")
    ] = False,
    repo: Repo = Path(),
    ledger: LedgerFile = None,
    json: Json = False,
) -> int:
    """Take the long texts of an event, or all with a secret in them, out for good; the hashes stay
    true.
    """
    from skillrun.cli.commands.ledger_redact import redact

    return redact(run, n, containing, reason, dry_run, repo, ledger, json)


@ledger_app.command("ship")
def ledger_ship(
    to: Annotated[str, typer.Option("--to", metavar="URL", help="postgresql://user@host/database")],
    repo: Repo = Path(),
    ledger: LedgerFile = None,
    json: Json = False,
) -> int:
    """Send what is new to a PostgreSQL database that gathers the runs of many machines."""
    from skillrun.cli.commands.ledger_ship import ship

    return ship(to, repo, ledger, json)


@ledger_app.command("export")
def ledger_export(
    format: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="jsonl, csv, otlp, intoto or parquet.")
    ],
    run: Run = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="DATE", help="Runs that went on since then.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="PATH", help="A file, or a folder.")
    ] = None,
    table: Annotated[
        str | None, typer.Option("--table", metavar="TABLE", help="Of csv and parquet: one table.")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="URL", help="Of otlp: send it to a collector.")
    ] = None,
    repo: Repo = Path(),
    ledger: LedgerPlace = None,
) -> int:
    """Write runs in a format that other tools read."""
    from skillrun.cli.commands.common import reading
    from skillrun.cli.commands.ledger_export import export

    with reading(ledger) as (path, _):
        return export(format, run, since, output, table, to, repo, path)


@ledger_app.command("import")
def ledger_import(
    file: Annotated[Path, typer.Argument(help="Telemetry v1 of another tool, as JSON Lines.")],
    repo: Repo = Path(),
    ledger: LedgerFile = None,
    json: Json = False,
) -> int:
    """Read another tool's telemetry into the ledger, as declared runs."""
    from skillrun.cli.commands.ledger_import import import_telemetry

    return import_telemetry(file, repo, ledger, json)


@ledger_app.command("serve")
def ledger_serve(
    port: Annotated[int, typer.Option("--port", metavar="N", help="0 takes a free one.")] = 8001,
    open_: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    repo: Repo = Path(),
    ledger: LedgerFile = None,
) -> int:
    """Open the whole ledger in a browser: on this machine alone, and only for reading."""
    from skillrun.cli.commands.ledger_serve import serve

    return serve(port, open_, repo, ledger)
