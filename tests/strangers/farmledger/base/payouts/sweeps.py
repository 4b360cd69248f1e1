import logging

from payouts.models import Payout

logger = logging.getLogger(__name__)


def requeue_queued() -> int:
    """Publish again what is queued and not settled: its message may be lost.

    It may as well be alive; a second message for a payout does no harm, and the half
    hour between two sweeps is longer than all attempts of one message.
    """
    from payouts.tasks import pay_out

    ids = list(Payout.objects.filter(status=Payout.Status.QUEUED).order_by("pk").values_list("pk", flat=True))
    for payout_id in ids:
        logger.warning("payout %d is still queued, publishing it again", payout_id)
        pay_out.delay(payout_id=payout_id)
    return len(ids)
