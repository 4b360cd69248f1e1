"""From an entry to a recogniser: what reads files is loaded where a survey begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skillrun.frameworks.known.entry import Known
    from skillrun.repo.survey import Recogniser


def make_recogniser(entry: Known) -> Recogniser:
    """A fresh one for one pass over the files."""
    from skillrun.frameworks.known.recognise import KnownRecogniser

    return KnownRecogniser(entry)
