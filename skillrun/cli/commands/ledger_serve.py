"""`skillrun ledger serve`: the whole ledger in a browser, where Datasette is installed."""

from __future__ import annotations

from pathlib import Path

from skillrun.cli.commands.common import ledger_of
from skillrun.core.errors import Blocked
from skillrun.core.extras import install_hint


def serve(port: int, open_browser: bool, repo: Path, ledger: Path | None) -> int:
    """Serves until Ctrl-C. Raises Blocked where Datasette is missing."""
    try:
        from skillrun.cli.web.server import serve as run
    except ModuleNotFoundError as error:
        hint = install_hint("web")
        raise Blocked(
            f"the web pages need a package that is not installed: {error.name}", hint=hint
        ) from None

    def ready(address: str) -> None:
        print(f"{address}  (only on this machine, only for reading; Ctrl-C ends it)", flush=True)
        if open_browser:
            import webbrowser

            webbrowser.open(address)

    run(ledger_of(repo, ledger), repo, port, ready)
    return 0
