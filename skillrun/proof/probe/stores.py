"""Clients of databases and services: hooked when the repository imports them."""

from __future__ import annotations

from collections.abc import Sequence

from . import postgres, redis_client, unseen
from .recorder import Recorder


def install(recorder: Recorder, servers: Sequence[str] = ()) -> None:
    """Once, in the zygote. `servers`: the folders below which the sockets of the proof's own servers are."""
    redis_client.install(recorder)
    postgres.install(recorder, tuple(servers))
    unseen.install(recorder)
