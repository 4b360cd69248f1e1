"""The background job: one text message to one person for one alert."""

import json
import logging
import os
from typing import Any

from celery import Celery, Task
from redis import Redis

from alerts import gateway

DAY_S = 24 * 3600

app = Celery("alerts", broker=os.environ.get("REDIS_URL", "redis://localhost/0"))
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_time_limit=120,
    broker_transport_options={"visibility_timeout": 7200},
)
log = logging.getLogger(__name__)
redis = Redis.from_url(os.environ.get("REDIS_URL", "redis://localhost/0"))


class Busy(Exception):
    """Another worker is at it."""


class AlertTask(Task):
    """Tells what becomes of an attempt, and keeps what was given up."""

    def on_retry(self, exc: Exception, task_id: str, args: list, kwargs: dict[str, Any], einfo: Any) -> None:
        log.warning("sms retry", extra={**fields(*args, **kwargs), "reason": repr(exc)})

    def on_failure(self, exc: Exception, task_id: str, args: list, kwargs: dict[str, Any], einfo: Any) -> None:
        log.error("sms failed", extra={**fields(*args, **kwargs), "reason": repr(exc)})
        redis.hset("sms:dead", json.dumps([args, kwargs], sort_keys=True), repr(exc))


def fields(alert: Any = None, to: Any = None, *_: Any, **__: Any) -> dict[str, Any]:
    """What each record carries."""
    return {"alert": alert, "recipient": to}


@app.task(bind=True, base=AlertTask, max_retries=4, acks_on_failure_or_timeout=True)
def send_alert(self: Task, alert: str, to: str, text: str) -> None:
    """Texts an alert to a person, once."""
    if not alert or not to.startswith("+"):
        raise ValueError(f"{to!r} is no phone number")
    extra = fields(alert, to)
    log.info("sms started", extra=extra)
    done, lock = f"sms:done:{alert}:{to}", f"sms:lock:{alert}:{to}"
    try:
        if redis.exists(done):
            log.info("sms was sent before", extra=extra)
            return
        if not redis.set(lock, self.request.id, nx=True, ex=300):
            raise Busy(f"{alert} {to}")
        try:
            gateway.send_sms(to, text, f"{alert}/{to}")
            redis.set(done, "1", ex=2 * DAY_S)
        finally:
            release(lock, self.request.id)
    except (gateway.GatewayDown, TimeoutError, Busy) as error:
        raise self.retry(exc=error, countdown=min(600, 10 * 4**self.request.retries))
    log.info("sms sent", extra=extra)


def release(lock: str, mine: str) -> None:
    """Gives a lock back, unless it is another's by now."""
    script = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end"
    redis.eval(script, 1, lock, mine)
