"""Has a Redis client of asyncio speak to the proof's own server."""

from __future__ import annotations

from typing import Any

from redis.asyncio import ConnectionPool, UnixDomainSocketConnection

# Of a connection, beside where it leads: what a reply looks like, and which database is meant.
_KEPT = ("db", "encoding", "encoding_errors", "decode_responses")


def redirect_client(client: Any, path: str) -> None:
    """Whatever its settings say: `path` is the server's socket."""
    had = client.connection_pool.connection_kwargs
    if had.get("path") == path:
        return
    kept = {name: had[name] for name in _KEPT if name in had}
    client.connection_pool = ConnectionPool(
        connection_class=UnixDomainSocketConnection, path=path, **kept
    )


def find_socket(url: str) -> str:
    """The socket in the address of the proof's server."""
    return url.partition("://")[2].partition("?")[0]
