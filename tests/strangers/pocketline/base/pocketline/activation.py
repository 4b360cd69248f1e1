"""The job: switch an eSIM on, tell the phone."""
import asyncio
import sqlite3
from typing import Annotated

import httpx
import redis.exceptions
from arq import Retry
from loguru import logger
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from . import logs, orders, push, tokens
from .carrier import Carrier
from .settings import settings

logs.setup()

JOB = "activate-esim"
carrier = Carrier()


class Message(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    order_id: Annotated[str, StringConstraints(pattern=r"^ord_[0-9a-z]{4,24}$")]


class TooManyTries(Exception):
    pass


async def activate_esim(ctx, **message):
    job_try = ctx["job_try"]
    with logger.contextualize(job=JOB, id=ctx["job_id"], job_try=job_try, payload=message):
        logger.info("started")
        try:
            order_id = Message.model_validate(message).order_id
            if job_try > settings.max_attempts:
                # the try beyond the last: all others ended together with their workers
                raise TooManyTries(f"{settings.max_attempts} tries came to no end")
            async with asyncio.timeout(45):
                outcome = await activate(ctx["redis"], order_id)
        except Exception as exc:
            reason = in_one_line(exc)
            if is_transient(exc) and job_try < settings.max_attempts:
                wait = retry_after(exc) or settings.waits[job_try - 1]
                logger.warning("failed, will be retried in {}s: {}", wait, reason)
                raise Retry(defer=wait) from exc
            await orders.bury(JOB, message, reason)
            logger.error("failed, given up: {}", reason)
        else:
            logger.info("succeeded: {}", outcome)


async def activate(redis, order_id):
    order = await orders.find(order_id)
    if order["told"]:
        return "it is on already, nothing to do"
    if order["given_up"]:
        return "was given up before, nothing to do"
    if not order["paid"]:
        raise orders.NotPaid(order_id)

    if not order["active"]:
        token = await tokens.token_for(redis, order_id)
        try:
            await carrier.activate(order["iccid"], order["plan"], idempotency_key=token)
        except httpx.HTTPStatusError as exc:
            if exc.response.status_code != 409:
                raise
            logger.info("the carrier had it on already")
        await orders.set_active(order_id)

    try:
        await push.notify(order["device"], f"{order['plan']} is on. Enjoy!", collapse_id=order_id)
    except httpx.HTTPStatusError as exc:
        if exc.response.status_code != 410:
            raise
        logger.info("the phone is gone, nobody to tell")
    await orders.set_told(order_id)
    return "switched on and told"


def in_one_line(exc):
    return " ".join(f"{type(exc).__name__}: {exc}".split())


def is_transient(exc):
    if isinstance(exc, httpx.HTTPStatusError):
        status = exc.response.status_code
        return status >= 500 or status in (408, 425, 429)
    return isinstance(
        exc,
        (
            httpx.TransportError,
            TimeoutError,
            sqlite3.OperationalError,
            redis.exceptions.ConnectionError,
            redis.exceptions.TimeoutError,
        ),
    )


def retry_after(exc):
    if isinstance(exc, httpx.HTTPStatusError):
        seconds = exc.response.headers.get("Retry-After", "")
        return min(int(seconds), 900) if seconds.isdigit() else None

