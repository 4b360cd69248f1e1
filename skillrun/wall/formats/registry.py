"""The formats by name: each makes a text of one Verification."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from skillrun.core.text import safe_json
from skillrun.wall.formats.document import document
from skillrun.wall.formats.intoto import intoto
from skillrun.wall.formats.junit import junit
from skillrun.wall.formats.markdown import markdown
from skillrun.wall.formats.sarif import sarif
from skillrun.wall.formats.text import text
from skillrun.wall.verification import Verification


def _as_json(make: Callable[[Verification], dict[str, Any]]) -> Callable[[Verification], str]:
    """ASCII, so that no bidi or control character of a repository reaches a terminal."""
    return lambda verification: (
        json.dumps(safe_json(make(verification)), indent=2, ensure_ascii=True) + "\n"
    )


FORMATS: dict[str, Callable[[Verification], str]] = {
    "text": text,
    "json": _as_json(document),
    "sarif": _as_json(sarif),
    "junit": junit,
    "intoto": _as_json(intoto),
    "markdown": markdown,
}
