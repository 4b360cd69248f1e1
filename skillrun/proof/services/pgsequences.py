"""How far the sequences of a PostgreSQL database have come, and putting them back.

A transaction that is undone takes back its rows, and not the numbers that it drew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from skillrun.proof.services.errors import ServiceFailed
from skillrun.proof.services.pgcontents import SEQUENCES
from skillrun.proof.services.pgwire import Session

# A client that was killed may hold a table for a moment.
_PATIENCE = "SET lock_timeout = '10s'"


@dataclass(frozen=True)
class Sequence:
    """`last` is the number that was drawn last, or, where `is_called` is not, that comes next."""

    name: str  # as SQL writes it
    literal: str  # the name as a text of SQL
    numbers: str  # the query of all numbers that its columns hold
    last: int
    is_called: bool


def read_sequences(session: Session) -> list[Sequence]:
    """Those that fill columns of whole numbers, upwards; not those that cannot be read."""
    session.run(_PATIENCE)
    return list(_list_sequences(session))


def put_back(session: Session, before: list[Sequence]) -> None:
    """Gives back the numbers that were drawn since and that no row has. A sequence that has not
    moved, or was set to an earlier number, stays as it is.
    """
    known = {sequence.name: sequence for sequence in before}
    for now in read_sequences(session):
        was = known.get(now.name)
        if was is None or (now.last, now.is_called) == (was.last, was.is_called):
            continue
        if now.is_called and now.last >= was.last:
            _give_back(session, was, now)


def _list_sequences(session: Session) -> Iterator[Sequence]:
    for name, literal, numbers in session.run(SEQUENCES):
        try:
            ((last, is_called),) = session.run(f"SELECT last_value, is_called FROM {name}")
        except ServiceFailed:
            continue  # its numbers are left alone
        yield Sequence(str(name), str(literal), str(numbers), int(str(last)), bool(is_called))


def _give_back(session: Session, was: Sequence, now: Sequence) -> None:
    """To the highest of the new numbers that a row has, or exactly to where it was."""
    # One that is not called has not yet given the number that it holds.
    is_new = f"number {'>' if was.is_called else '>='} {was.last} AND number <= {now.last}"
    try:
        ((highest,),) = session.run(f"SELECT max(number) FROM ({now.numbers}) n WHERE {is_new}")
        last, is_called = was.last, was.is_called
        if highest is not None:
            last, is_called = int(str(highest)), True
        session.run(f"SELECT setval({now.literal}, {last}, {is_called})")
    except ServiceFailed:
        return  # its numbers are left alone
