"""Durations as people write them (`90s`, `15m`, `24h`, `7d`, `500ms`) and as seconds."""

from __future__ import annotations

import re

PATTERN = r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d)$"
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_FORM = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)(ms|s|m|h|d)")


def parse_duration(text: str) -> float:
    """Seconds of `90s`, `1.5h`, ...; ValueError where the text is no duration."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a duration such as 90s, 15m or 7d")
    return float(match[1]) * _SECONDS[match[2]]


def format_duration(seconds: float) -> str:
    """The shortest exact spelling: 90 -> `90s`, 3600 -> `1h`, 0.5 -> `500ms`."""
    milliseconds = round(seconds * 1000)
    for unit in ("d", "h", "m", "s"):
        size = round(_SECONDS[unit] * 1000)
        if milliseconds >= size and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    if not milliseconds:
        return "0s"
    return f"{milliseconds}ms"
