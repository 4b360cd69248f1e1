import logging
import sys
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Line:
    """One line of the journal; str() of it is logfmt."""

    job: str
    run: str
    key: str
    outcome: str
    attempt: int | None = None
    reason: str | None = None
    wait: int | None = None
    receipt: str | None = None

    def __str__(self) -> str:
        return " ".join(f"{k}={_quoted(v)}" for k, v in asdict(self).items() if v is not None)


def _quoted(value) -> str:
    text = str(value)
    return '"' + text.replace('"', "'").replace("\n", " ") + '"' if set(text) & set(' "=\n') else text


def configure() -> None:
    """journald adds the time."""
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(levelname)s %(message)s")
