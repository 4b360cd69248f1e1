"""dramatiq pipeline.actors"""
import dramatiq
from botocore.exceptions import ClientError
from loguru import logger

from . import batches, broker, config, logsetup, store

logsetup.setup()
dramatiq.set_broker(broker.make())


class StoreRefused(Exception):
    """The object store will not take it, now or later."""


@dramatiq.actor(
    queue_name="batches",
    max_retries=config.ATTEMPTS - 1,
    min_backoff=5_000,
    max_backoff=600_000,
    throws=(batches.BadBatch, StoreRefused),
)
def load_batch(**message):
    batch_id, source, rows = batches.check(message)
    with logger.contextualize(batch=batch_id, source=source):
        if batches.is_loaded(batch_id):
            logger.info("batch was loaded before")
            return
        try:
            batches.archive(batch_id, source, rows)
        except ClientError as error:
            if store.is_temporary(error):
                logger.warning("object store is busy: {}", error)
                raise
            raise StoreRefused(f"batch {batch_id}: {error}") from error
        if batches.store_rows(batch_id, source, rows):
            logger.info("loaded {} rows", len(rows))
