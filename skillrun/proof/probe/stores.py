"""Redis and PostgreSQL clients: their commands are boundaries too, hooked when the client is imported."""

from __future__ import annotations

from .recorder import Recorder


def install(recorder: Recorder) -> None:
    """Once, in the zygote."""
