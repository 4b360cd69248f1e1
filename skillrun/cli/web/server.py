"""Serves a ledger by Datasette, on the loopback address alone."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from datasette.app import Datasette
from datasette.plugins import pm

from skillrun.cli.web import plugin
from skillrun.cli.web.csvrows import with_safe_rows
from skillrun.cli.web.database import LedgerDatabase
from skillrun.cli.web.guard import App, Message, Receive, Send, guard_app
from skillrun.cli.web.metadata import NAME, build_metadata
from skillrun.core.errors import Refused
from skillrun.ledger.connection import open_reader
from skillrun.ledger.query import MAX_ROWS
from skillrun.runner.files_now import known_repo

HOST = "127.0.0.1"
SETTINGS = {
    # Over a million events some named queries take ten seconds on a busy machine.
    "sql_time_limit_ms": 30_000,
    "facet_time_limit_ms": 1_000,
    "default_page_size": 50,
    "default_facet_size": 10,
    "max_returned_rows": MAX_ROWS,
    "truncate_cells_html": 400,
    "default_cache_ttl": 0,  # a page that is loaded again shows the new rows
    "suggest_facets": False,  # it would count every column of every page
    "allow_download": False,
}


def serve(path: Path, repo: Path, port: int, ready: Callable[[str], None]) -> None:
    """Serves until Ctrl-C; `ready` is called with the address once a browser may ask for it. Port 0
    takes a free one.

    Where the folder `repo` is in a repository that the ledger knows, a query compares with its
    files as they are.

    Raises LedgerUnusable where there is no ledger to read, Refused for a port that cannot be had.
    """
    open_reader(path).close()
    with _listen_on(port) as listener:
        port = listener.getsockname()[1]
        datasette = build_application(path, repo)
        app = guard_app(_safe_csv(datasette.app()), port)
        config = uvicorn.Config(
            app, log_level="error", access_log=False, ws="none", timeout_graceful_shutdown=2
        )
        ready(f"http://{HOST}:{port}/")
        with contextlib.suppress(KeyboardInterrupt):
            _Server(config, datasette.get_database(NAME)).run(sockets=[listener])


class _Server(uvicorn.Server):
    """Ends at once: a query that runs is interrupted, and what is cut off then is nothing to
    tell.
    """

    def __init__(self, config: uvicorn.Config, database: LedgerDatabase) -> None:
        super().__init__(config)
        self._database = database

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Else it would tell of every answer that is cut off.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        self._database.interrupt_all()
        super().handle_exit(sig, frame)


def build_application(path: Path, repo: Path) -> Any:
    """Datasette with the ledger at `path`, skillrun's plugin, and no other plugin that may be
    installed here.
    """
    _plug_in()
    static = Path(__file__).with_name("static")
    words = build_metadata(path, known_repo(repo, path))
    datasette = Datasette(
        [],
        memory=False,
        metadata=words,
        settings=SETTINGS,
        static_mounts=[("skillrun", str(static))],
    )
    datasette.remove_database("_memory")
    datasette.add_database(LedgerDatabase(datasette, path, repo), name=NAME)
    return datasette


def _safe_csv(app: App) -> App:
    async def answer_csv_safely(scope: Message, receive: Receive, send: Send) -> None:
        is_csv = scope["type"] == "http" and scope["path"].endswith(".csv")
        if is_csv:
            send = with_safe_rows(send)
        await app(scope, receive, send)

    return answer_csv_safely


def _plug_in() -> None:
    """Datasette's plugins are those of the process."""
    for other, _ in pm.list_plugin_distinfo():
        pm.unregister(other)
    # It prints a traceback with all variables for each wrong address: ours takes its place.
    if pm.has_plugin("datasette.handle_exception"):
        pm.unregister(name="datasette.handle_exception")
    if not pm.is_registered(plugin):
        pm.register(plugin, "skillrun")


def _listen_on(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()
    except (OSError, OverflowError) as error:
        listener.close()
        why = getattr(error, "strerror", None) or "there is no such port"
        raise Refused(
            f"port {port} of {HOST} cannot be had: {why}", hint="--port N; 0 takes a free one"
        ) from None
    return listener
