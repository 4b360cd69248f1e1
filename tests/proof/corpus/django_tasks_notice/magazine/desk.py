"""What the shop's view calls."""

from django.db import transaction

from magazine.models import Renewal
from magazine.tasks import send_notice


@transaction.atomic
def renew(number: str) -> None:
    """Stores a renewal, and the task that tells of it, together. Calling it again is safe."""
    Renewal.objects.get_or_create(number=number)
    send_notice.enqueue(number)
