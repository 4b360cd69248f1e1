import logging

from apotheke import config, desk
from apotheke.celery_app import app
from apotheke.claims import ClaimService
from apotheke.house import STORE_TROUBLE, HouseTask, insist
from apotheke.insurer import InsurerAway, InsurerGateway


class BadMessage(Exception):
    pass


class SubmitClaim(HouseTask):
    """Submit a released claim to the insurer and keep its reference."""

    name = "apotheke.submit_claim"
    job = "submit-claim"
    max_retries = config.SUBMIT_ATTEMPTS - 1

    def run(self, claim_id):
        message = {"claim_id": claim_id}
        if claim_id_of(message) is None:
            raise BadMessage("claim_id is a positive integer")
        self.note(logging.INFO, "claim started", message, "started")
        try:
            service = ClaimService()
            claim = service.start(claim_id)
            if claim is None:
                self.note(logging.INFO, "claim skipped", message, "nothing_to_do")
                return
            reference = InsurerGateway().submit(
                claim.submission_key, claim.insured_no, claim.pzn, claim.amount_cents
            )
            first = insist(service.accept, claim_id, reference)
        except (InsurerAway, *STORE_TROUBLE) as error:
            self.try_again(message, error)
        self.note(
            logging.INFO, "claim accepted", message, "accepted" if first else "known", insurer_ref=reference
        )

    def key(self, message):
        claim_id = claim_id_of(message)
        return None if claim_id is None else str(claim_id)

    def bury(self, message, letter):
        return ClaimService().fail(claim_id_of(message), letter)

    def wait(self):
        return min(config.SUBMIT_FIRST_WAIT * config.SUBMIT_FACTOR**self.request.retries, config.SUBMIT_LONGEST_WAIT)


def claim_id_of(message: dict) -> int | None:
    claim_id = message.get("claim_id")
    if set(message) == {"claim_id"} and type(claim_id) is int and 0 < claim_id < 2**53:
        return claim_id
    return None


submit_claim = app.register_task(SubmitClaim())


@app.task(name="apotheke.requeue_stalled", ignore_result=True)
def requeue_stalled():
    desk.requeue_stalled()
