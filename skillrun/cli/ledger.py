"""`skillrun ledger ...`: each command reads its options and calls one function of `cli/commands/`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from skillrun.cli.options import Json, LedgerFile, Pairs, Repo, RowFormat

ledger_app = typer.Typer(help="Ask the ledger.", no_args_is_help=True, rich_markup_mode=None)


@ledger_app.command("list")
def ledger_list(
    repo: Repo = Path(),
    ledger: LedgerFile = None,
    limit: Annotated[int, typer.Option("--limit", help="How many runs.")] = 20,
    format: RowFormat = None,
    json: Json = False,
) -> int:
    """List the runs, newest first."""
    from skillrun.cli.commands.common import chosen_format
    from skillrun.cli.commands.ledger import list_runs

    return list_runs(repo, ledger, limit, chosen_format(format, json))


@ledger_app.command("show")
def ledger_show(
    run: Annotated[str, typer.Argument(help="The run's id, or its beginning.")],
    repo: Repo = Path(),
    ledger: LedgerFile = None,
    json: Json = False,
) -> int:
    """Show a run's events, evidence and telemetry."""
    from skillrun.cli.commands.ledger import show_run

    return show_run(run, repo, ledger, json)


@ledger_app.command("query")
def ledger_query(
    query: Annotated[str | None, typer.Argument(help="A named query or SQL; nothing lists the named ones.")] = None,
    param: Annotated[Pairs, typer.Option("--param", metavar="NAME=VALUE", help="A parameter.")] = [],  # noqa: B006
    repo: Repo = Path(),
    ledger: LedgerFile = None,
    limit: Annotated[int, typer.Option("--limit", help="How many rows.")] = 1000,
    format: RowFormat = None,
    json: Json = False,
) -> int:
    """Ask a question in SQL; nothing can be changed by it."""
    from skillrun.cli.commands.common import chosen_format
    from skillrun.cli.commands.ledger import query as ask

    return ask(query, param, repo, ledger, limit, chosen_format(format, json))


@ledger_app.command("verify")
def ledger_verify(repo: Repo = Path(), ledger: LedgerFile = None, json: Json = False) -> int:
    """Recompute every hash; say whether the ledger is whole and complete."""
    from skillrun.cli.commands.ledger import verify

    return verify(repo, ledger, json)


@ledger_app.command("stats")
def ledger_stats(
    repo: Repo = Path(),
    ledger: LedgerFile = None,
    days: Annotated[int, typer.Option("--days", min=1, help="So many days back.")] = 30,
    format: RowFormat = None,
    json: Json = False,
) -> int:
    """The dozen figures to look at first: how runs end, what stops them, and what they rest on."""
    from skillrun.cli.commands.common import chosen_format
    from skillrun.cli.commands.ledger_stats import stats

    return stats(repo, ledger, days, chosen_format(format, json))
