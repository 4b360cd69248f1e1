import hashlib
import json
import logging

from django.db import transaction

from .models import DeadLetter, Shipment

log = logging.getLogger("versand.burial")


def key_of(order_number):
    return f"label-{order_number}"


def bury(actor, kwargs, error, job="-"):
    """Dead letter and failed shipment, together. A shipment whose label another
    delivery has printed needs no dead letter."""
    text = json.dumps(kwargs, sort_keys=True, default=str)[:2000]
    order_number = kwargs.get("order_number")
    shipment = None
    with transaction.atomic():
        if isinstance(order_number, str) and set(kwargs) == {"order_number"}:
            shipment = Shipment.objects.filter(order_number=order_number).first()
        if shipment is None:
            key = f"{actor}-{hashlib.sha256(text.encode()).hexdigest()[:40]}"
        else:
            key = key_of(order_number)
            if shipment.state == Shipment.LABELLED:
                log.info("job=%s key=%s attempt=%d outcome=labelled-before", job, key, shipment.attempts)
                return False
            # An open box stays open: its message came too early, and closing it sends another.
            Shipment.objects.filter(pk=shipment.pk, state=Shipment.PACKED).update(state=Shipment.FAILED)
        DeadLetter.objects.get_or_create(
            key=key, defaults={"actor": actor, "message": text, "error": error}
        )
    log.error("job=%s key=%s attempt=%s outcome=dead-letter error=%s",
              job, key, shipment.attempts if shipment else "-", error)
    return True
