"""`skillrun ledger ...`: each command reads its options and calls one function of `cli/commands/`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from skillrun.cli.options import Json, LedgerFile, Pairs, Repo, Run

ledger_app = typer.Typer(help="Ask the ledger.", no_args_is_help=True, rich_markup_mode=None)


@ledger_app.command("list")
def ledger_list(
    repo: Repo = Path(),
    ledger: LedgerFile = None,
    limit: Annotated[int, typer.Option("--limit", help="How many runs.")] = 20,
    json: Json = False,
) -> int:
    """List the runs, newest first."""
    from skillrun.cli.commands.ledger import list_runs

    return list_runs(repo, ledger, limit, json)


@ledger_app.command("show")
def ledger_show(
    run: Annotated[str, typer.Argument(help="The run's id, or its beginning.")],
    repo: Repo = Path(),
    ledger: LedgerFile = None,
    json: Json = False,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write one page for a browser.")] = None,
) -> int:
    """Show a run's events, evidence and telemetry."""
    from skillrun.cli.commands.ledger import show_run

    if html is not None:
        from skillrun.cli.commands.ledger_page import write_page

        return write_page(run, repo, ledger, html)
    return show_run(run, repo, ledger, json)


@ledger_app.command("query")
def ledger_query(
    query: Annotated[str | None, typer.Argument(help="A named query or SQL; nothing lists the named ones.")] = None,
    param: Annotated[Pairs, typer.Option("--param", metavar="NAME=VALUE", help="A parameter.")] = [],  # noqa: B006
    repo: Repo = Path(),
    ledger: LedgerFile = None,
    limit: Annotated[int, typer.Option("--limit", help="How many rows.")] = 1000,
    json: Json = False,
) -> int:
    """Ask a question in SQL; nothing can be changed by it."""
    from skillrun.cli.commands.ledger import query as ask

    return ask(query, param, repo, ledger, limit, json)


@ledger_app.command("verify")
def ledger_verify(repo: Repo = Path(), ledger: LedgerFile = None, json: Json = False) -> int:
    """Recompute every hash; say whether the ledger is whole and complete."""
    from skillrun.cli.commands.ledger import verify

    return verify(repo, ledger, json)


@ledger_app.command("export")
def ledger_export(
    format: Annotated[str, typer.Option("--format", metavar="FORMAT", help="jsonl, csv, otlp, intoto or parquet.")],
    run: Run = None,
    since: Annotated[str | None, typer.Option("--since", metavar="DATE", help="Runs that went on since then.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="PATH", help="A file, or a folder.")] = None,
    table: Annotated[
        str | None, typer.Option("--table", metavar="TABLE", help="Of csv and parquet: one table.")
    ] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="URL", help="Of otlp: send it to a collector.")] = None,
    repo: Repo = Path(),
    ledger: LedgerFile = None,
) -> int:
    """Write runs in a format that other tools read."""
    from skillrun.cli.commands.ledger_export import export

    return export(format, run, since, output, table, to, repo, ledger)


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
