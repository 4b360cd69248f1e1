"""What the clerks do: a deed is signed, and then released to the register."""
import logging
import uuid

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from .filing import UNDER_WAY
from .models import Deed, Filing

logger = logging.getLogger(__name__)


def sign(deed_id):
    """The parties have signed. From here on the deed has its submission id."""
    with transaction.atomic():
        deed = Deed.objects.select_for_update().get(pk=deed_id)
        if deed.signed_at is None:
            deed.signed_at = timezone.now()
            deed.save(update_fields=["signed_at"])
        filing, _ = Filing.objects.get_or_create(deed=deed, defaults={"submission_id": str(uuid.uuid4())})
    return filing.submission_id


def release(deed_id):
    """Have a signed deed filed; False if that was asked for before."""
    now = timezone.now()
    with transaction.atomic():
        released = Filing.objects.filter(deed_id=deed_id, released_at=None).update(
            released_at=now, look_at=now
        )
        if released:
            # Should Redis be away, the sweep publishes it.
            transaction.on_commit(lambda: publish(deed_id), robust=True)
    return bool(released)


def publish(deed_id):
    from .tasks import file_deed

    file_deed.delay(deed_id=deed_id)
    Filing.objects.filter(deed_id=deed_id, state__in=UNDER_WAY).update(
        look_at=timezone.now() + settings.FILING_PATIENCE
    )


def resend_stuck():
    """Publish anew what should have moved by now. Run by beat."""
    stuck = Filing.objects.filter(state__in=UNDER_WAY, look_at__lte=timezone.now())
    sent = 0
    for filing in list(stuck.order_by("look_at", "pk")):
        where = {"job": "file-deed", "key": filing.key, "attempt": filing.starts}
        try:
            publish(filing.deed_id)
        except Exception as exc:
            logger.warning(
                "filing could not be resent", extra=where | {"outcome": "stuck", "reason": type(exc).__name__}
            )
            continue
        logger.info("filing resent", extra=where | {"outcome": "resent"})
        sent += 1
    return sent
