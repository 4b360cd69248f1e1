"""What several formats need: bounded text, one line of JSON, times."""

from __future__ import annotations

import json
from typing import Any

from skillrun.core.text import masked_json, safe_json, visible

# Characters of a string, as telemetry v1 says.
MOST = 500


def shorten_text(value: Any) -> str:
    """Text for a reader elsewhere: nothing hidden in it, at most 500 characters."""
    return visible(str(value), limit=MOST)


def bound_value(value: Any) -> Any:
    """A JSON value with everything masked that looks like a secret, and every string short."""
    return _shorten_strings(masked_json(value))


def _shorten_strings(value: Any) -> Any:
    if isinstance(value, str):
        return shorten_text(value)
    if isinstance(value, dict):
        return {shorten_text(key): _shorten_strings(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_shorten_strings(member) for member in value]
    return value


def json_line(value: Any) -> str:
    """One line of ASCII, so that nothing of a repository reaches a terminal as it is."""
    return json.dumps(safe_json(value), ensure_ascii=True, separators=(",", ":")) + "\n"
