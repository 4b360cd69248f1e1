import logging

import botocore.exceptions
import psycopg
import structlog
from botocore.exceptions import ClientError
from celery import Celery, Task
from celery.signals import setup_logging

from . import exports, log, portal
from .config import config
from .objects import ObjectStore

log.configure()
logger = structlog.get_logger()

app = Celery("umschlag", broker=config.broker)
app.conf.update(
    task_serializer="json",
    accept_content=["json"],
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    # longer than the longest wait (a Retry-After of 900 s), or Redis hands out waiting tasks again
    broker_transport_options={"visibility_timeout": 3600},
    beat_schedule={"outbox": {"task": "umschlag.publish_pending", "schedule": 30.0}},
)

store = ObjectStore()


@setup_logging.connect
def _keep_ours(**_):
    """Celery is not to touch the logging of this process."""
    logging.basicConfig(level=logging.INFO)


class BadMessage(Exception):
    pass


class TooManyStarts(Exception):
    pass


class Recorded(Task):
    """A task whose failure for good leaves a dead letter."""

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        message = {**kwargs, "args": list(args)} if args else dict(kwargs)
        reason = f"{type(exc).__name__}: {exc}"
        about = dict(job="export-manifest", task_id=task_id, message=message, reason=reason)
        if exports.bury("export-manifest", message, reason):
            logger.error("failed, given up", **about)
        else:
            logger.warning("failed, but another delivery has done it", **about)


@app.task(bind=True, base=Recorded, name="umschlag.export_manifest", max_retries=config.max_retries)
def export_manifest(self, **message):
    """Store the manifest of one revision and announce it to the carrier."""
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(
        job="export-manifest", task_id=self.request.id, attempt=self.request.retries + 1, message=message
    )
    logger.info("started")
    shipment_id, revision = read(message)
    try:
        run(shipment_id, revision)
    except Exception as exc:
        if not passing(exc):
            raise
        wait = getattr(exc, "retry_after", None) or backoff(self.request.retries)
        if self.request.retries < self.max_retries:
            logger.warning("failed, will be retried", reason=f"{type(exc).__name__}: {exc}", wait=wait)
        raise self.retry(exc=exc, countdown=wait)


def run(shipment_id, revision):
    export = exports.start(shipment_id, revision)
    if export["status"] != "pending":
        logger.info("nothing to do", status=export["status"])
        return
    if export["starts"] > config.max_starts:
        raise TooManyStarts(f"{config.max_starts} starts came to no end")
    carrier, pieces, text = exports.manifest(shipment_id, revision)
    key = f"{carrier}/{shipment_id}/r{revision}.csv"
    if export["object_key"] is None:
        store.put(key=key, body=text)
        exports.stored(shipment_id, revision, key)
        logger.info("stored", key=key)
    try:
        portal.announce(
            carrier=carrier, reference=f"{shipment_id}-r{revision}", object_key=key, pieces=pieces
        )
    except portal.AlreadyAnnounced:
        logger.info("was announced before")
    exports.finish(shipment_id, revision)
    logger.info("succeeded")


def passing(exc):
    if isinstance(exc, ClientError):
        status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= 500 or status in (408, 429)
    return isinstance(
        exc,
        (
            portal.PortalDown,
            portal.PortalBusy,
            botocore.exceptions.ConnectionError,
            botocore.exceptions.HTTPClientError,
            psycopg.OperationalError,
        ),
    )


def backoff(retries):
    return min(config.first_wait * 2**retries, config.longest_wait)


def read(message):
    if set(message) != {"shipment_id", "revision"}:
        raise BadMessage(f"shipment_id and revision are wanted, not {sorted(message)}")
    for name, value in message.items():
        if type(value) is not int or not 1 <= value < 2**31:
            raise BadMessage(f"{name} is {value!r}")
    return message["shipment_id"], message["revision"]


@app.task(name="umschlag.publish_pending")
def publish_pending():
    from . import releases

    releases.publish_pending()
