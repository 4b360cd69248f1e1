"""Every job library that is only recognised: a new one is an entry in its language's module."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skillrun.frameworks.known.python import PYTHON
from skillrun.frameworks.known.recognise import KnownRecogniser

if TYPE_CHECKING:
    from skillrun.frameworks.known.entry import Known

ENTRIES: tuple[Known, ...] = PYTHON
TITLES: dict[str, str] = {entry.id: entry.title for entry in ENTRIES}


def known_recognisers() -> list[KnownRecogniser]:
    """A fresh recogniser for each entry, for one pass over the files."""
    return [KnownRecogniser(entry) for entry in ENTRIES]
