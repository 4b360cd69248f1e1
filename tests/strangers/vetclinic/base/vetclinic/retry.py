import hashlib
import json
import random
from datetime import datetime, timedelta, timezone

import structlog
from taskiq import ScheduleSource, TaskiqMessage, TaskiqMiddleware, TaskiqResult
from taskiq.exceptions import NoResultError
from taskiq.kicker import AsyncKicker

from . import config, ledger
from .errors import BadMessage, Busy, Final

logger = structlog.get_logger()

BUSY_LIMIT = 20


def backoff(attempt: int) -> float:
    delay = min(config.BACKOFF_BASE * 2 ** (attempt - 1), config.BACKOFF_CAP)
    return delay * random.uniform(0.5, 1)


def key_of(message: TaskiqMessage) -> str:
    ref = message.kwargs.get("ref") or next(iter(message.args), None)
    return ref if isinstance(ref, str) else fingerprint(message)


def fingerprint(message: TaskiqMessage) -> str:
    raw = json.dumps([message.args, message.kwargs], sort_keys=True, default=repr)
    return "unreadable:" + hashlib.sha256(raw.encode()).hexdigest()[:24]


class Retries(TaskiqMiddleware):
    """Plans the next attempt of a task that has the label ``ledger``, or buries it.

    An exception out of here leaves the message unacknowledged, and redis hands it out again.
    """

    def __init__(self, source: ScheduleSource | None) -> None:
        super().__init__()
        self.source = source

    async def pre_execute(self, message: TaskiqMessage) -> TaskiqMessage:
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(job=message.task_id, task=message.task_name)
        return message

    async def on_error(self, message: TaskiqMessage, result: TaskiqResult, exception: BaseException) -> None:
        if not isinstance(exception, Exception):
            raise exception  # the worker is being stopped
        if not message.labels.get("ledger"):
            logger.error("task_failed", error=type(exception).__name__)
            return
        key = fingerprint(message) if isinstance(exception, BadMessage) else key_of(message)
        tries = int(message.labels.get("tries", 1))
        if isinstance(exception, Busy):
            await self.wait_for_the_other(message, result, key)
            return
        attempt = max(await ledger.attempts(key), tries)
        log = logger.bind(key=key, attempt=attempt, error=type(exception).__name__)
        if isinstance(exception, Final) or attempt >= config.MAX_ATTEMPTS:
            payload = {"args": message.args, "kwargs": message.kwargs}
            buried = await ledger.bury(key, payload, f"{type(exception).__name__}: {exception}", attempt)
            log.error("lab_test", outcome="dead" if buried else "overtaken")
            return
        delay = backoff(attempt)
        await ledger.expect(key, delay)
        await self.again(message, delay, tries=tries + 1)
        log.warning("lab_test", outcome="will_retry", delay=round(delay, 1))
        result.error = NoResultError()

    async def wait_for_the_other(self, message: TaskiqMessage, result: TaskiqResult, key: str) -> None:
        waited = int(message.labels.get("waited", 0)) + 1
        log = logger.bind(key=key, waited=waited)
        if waited > BUSY_LIMIT:
            log.warning("lab_test", outcome="left_to_the_rescue")
            return
        await self.again(message, config.LEASE_SECONDS, waited=waited)
        log.info("lab_test", outcome="busy")
        result.error = NoResultError()

    async def again(self, message: TaskiqMessage, delay: float, **labels: int) -> None:
        kicker = (
            AsyncKicker(task_name=message.task_name, broker=self.broker, labels=message.labels)
            .with_task_id(message.task_id)
            .with_labels(**labels)
        )
        if self.source is None:
            await kicker.kiq(*message.args, **message.kwargs)
        else:
            at = datetime.now(timezone.utc) + timedelta(seconds=delay)
            await kicker.schedule_by_time(self.source, at, *message.args, **message.kwargs)
