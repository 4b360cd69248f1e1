VARIANTS = [
    {
        "id": "ok_ledger",
        "kind": "correct",
        "job": "order-lenses",
        "what": "Another dedupe store (an append-only table of confirmations, one row an order, first reference stands), another layering (retries by autoretry_for with Celery's backoff, log and burial in the hooks of a Task base class), LoggerAdapter. The key at the laboratory stays the row's request_key; confirmation and status are one transaction, so is the burial; bury yields to a confirmation.",
        "edits": [
            (
                ".skillrun/jobs/order-lenses.yaml",
'''\
  dedupe: {store: table lenses_lensorder (status)}
effects:
  - name: lab-order
    call: requests:Session.post
    key_arg: headers.Idempotency-Key
    window: 7d
    guarantee: keyed
    returns: {reference: GL-1}
failures:
  transient:
    - {type: "requests:HTTPError", args: [503], effects: [lab-order]}
    - {type: "requests:HTTPError", args: [429], effects: [lab-order], unsent: true}
    - {type: "requests:ReadTimeout", args: [timed out], effects: [lab-order]}
    - {type: "requests:ConnectTimeout", args: [timed out], effects: [lab-order], unsent: true}
    - {type: "requests:ConnectionError", args: [connection reset], effects: [lab-order]}
    - {type: "django.db:OperationalError", args: [database is locked], effects: []}
  permanent:
    - {type: "requests:HTTPError", args: [422], effects: [lab-order], unsent: true}
    - {type: "lenses.services:UnknownOrder", args: [no lens order 77], effects: []}
    - {type: "lenses.services:NotPlaced", args: [lens order 1 is a draft], effects: []}
    - {type: "lenses.services:TooManyStarts", args: [12 starts without an end], effects: []}
    - {type: "lenses.services:TooLate", args: [placed too long ago], effects: []}
    - {type: "lenses.tasks:BadMessage", args: [order_id is wanted], effects: []}
  acceptable_delay: 2d
retry:
  max_attempts: 6
  backoff: {kind: exponential, base: 30s, factor: 2, cap: 4m}
dead_letter: {kind: table, where: lenses_deadorder}
worker: {deliveries: 13}
proof:
  env:
    DJANGO_SETTINGS_MODULE: optiker.settings
    OPTIKER_DB: "{scratch}/optiker.sqlite3"
    OPTIKER_BROKER: memory://
    OPTIKER_LAB_URL: http://lab.invalid/v2
    OPTIKER_LAB_TOKEN: proof
  setup: python manage.py seed_demo
  database: "{scratch}/optiker.sqlite3"
  state:
    orders: select id, status, lab_reference from lenses_lensorder order by id
''',
'''\
  dedupe: {store: table lenses_labconfirmation}
effects:
  - name: lab-order
    call: requests:Session.post
    key_arg: headers.Idempotency-Key
    window: 7d
    guarantee: keyed
    returns: {reference: GL-1}
failures:
  transient:
    - {type: "requests:HTTPError", args: [503], effects: [lab-order]}
    - {type: "requests:HTTPError", args: [429], effects: [lab-order], unsent: true}
    - {type: "requests:ReadTimeout", args: [timed out], effects: [lab-order]}
    - {type: "requests:ConnectTimeout", args: [timed out], effects: [lab-order], unsent: true}
    - {type: "requests:ConnectionError", args: [connection reset], effects: [lab-order]}
    - {type: "django.db:OperationalError", args: [database is locked], effects: []}
  permanent:
    - {type: "requests:HTTPError", args: [422], effects: [lab-order], unsent: true}
    - {type: "lenses.services:UnknownOrder", args: [no lens order 77], effects: []}
    - {type: "lenses.services:NotPlaced", args: [lens order 1 is a draft], effects: []}
    - {type: "lenses.services:TooManyStarts", args: [12 starts without an end], effects: []}
    - {type: "lenses.services:TooLate", args: [placed too long ago], effects: []}
    - {type: "lenses.tasks:BadMessage", args: [order_id is wanted], effects: []}
  acceptable_delay: 2d
retry:
  max_attempts: 6
  backoff: {kind: exponential, base: 30s, factor: 2, cap: 4m}
dead_letter: {kind: table, where: lenses_deadorder}
worker: {deliveries: 13}
proof:
  env:
    DJANGO_SETTINGS_MODULE: optiker.settings
    OPTIKER_DB: "{scratch}/optiker.sqlite3"
    OPTIKER_BROKER: memory://
    OPTIKER_LAB_URL: http://lab.invalid/v2
    OPTIKER_LAB_TOKEN: proof
  setup: python manage.py seed_demo
  database: "{scratch}/optiker.sqlite3"
  state:
    orders: select id, status, lab_reference from lenses_lensorder order by id
    confirmations: select order_id, reference from lenses_labconfirmation order by order_id
''',
            ),
            (
                "README.md",
'''\
`placed` and is published by the next sweep. Every call for an order carries the order's `request_key` as
''',
'''\
`placed` and is published by the next sweep. What the laboratory has confirmed is
in `lenses_labconfirmation`, one row an order. Every call for an order carries the order's `request_key` as
''',
            ),
            (
                "lenses/ledger.py",
"",
'''\
"""What the laboratory has confirmed: one entry an order, written once and never changed."""

from django.db import DatabaseError

from .models import LabConfirmation


def confirmed(order_id):
    return LabConfirmation.objects.filter(order_id=order_id).exists()


def enter(order_id, reference):
    LabConfirmation.objects.bulk_create(
        [LabConfirmation(order_id=order_id, reference=reference)], ignore_conflicts=True
    )
    return LabConfirmation.objects.get(order_id=order_id).reference


def patiently(write, *args):
    """Three tries: what the laboratory or we have decided does not change by another attempt."""
    for _ in range(2):
        try:
            return write(*args)
        except DatabaseError:
            continue
    return write(*args)
''',
            ),
            (
                "lenses/migrations/0002_labconfirmation.py",
"",
'''\
# Generated by Django 5.2.19 on 2026-12-01 03:28

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('lenses', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='LabConfirmation',
            fields=[
                ('order', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='confirmation', serialize=False, to='lenses.lensorder')),
                ('reference', models.CharField(max_length=40)),
                ('received_at', models.DateTimeField(auto_now_add=True)),
            ],
        ),
    ]
''',
            ),
            (
                "lenses/models.py",
'''\
    due_at = models.DateTimeField(null=True, db_index=True)


''',
'''\
    due_at = models.DateTimeField(null=True, db_index=True)


class LabConfirmation(models.Model):
    order = models.OneToOneField(LensOrder, models.PROTECT, primary_key=True, related_name="confirmation")
    reference = models.CharField(max_length=40)
    received_at = models.DateTimeField(auto_now_add=True)


''',
            ),
            (
                "lenses/services.py",
'''\
from .models import DeadOrder, LensOrder

logger = logging.getLogger(__name__)
Status = LensOrder.Status


class UnknownOrder(Exception):
    pass


class NotPlaced(Exception):
    pass


class TooManyStarts(Exception):
    pass


class TooLate(Exception):
    pass


def place_order(order_id):
    """Placing it again does nothing: what was not published, the sweep publishes."""
    now = timezone.now()
    with transaction.atomic():
        placed = LensOrder.objects.filter(pk=order_id, status=Status.DRAFT).update(
            status=Status.PLACED, placed_at=now, due_at=now
        )
        if placed:
            transaction.on_commit(lambda: publish(order_id), robust=True)
        elif not LensOrder.objects.filter(pk=order_id).exists():
            raise UnknownOrder(f"no lens order {order_id}")
    return bool(placed)


def publish(order_id):
    from .tasks import order_lenses

    order_lenses.apply_async(kwargs={"order_id": order_id})
    LensOrder.objects.filter(pk=order_id, status=Status.PLACED).update(
        due_at=timezone.now() + settings.LENS_ORDER_GRACE
    )


def requeue_stalled():
    """Publish again what should have moved by now and has not."""
    stalled = LensOrder.objects.filter(status=Status.PLACED, due_at__lte=timezone.now())
    published = 0
    for order_id in list(stalled.order_by("due_at").values_list("pk", flat=True)):
        publish(order_id)
        logger.info("lens order requeued", extra={"job": "order-lenses", "key": order_id, "outcome": "requeued"})
        published += 1
    return published


def begin(order_id):
    """The order, one start richer; None if nothing is left to do."""
    now = timezone.now()
    with transaction.atomic():
        LensOrder.objects.filter(pk=order_id, status=Status.PLACED).update(
            starts=F("starts") + 1, due_at=now + settings.LENS_ORDER_GRACE
        )
        order = LensOrder.objects.filter(pk=order_id).first()
    if order is None:
        raise UnknownOrder(f"no lens order {order_id}")
    if order.status == Status.DRAFT:
        raise NotPlaced(f"lens order {order_id} is a draft")
    if order.status != Status.PLACED:
        return None
    if order.starts > settings.LENS_ORDER_MAX_STARTS:
        raise TooManyStarts(f"{order.starts - 1} starts without an end")
    if order.placed_at < now - settings.LENS_ORDER_DEADLINE:
        raise TooLate("placed too long ago")
    return order


def settle(order_id, lab_reference):
    """The laboratory has it, whatever another delivery has made of it meanwhile."""
    with transaction.atomic():
        moved = LensOrder.objects.filter(pk=order_id, status__in=[Status.PLACED, Status.FAILED]).update(
            status=Status.ORDERED, lab_reference=lab_reference, ordered_at=timezone.now(), due_at=None
        )
        if moved:
            DeadOrder.objects.filter(key=str(order_id)).delete()
    return bool(moved)


def bury(key, message, reason, job_id, order_id=None):
    """Record a job that ends here; False if it was at its end before."""
    with transaction.atomic():
        if order_id is not None:
''',
'''\
from . import ledger
from .models import DeadOrder, LensOrder

logger = logging.getLogger(__name__)
Status = LensOrder.Status


class UnknownOrder(Exception):
    pass


class NotPlaced(Exception):
    pass


class TooManyStarts(Exception):
    pass


class TooLate(Exception):
    pass


def place_order(order_id):
    """Placing it again does nothing: what was not published, the sweep publishes."""
    now = timezone.now()
    with transaction.atomic():
        placed = LensOrder.objects.filter(pk=order_id, status=Status.DRAFT).update(
            status=Status.PLACED, placed_at=now, due_at=now
        )
        if placed:
            transaction.on_commit(lambda: publish(order_id), robust=True)
        elif not LensOrder.objects.filter(pk=order_id).exists():
            raise UnknownOrder(f"no lens order {order_id}")
    return bool(placed)


def publish(order_id):
    from .tasks import order_lenses

    order_lenses.apply_async(kwargs={"order_id": order_id})
    LensOrder.objects.filter(pk=order_id, status=Status.PLACED).update(
        due_at=timezone.now() + settings.LENS_ORDER_GRACE
    )


def requeue_stalled():
    """Publish again what should have moved by now and has not."""
    stalled = LensOrder.objects.filter(status=Status.PLACED, due_at__lte=timezone.now())
    published = 0
    for order_id in list(stalled.order_by("due_at").values_list("pk", flat=True)):
        publish(order_id)
        logger.info("lens order requeued", extra={"job": "order-lenses", "key": order_id, "outcome": "requeued"})
        published += 1
    return published


def begin(order_id):
    """The order, one start richer; None if nothing is left to do."""
    now = timezone.now()
    with transaction.atomic():
        if ledger.confirmed(order_id):
            return None
        LensOrder.objects.filter(pk=order_id, status=Status.PLACED).update(
            starts=F("starts") + 1, due_at=now + settings.LENS_ORDER_GRACE
        )
        order = LensOrder.objects.filter(pk=order_id).first()
    if order is None:
        raise UnknownOrder(f"no lens order {order_id}")
    if order.status == Status.DRAFT:
        raise NotPlaced(f"lens order {order_id} is a draft")
    if order.status != Status.PLACED:
        return None
    if order.starts > settings.LENS_ORDER_MAX_STARTS:
        raise TooManyStarts(f"{order.starts - 1} starts without an end")
    if order.placed_at < now - settings.LENS_ORDER_DEADLINE:
        raise TooLate("placed too long ago")
    return order


def settle(order_id, lab_reference):
    """The laboratory has it, whatever another delivery has made of it meanwhile."""
    with transaction.atomic():
        entered = ledger.enter(order_id, lab_reference)
        moved = LensOrder.objects.filter(pk=order_id, status__in=[Status.PLACED, Status.FAILED]).update(
            status=Status.ORDERED, lab_reference=entered, ordered_at=timezone.now(), due_at=None
        )
        if moved:
            DeadOrder.objects.filter(key=str(order_id)).delete()
    return bool(moved)


def bury(key, message, reason, job_id, order_id=None):
    """Record a job that ends here; False if it was at its end before."""
    with transaction.atomic():
        if order_id is not None:
            if ledger.confirmed(order_id):
                return False
''',
            ),
            (
                "lenses/tasks.py",
'''\
from celery import shared_task
from django.conf import settings
from django.db import DatabaseError

from . import services
from .laboratory import Laboratory, LaboratoryAway

logger = logging.getLogger(__name__)

PASSING = (LaboratoryAway, DatabaseError)


class BadMessage(Exception):
    pass


@shared_task(bind=True, name="lenses.order_lenses", max_retries=settings.LENS_ORDER_ATTEMPTS - 1)
def order_lenses(self, **message):
    """Order the lenses of a placed order at the laboratory. message: order_id."""
    order_id = None
    key = key_of(message)
    about = {"job": "order-lenses", "job_id": self.request.id, "key": key, "attempt": self.request.retries + 1}
    logger.info("lens order started", extra={**about, "outcome": "started"})
    try:
        order_id = read(message)
        order = services.begin(order_id)
        if order is None:
            logger.info("lens order skipped", extra={**about, "outcome": "nothing_to_do"})
            return
        reference = Laboratory().order(order.request_key, order.lens, order.right_sphere, order.left_sphere)
        insist(services.settle, order_id, reference)
    except PASSING as error:
        if self.request.retries >= self.max_retries:
            give_up(about, message, order_id, error)
            raise
        wait = backoff(self.request.retries)
        logger.warning(
            "lens order will be tried again",
            extra={**about, "outcome": "retry", "reason": reason_of(error), "wait": wait},
        )
        raise self.retry(exc=error, countdown=wait)
    except Exception as error:
        give_up(about, message, order_id, error)
        raise
    logger.info("lens order confirmed", extra={**about, "outcome": "ordered", "lab_reference": reference})


@shared_task(name="lenses.requeue_stalled")
def requeue_stalled():
    services.requeue_stalled()


def give_up(about, message, order_id, error):
    buried = insist(services.bury, about["key"], message, reason_of(error), about["job_id"], order_id)
    logger.error(
        "lens order given up",
        extra={**about, "outcome": "dead" if buried else "was_over", "reason": reason_of(error)},
    )


def insist(write, *args, tries=3):
    """What has been decided is written down, even if the database stumbles once."""
    for left in reversed(range(tries)):
        try:
            return write(*args)
        except DatabaseError:
            if not left:
                raise


def read(message):
    order_id = message.get("order_id")
    if set(message) != {"order_id"} or type(order_id) is not int or not 0 < order_id <= 2**53:
        raise BadMessage("order_id is wanted, a positive integer, and nothing else")
    return order_id


def key_of(message):
    try:
        return str(read(message))
    except BadMessage:
        return "bad-" + hashlib.sha256(json.dumps(message, sort_keys=True, default=str).encode()).hexdigest()[:16]


def backoff(retries):
    return min(settings.LENS_ORDER_FIRST_WAIT * 2**retries, settings.LENS_ORDER_LONGEST_WAIT)


def reason_of(error):
    return f"{type(error).__name__}: {error}"
''',
'''\
from celery import Task, shared_task
from django.conf import settings
from django.db import DatabaseError

from . import ledger, services
from .laboratory import Laboratory, LaboratoryAway


class BadMessage(Exception):
    pass


class JobLog(logging.LoggerAdapter):
    def process(self, msg, kwargs):
        return msg, {**kwargs, "extra": {**self.extra, **kwargs.get("extra", {})}}


def reason_of(error):
    return f"{type(error).__name__}: {error}"


class LensTask(Task):
    """Says what becomes of a job, and buries what Celery will not try again."""

    def log(self, message):
        about = {"job": "order-lenses", "job_id": self.request.id, "key": key_of(message)}
        return JobLog(logging.getLogger(__name__), {**about, "attempt": self.request.retries + 1})

    def before_start(self, task_id, args, kwargs):
        self.log(kwargs).info("lens order started", extra={"outcome": "started"})

    def on_success(self, retval, task_id, args, kwargs):
        self.log(kwargs).info("lens order ended", extra={"outcome": retval})

    def on_retry(self, exc, task_id, args, kwargs, einfo):
        self.log(kwargs).warning("lens order comes again", extra={"outcome": "retry", "reason": reason_of(exc)})

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        try:
            order_id = read(kwargs)
        except BadMessage:
            order_id = None
        try:
            buried = ledger.patiently(services.bury, key_of(kwargs), kwargs, reason_of(exc), task_id, order_id)
        except DatabaseError:
            self.log(kwargs).error("lens order not recorded", extra={"outcome": "unrecorded"})
            return
        outcome = "dead" if buried else "was_over"
        self.log(kwargs).error("lens order given up", extra={"outcome": outcome, "reason": reason_of(exc)})


@shared_task(
    bind=True,
    base=LensTask,
    name="lenses.order_lenses",
    autoretry_for=(LaboratoryAway, DatabaseError),
    max_retries=settings.LENS_ORDER_ATTEMPTS - 1,
    retry_backoff=settings.LENS_ORDER_FIRST_WAIT,
    retry_backoff_max=settings.LENS_ORDER_LONGEST_WAIT,
    retry_jitter=False,
)
def order_lenses(self, **message):
    """Order the lenses of a placed order at the laboratory. message: order_id."""
    order_id = read(message)
    order = services.begin(order_id)
    if order is None:
        return "nothing_to_do"
    reference = Laboratory().order(order.request_key, order.lens, order.right_sphere, order.left_sphere)
    ledger.patiently(services.settle, order_id, reference)
    return "ordered"


@shared_task(name="lenses.requeue_stalled")
def requeue_stalled():
    services.requeue_stalled()


def read(message):
    order_id = message.get("order_id")
    if set(message) != {"order_id"} or type(order_id) is not int or not 0 < order_id <= 2**53:
        raise BadMessage("order_id is wanted, a positive integer, and nothing else")
    return order_id


def key_of(message):
    try:
        return str(read(message))
    except BadMessage:
        return "bad-" + hashlib.sha256(json.dumps(message, sort_keys=True, default=str).encode()).hexdigest()[:16]
''',
            ),
        ],
    },
    {
        "id": "task_id_key",
        "kind": "mistake",
        "job": "order-lenses",
        "what": "Breaks the effect lab-order: guarantee keyed, one key for one order (idempotency.key order_id). The Idempotency-Key is the Celery task id: the same in retries and redeliveries of one message, another one in a message that the sweep publishes. Sequence: order 1 published as task A; the laboratory takes it under key A; the worker dies before settle and the message is gone (Redis loses it), or the answer is lost and the retry's publishing fails because Redis is away; ten minutes later requeue_stalled publishes task B; the job calls under key B; the laboratory makes the lenses twice.",
        "edits": [
            (
                "README.md",
'''\
`placed` and is published by the next sweep. Every call for an order carries the order's `request_key` as
`Idempotency-Key`; the laboratory knows it for seven days. Six attempts, then the order is `failed` and there
''',
'''\
`placed` and is published by the next sweep. Every call for an order carries the id of its Celery task as
`Idempotency-Key`, the same in all its retries; the laboratory knows it for seven days. Six attempts, then the order is `failed` and there
''',
            ),
            (
                "lenses/tasks.py",
'''\
        reference = Laboratory().order(order.request_key, order.lens, order.right_sphere, order.left_sphere)
''',
'''\
        reference = Laboratory().order(self.request.id, order.lens, order.right_sphere, order.left_sphere)
''',
            ),
            (
                "tests/test_lens_orders.py",
'''\
    run(order_id=1)
    run(order_id=1)
    assert (order().status, order().lab_reference) == ("ordered", "GL-1")
    assert lab.keys == [str(order().request_key)]
''',
'''\
    first = run(order_id=1)
    run(order_id=1)
    assert (order().status, order().lab_reference) == ("ordered", "GL-1")
    assert lab.keys == [first.id]
''',
            ),
        ],
    },
    {
        "id": "sweep_unstarted",
        "kind": "mistake",
        "job": "order-lenses",
        "what": 'Breaks recovers (requeue_stalled, every 15m: a job whose message was lost is brought back). The sweep asks for starts=0. Sequence: a worker begins order 1 (starts=1, committed); the laboratory answers 503 and the publishing of the retry fails, or the worker dies and Redis loses the unacknowledged message; no message is left, the row stands at placed with due_at in the past, and no sweep ever takes it: not ordered, not failed, no dead letter.',
        "edits": [
            (
                "lenses/services.py",
'''\
    """Publish again what should have moved by now and has not."""
    stalled = LensOrder.objects.filter(status=Status.PLACED, due_at__lte=timezone.now())
''',
'''\
    """Publish again what no worker has taken up; what one has, Celery retries by itself."""
    stalled = LensOrder.objects.filter(status=Status.PLACED, starts=0, due_at__lte=timezone.now())
''',
            ),
        ],
    },
    {
        "id": "burial_in_two",
        "kind": "mistake",
        "job": "order-lenses",
        "what": 'Breaks dead_letter (table lenses_deadorder after the last attempt). Status and record are two transactions, the status first. Sequence: the laboratory answers 422 (or the sixth attempt fails); fail() commits status failed; the worker is killed, or the insert meets a locked database; the redelivery (or the second try of bury) finds failed, takes that for its end and does nothing: the order is failed and there is no dead letter, ever.',
        "edits": [
            (
                "lenses/services.py",
'''\
def bury(key, message, reason, job_id, order_id=None):
    """Record a job that ends here; False if it was at its end before."""
    with transaction.atomic():
        if order_id is not None:
            open_ones = LensOrder.objects.filter(pk=order_id, status=Status.PLACED)
            if not open_ones.update(status=Status.FAILED, due_at=None):
                if LensOrder.objects.filter(pk=order_id).exclude(status=Status.DRAFT).exists():
                    return False
        _, created = DeadOrder.objects.get_or_create(
            key=key, defaults={"message": message, "reason": reason[:200], "job_id": job_id or "-"}
        )
''',
'''\
def fail(order_id):
    """False if the order is at its end already."""
    if LensOrder.objects.filter(pk=order_id, status=Status.PLACED).update(status=Status.FAILED, due_at=None):
        return True
    return not LensOrder.objects.filter(pk=order_id).exclude(status=Status.DRAFT).exists()


def bury(key, message, reason, job_id, order_id=None):
    """Record a job that ends here; False if it was at its end before."""
    if order_id is not None and not fail(order_id):
        return False
    _, created = DeadOrder.objects.get_or_create(
        key=key, defaults={"message": message, "reason": reason[:200], "job_id": job_id or "-"}
    )
''',
            ),
        ],
    },
]
