"""What a confirmation asks of a library's broker while its real worker runs, and what the broker is
made with.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

Command = Sequence[bytes | str | int]


class NotConfirmed(Exception):
    """A schedule that cannot be repeated with a real worker; the words are for a person."""


class Redis(Protocol):
    """A Redis server of this confirmation, and a connection to it."""

    @property
    def socket(self) -> Path:
        """Where it listens."""

    @property
    def url(self) -> str:
        """What a client is given."""

    def call(self, *words: bytes | str | int) -> Any:
        """The reply to one command."""

    def pipeline(self, commands: Iterable[Command]) -> Any:
        """The replies to all of them, in one round trip."""

    def jump(self, seconds: float) -> None:
        """As if that time had passed: what expires is gone."""

    def close(self) -> None:
        """The connection, and the server if it is the broker's own."""


class Postgres(Protocol):
    """A PostgreSQL server of the broker's own."""

    @property
    def url(self) -> str:
        """What a client is given."""

    def query(self, sql: str) -> Sequence[Sequence[object]]:
        """The rows."""

    def stop(self) -> None:
        """Leaves nothing."""


class Premises(Protocol):
    """Where a broker is made: the files and servers of one confirmation."""

    @property
    def folder(self) -> Path:
        """A folder that the worker may write in."""

    @property
    def counts_dead_letters(self) -> bool:
        """Whether the spec's dead letters are those that the library itself keeps."""

    def open_redis(self, *, own: bool) -> Redis:
        """A server for the broker alone, or the one in which the handler's keys are."""

    def start_postgres(self) -> Postgres:
        """A server for the broker alone."""

    def find_sqlite_file(self) -> Path | None:
        """The application's database, where it is a file of SQLite."""


class Broker(Protocol):
    """A private broker, seen from outside. Made where the proof's servers run already."""

    # No keys that the library counts time by lie where the handler's do: those may age at any
    # moment.
    ALONE: bool
    # Whoever hears of a job's end is called in another process than the handler.
    ENDS_APART: bool
    url: str  # for the worker

    def empty_queues(self) -> None:
        """Empty, for the next schedule."""

    def count_waiting(self) -> int:
        """Messages that wait, or that a worker has and did not acknowledge."""

    def list_queues(self) -> list[str]:
        """The names of the queues in which messages wait."""

    def remember_waiting(self) -> None:
        """Remembers the messages that wait now."""

    def deliver_again(self) -> None:
        """Delivers the remembered messages a second time."""

    def lose_messages(self) -> None:
        """Loses every message."""

    def pass_time(self, seconds: float) -> None:
        """As if that time had passed: what the broker, or another worker, gives back then is given
        back.
        """

    def count_dead(self) -> int | None:
        """How many the library's own dead-letter place holds; None where it has none."""

    def stop(self) -> None:
        """Leaves nothing."""


def refuse_broker(premises: Premises) -> Broker:
    """Where nobody stands between the clock and the handler. Raises NotConfirmed."""
    raise NotConfirmed("there is no worker for it that could be started here")
