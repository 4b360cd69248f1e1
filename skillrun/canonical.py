"""One way to turn a value into bytes and a sha256, so that every hash in the product can be recomputed."""

from __future__ import annotations

import hashlib
import json
from typing import Any

# Made once: json.dumps would make one for each of the million rows of a ledger that is verified.
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical(value: Any) -> bytes:
    """JSON with sorted keys, no spaces, UTF-8. Lone surrogates (odd file names) are escaped, never an error."""
    return _ENCODER.encode(value).encode("utf-8", "backslashreplace")


def sha256(data: bytes) -> str:
    """Hexadecimal sha256."""
    return hashlib.sha256(data).hexdigest()


def digest(value: Any) -> str:
    """Hexadecimal sha256 of the canonical JSON of a value."""
    return sha256(canonical(value))
