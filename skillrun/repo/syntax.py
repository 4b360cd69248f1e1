"""Parses Python that may be newer than the interpreter that skillrun runs on."""

from __future__ import annotations

import ast
import re
import warnings

# Each keeps the number of lines, so that places stay right.
_NEWER = (
    (
        re.compile(rb"(?m)^(\s*except\*?\s+)([\w.]+(?:\s*,\s*[\w.]+)+)(\s*:)"),
        rb"\1(\2)\3",
    ),  # 3.14: PEP 758
    (
        re.compile(rb"(?m)^(\s*(?:async\s+def|def|class)\s+\w+)\[[^\]\n]*\]"),
        rb"\1",
    ),  # 3.12: PEP 695
    (re.compile(rb"(?m)^(\s*)type\s+(\w+)(?:\[[^\]\n]*\])?(\s*=)"), rb"\1\2\3"),
    (re.compile(rb"(?<![\w\"'])[tT](?=[\"'])"), rb"f"),  # 3.14: template strings
)


def parse_python(data: bytes) -> ast.Module:
    """The module. What only a newer Python can read is first written the old way, line for line.

    Raises SyntaxError, ValueError, RecursionError or MemoryError, as `ast.parse` does.
    """
    with warnings.catch_warnings():
        # A SyntaxWarning of the repository's code is not ours to print.
        warnings.simplefilter("ignore")
        try:
            return ast.parse(data)
        except SyntaxError:
            older = _written_older(data)
            if older == data:
                raise
            return ast.parse(older)


def _written_older(data: bytes) -> bytes:
    for pattern, replacement in _NEWER:
        data = pattern.sub(replacement, data)
    return data
