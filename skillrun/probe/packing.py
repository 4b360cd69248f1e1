"""Bytes in a message: what a driver tells is JSON, and libraries send whatever they like."""

from __future__ import annotations

import base64


def pack_bytes(data: bytes | str) -> str:
    """As text; some libraries' serializers make text already."""
    if isinstance(data, str):
        data = data.encode()
    return base64.b64encode(data).decode()


def unpack_bytes(text: str) -> bytes:
    """What was packed."""
    return base64.b64decode(text)
