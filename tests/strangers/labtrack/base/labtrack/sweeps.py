import logging

from labtrack import outbox
from labtrack.db import UnitOfWork
from labtrack.domain import ConcurrentUpdate
from labtrack.log import JobLog
from labtrack.services import SEND_REPORT, STALLED_AFTER, USELESS_AFTER, fail, utcnow

log = JobLog(logging.getLogger("labtrack.sweeps"), {})


def redispatch_stalled():
    """Bring back dispatches whose job was lost, and end those that have had their chances."""
    now = utcnow()
    with UnitOfWork() as uow:
        stalled = uow.dispatches.untouched_since(now - STALLED_AFTER)
    for dispatch in stalled:
        line = log.bind(job=str(dispatch.key), attempt=dispatch.attempts)
        message = dispatch.key.as_message()
        reason = None
        if dispatch.exhausted:
            reason = f"stopped {dispatch.attempts} times without a result"
        elif dispatch.created_at < now - USELESS_AFTER:
            reason = "not dispatched within a day"
        try:
            if reason:
                if fail(dispatch.key, message, reason):
                    line.error("dispatch failed", extra={"reason": reason})
                continue
            with UnitOfWork() as uow:
                if uow.outbox.waiting(message):
                    continue
                dispatch.updated_at = now
                uow.dispatches.save(dispatch)
                uow.outbox.add(SEND_REPORT, message, now)
                uow.commit()
            line.warning("dispatch stood still, publishing it again")
        except ConcurrentUpdate:
            line.info("dispatch has moved on meanwhile")
    outbox.flush()
