"""What the Dramatiq worker runs: `dramatiq returns_portal.actors`."""

from __future__ import annotations

import logging
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from sqlalchemy.exc import SQLAlchemyError

from returns_portal import config
from returns_portal.carrier import CarrierClient
from returns_portal.desk import JOB, ReturnsDesk
from returns_portal.mailer import Mailer
from returns_portal.workflow import LabelWorkflow

log = logging.getLogger("returns_portal.actors")

broker = RedisBroker(url=config.load().redis_url)
dramatiq.set_broker(broker)


def build_workflow() -> LabelWorkflow:
    settings = config.load()
    return LabelWorkflow(
        ReturnsDesk(),
        CarrierClient(settings.carrier_url, settings.carrier_token),
        Mailer(
            settings.smtp_host, settings.smtp_port, settings.smtp_user, settings.smtp_password, settings.mail_from
        ),
    )


@dramatiq.actor(
    queue_name="returns",
    # The five attempts are counted in the row, where those of dead workers count too. This bounds what comes on top:
    # waiting for another delivery, and a database that is locked or gone.
    max_retries=50,
    min_backoff=10_000,
    max_backoff=180_000,
    time_limit=150_000,
)
def send_return_label(payload: dict[str, Any] | None = None) -> None:
    """Orders the label of a return and mails it to the customer."""
    try:
        later = build_workflow().run(payload)
    except SQLAlchemyError as error:
        log.warning("job=%s payload=%r result=retry reason=%r", JOB, payload, error)
        raise
    if later is not None:
        raise dramatiq.errors.Retry("not finished", delay=int(later.delay.total_seconds() * 1000) + 1)
