import asyncio
import logging
from typing import Any

from plantbox import boxes, greenpack
from plantbox.config import config
from plantbox.greenpack import AlreadyShipped, GreenpackRefused

logger = logging.getLogger("plantbox.jobs")


async def order_parcel(ctx: dict[str, Any], **message: Any) -> str:
    """Order the parcel of a released box at Greenpack. The message is {"box_id": 17}.

    What is raised from here, SAQ delivers again.
    """
    job = ctx.get("job")
    facts = {"job": boxes.JOB, "job_id": job.key if job else "-", "key": message.get("box_id"), "attempt": 0}

    def note(level: int, text: str, outcome: str, **more: Any) -> None:
        logger.log(level, text, extra={**facts, "outcome": outcome, **more})

    try:
        box_id = boxes.box_id_of(message)
        if box_id is None:
            raise boxes.BadMessage("box_id has to be a positive integer, and alone")
        box = await boxes.begin(box_id)
        facts["attempt"] = box.attempts
        if box.status != "released":
            note(logging.INFO, "nothing to do", box.status)
            return box.status
        note(logging.INFO, "ordering", "started")
        try:
            parcel = await greenpack.put_parcel(number=box.number, sku=box.sku, ship_to=box.ship_to)
            reference = parcel["reference"]
        except AlreadyShipped as exc:
            reference = exc.reference
        first = await boxes.settle(box, reference)
    except asyncio.CancelledError:
        note(logging.WARNING, "interrupted by a timeout or a shutdown", "interrupted")
        raise
    except Exception as exc:
        reason = f"{type(exc).__name__}: {exc}"
        final = isinstance(exc, (boxes.Hopeless, GreenpackRefused)) or facts["attempt"] >= config.max_attempts
        if not final:
            note(logging.WARNING, "attempt failed", "retry", reason=reason)
            raise
        if await boxes.bury(message, reason):
            note(logging.ERROR, "given up", "dead", reason=reason)
        else:
            note(logging.INFO, "settled by another delivery", "skipped", reason=reason)
        return "dead"
    note(logging.INFO, "parcel ordered", "ordered" if first else "known")
    return "ordered"
