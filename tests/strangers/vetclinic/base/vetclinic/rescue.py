import structlog

from . import ledger
from .broker import broker
from .tasks import book_lab_test

logger = structlog.get_logger()


async def requeue() -> None:
    """Queue again what is open, and of which nobody has heard when it was due."""
    for ref in await ledger.overdue():
        await book_lab_test.kiq(ref=ref)
        await ledger.expect(ref, 0)
        logger.warning("lab_test", key=ref, outcome="requeued")


@broker.task(task_name="vetclinic.rescue", schedule=[{"cron": "*/5 * * * *"}])
async def rescue() -> None:
    await requeue()
