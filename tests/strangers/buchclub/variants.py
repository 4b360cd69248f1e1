"""Another club that is right, and one where some members never hear of their parcel."""

JOB = "order-parcel"
SPEC = ".skillrun/jobs/order-parcel.yaml"

MIGRATION = '''from django.db import migrations, models
import django.db.models.deletion


class Migration(migrations.Migration):
    dependencies = [("parcels", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="Step",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=8)),
                ("value", models.CharField(max_length=40, blank=True, default="")),
                ("done_at", models.DateTimeField(auto_now_add=True)),
                (
                    "parcel",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="steps", to="parcels.parcel"
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("parcel", "name"), name="each_step_once")],
            },
        ),
    ]
'''

SERVICES = '''"""The life of a parcel: planned -> ordered -> confirmed, or failed, or unconfirmed."""
import functools
import logging

from django.conf import settings
from django.db import Error, close_old_connections, transaction
from django.db.models import F
from django.utils import timezone

from .errors import NoSelection, NotSubscribed, TooLate, TooManyStarts
from .models import DeadLetter, Member, Parcel, Selection, Step, reference

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
    this = Parcel.objects.filter(member_id=member_id, month=month)
    with transaction.atomic():
        _, created = Parcel.objects.get_or_create(member_id=member_id, month=month, defaults={"planned_at": now})
        if created and not member.active:
            raise NotSubscribed(f"member {member_id} has left")
        if not this.filter(status__in=OPEN).update(starts=F("starts") + 1, due_at=now + settings.PARCEL_GRACE):
            return None
        parcel = this.prefetch_related("steps").get()
    if parcel.starts > settings.PARCEL_MAX_STARTS:
        raise TooManyStarts(f"{parcel.starts - 1} starts without an end")
    if not parcel.did("order") and parcel.planned_at < now - settings.PARCEL_DEADLINE:
        raise TooLate("planned too long ago")
    return parcel


@stubborn
def did(parcel: Parcel, name: str, value: str = "") -> bool:
    """Tick a step off, once; the status follows. It is so, whatever another delivery has made of it meanwhile."""
    with transaction.atomic():
        _, first = Step.objects.get_or_create(parcel=parcel, name=name, defaults={"value": value})
        if not first:
            return False
        this = Parcel.objects.filter(pk=parcel.pk)
        if name == "order":
            this.update(status=Status.ORDERED, order_number=value, due_at=timezone.now() + settings.PARCEL_GRACE)
        else:
            this.update(status=Status.CONFIRMED, due_at=None)
        DeadLetter.objects.filter(key=parcel.reference).delete()
    return True


def ordered(parcel: Parcel, order_number: str) -> bool:
    return did(parcel, "order", order_number)


def confirmed(parcel: Parcel) -> bool:
    return did(parcel, "mail")


@stubborn
def bury(key: str, parcel: tuple | None, stages, letter: dict) -> bool:
    """Record the end of a job; False if that had been reached before."""
    with transaction.atomic():
        if parcel is not None:
            this = Parcel.objects.filter(member_id=parcel[0], month=parcel[1])
            ended = any(this.filter(status=at).update(status=GIVEN_UP[at], due_at=None) for at in stages)
            if not ended and this.exists():
                return False
        _, created = DeadLetter.objects.get_or_create(key=key, defaults=letter)
    return created
'''

JSONLOG = '''import json
import logging

FIELDS = ("job_id", "key", "attempt", "outcome", "status", "order_number", "reason")


class JsonLine(logging.Formatter):
    def format(self, record):
        line = {"at": self.formatTime(record), "level": record.levelname, "event": record.getMessage()}
        line |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
'''

VARIANTS = [
    dict(
        id="ok-steps",
        kind="correct",
        job=JOB,
        what="A table of steps, each once for a parcel (unique constraint), says what is done, and the status follows it;"
        " conditional updates instead of select_for_update; the log is JSON by extra=.",
        edits=[
            ("parcels/services.py", "", SERVICES),
            ("parcels/migrations/0002_step.py", "", MIGRATION),
            ("parcels/jsonlog.py", "", JSONLOG),
            (
                "parcels/models.py",
                '''    def reference(self) -> str:
        return reference(self.member_id, self.month)


''',
                '''    def reference(self) -> str:
        return reference(self.member_id, self.month)

    def did(self, name: str) -> bool:
        return any(step.name == name for step in self.steps.all())


class Step(models.Model):
    """What has been done for a parcel: "order" with the distributor's number, "mail"."""

    parcel = models.ForeignKey(Parcel, on_delete=models.CASCADE, related_name="steps")
    name = models.CharField(max_length=8)
    value = models.CharField(max_length=40, blank=True, default="")
    done_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["parcel", "name"], name="each_step_once")]


''',
            ),
            ("parcels/tasks.py", "    if parcel.status == Parcel.Status.PLANNED:\n", '    if not parcel.did("order"):\n'),
            ("parcels/tasks.py", "from .models import Parcel, Selection\n", "from .models import Selection\n"),
            (
                "parcels/base.py",
                '''        rest = "".join(f" {name}={value}" for name, value in more.items())
        logger.log(
            level,
            "order_parcel job_id=%s key=%s attempt=%d outcome=%s%s",
            self.request.id,
            key,
            self.request.retries + 1,
            outcome,
            rest,
        )
''',
                '''        about = {"job_id": self.request.id, "key": key, "attempt": self.request.retries + 1, "outcome": outcome}
        logger.log(level, "order_parcel", extra={**about, **more})
''',
            ),
            (
                "buchclub/settings.py",
                '''{"line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}}''',
                '''{"line": {"()": "parcels.jsonlog.JsonLine"}}''',
            ),
            (
                "README.md",
                "The parcel's row decides, under `select_for_update`.",
                "A step (`Step`) is ticked off once; the status follows.",
            ),
            (SPEC, "dedupe: {store: table parcels_parcel (status)}", "dedupe: {store: table parcels_step}"),
            (
                SPEC,
                "  dead_letters: select count(*) from parcels_deadletter\n",
                "    steps: >-\n      select p.member_id, p.month, s.name, s.value from parcels_step s\n"
                "      join parcels_parcel p on p.id = s.parcel_id order by 1, 2, 3\n"
                "  dead_letters: select count(*) from parcels_deadletter\n",
            ),
        ],
    ),
    dict(
        id="m-sweep-planned",
        kind="mistake",
        job=JOB,
        what="The sweep looks for planned parcels only. Promise: recovers (publish_stalled brings a job back whose message was"
        " lost), and the confirmation at least once. The order number is committed, the parcel is 'ordered'; the worker is"
        " killed before the mail (or the mail server is away and a retry waits in the broker), and the broker loses the"
        " message. The parcel stays ordered for ever: no mail, no dead letter.",
        edits=[
            (
                "parcels/services.py",
                '''    stalled = Parcel.objects.filter(status__in=OPEN, due_at__lte=timezone.now()).order_by("due_at", "pk")
''',
                '''    stalled = Parcel.objects.filter(status=Status.PLANNED, due_at__lte=timezone.now()).order_by("due_at", "pk")
''',
            ),
        ],
    ),
]
