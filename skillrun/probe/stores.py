"""Clients of databases and services: hooked when the repository imports them."""

from __future__ import annotations

import ctypes.util
from collections.abc import Sequence

from . import postgres, redis_client, unseen
from .recorder import Recorder
from .wrap import wrap_calls


def install_stores(recorder: Recorder, servers: Sequence[str] = ()) -> None:
    """Once, in the zygote. `servers`: the folders below which the sockets of the proof's own
    servers are.
    """
    redis_client.install_redis(recorder)
    postgres.install_postgres(recorder, tuple(servers))
    unseen.watch_clients(recorder)
    # an import inside of the handler may look for a library (libpq): the processes that this starts
    # are not its own
    wrap_calls(ctypes.util, "find_library", lambda *_: recorder.quiet())
