"""The provisioning job.

Delivered twice, or twice at once: the partner gets the same idempotency key and answers
with the same key, and a request that is settled is left alone. Attempts are counted in
the request's row (and by arq), so a worker that dies counts, too.
"""

import hashlib
import json
import random
from typing import Any

import structlog
from arq import Retry
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import delete, select, update
from sqlalchemy.dialects.sqlite import insert
from structlog.contextvars import bind_contextvars, clear_contextvars

from cloudkeys.db import ACTIVE, FAILED, NEW, QUEUED, DeadLetter, KeyRequest, Sessions
from cloudkeys.partner import PartnerRefused

log = structlog.get_logger(__name__)

JOB = "provision_key"
MAX_ATTEMPTS = 5
OPEN = (NEW, QUEUED)


class ProvisionMessage(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    request_id: str = Field(pattern=r"^kr_[0-9a-f]{6}$")


class NoSuchRequest(Exception):
    pass


class AttemptsUsedUp(Exception):
    pass


PERMANENT = (PartnerRefused, NoSuchRequest, AttemptsUsedUp)


def backoff(attempt: int) -> float:
    """10s, 30s, 90s, 270s, with some jitter."""
    return min(10 * 3 ** (attempt - 1), 300) * random.uniform(0.5, 1.0)


async def provision_key(ctx: dict[str, Any], message: dict[str, Any]) -> None:
    clear_contextvars()
    bind_contextvars(job=JOB, job_id=ctx["job_id"], attempt=ctx["job_try"])
    sessions: Sessions = ctx["sessions"]
    attempt = ctx["job_try"]
    ref = None
    try:
        ref = ProvisionMessage.model_validate(message).request_id
        bind_contextvars(request_id=ref)
        request = await _start(sessions, ref)
        if request is None:
            return
        attempt = max(attempt, request.attempts)
        bind_contextvars(attempt=attempt)
        if attempt > MAX_ATTEMPTS:
            raise AttemptsUsedUp(f"{MAX_ATTEMPTS} attempts are used up, the last one did not come back")
        log.info("job started", tenant=request.tenant)
        key = await ctx["partner"].create_key(
            tenant=request.tenant,
            scope=request.scope,
            idempotency_key=f"cloudkeys:{ref}",
        )
        await _record(sessions, ref, key)
        log.info("job succeeded", key_id=key["key_id"])
    except ValidationError as exc:
        reason = "malformed message: " + "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'message'}: {e['msg']}" for e in exc.errors()
        )
        await _give_up(sessions, _digest(message), message, reason)
    except PERMANENT as exc:
        await _give_up(sessions, ref, message, _reason(exc))
    except Exception as exc:
        # the partner is down, the database is locked, or a bug: bounded either way
        if attempt >= MAX_ATTEMPTS and ref is not None:
            await _give_up(sessions, ref, message, _reason(exc))
            return
        wait = backoff(attempt)
        log.warning("job retry", reason=_reason(exc), wait=round(wait, 1), exc_info=True)
        raise Retry(defer=wait) from exc


def _reason(exc: Exception) -> str:
    return f"{type(exc).__name__}: {exc}"


def _digest(message: Any) -> str:
    text = json.dumps(message, sort_keys=True, default=repr)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


async def _start(sessions: Sessions, request_id: str) -> KeyRequest | None:
    """Count the attempt; None if the request is settled."""
    async with sessions.begin() as session:
        await session.execute(
            update(KeyRequest)
            .where(KeyRequest.id == request_id, KeyRequest.status.in_(OPEN))
            .values(attempts=KeyRequest.attempts + 1)
        )
        request = await session.scalar(select(KeyRequest).where(KeyRequest.id == request_id))
    if request is None:
        raise NoSuchRequest(request_id)
    if request.status not in OPEN:
        log.info("job skipped, the request is settled", status=request.status)
        return None
    return request


async def _record(sessions: Sessions, request_id: str, key: dict) -> None:
    async with sessions.begin() as session:
        await session.execute(
            update(KeyRequest)
            .where(KeyRequest.id == request_id, KeyRequest.status != ACTIVE)
            .values(status=ACTIVE, key_id=key["key_id"], fingerprint=key["fingerprint"])
        )
        # another delivery may have given up while the partner was at it
        await session.execute(delete(DeadLetter).where(DeadLetter.job == JOB, DeadLetter.ref == request_id))


async def _give_up(sessions: Sessions, ref: str, message: Any, reason: str) -> None:
    try:
        async with sessions.begin() as session:
            await session.execute(
                update(KeyRequest)
                .where(KeyRequest.id == ref, KeyRequest.status.in_(OPEN))
                .values(status=FAILED)
            )
            status = await session.scalar(select(KeyRequest.status).where(KeyRequest.id == ref))
            if status == ACTIVE:
                log.info("job skipped, another delivery has provisioned the key", reason=reason)
                return
            await session.execute(
                insert(DeadLetter)
                .values(job=JOB, ref=ref, message=json.dumps(message, default=repr), reason=reason)
                .on_conflict_do_nothing(index_elements=["job", "ref"])
            )
    except Exception as exc:
        log.error("dead letter could not be written", reason=reason, exc_info=True)
        raise Retry(defer=60) from exc
    log.error("job failed", reason=reason, dead_letter=ref)
