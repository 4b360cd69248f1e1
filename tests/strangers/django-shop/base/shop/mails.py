from django.core.mail import EmailMessage


def shipped_mail(order, tracking):
    return EmailMessage(
        subject=f"Your order {order.pk} is on its way",
        body=f"Hello,\n\nyour parcel left us today. Tracking number: {tracking}\n",
        to=[order.customer_email],
    )
