import re
import smtplib

import httpx
import structlog
from django.core.mail import EmailMessage

from jobs.house import Malformed, house_job
from orders.carrier import ParcelWing
from orders.models import Order

log = structlog.get_logger("orders")


class NotPacked(Exception):
    """There is no parcel to put a label on."""


def ship_id(order_number):
    if not isinstance(order_number, str) or not re.fullmatch(r"BR-[0-9]{4,8}", order_number):
        raise Malformed(f"not an order number: {order_number!r}")
    return f"ship-{order_number}"


def permanent(error):
    """Errors that another attempt would only meet again."""
    if isinstance(error, httpx.HTTPStatusError):
        status = error.response.status_code
        return 400 <= status < 500 and status not in (408, 425, 429)
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(reply[0] >= 500 for reply in error.recipients.values())
    return isinstance(error, (Order.DoesNotExist, NotPacked))


@house_job(run_id=ship_id, permanent=permanent)
def ship_order(order_number):
    """Buy the label of a packed order, then tell the customer its tracking code."""
    order = Order.objects.get(number=order_number)
    if order.status == Order.SHIPPED:
        return
    if order.status != Order.PACKED:
        raise NotPacked(f"{order_number} is {order.status}")

    if not order.tracking_code:
        label = ParcelWing().buy_label(
            reference=order.number,
            name=order.name,
            postcode=order.postcode,
            country=order.country,
            weight_g=order.weight_g,
        )
        order.tracking_code, order.label_url = label["tracking"], label["pdf"]
        order.save(update_fields=["tracking_code", "label_url"])
        log.info("order.labelled", order=order.number, tracking=order.tracking_code)

    tracking_mail(order).send()
    Order.objects.filter(pk=order.pk).update(status=Order.SHIPPED)
    log.info("order.shipped", order=order.number)


def tracking_mail(order):
    return EmailMessage(
        subject=f"Your coffee {order.number} is on its way",
        body=f"Hello {order.name},\n\nyour parcel has the tracking code {order.tracking_code}.\n\nBeanroast\n",
        to=[order.email],
        # the same for each attempt: mail programs show a second copy once
        headers={"Message-ID": f"<shipped-{order.number}@beanroast.example>"},
    )
