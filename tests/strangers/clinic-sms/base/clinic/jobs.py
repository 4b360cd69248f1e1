"""The confirmation SMS: the job, and the sweep that brings it back when its message was lost."""

import json
import random
import time
from typing import Any

from arq import Retry
from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError

from clinic import queue, store
from clinic.log import get_logger
from clinic.models import Status
from clinic.settings import get_settings
from clinic.sms import is_permanent

logger = get_logger(__name__)


class ConfirmationMessage(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    appointment_id: PositiveInt


def client_ref(appointment_id: int) -> str:
    return f"clinic-confirmation-{appointment_id}"


def backoff(attempt: int) -> float:
    cfg = get_settings()
    delay = min(cfg.backoff_base_s * cfg.backoff_factor ** (attempt - 1), cfg.backoff_cap_s)
    return delay * random.uniform(0.5, 1)


async def send_confirmation(ctx: dict[str, Any], message: Any) -> str:
    """Entry for arq. An error that gets here is one of our own store: later it may be back."""
    log = logger.bind(job=store.JOB, job_id=ctx.get("job_id"), delivery=ctx.get("job_try", 1))
    try:
        return await _send(ctx, message, log)
    except Retry:
        raise
    except Exception as exc:
        delivery = ctx.get("job_try", 1)
        if delivery >= get_settings().max_attempts:
            # arq drops it now; the row is still pending, and the sweep starts over with it.
            log.error("confirmation.dropped", message=message, attempt=delivery, result="left_to_sweep", reason=repr(exc))
            raise
        log.warning("confirmation.store_failed", message=message, attempt=delivery, result="retry", reason=repr(exc))
        raise Retry(defer=backoff(delivery)) from exc


async def _send(ctx: dict[str, Any], message: Any, log: Any) -> str:
    cfg = get_settings()
    try:
        appointment_id = ConfirmationMessage.model_validate(message).appointment_id
    except ValidationError as exc:
        reason = f"invalid message: {exc.errors(include_url=False)}"
        key = json.dumps(message, sort_keys=True, default=str)
        await store.give_up_message(key, message, ctx.get("job_try", 1), reason)
        log.error("confirmation.dead", message=message, attempt=ctx.get("job_try", 1), result="dead", reason=reason)
        return "dead"

    ref = client_ref(appointment_id)
    log = log.bind(appointment_id=appointment_id, client_ref=ref)
    claim = await store.claim(appointment_id)
    if claim is None:
        reason = "no such confirmation"
        await store.give_up_message(str(appointment_id), message, ctx.get("job_try", 1), reason)
        log.error("confirmation.dead", attempt=ctx.get("job_try", 1), result="dead", reason=reason)
        return "dead"

    log = log.bind(attempt=claim.attempt)
    if claim.status != Status.PENDING:
        log.info("confirmation.skipped", result="skipped", reason=f"it is {claim.status}")
        return claim.status
    if claim.attempt > cfg.max_attempts:
        return await _give_up(appointment_id, cfg.max_attempts, "the last attempt ended without a word", log)
    if time.time() - claim.requested_at > cfg.useful_for_s:
        return await _give_up(appointment_id, claim.attempt - 1, "too late to be of use", log)

    log.info("confirmation.started", result="started")
    try:
        provider_id = await ctx["sms"].send(claim.phone, claim.text, client_ref=ref)
    except Exception as exc:
        reason = repr(exc)
        if is_permanent(exc) or claim.attempt == cfg.max_attempts:
            return await _give_up(appointment_id, claim.attempt, reason, log)
        delay = backoff(claim.attempt)
        await store.note_failure(appointment_id, reason, delay)
        log.warning("confirmation.failed", result="retry", retry_in_s=round(delay, 1), reason=reason)
        raise Retry(defer=delay) from exc

    await store.mark_sent(appointment_id, provider_id)
    log.info("confirmation.sent", result="sent", provider_id=provider_id)
    return "sent"


async def _give_up(appointment_id: int, attempts: int, reason: str, log: Any) -> str:
    if await store.give_up(appointment_id, attempts, reason):
        log.error("confirmation.dead", result="dead", reason=reason)
        return "dead"
    log.info("confirmation.skipped", result="skipped", reason=f"ended meanwhile; ours would have been: {reason}")
    return "skipped"


async def requeue_stalled() -> int:
    """Enqueues again what is pending and has not been touched for a while."""
    cfg = get_settings()
    brought_back = 0
    for appointment_id, attempts, requeues in await store.stalled(cfg.stalled_after_s):
        log = logger.bind(
            job=store.JOB, appointment_id=appointment_id, client_ref=client_ref(appointment_id), attempt=attempts
        )
        if requeues >= cfg.max_requeues:
            await _give_up(appointment_id, attempts, f"brought back {requeues} times, without an outcome", log)
        elif await queue.enqueue_confirmation(appointment_id):
            await store.note_requeue(appointment_id)
            brought_back += 1
            log.warning("confirmation.requeued", result="requeued", reason="its message was lost or dropped")
    return brought_back
