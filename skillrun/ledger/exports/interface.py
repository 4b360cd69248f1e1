"""What an export format is: a module that turns chosen runs into texts, or into one file for each
table.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from skillrun.ledger.exports.source import Source


class Lines(Protocol):
    """A format of one text: to standard output, or to a file."""

    def format_lines(self, source: Source) -> Iterable[str]:
        """The text in pieces; together they end with a newline."""


class Tables(Protocol):
    """A format of one file for each table."""

    SUFFIX: str

    def check_packages(self) -> None:
        """Raises Refused where a package is missing."""

    def format_table(self, source: Source, name: str) -> Iterable[bytes]:
        """The file of one table in pieces."""
