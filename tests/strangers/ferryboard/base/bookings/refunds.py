import re
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.utils import timezone
from loguru import logger

from bookings.errors import BadMessage, KeyForgotten, NoSuchBooking, NotCancelled, TooManyTries
from bookings.gateway import PaymentGateway
from bookings.models import Booking, DeadLetter, Refund

REFERENCE = re.compile(r"FB-[0-9]{4,8}")


@dataclass(frozen=True)
class RefundOrder:
    booking: str

    @classmethod
    def from_message(cls, message):
        if not isinstance(message, dict) or set(message) != {"booking"}:
            raise BadMessage(f"not a refund order: {message!r}")
        if not isinstance(message["booking"], str) or not REFERENCE.fullmatch(message["booking"]):
            raise BadMessage(f"not a booking reference: {message['booking']!r}")
        return cls(message["booking"])


class RefundService:
    # Five tries of one message, a few more for workers that died under it and
    # for messages that were sent again.
    MAX_TRIES = 8
    # QuayPay remembers keys for 24 hours.
    KEY_LIFE = timedelta(hours=23)

    def __init__(self, gateway=None):
        self.gateway = gateway or PaymentGateway()

    def issue(self, order):
        refund = self._begin(order)
        if refund is None:
            return
        provider_ref = self.gateway.refund(
            refund.booking.payment_ref, refund.amount_cents, idempotency_key=refund.idempotency_key
        )
        self._settle(refund, provider_ref)

    def _begin(self, order):
        """Note that it is being tried; None where nothing is left to do."""
        log = logger.bind(booking=order.booking)
        with transaction.atomic():
            booking = Booking.objects.select_for_update().filter(reference=order.booking).first()
            if booking is None:
                raise NoSuchBooking(order.booking)
            if booking.status == Booking.Status.BOOKED:
                raise NotCancelled(order.booking)
            refund, _ = Refund.objects.get_or_create(
                booking=booking, defaults={"amount_cents": booking.fare_cents}
            )
            if refund.status != Refund.Status.REQUESTED:
                log.info("refund is {} already, nothing to do", refund.status)
                return None
            now = timezone.now()
            if refund.tries >= self.MAX_TRIES:
                raise TooManyTries(f"{order.booking}: {refund.tries} tries")
            if refund.first_tried_at and now - refund.first_tried_at > self.KEY_LIFE:
                raise KeyForgotten(f"{order.booking}: first tried at {refund.first_tried_at}")
            refund.tries += 1
            refund.first_tried_at = refund.first_tried_at or now
            refund.save(update_fields=["tries", "first_tried_at", "touched_at"])
            return refund

    def _settle(self, refund, provider_ref):
        with transaction.atomic():
            # not only from REQUESTED: if another worker gave up meanwhile, the money still went
            settled = (
                Refund.objects.filter(pk=refund.pk)
                .exclude(status=Refund.Status.PAID)
                .update(status=Refund.Status.PAID, provider_ref=provider_ref, failure="")
            )
            if settled:
                Booking.objects.filter(pk=refund.booking_id).update(status=Booking.Status.REFUNDED)
        logger.bind(booking=refund.booking.reference).info("refund {} paid", provider_ref)

    @staticmethod
    def bury(message, exception):
        """The last thing that happens to a refund order that did not work out."""
        body = {"args": list(message.args), "kwargs": message.kwargs}
        reason = f"{type(exception).__name__}: {exception}"
        try:
            order = RefundOrder.from_message(*message.args, **message.kwargs)
        except (BadMessage, TypeError):
            order = None
        with transaction.atomic():
            if order is not None:
                refund = Refund.objects.select_for_update().filter(booking__reference=order.booking).first()
                if refund is not None and refund.status == Refund.Status.PAID:
                    logger.bind(booking=order.booking).warning("not buried, it was paid meanwhile")
                    return
                if refund is not None:
                    refund.status = Refund.Status.FAILED
                    refund.failure = reason
                    refund.save(update_fields=["status", "failure", "touched_at"])
            DeadLetter.objects.get_or_create(
                message_id=message.message_id,
                defaults={"job": message.actor_name, "body": body, "reason": reason},
            )
