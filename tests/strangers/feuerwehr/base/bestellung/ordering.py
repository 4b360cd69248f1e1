from django.db import IntegrityError, transaction

from .models import Order, Outbox


def place_order(form_token, brigade, street, postcode, article, pieces):
    """Take an order, and owe it a booking. Nothing is published here: the relay does that."""
    try:
        with transaction.atomic():
            order = Order.objects.create(
                form_token=form_token, brigade=brigade, street=street,
                postcode=postcode, article=article, pieces=pieces,
            )
            Outbox.objects.create(order=order, reference=f"ZK-{order.pk:07d}")
            return order
    except IntegrityError:
        # The same form twice. (Anything else that is wrong with the row has no order to find.)
        return Order.objects.get(form_token=form_token)
