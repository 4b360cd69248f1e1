"""Sends a ledger's rows to a PostgreSQL database that gathers the runs of many machines.

In batches, until nothing is waiting; again after a cut, and around what is refused. `outbox` reads
what is still to be sent, `parcel` checks it, `server` takes it in, `mirror` is the way back.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from skillrun.core.errors import Blocked
from skillrun.ledger.shipping.compare import (
    Holding,
    count_arrived_early,
    list_lost_runs,
    split_into_batches,
)
from skillrun.ledger.shipping.outbox import Outbox
from skillrun.ledger.shipping.parcel import Parcel, Unfit
from skillrun.ledger.shipping.server import Refusal, Server, Unreachable, hide_secrets

BATCH = 2000  # events
# Of one batch, with waits of up to 0.5, 1, 2, 4 and 8 seconds in between.
ATTEMPTS, BASE_S, CAP_S = 6, 0.5, 20.0
# Runs that one question to the database names.
_COMPARED = 1000

T = TypeVar("T")


@dataclass(frozen=True)
class Shipped:
    """What one call did. `refused`: run -> why, those of earlier calls included.

    `notes`: what was wrong with the cursor, or with what the receiver holds, a line each.
    """

    sink: str
    events: int
    runs: int
    waiting: int  # events that have come since
    refused: dict[str, str]
    notes: tuple[str, ...] = ()


def ship_ledger(
    path: Path, url: str, *, batch: int = BATCH, sleep: Callable[[float], None] = time.sleep
) -> Shipped:
    """Brings a ledger's rows into the database at `url`. May be called at any time, and by several
    at once.

    A batch is one transaction there; only then the cursor here moves on, so that after a cut the
    same rows are sent again, and are there once. Raises Misuse for an address that is none,
    LedgerUnusable, and Blocked where the database cannot be reached: what was sent stays sent.
    """
    sink, server = hide_secrets(url), Server(url)
    events, runs = 0, set[str]()
    try:
        with Outbox(path, sink) as outbox:
            _retry_refused(outbox, server, sleep)
            notes = tuple(_mend_receiver(outbox, server, sleep))
            while True:
                parcels, seq = outbox.read_next(batch)
                if not parcels:
                    break
                refused = list(_send_batch(outbox, server, parcels, sleep))
                outbox.record_sent(seq, refused)
                gone = {run_id for run_id, _, _ in refused}
                for parcel in parcels:
                    if parcel.run_id not in gone:
                        events += len(parcel.events)
                        runs.add(parcel.run_id)
            left = {}
            for run_id, (n, why) in outbox.list_refused().items():
                left[run_id] = f"event {n}: {why}"
            return Shipped(sink, events, len(runs), outbox.count_waiting(), left, notes)
    finally:
        server.close()


def _mend_receiver(outbox: Outbox, server: Server, sleep: Callable[[float], None]) -> Iterator[str]:
    """Compares what was sent with what is there, and sends again what is not; says what was wrong.

    The cursor alone would never notice that somebody set it forward, or that the database was
    emptied or restored.
    """
    moved = outbox.set_cursor_back()
    if moved is not None:
        yield (
            f"the cursor stood at {moved[0]}, behind the ledger's last event {moved[1]}: it was set"
            " back"
        )
    sent = outbox.list_holdings()
    there: dict[str, Holding] = {}
    for runs in split_into_batches(list(sent), _COMPARED):
        there |= _with_patience(server, partial(server.list_holdings, runs), sleep)
    early = count_arrived_early(sent, there)
    if early:
        yield (
            f"{early} events behind the cursor were there already: they are sent again, and are"
            " there once"
        )
    held = outbox.list_refused()
    lost = []
    for run_id in list_lost_runs(sent, there):
        if run_id not in held:
            lost.append(run_id)
    refused = list(_send_again(outbox, server, lost, sleep))
    if refused:
        outbox.record_sent(outbox.read_cursor(), refused)
    mended = len(lost) - len(refused)
    if mended:
        yield f"{mended} runs that had been sent were not there, or not whole: they were sent again"


def _send_again(
    outbox: Outbox, server: Server, runs: Sequence[str], sleep: Callable[[float], None]
) -> Iterator[tuple[str, int, str]]:
    """Sends runs as a whole, as far as the cursor; yields what was refused."""
    for run_id in runs:
        parcel = outbox.read_whole_run(run_id)
        if parcel is not None:
            yield from _send_one_by_one(server, [parcel], sleep)


def _retry_refused(outbox: Outbox, server: Server, sleep: Callable[[float], None]) -> None:
    """Runs that were refused are sent as a whole: what was wrong may have been mended."""
    for run_id in outbox.list_refused():
        parcel = outbox.read_whole_run(run_id)
        if parcel is None or not list(_send_one_by_one(server, [parcel], sleep)):
            outbox.record_taken(run_id)


def _send_batch(
    outbox: Outbox, server: Server, parcels: Sequence[Parcel], sleep: Callable[[float], None]
) -> Iterator[tuple[str, int, str]]:
    """Sends a batch; yields what was refused of it, (run, event, why). What follows a refused event
    waits with it.
    """
    held = outbox.list_refused()
    fit: list[Parcel] = []
    for parcel in parcels:
        try:
            parcel.check_hashes()
        except Unfit as unfit:
            yield parcel.run_id, unfit.n, unfit.why
            continue
        if parcel.run_id in held:
            yield parcel.run_id, *held[parcel.run_id]
        else:
            fit.append(parcel)
    try:
        _take_in_patiently(server, fit, sleep)
    except Refusal:
        yield from _send_one_by_one(server, fit, sleep)


def _send_one_by_one(
    server: Server, parcels: Sequence[Parcel], sleep: Callable[[float], None]
) -> Iterator[tuple[str, int, str]]:
    """One by one, so that one that is refused holds up no other."""
    for parcel in parcels:
        try:
            parcel.check_hashes()
            _take_in_patiently(server, [parcel], sleep)
        except Unfit as unfit:
            yield parcel.run_id, unfit.n, unfit.why
        except Refusal as refusal:
            yield parcel.run_id, parcel.first_n, str(refusal)


def _take_in_patiently(
    server: Server, parcels: Sequence[Parcel], sleep: Callable[[float], None]
) -> None:
    """Sends with patience. Raises Refusal, and Blocked in the end."""
    if parcels:
        _with_patience(server, lambda: server.take_in(parcels), sleep)


def _with_patience(server: Server, ask: Callable[[], T], sleep: Callable[[float], None]) -> T:
    """With bounded retries, exponential backoff and full jitter. Raises Refusal, and Blocked in the
    end.
    """
    for attempt in itertools.count(1):
        try:
            return ask()
        except Unreachable as error:
            if attempt == ATTEMPTS:
                hint = "what was sent is kept; ship again later"
                raise Blocked(f"{hide_secrets(server.url)}: {error}", hint=hint) from error
            longest = min(CAP_S, BASE_S * 2 ** (attempt - 1))
            # By chance, so that many machines do not come back at the same moment.
            sleep(random.uniform(0, longest))
    raise AssertionError("the attempts are counted without an end")
