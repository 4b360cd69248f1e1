from .broker import broker  # noqa: F401  before any actor

import dramatiq
import httpx
from loguru import logger

from . import schedules
from .config import config
from .objects import ClientError, store
from .partner import partner
from .schedules import BadMessage, GiveUp, Ref, Refused


@dramatiq.actor(
    queue_name="schedules",
    max_retries=5,
    min_backoff=15_000,
    max_backoff=240_000,
    time_limit=90_000,
    throws=GiveUp,
    close_failed=schedules.close_failed,
)
def submit_schedule(*args, **message):
    """Archive a schedule's document and hand it in at the transmission operator."""
    if args:
        raise BadMessage(f"positional arguments {args!r}")
    ref = Ref.of(message)
    row = schedules.begin(ref)
    if row is None:
        logger.bind(job="submit-schedule", **message).info("{} needs no submission", ref.name)
        return
    document = schedules.document(row)
    archive(ref, document)
    receipt = hand_in(ref, document)
    schedules.accept(ref, receipt)
    logger.bind(job="submit-schedule", **message).info("{} accepted, receipt {}", ref.name, receipt)


def archive(ref: Ref, document: bytes) -> None:
    try:
        store.put_object(
            Bucket=config.store.bucket, Key=f"{ref.name}.json", Body=document, ContentType="application/json"
        )
    except ClientError as error:
        if error.passing:
            raise
        raise Refused(f"object store: {error}") from error


def hand_in(ref: Ref, document: bytes) -> str:
    try:
        response = partner.submit(document, idempotency_key=ref.name)
        response.raise_for_status()
    except httpx.HTTPStatusError as error:
        response = error.response
        if response.status_code == 429:
            raise dramatiq.errors.Retry("operator answered 429", delay=pause(response)) from error
        if response.status_code == 408 or response.is_server_error:
            raise
        if response.status_code != 409:  # 409: had it before, with the receipt
            raise Refused(f"operator answered {response.status_code}: {response.text[:200]}") from error
    return response.json()["receipt"]


def pause(response: httpx.Response) -> int:
    """Milliseconds until the operator wants to hear of us again, but not more than five minutes."""
    seconds = response.headers.get("Retry-After", "")
    return 1000 * min(int(seconds) if seconds.isdigit() else 60, 300)
