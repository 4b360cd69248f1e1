"""Publishes what the outbox holds. A row may go out twice, never not at all."""
from .logs import job_log
from .uow import UnitOfWork


def publish_pending():
    from .tasks import send_payout

    with UnitOfWork() as uow:
        waiting = [(row.id, row.body) for row in uow.outbox.unpublished()]
    for row_id, body in waiting:
        log = job_log("outbox", payout_id=body["payout_id"], outbox_id=row_id)
        try:
            send_payout.apply_async(args=[body])
        except send_payout.OperationalError:
            log.warning("broker is away, the row stays for the next sweep", exc_info=True)
            return
        with UnitOfWork() as uow:
            uow.outbox.mark_published(row_id)
            uow.commit()
        log.info("published")
