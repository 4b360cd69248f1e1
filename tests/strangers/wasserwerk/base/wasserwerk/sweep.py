import logging

from .broker import publish
from .uow import UnitOfWork

log = logging.getLogger("wasserwerk.sweep")


async def sweep(ctx: dict | None = None) -> int:
    """Released bills that nobody has touched for long: their message is lost, or their worker died.
    The job itself parks those whose attempts are used up."""
    async with UnitOfWork() as uow:
        silent = await uow.bills.silent()
    if silent:
        queued = await publish(*silent, pool=(ctx or {}).get("redis"))
        log.warning("sweep", extra={"job": "sweep", "outcome": "queued" if queued else "not-queued",
                                    "bills": len(silent)})
    return len(silent)
