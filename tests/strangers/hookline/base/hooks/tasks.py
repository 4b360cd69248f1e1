import time
from typing import Annotated

import httpx
from taskiq import Context, TaskiqDepends

from hooks import sender
from hooks.broker import broker
from hooks.errors import GiveUp, RetryLater
from hooks.log import logger
from hooks.settings import settings
from hooks.store import PENDING, Store, get_store


def retry_delay(attempt: int) -> int:
    return min(settings.retry_step_s * attempt, settings.retry_cap_s)


@broker.task("deliver_event", retry_on_error=True, max_retries=settings.max_attempts, dead_letters="yes")
async def deliver_event(
    event_id: str,
    store: Annotated[Store, TaskiqDepends(get_store)],
    http: Annotated[httpx.AsyncClient, TaskiqDepends(sender.get_http)],
    context: Annotated[Context, TaskiqDepends()],
) -> str:
    """Tells the customer of one event. Raises RetryLater for SmartRetryMiddleware, GiveUp for DeadLetterMiddleware."""
    log = logger.bind(job="deliver_event", event_id=event_id, task_id=context.message.task_id)
    delivery = await store.begin(event_id)
    if delivery is None:
        raise GiveUp("no such event")

    log = log.bind(attempt=delivery.attempt)
    if delivery.state != PENDING:
        log.bind(result="skipped", reason=f"already {delivery.state}").info("nothing to do")
        return delivery.state
    if delivery.attempt > settings.max_attempts:
        raise GiveUp(f"{settings.max_attempts} attempts, the last one ended without a word")
    if time.time() - delivery.created_at > settings.give_up_after_s:
        raise GiveUp("too old")

    log.bind(result="started").info("delivering")
    try:
        await sender.post_event(http, delivery.url, delivery.secret, event_id=event_id, body=delivery.body)
    except httpx.HTTPError as exc:
        status = exc.response.status_code if isinstance(exc, httpx.HTTPStatusError) else None
        if status == 410:
            raise GiveUp("the endpoint is gone (410)") from exc
        if status != 409:
            await failed(store, delivery.event_id, delivery.attempt, repr(exc), log)
    await store.delivered(event_id)
    log.bind(result="delivered").info("delivered")
    return "delivered"


async def failed(store: Store, event_id: str, attempt: int, reason: str, log) -> None:
    if attempt >= settings.max_attempts:
        log.bind(result="failed", reason=reason).warning("last attempt failed")
        raise GiveUp(f"attempt {attempt}: {reason}")
    delay = retry_delay(attempt)
    await store.failed(event_id, reason, delay)
    log.bind(result="retry", reason=reason, retry_in_s=delay).warning("attempt failed")
    raise RetryLater(reason)


@broker.task("sweep", schedule=[{"cron": "*/10 * * * *"}])
async def sweep() -> int:
    return await send_overdue()


async def send_overdue() -> int:
    """Sends again what is pending and should have been tried by now: its message, or its schedule, was lost."""
    store = get_store()
    overdue = await store.overdue(settings.overdue_s)
    for event_id, attempts, created_at in overdue:
        log = logger.bind(job="deliver_event", event_id=event_id, attempt=attempts)
        if time.time() - created_at > settings.give_up_after_s:
            # It does not even get as far as deliver_event, which would say so itself.
            if await store.bury(event_id, {"event_id": event_id}, "too old"):
                log.bind(result="dead", reason="too old").error("given up")
            continue
        await deliver_event.kiq(event_id=event_id)
        await store.touch(event_id)
        log.bind(result="sent_again", reason="overdue").warning("swept")
    return len(overdue)
