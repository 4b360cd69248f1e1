"""The life of a parcel: planned -> ordered -> confirmed, or failed, or unconfirmed."""
import functools
import logging

from django.conf import settings
from django.db import Error, close_old_connections, transaction
from django.utils import timezone

from .errors import NoSelection, NotSubscribed, TooLate, TooManyStarts
from .models import DeadLetter, Member, Parcel, Selection, reference

logger = logging.getLogger(__name__)
Status = Parcel.Status
OPEN = (Status.PLANNED, Status.ORDERED)
GIVEN_UP = {Status.PLANNED: Status.FAILED, Status.ORDERED: Status.UNCONFIRMED}


def stubborn(write):
    """Three goes for what the outside world has already decided."""

    @functools.wraps(write)
    def wrapper(*args, **kwargs):
        for _ in range(2):
            try:
                return write(*args, **kwargs)
            except Error:
                close_old_connections()
        return write(*args, **kwargs)

    return wrapper


def plan_month(month: str) -> int:
    members = Member.objects.filter(active=True).order_by("pk").values_list("pk", flat=True)
    return sum(plan_parcel(member_id=pk, month=month) for pk in list(members))


def plan_parcel(member_id: int, month: str) -> bool:
    """Planned and published once; what is planned and was not published, the sweep publishes."""
    now = timezone.now()
    with transaction.atomic():
        _, created = Parcel.objects.get_or_create(
            member_id=member_id, month=month, defaults={"planned_at": now, "due_at": now}
        )
        if created:
            transaction.on_commit(lambda: publish(member_id, month), robust=True)
    return created


def publish(member_id: int, month: str) -> None:
    from .tasks import order_parcel

    order_parcel.delay(member_id=member_id, month=month)
    Parcel.objects.filter(member_id=member_id, month=month, status__in=OPEN).update(
        due_at=timezone.now() + settings.PARCEL_GRACE
    )


def publish_stalled() -> int:
    stalled = Parcel.objects.filter(status__in=OPEN, due_at__lte=timezone.now()).order_by("due_at", "pk")
    found = list(stalled.values_list("member_id", "month"))
    for member_id, month in found:
        publish(member_id, month)
        logger.info("order_parcel key=%s outcome=requeued", reference(member_id, month))
    return len(found)


def begin(member_id: int, month: str) -> Parcel | None:
    """The parcel, counted one start richer; None if nothing is left to do."""
    now = timezone.now()
    member = Member.objects.filter(pk=member_id).first()
    if member is None:
        raise NotSubscribed(f"no member {member_id}")
    if not Selection.objects.filter(month=month).exists():
        raise NoSelection(f"no book for {month}")
    with transaction.atomic():
        parcel, created = Parcel.objects.select_for_update().get_or_create(
            member_id=member_id, month=month, defaults={"planned_at": now}
        )
        if parcel.status not in OPEN:
            return None
        if created and not member.active:
            raise NotSubscribed(f"member {member_id} has left")
        parcel.starts += 1
        parcel.due_at = now + settings.PARCEL_GRACE
        parcel.save(update_fields=["starts", "due_at"])
    if parcel.starts > settings.PARCEL_MAX_STARTS:
        raise TooManyStarts(f"{parcel.starts - 1} starts without an end")
    if parcel.status == Status.PLANNED and parcel.planned_at < now - settings.PARCEL_DEADLINE:
        raise TooLate("planned too long ago")
    return parcel


@stubborn
def ordered(parcel: Parcel, order_number: str) -> None:
    """The distributor has it. If another delivery has given up meanwhile, it was wrong."""
    _advance(parcel, (Status.PLANNED, Status.FAILED), status=Status.ORDERED, order_number=order_number)


@stubborn
def confirmed(parcel: Parcel) -> None:
    _advance(parcel, (Status.ORDERED, Status.UNCONFIRMED), status=Status.CONFIRMED, due_at=None)


def _advance(parcel: Parcel, expected, **values) -> None:
    with transaction.atomic():
        row = Parcel.objects.select_for_update().get(pk=parcel.pk)
        if row.status in expected:
            if row.status not in OPEN:
                DeadLetter.objects.filter(key=row.reference).delete()
                row.due_at = timezone.now() + settings.PARCEL_GRACE
            for name, value in values.items():
                setattr(row, name, value)
            row.save()


@stubborn
def bury(key: str, parcel: tuple | None, stages, letter: dict) -> bool:
    """Record the end of a job; False if that had been reached before."""
    with transaction.atomic():
        if parcel is not None:
            row = Parcel.objects.select_for_update().filter(member_id=parcel[0], month=parcel[1]).first()
            if row is not None:
                if row.status not in stages:
                    return False
                row.status = GIVEN_UP[row.status]
                row.due_at = None
                row.save(update_fields=["status", "due_at"])
        _, created = DeadLetter.objects.get_or_create(key=key, defaults=letter)
    return created
