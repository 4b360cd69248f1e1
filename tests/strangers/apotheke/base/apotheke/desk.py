"""What the counter and the clock call."""
import logging

from apotheke.claims import ClaimService

log = logging.getLogger(__name__)


def release_claim(claim_id: int) -> bool:
    released = ClaimService().release(claim_id)
    if released:
        try:
            _publish(claim_id)
        except Exception as error:
            # The claim stays due, and requeue_stalled comes by.
            log.warning(
                "claim not published",
                extra={"job": "submit-claim", "key": str(claim_id), "outcome": "unpublished", "reason": type(error).__name__},
            )
    return released


def requeue_stalled() -> int:
    """Publish again whatever is released, due and has not moved."""
    stalled = ClaimService().stalled()
    for claim_id in stalled:
        _publish(claim_id)
        log.info("claim requeued", extra={"job": "submit-claim", "key": str(claim_id), "outcome": "requeued"})
    return len(stalled)


def _publish(claim_id: int) -> None:
    from apotheke.tasks import submit_claim

    submit_claim.apply_async(kwargs={"claim_id": claim_id})
    ClaimService().published(claim_id)
