"""Every change of a filing, each a transaction of its own.

    signed -> filed -> confirmed        or not_filed, unconfirmed where it was given up

What the register or the mail server has taken outweighs that somebody else has given up meanwhile.
"""
from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from .errors import NoSuchDeed, StartedTooOften, SubmissionTooOld
from .models import DeadLetter, Filing

State = Filing.State
UNDER_WAY = (State.SIGNED, State.FILED)
GIVEN_UP_AS = {State.SIGNED: State.NOT_FILED, State.FILED: State.UNCONFIRMED}


def find(deed_id):
    filing = Filing.objects.select_related("deed").filter(deed_id=deed_id).first()
    if filing is None:
        raise NoSuchDeed(f"no signed deed {deed_id}")
    return filing


def start(filing):
    """Count a start; False if there is nothing left to do."""
    now = timezone.now()
    started = Filing.objects.filter(pk=filing.pk, state__in=UNDER_WAY).update(
        starts=F("starts") + 1, look_at=now + settings.FILING_PATIENCE
    )
    if not started:
        return False
    filing.refresh_from_db(fields=["state", "starts", "receipt"])
    if filing.state not in UNDER_WAY:
        return False
    if filing.starts > settings.FILING_MAX_STARTS:
        raise StartedTooOften(f"{filing.starts - 1} starts and no end")
    if filing.state == State.SIGNED and filing.deed.signed_at < now - settings.FILING_DEADLINE:
        raise SubmissionTooOld("signed too long ago")
    return True


def enter_receipt(filing, receipt):
    now = timezone.now()
    with transaction.atomic():
        entered = Filing.objects.filter(pk=filing.pk, state__in=[State.SIGNED, State.NOT_FILED]).update(
            state=State.FILED, receipt=receipt, filed_at=now, look_at=now + settings.FILING_PATIENCE
        )
        if entered:
            DeadLetter.objects.filter(key=filing.key).delete()
    filing.refresh_from_db(fields=["state", "receipt"])


def mark_confirmed(filing):
    with transaction.atomic():
        marked = Filing.objects.filter(pk=filing.pk, state__in=[State.FILED, State.UNCONFIRMED]).update(
            state=State.CONFIRMED, confirmed_at=timezone.now(), look_at=None
        )
        if marked:
            DeadLetter.objects.filter(key=filing.key).delete()
    filing.state = State.CONFIRMED


def give_up(filing, letter):
    """Close a filing where it stands, with a dead letter; False if it has moved on since."""
    with transaction.atomic():
        closed = Filing.objects.filter(pk=filing.pk, state=filing.state).update(
            state=GIVEN_UP_AS[filing.state], look_at=None
        )
        if closed:
            bury(filing.key, letter)
    return bool(closed)


def bury(key, letter):
    return DeadLetter.objects.get_or_create(key=key, defaults=letter)[1]
