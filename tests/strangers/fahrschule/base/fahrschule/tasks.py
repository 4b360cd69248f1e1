import logging

from sqlalchemy.exc import OperationalError

from fahrschule import charging, kartenpay
from fahrschule.app import celery

log = logging.getLogger("fahrschule.tasks")

RETRIES = 4


class BadMessage(ValueError):
    pass


def wait(retries):
    return 30 * 2**retries


@celery.task(bind=True, name="fahrschule.charge_package", max_retries=RETRIES)
def charge_package(self, purchase_id):
    if type(purchase_id) is not int or purchase_id < 1:
        raise BadMessage("purchase_id")
    about = "job=charge_package id=%s key=package-%d attempt=%d" % (
        self.request.id, purchase_id, self.request.retries + 1,
    )
    try:
        bill = charging.start(purchase_id)
        if bill is None:
            log.info("%s outcome=nothing_to_do", about)
            return "nothing to do"
        try:
            charge = kartenpay.charges.create(
                amount=bill.amount_cents,
                currency="eur",
                source=bill.card_token,
                description="Fahrstunden %d" % purchase_id,
                idempotency_key=bill.key,
            )
        except kartenpay.CardError as exc:
            charging.decline(purchase_id, exc.code)
            log.info("%s outcome=declined code=%s", about, exc.code)
            return "declined"
        settled = charging.settle(purchase_id, charge["id"])
    except (kartenpay.RateLimited, kartenpay.APIConnectionError, OperationalError) as exc:
        log.warning("%s outcome=unsettled reason=%s", about, type(exc).__name__)
        raise self.retry(exc=exc, countdown=wait(self.request.retries))
    log.info("%s outcome=%s", about, "paid" if settled else "paid_before")
    return "paid"


@celery.task(name="fahrschule.publish_requested", acks_late=False)
def publish_requested():
    return charging.publish_requested()


@celery.task(name="fahrschule.sweep_purchases", acks_late=False)
def sweep_purchases():
    return charging.sweep()
