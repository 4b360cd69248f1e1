from django.conf import settings
from django.db import transaction
from django.utils import timezone

from . import inbox
from .errors import UnknownMember
from .models import Invoice, Member, Series


def numbered_invoice(member_id, season):
    """The member's invoice of that season; the first call gives it the next number."""
    with transaction.atomic():
        try:
            member = Member.objects.get(pk=member_id)
        except Member.DoesNotExist:
            raise UnknownMember(f"member {member_id}") from None
        invoice = Invoice.objects.select_related("member").filter(member=member, season=season).first()
        if invoice is None:
            series, _ = Series.objects.select_for_update().get_or_create(season=season)
            series.last += 1
            series.save()
            invoice = Invoice.objects.create(
                number=f"{season}-{series.last:04d}",
                member=member,
                season=season,
                amount_cents=settings.MEMBERSHIP_FEE_CENTS,
            )
        return invoice


def mailed(key, invoice):
    with transaction.atomic():
        Invoice.objects.filter(pk=invoice.pk, mailed_at=None).update(mailed_at=timezone.now())
        inbox.close(key)
