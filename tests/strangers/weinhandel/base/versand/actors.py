import base64
import binascii
import logging
import re

from weinhandel.broker import broker  # first: actors belong to it

import dramatiq
from django.conf import settings
from django.db import transaction
from dramatiq.middleware import CurrentMessage

from .archive import LabelArchive
from .burial import key_of
from .labels import LabelRefused, LabelService, LabelServiceDown
from .models import DeadLetter, Shipment

log = logging.getLogger("versand.print_label")

MAX_RETRIES = 5
MAX_ATTEMPTS = MAX_RETRIES + 1
ORDER_NUMBER = re.compile(r"W-[0-9]{4,8}")


class BadMessage(Exception):
    pass


class UnknownShipment(Exception):
    pass


class NotPacked(Exception):
    pass


class OutOfAttempts(Exception):
    """Workers died over it, one after the other."""


def note(outcome, order_number, attempt, level=logging.INFO, **more):
    message = CurrentMessage.get_current_message()
    fields = {"job": message.message_id if message else "-", "key": key_of(order_number),
              "attempt": attempt, "outcome": outcome, **more}
    log.log(level, "%s", " ".join(f"{name}={value}" for name, value in fields.items()))


@dramatiq.actor(
    broker=broker,
    queue_name="labels",
    max_retries=MAX_RETRIES,
    min_backoff=15_000,
    max_backoff=600_000,
    time_limit=120_000,
    throws=(BadMessage, UnknownShipment, NotPacked, OutOfAttempts, LabelRefused),
)
def print_label(order_number=None, **unexpected):
    if unexpected or not isinstance(order_number, str) or not ORDER_NUMBER.fullmatch(order_number):
        raise BadMessage("order_number" if not unexpected else "unexpected fields")

    # Autocommit: counted before anybody is asked.
    counted = Shipment.objects.begin_attempt(order_number, MAX_ATTEMPTS)
    shipment = Shipment.objects.filter(order_number=order_number).first()
    if shipment is None:
        raise UnknownShipment(order_number)
    if not counted:
        if shipment.state in (Shipment.LABELLED, Shipment.FAILED):
            note("settled-before", order_number, shipment.attempts, state=shipment.state)
            return
        if shipment.state == Shipment.OPEN:
            raise NotPacked(order_number)
        raise OutOfAttempts(f"{shipment.attempts} attempts")
    note("started", order_number, shipment.attempts)

    try:
        label = LabelService().print_label(
            order_number=order_number,
            address={"name": shipment.recipient, "street": shipment.street,
                     "postcode": shipment.postcode, "city": shipment.city},
            bottles=shipment.bottles,
            idempotency_key=key_of(order_number),
        )
        try:
            pdf = base64.b64decode(label["pdf"], validate=True)
        except binascii.Error:
            raise LabelServiceDown("a PDF that is none") from None
        label_key = f"labels/{order_number}.pdf"
        LabelArchive().put_object(
            Bucket=settings.BUCKET, Key=label_key, Body=pdf, ContentType="application/pdf"
        )
        with transaction.atomic():
            # Whatever a delivery beside us has given up meanwhile: here is the label.
            Shipment.objects.filter(pk=shipment.pk).exclude(state=Shipment.LABELLED).update(
                state=Shipment.LABELLED, tracking=label["tracking"], label_key=label_key
            )
            DeadLetter.objects.filter(key=key_of(order_number)).delete()
    except Exception as exc:
        note("error", order_number, shipment.attempts, logging.WARNING, error=type(exc).__name__)
        raise
    note("labelled", order_number, shipment.attempts)
