from smtplib import SMTPException

from celery import shared_task
from django.core import mail
from django.db import Error as DatabaseTrouble

from . import services
from .base import ParcelTask, check
from .distributor import Distributor
from .errors import DistributorAway, MailAway
from .models import Parcel, Selection


@shared_task(
    bind=True,
    base=ParcelTask,
    autoretry_for=(DistributorAway, MailAway, DatabaseTrouble),
    retry_backoff=True,
    max_retries=5,
)
def order_parcel(self, member_id, month):
    """Order a member's parcel of a month, and tell the member."""
    check(member_id, month)
    parcel = services.begin(member_id, month)
    if parcel is None:
        self.note("nothing_to_do", self.name_of((member_id, month), {})[0])
        return
    key = parcel.reference
    self.note("started", key, status=parcel.status)
    member = parcel.member
    book = Selection.objects.get(month=month)
    if parcel.status == Parcel.Status.PLANNED:
        number = Distributor().order(reference=key, isbn=book.isbn, name=member.name, address=member.address)
        services.ordered(parcel, number)
        self.note("ordered", key, order_number=number)
    confirm(member, book)
    services.confirmed(parcel)
    self.note("confirmed", key)


def confirm(member, book):
    try:
        mail.send_mail(
            f"Your parcel: {book.title}",
            f"Dear {member.name},\n\n{book.title} is on its way to you.\n\nYour Buchclub\n",
            None,
            [member.email],
        )
    except (SMTPException, OSError) as error:
        # An SMTP error quotes the recipient.
        raise MailAway(type(error).__name__) from None


@shared_task
def requeue_stalled():
    services.publish_stalled()
