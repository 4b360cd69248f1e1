"""A letter's life: draft, queued, sent or dead. Every change is one transaction."""
from datetime import timedelta

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from overdue.models import DeadLetter, Letter, Reader

JOB = "send-letter"
MAX_TRIES = 5
WAITS = [timedelta(minutes=m) for m in (2, 8, 32, 128)]
REFERENCE_GOOD_FOR = timedelta(days=60)


class NoSuchLetter(Exception):
    pass


class TriesUsedUp(Exception):
    pass


class ReferenceTooOld(Exception):
    pass


class CannotRevive(Exception):
    pass


def release(letter_id):
    """The librarian's button: queue a drafted letter. Pressed again, it does nothing."""
    with transaction.atomic():
        now = timezone.now()
        drafted = Letter.objects.filter(pk=letter_id, status=Letter.Status.DRAFT)
        if drafted.update(status=Letter.Status.QUEUED, released_at=now, stirred_at=now):
            _enqueue(letter_id)


def revive(letter_id):
    with transaction.atomic():
        now = timezone.now()
        dead = Letter.objects.filter(
            pk=letter_id, status=Letter.Status.DEAD, released_at__gt=now - REFERENCE_GOOD_FOR
        )
        if not dead.update(status=Letter.Status.QUEUED, tries=0, stirred_at=now):
            raise CannotRevive(letter_id)
        DeadLetter.objects.filter(job=JOB, key=str(letter_id)).delete()
        _enqueue(letter_id)


def begin(letter_id):
    """The letter; this try is counted if it is queued."""
    with transaction.atomic():
        Letter.objects.filter(pk=letter_id, status=Letter.Status.QUEUED).update(
            tries=F("tries") + 1, stirred_at=timezone.now()
        )
        letter = Letter.objects.select_related("loan__reader").filter(pk=letter_id).first()
    if letter is None:
        raise NoSuchLetter(f"no letter {letter_id}")
    return letter


def check(letter):
    if letter.tries > MAX_TRIES:
        raise TriesUsedUp(f"{MAX_TRIES} tries came to no end")
    if letter.released_at < timezone.now() - REFERENCE_GOOD_FOR:
        raise ReferenceTooOld("the print shop may have forgotten the reference")


def finish(letter):
    """Sent, and the fee on the reader's account; False where another delivery has done it."""
    with transaction.atomic():
        first = (
            Letter.objects.filter(pk=letter.pk)
            .exclude(status=Letter.Status.SENT)
            .update(status=Letter.Status.SENT, sent_at=timezone.now())
        )
        if first:
            Reader.objects.filter(pk=letter.loan.reader_id).update(owes_cents=F("owes_cents") + letter.fee_cents)
            DeadLetter.objects.filter(job=JOB, key=str(letter.pk)).delete()
    return bool(first)


def put_off(letter):
    """Queue the next try; None where it is not ours to do so: another delivery has begun since."""
    wait = WAITS[letter.tries - 1]
    with transaction.atomic():
        at = timezone.now() + wait
        ours = Letter.objects.filter(pk=letter.pk, status=Letter.Status.QUEUED, tries=letter.tries)
        if not ours.update(stirred_at=at):
            return None
        _enqueue(letter.pk, run_after=at)
    return wait


def bury(key, message, reason, letter=None):
    """A dead letter; False where there is no call for one."""
    with transaction.atomic():
        if letter is not None:
            ours = Letter.objects.filter(pk=letter.pk, status=Letter.Status.QUEUED, tries=letter.tries)
            if not ours.update(status=Letter.Status.DEAD):
                return False
        _, created = DeadLetter.objects.get_or_create(
            job=JOB,
            key=key,
            defaults={
                "message": message,
                "reason": reason[:200],
                "tries": letter.tries if letter else 0,
                "died_at": timezone.now(),
            },
        )
    return created


def _enqueue(letter_id, run_after=None):
    from overdue.tasks import send_letter

    send_letter.using(run_after=run_after).enqueue(letter_id=letter_id)
