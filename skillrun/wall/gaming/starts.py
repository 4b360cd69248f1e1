"""The lines of a file that start a worker, of every library."""

from __future__ import annotations

from functools import cache

from skillrun.frameworks.known.launchers import Start, find_starts
from skillrun.frameworks.known.recognise import KnownRecogniser
from skillrun.frameworks.registry import recognisers


def list_starts(path: str, text: str | None) -> list[Start]:
    """In the order of the lines."""
    return list(find_starts(path, text or "", _list_commands()))


@cache
def _list_commands() -> tuple[str, ...]:
    """The command lines that start a worker, of all libraries."""
    found: list[str] = []
    for recogniser in recognisers():
        if isinstance(recogniser, KnownRecogniser):
            found += recogniser.starts
    return tuple(dict.fromkeys(found))
