import logging

from django.db import transaction

from payouts.models import Payout

logger = logging.getLogger(__name__)


def queue_payout(payout_id: int) -> None:
    """Give a released payout to the worker. Harmless to repeat."""
    from payouts.tasks import pay_out

    with transaction.atomic():
        payout = Payout.objects.select_for_update().get(pk=payout_id)
        if payout.status == Payout.Status.RELEASED:
            payout.status = Payout.Status.QUEUED
            payout.save(update_fields=["status"])
        if payout.status == Payout.Status.QUEUED:
            transaction.on_commit(lambda: pay_out.delay(payout_id=payout_id))
            logger.info("payout %d queued", payout_id)
