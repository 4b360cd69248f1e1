"""`skillrun mcp`: the server, where its SDK is installed."""

from __future__ import annotations

from skillrun.core.errors import Refused
from skillrun.core.extras import install_hint


def serve() -> int:
    """Serves until the client hangs up. Raises Refused where the SDK is missing."""
    try:
        from skillrun.agents.mcp.server import serve as run
    except ModuleNotFoundError as error:
        hint = install_hint("mcp")
        raise Refused(
            f"the MCP server needs a package that is not installed: {error.name}", hint=hint
        ) from None
    run()
    return 0
