"""The packing desk."""
from django.db import transaction
from django.utils import timezone

from .actors import print_label
from .burial import key_of
from .models import DeadLetter, Shipment


class NotPackable(Exception):
    pass


def close_box(order_number):
    """The box is closed, a label is wanted. Pressing twice is harmless."""
    with transaction.atomic():
        done = Shipment.objects.filter(
            order_number=order_number, state__in=[Shipment.OPEN, Shipment.PACKED]
        ).update(state=Shipment.PACKED, touched_at=timezone.now())
        if done:
            transaction.on_commit(lambda: print_label.send(order_number=order_number))
    if not done and not Shipment.objects.filter(order_number=order_number, state=Shipment.LABELLED).exists():
        raise NotPackable(order_number)


def print_again(order_number):
    """Somebody has mended what the label died of."""
    with transaction.atomic():
        if Shipment.objects.filter(order_number=order_number, state=Shipment.FAILED).update(
            state=Shipment.PACKED, attempts=0, touched_at=timezone.now()
        ):
            DeadLetter.objects.filter(key=key_of(order_number)).delete()
            transaction.on_commit(lambda: print_label.send(order_number=order_number))
