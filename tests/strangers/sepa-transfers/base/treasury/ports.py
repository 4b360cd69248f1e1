"""What the use cases need from the outside."""

from datetime import datetime
from typing import Any, Protocol

from treasury.model import Account, AuditEntry, DeadLetter, OutboxMessage, Posting, Transfer


class Clock(Protocol):
    def __call__(self) -> datetime: ...


class SepaGateway(Protocol):
    def submit(
        self, *, end_to_end_id: str, debtor_iban: str, creditor_iban: str, amount_cents: int, currency: str
    ) -> str:
        """Executes one credit transfer and returns the gateway's reference. De-duplicates by end_to_end_id."""


class Publisher(Protocol):
    def publish(self, payload: dict[str, Any]) -> None: ...


class TransferRepository(Protocol):
    def lock(self, transfer_id: int) -> Transfer | None: ...
    def stalled(self, now: datetime, released_before: datetime) -> list[Transfer]: ...


class AccountRepository(Protocol):
    def lock(self, iban: str) -> Account: ...


class OutboxRepository(Protocol):
    def find(self, transfer_id: int) -> OutboxMessage | None: ...
    def next_unpublished(self) -> OutboxMessage | None: ...
    def arm(self, transfer_id: int) -> None: ...


class DeadLetterRepository(Protocol):
    def add_once(self, letter: DeadLetter) -> None: ...
    def discard(self, job: str, fingerprint: str) -> None: ...


class UnitOfWork(Protocol):
    transfers: TransferRepository
    accounts: AccountRepository
    outbox: OutboxRepository
    dead_letters: DeadLetterRepository

    def __enter__(self) -> "UnitOfWork": ...
    def __exit__(self, *exc: object) -> None: ...
    def append(self, entry: AuditEntry | Posting) -> None: ...
    def commit(self) -> None: ...
