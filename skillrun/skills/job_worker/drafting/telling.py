"""Calls that only tell what goes on."""

from __future__ import annotations

import ast
import re

# `logger.info`, `self.log.debug`, `print`.
_TELLING = re.compile(r"^(?:self\.)?_?(?:log|logger|logging|print)(?:\.|$)", re.IGNORECASE)


def is_telling(call: ast.Call) -> bool:
    """Whether a call writes a record of a log, or a line."""
    return _TELLING.match(ast.unparse(call.func)) is not None
