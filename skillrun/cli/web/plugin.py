"""What skillrun adds to Datasette: the page of a run, links to it, readable times, nothing hidden,
errors in a line.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import sys
import traceback
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from datasette import Response, hookimpl
from markupsafe import Markup

from skillrun.cli.web.metadata import NAME
from skillrun.core.errors import SkillrunError
from skillrun.core.text import visible
from skillrun.ledger.tampered import find_tampered_ledger
from skillrun.reports.page.build import run_page

_RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@hookimpl
def register_routes() -> list[tuple[str, Callable[..., Awaitable[Any]]]]:
    """`/run/ID`; and where Datasette links to the row of a run, its page is shown."""
    return [
        (r"^/run/(?P<run>[0-9a-f-]+)$", show_run),
        (rf"^/{NAME}/run/(?P<run>{_RUN_ID.pattern})$", to_run),
    ]


@hookimpl
def register_magic_parameters(datasette: Any) -> list[tuple[str, Callable[[str, Any], str]]]:
    """`:_skillrun_repo` and `:_skillrun_tree` of canned queries: the files as they are (see
    `metadata.py`).
    """
    database = datasette.get_database(NAME)
    return [
        (
            "skillrun",
            lambda name, request: database.value_of_files(name, request.args.get("repo") or ""),
        )
    ]


@hookimpl
def render_cell(value: Any, column: str) -> str | None:
    """A link or a time; None leaves the cell to Datasette, which escapes it."""
    # A foreign key comes with its label.
    if isinstance(value, dict):
        value = value["value"]
    if column == "run_id" and isinstance(value, str) and _RUN_ID.fullmatch(value):
        return Markup('<a href="/run/{0}">{0}</a>').format(value)
    if column.endswith("_us") and column != "dur_us" and isinstance(value, int):
        return _format_time(value)
    return None


@hookimpl
def prepare_jinja2_environment(env: Any) -> None:
    """Cells, facets, titles and fields alike have no character that hides or reorders others."""
    env.finalize = _make_visible


def _make_visible(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    # A form sends its lines so.
    shown = visible(value.replace("\r\n", "\n"), None, lines=True)
    # What the template made itself is markup, and stays it.
    if hasattr(value, "__html__"):
        return Markup(shown)
    return shown


@hookimpl
def handle_exception(
    datasette: Any, request: Any, exception: Exception
) -> Callable[[], Awaitable[Any]]:
    """Every error as a page or as JSON; only what is our own bug has a traceback on the terminal.

    Datasette's own handler prints one for each wrong address, with all variables: `server.py` takes
    it away.
    """

    async def answer_error() -> Any:
        error: Exception = exception
        # An error that nobody foresaw may come from rows that no skillrun wrote: then say that.
        if _status_of_error(error) == 500:
            path = Path(datasette.get_database(NAME).path)
            found = await asyncio.to_thread(find_tampered_ledger, [path])
            error = found or exception
        status = _status_of_error(error)
        if status == 500:
            text = "".join(traceback.format_exception(error))
            print(visible(text, None, lines=True), file=sys.stderr)
        message = visible(str(error), None, lines=True)
        if request.path.endswith(".json"):
            return Response.json({"ok": False, "error": message, "status": status}, status=status)
        # Datasette's words, with what they quote escaped.
        if getattr(error, "message_is_html", False):
            message = Markup(message)
        template = datasette.jinja_env.get_template("error.html")
        values = {"error": message, "status": status, "title": getattr(error, "title", None)}
        shell = {
            "urls": datasette.urls,
            "app_css_hash": datasette.app_css_hash(),
            "menu_links": list,
        }
        return Response.html(await template.render_async({**values, **shell}), status=status)

    return answer_error


def _status_of_error(exception: Exception) -> int:
    if isinstance(exception, SkillrunError | sqlite3.Error):
        return 503  # locked, gone, damaged
    return int(getattr(exception, "status", 500))


async def show_run(request: Any, datasette: Any) -> Any:
    """The page that `skillrun ledger show RUN --html` writes, below a line of links to the run's
    rows.
    """
    path = Path(datasette.get_database(NAME).path)
    try:
        page = await asyncio.to_thread(run_page, path, request.url_vars["run"])
    except SkillrunError as error:
        return Response.text(visible(error.message), status=404)
    return Response.html(page.replace("<body>", f"<body>{_links_to_rows(page)}", 1))


async def to_run(request: Any) -> Any:
    """From the row to the page."""
    return Response.redirect(f"/run/{request.url_vars['run']}")


def _links_to_rows(page: str) -> str:
    """The page names its run by the whole id, where an address may have the beginning alone."""
    run = _RUN_ID.search(page)
    links = ""
    if run:
        for table in ("event", "telemetry", "evidence", "run"):
            links += f' · <a href="/{NAME}/{table}?run_id={run[0]}">{table}</a>'
    return f'<nav><a href="/">ledger</a>{links}</nav>'


def _format_time(microseconds: int) -> str | None:
    try:
        when = datetime.fromtimestamp(microseconds / 1e6, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return Markup('<time title="{}">{}</time>').format(
        microseconds, when.strftime("%Y-%m-%d %H:%M:%SZ")
    )
