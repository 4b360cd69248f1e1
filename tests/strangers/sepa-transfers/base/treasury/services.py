"""Use cases. No framework in here."""

import hashlib
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from treasury import errors
from treasury.model import AuditEntry, DeadLetter, Posting, Transfer, TransferStatus
from treasury.ports import Clock, Publisher, SepaGateway, UnitOfWork
from treasury.settings import ExecutionPolicy

JOB = "execute-transfer"
log = logging.getLogger(__name__)

UnitOfWorkFactory = Callable[[], UnitOfWork]


def utc_now() -> datetime:
    return datetime.now(UTC)


def fingerprint(payload: Any) -> str:
    return hashlib.sha256(json.dumps(payload, sort_keys=True, default=str).encode()).hexdigest()


def transfer_id_of(payload: Any) -> int:
    value = payload.get("transfer_id") if isinstance(payload, dict) else None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**63:
        raise errors.MalformedInstruction(f"transfer_id={value!r}")
    return value


class ReleaseTransfer:
    """Four-eyes approval is done; the transfer may go out. Safe to call again."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock = utc_now) -> None:
        self._uow, self._clock = uow, clock

    def __call__(self, transfer_id: int) -> None:
        with self._uow() as uow:
            transfer = uow.transfers.lock(transfer_id)
            if transfer is None:
                raise errors.UnknownTransfer(f"transfer {transfer_id}")
            if transfer.released_at is None:
                transfer.released_at = self._clock()
                uow.outbox.arm(transfer_id)
            uow.commit()


class RelayOutbox:
    """Publishes what is waiting, one transaction each. A crash after the publish publishes twice, never not at all."""

    def __init__(self, uow: UnitOfWorkFactory, publisher: Publisher, clock: Clock = utc_now) -> None:
        self._uow, self._publisher, self._clock = uow, publisher, clock

    def __call__(self) -> int:
        count = 0
        while True:
            with self._uow() as uow:
                message = uow.outbox.next_unpublished()
                if message is None:
                    return count
                self._publisher.publish(message.payload)
                message.published_at = self._clock()
                uow.commit()
            count += 1


class RedispatchStalled:
    """Arms the outbox for transfers whose message must have been lost."""

    def __init__(self, uow: UnitOfWorkFactory, policy: ExecutionPolicy, clock: Clock = utc_now) -> None:
        self._uow, self._policy, self._clock = uow, policy, clock

    def __call__(self) -> int:
        now = self._clock()
        with self._uow() as uow:
            stalled = uow.transfers.stalled(now, released_before=now - self._policy.dispatch_patience)
            for transfer in stalled:
                uow.outbox.arm(transfer.id)
                log.warning(
                    "job=%s event_id=%s attempt=%s result=redispatched reason=stalled",
                    JOB, transfer.id, transfer.attempts,
                )  # fmt: skip
            uow.commit()
        return len(stalled)


class ExecuteTransfer:
    """Claim, submit, settle: two short transactions around the gateway call, which carries the end-to-end id."""

    def __init__(
        self, uow: UnitOfWorkFactory, gateway: SepaGateway, policy: ExecutionPolicy, clock: Clock = utc_now
    ) -> None:
        self._uow, self._gateway, self._policy, self._clock = uow, gateway, policy, clock

    def __call__(self, payload: dict[str, Any], holder: str) -> str:
        transfer_id = transfer_id_of(payload)
        transfer, refusal = self._claim(transfer_id, holder)
        if refusal:
            return refusal
        log.info(
            "job=%s event_id=%s end_to_end_id=%s attempt=%s result=started",
            JOB, transfer_id, transfer.end_to_end_id, transfer.attempts,
        )  # fmt: skip
        try:
            reference = self._gateway.submit(
                end_to_end_id=transfer.end_to_end_id,
                debtor_iban=transfer.debtor_iban,
                creditor_iban=transfer.creditor_iban,
                amount_cents=transfer.amount_cents,
                currency=transfer.currency,
            )
        except errors.AlreadyInstructed:
            reference = None
        return self._settle(transfer, reference)

    def _claim(self, transfer_id: int, holder: str) -> tuple[Transfer, str | None]:
        now = self._clock()
        with self._uow() as uow:
            transfer = uow.transfers.lock(transfer_id)
            if transfer is None:
                raise errors.UnknownTransfer(f"transfer {transfer_id}")
            if transfer.status != TransferStatus.APPROVED:
                return transfer, f"already {transfer.status.lower()}"
            if transfer.held_by_other(holder, now):
                # Its message is unacknowledged or waiting for a retry; if it is lost, the sweep looks after the claim.
                return transfer, f"held by {transfer.claimed_by}"
            if transfer.attempts >= self._policy.max_attempts:
                raise errors.AttemptsExhausted(f"{transfer.attempts} attempts")
            if transfer.first_attempt_at and now - transfer.first_attempt_at >= self._policy.key_lifetime:
                raise errors.OutcomeUnknown(f"first attempt at {transfer.first_attempt_at.isoformat()}")
            transfer.attempts += 1
            transfer.first_attempt_at = transfer.first_attempt_at or now
            transfer.claimed_by = holder
            transfer.claimed_until = now + self._policy.claim_for
            uow.append(AuditEntry(transfer_id=transfer_id, attempt=transfer.attempts, action="ATTEMPT", at=now))
            uow.commit()
        return transfer, None

    def _settle(self, claimed: Transfer, reference: str | None) -> str:
        now = self._clock()
        with self._uow() as uow:
            transfer = uow.transfers.lock(claimed.id)
            if transfer.status == TransferStatus.SUBMITTED:
                return "already submitted"
            # Even where another delivery gave the transfer up meanwhile: the money has moved.
            transfer.status = TransferStatus.SUBMITTED
            transfer.reference = reference
            uow.accounts.lock(transfer.debtor_iban).debit(transfer.amount_cents)
            uow.append(
                Posting(
                    transfer_id=transfer.id, iban=transfer.debtor_iban, amount_cents=-transfer.amount_cents, booked_at=now
                )
            )
            uow.append(AuditEntry(transfer_id=transfer.id, attempt=claimed.attempts, action="SUBMITTED", at=now))
            uow.dead_letters.discard(JOB, fingerprint({"transfer_id": transfer.id}))
            uow.commit()
        return "submitted"


class AbandonTransfer:
    """No attempt is left or none would help: status, dead letter and audit entry in one transaction."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock = utc_now) -> None:
        self._uow, self._clock = uow, clock

    def __call__(self, payload: Any, reason: str) -> None:
        now = self._clock()
        try:
            transfer_id = transfer_id_of(payload)
        except errors.MalformedInstruction:
            transfer_id = None
        with self._uow() as uow:
            transfer = uow.transfers.lock(transfer_id) if transfer_id is not None else None
            if transfer is not None:
                if transfer.status != TransferStatus.APPROVED:
                    return
                transfer.status = TransferStatus.FAILED
                uow.append(
                    AuditEntry(
                        transfer_id=transfer.id, attempt=transfer.attempts, action="FAILED", detail=reason[:500], at=now
                    )
                )
            uow.dead_letters.add_once(
                DeadLetter(
                    job=JOB, fingerprint=fingerprint(payload), payload=payload, reason=reason[:500], recorded_at=now
                )
            )
            uow.commit()
