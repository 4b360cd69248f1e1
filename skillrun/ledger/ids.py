"""Run ids: UUID version 7, so that ids sort by the time at which the runs began."""

from __future__ import annotations

import os
import time

# The last 60 bits of time handed out by this process.
_last = 0


def uuid7() -> str:
    """A new UUIDv7 (RFC 9562): 60 bits of time and 62 random ones; a process hands out ever greater
    ones.
    """
    global _last
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    _last = max(milliseconds << 12 | (rest << 12) // 1_000_000, _last + 1)
    stamp = f"{_last:015x}"
    variant = int.from_bytes(os.urandom(8), "big") & (2**62 - 1) | 2**63
    tail = f"{variant:016x}"
    return f"{stamp[:8]}-{stamp[8:12]}-7{stamp[12:]}-{tail[:4]}-{tail[4:]}"
