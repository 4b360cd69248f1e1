from django.db import transaction
from loguru import logger

from bookings.actors import issue_refund
from bookings.models import Booking, Refund


class CancellationService:
    """Cancels bookings. Their money goes back by a job: QuayPay takes its time."""

    @classmethod
    def cancel(cls, reference):
        with transaction.atomic():
            booking = Booking.objects.select_for_update().get(reference=reference)
            if booking.status == Booking.Status.BOOKED:
                booking.status = Booking.Status.CANCELLED
                booking.save(update_fields=["status"])
            refund, _ = Refund.objects.get_or_create(
                booking=booking, defaults={"amount_cents": booking.fare_cents}
            )
            if refund.status == Refund.Status.REQUESTED:
                # If Redis is away the booking is cancelled all the same; the
                # sweep (bookings/sweeps.py) sends what was not sent here.
                transaction.on_commit(lambda: cls.order_refund(reference), robust=True)
        return booking

    @staticmethod
    def order_refund(reference):
        message = issue_refund.send({"booking": reference})
        logger.bind(booking=reference, message_id=message.message_id).info("refund ordered")
