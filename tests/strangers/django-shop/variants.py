"""Other ways to be right, and mistakes that pass review."""

TASKS, BASE, SERVICES = "shop/tasks.py", "shop/base_task.py", "shop/services.py"
J = dict(job="ship-order")

ALLOCATE = '''            if order.status == Status.PAID:
                for line in order.lines.all():
                    Product.objects.filter(pk=line.product_id).update(stock=F("stock") - line.quantity)
                order.status = Status.ALLOCATED
                order.save(update_fields=["status"])
            elif order.status != Status.ALLOCATED:
                raise NotShippable(f"order {order_id} is {order.status}")
            return order
'''
FINISH = '''        with transaction.atomic():
            order = self.locked(order_id)
            if order.status != Status.ALLOCATED:
                logger.info("order %s became %s meanwhile", order_id, order.status)
                return
            shipped_mail(order, tracking).send()
            order.status = Status.SHIPPED
            order.tracking = tracking
            order.save(update_fields=["status", "tracking"])
'''
RUN = '''        order = self.allocate(order_id)
        if order is None:
            return
        booking = CarrierClient().book(
            reference=f"order {order.pk}",
            address=order.address,
            idempotency_key=f"ship-order-{order.pk}",
        )
        self.finish(order_id, booking["tracking"])
'''
KEY = 'idempotency_key=f"ship-order-{order.pk}",'
ON_FAILURE = '''        logger.error("%s[%s] %s given up: %r", self.name, task_id, kwargs, exc)
        with transaction.atomic():
            FailedTask.objects.get_or_create(
                task_id=task_id,
                defaults={
                    "task": self.name,
                    "arguments": {"args": list(args), "kwargs": kwargs},
                    "error": repr(exc),
                },
            )
            self.give_up(*args, **kwargs)
'''

VARIANTS = [
    # ------------------------------------------------------------------ correct
    dict(id="ok-conditional-update", kind="correct", **J,
         what="The stock is taken behind UPDATE ... WHERE status = paid instead of a row lock.",
         edits=[(TASKS, '''            order = self.locked(order_id)
            if order.status in (Status.SHIPPED, Status.ON_HOLD):''', '''            order = Order.objects.filter(pk=order_id).first()
            if order is None:
                raise OrderNotFound(f"order {order_id}")
            if order.status in (Status.SHIPPED, Status.ON_HOLD):'''),
                (TASKS, ALLOCATE, '''            claimed = Order.objects.filter(pk=order_id, status=Status.PAID).update(status=Status.ALLOCATED)
            if claimed:
                for line in order.lines.all():
                    Product.objects.filter(pk=line.product_id).update(stock=F("stock") - line.quantity)
            elif order.status != Status.ALLOCATED:
                raise NotShippable(f"order {order_id} is {order.status}")
            return order
''')]),
    dict(id="ok-explicit-retry", kind="correct", **J,
         what="No autoretry_for: run() catches the transient errors and calls self.retry with its own countdown.",
         edits=[(BASE, "    autoretry_for = TRANSIENT\n", ""),
                (BASE, "    retry_backoff = 2\n    retry_backoff_max = 60\n    retry_jitter = True\n", '''
    def later(self, exc):
        wait = min(60, 2 * 2 ** self.request.retries)
        return self.retry(exc=exc, countdown=random.uniform(wait / 2, wait))
'''),
                (BASE, "import logging\nimport smtplib", "import logging\nimport random\nimport smtplib"),
                (TASKS, "from .base_task import ShopTask", "from .base_task import TRANSIENT, ShopTask"),
                (TASKS, RUN, '''        try:
            self.ship(order_id)
        except TRANSIENT as exc:
            raise self.later(exc)

    def ship(self, order_id):
''' + RUN)]),
    dict(id="ok-function-task", kind="correct", **J,
         what="A bound function with base=ShopTask, the steps as plain functions in a module of their own.",
         edits=[("shop/shipping.py", "", '''"""The steps of shipping an order. Each one commits, each one may be repeated."""

from django.db import transaction
from django.db.models import F

from .errors import NotShippable, OrderNotFound
from .mails import shipped_mail
from .models import Order, Product

DONE = (Order.Status.SHIPPED, Order.Status.ON_HOLD)


def _lock(order_id):
    order = Order.objects.select_for_update().filter(pk=order_id).first()
    if order is None:
        raise OrderNotFound(f"order {order_id}")
    return order


@transaction.atomic
def pick(order_id):
    order = _lock(order_id)
    match order.status:
        case Order.Status.PAID:
            for product_id, quantity in order.lines.values_list("product_id", "quantity"):
                Product.objects.filter(pk=product_id).update(stock=F("stock") - quantity)
            Order.objects.filter(pk=order_id).update(status=Order.Status.ALLOCATED)
        case Order.Status.ALLOCATED | Order.Status.SHIPPED | Order.Status.ON_HOLD:
            pass
        case other:
            raise NotShippable(f"order {order_id} is {other}")
    return order


@transaction.atomic
def hand_over(order_id, tracking):
    order = _lock(order_id)
    if order.status != Order.Status.ALLOCATED:
        return False
    shipped_mail(order, tracking).send()
    Order.objects.filter(pk=order_id).update(status=Order.Status.SHIPPED, tracking=tracking)
    return True
'''),
                (TASKS, "", '''import logging

from celery import shared_task

from .base_task import ShopTask
from .carrier import CarrierClient
from .errors import InvalidMessage
from .models import Order
from .shipping import DONE, hand_over, pick

logger = logging.getLogger(__name__)


class OrderTask(ShopTask):
    abstract = True

    def give_up(self, order_id=None, **unknown):
        if isinstance(order_id, int):
            Order.objects.filter(pk=order_id, status__in=("paid", "allocated")).update(status="on_hold")


@shared_task(bind=True, base=OrderTask, name="shop.ship_order")
def ship_order(self, order_id):
    """Take the stock, book the carrier, tell the customer."""
    if type(order_id) is not int or order_id < 1:
        raise InvalidMessage(f"order_id {order_id!r}")
    order = pick(order_id)
    if order.status in DONE:
        logger.info("order %s is %s already", order_id, order.status)
        return
    booking = CarrierClient().book(
        reference=f"order {order_id}", address=order.address, idempotency_key=f"order:{order_id}:ship"
    )
    if hand_over(order_id, booking["tracking"]):
        logger.info("order %s shipped as %s", order_id, booking["tracking"])


@shared_task(name="shop.requeue_paid", ignore_result=True)
def requeue_paid():
    from .services import requeue_paid_orders

    requeue_paid_orders()
''')]),
    dict(id="ok-one-transaction", kind="correct", **J,
         what="The carrier is booked first (its key makes that repeatable); stock, mail and status go into one transaction at the end.",
         edits=[(TASKS, ALLOCATE, '''            if order.status not in (Status.PAID, Status.ALLOCATED):
                raise NotShippable(f"order {order_id} is {order.status}")
            return order
'''),
                (TASKS, FINISH, '''        with transaction.atomic():
            order = self.locked(order_id)
            if order.status not in (Status.PAID, Status.ALLOCATED):
                logger.info("order %s became %s meanwhile", order_id, order.status)
                return
            if order.status == Status.PAID:
                for line in order.lines.select_related("product"):
                    line.product.stock = F("stock") - line.quantity
                    line.product.save(update_fields=["stock"])
            order.status = Status.SHIPPED
            order.tracking = tracking
            order.save(update_fields=["status", "tracking"])
            shipped_mail(order, tracking).send()
''')]),
    dict(id="ok-signal-dead-letter", kind="correct", **J,
         what="The list of failed tasks is kept by a task_failure signal handler; the logs carry fields in extra=.",
         edits=[(BASE, ON_FAILURE, '''        logger.error("task given up", extra={"task": self.name, "task_id": task_id, "task_kwargs": kwargs, "error": repr(exc)})
'''),
                (BASE, "from .models import FailedTask\n", ""),
                (BASE, "from django.db import OperationalError, transaction", "from django.db import OperationalError"),
                ("shop/failed.py", "", '''from celery.signals import task_failure
from django.db import transaction

from .base_task import ShopTask
from .models import FailedTask


@task_failure.connect(dispatch_uid="shop.failed")
def record(sender=None, task_id=None, exception=None, args=(), kwargs=None, **_):
    if not isinstance(sender, ShopTask):
        return
    with transaction.atomic():
        row = {"task": sender.name, "arguments": {"args": list(args or ()), "kwargs": kwargs}, "error": repr(exception)}
        FailedTask.objects.get_or_create(task_id=task_id, defaults=row)
        sender.give_up(*(args or ()), **(kwargs or {}))
'''),
                (TASKS, "from .base_task import ShopTask", "from . import failed  # noqa: F401  (connects the signal)\nfrom .base_task import ShopTask")]),
    # ----------------------------------------------------------------- mistakes
    dict(id="bad-key-task-id", kind="mistake", **J,
         what="The carrier's key is the task id, which differs when the same order is published twice.",
         edits=[(TASKS, KEY, 'idempotency_key=self.request.id,')]),
    dict(id="bad-key-attempt", kind="mistake", **J,
         what="The attempt number is part of the carrier's key, so a retry books again.",
         edits=[(TASKS, KEY, 'idempotency_key=f"ship-order-{order.pk}-{self.request.retries}",')]),
    dict(id="bad-key-customer", kind="mistake", **J,
         what="The key is made of customer and day: two orders of one customer become one parcel.",
         edits=[(TASKS, KEY, 'idempotency_key=f"ship-{order.customer_email}-{timezone.localdate()}",'),
                (TASKS, "from django.db.models import F\n", "from django.db.models import F\nfrom django.utils import timezone\n")]),
    dict(id="bad-early-ack", kind="mistake", **J,
         what="Early acknowledgement: a worker killed in the middle loses the order.",
         edits=[(BASE, "    acks_late = True\n    reject_on_worker_lost = True\n", "")]),
    dict(id="bad-publish-in-transaction", kind="mistake", **J,
         what="mark_paid publishes inside the transaction; the worker may see the order still pending.",
         edits=[(SERVICES, "            order.status = Order.Status.PAID\n", "            ship_order.delay(order_id=order_id)\n            order.status = Order.Status.PAID\n"),
                (SERVICES, "        transaction.on_commit(lambda: ship_order.delay(order_id=order_id))\n", "")]),
    dict(id="bad-unbounded", kind="mistake", **J,
         what="max_retries = None means for ever in Celery, not the default.",
         edits=[(BASE, "max_retries = 4", "max_retries = None")]),
    dict(id="bad-retry-everything", kind="mistake", **J,
         what="autoretry_for (Exception,): a rejected address is tried five times.",
         edits=[(BASE, "autoretry_for = TRANSIENT", "autoretry_for = (Exception,)"),
                (BASE, "    CarrierUnavailable,\n", "    CarrierUnavailable,\n    # keep in step with carrier.py\n")]),
    dict(id="bad-carrier-base-class", kind="mistake", **J,
         what="The list of transient errors names CarrierError, the parent of AddressRejected as well.",
         edits=[(BASE, "import CarrierUnavailable", "import CarrierError"),
                (BASE, "    CarrierUnavailable,\n", "    CarrierError,\n")]),
    dict(id="bad-swallowed", kind="mistake", **J,
         what="A carrier error is logged and the task returns as if done.",
         edits=[(TASKS, RUN, RUN.replace('''        booking = CarrierClient().book(
            reference=f"order {order.pk}",
            address=order.address,
            idempotency_key=f"ship-order-{order.pk}",
        )
''', '''        try:
            booking = CarrierClient().book(
                reference=f"order {order.pk}",
                address=order.address,
                idempotency_key=f"ship-order-{order.pk}",
            )
        except CarrierError:
            logger.exception("booking order %s failed", order_id)
            return
''')), (TASKS, "import CarrierClient", "import CarrierClient, CarrierError")]),
    dict(id="bad-fail-silently", kind="mistake", **J,
         what="send(fail_silently=True): with the mail server down the customer is never told.",
         edits=[(TASKS, "shipped_mail(order, tracking).send()", "shipped_mail(order, tracking).send(fail_silently=True)")]),
    dict(id="bad-on-failure-without-super", kind="mistake", **J,
         what="ShipOrder overrides on_failure to hold the order and forgets super(): no dead letter.",
         edits=[(TASKS, "    def give_up(self, order_id=None, **unknown):\n        if", '''    def on_failure(self, exc, task_id, args, kwargs, einfo):
        order_id = kwargs.get("order_id")
        logger.error("shipping order %s failed for good: %s", order_id, exc)
        if''')]),
    dict(id="bad-dead-letter-rolled-back", kind="mistake", **J,
         unpromised="a message that breaks the payload's schema ends at once, with an error that an operator can find",
         what="give_up takes order_id as required; a message without it rolls the dead letter back.",
         edits=[(TASKS, "def give_up(self, order_id=None, **unknown):\n        if isinstance(order_id, int):\n            Order", "def give_up(self, order_id):\n        if order_id:\n            Order")]),
    dict(id="bad-status-first", kind="mistake", **J,
         what="The order is marked shipped when the stock is taken, before carrier and mail; a death between leaves it so.",
         edits=[(TASKS, "                order.status = Status.ALLOCATED\n", "                order.status = Status.SHIPPED\n"),
                (TASKS, "            if order.status != Status.ALLOCATED:\n", "            if order.tracking:\n")]),
    dict(id="bad-stock-again", kind="mistake", **J,
         what="The allocated state is never saved before the carrier is called: each retry takes the stock again.",
         edits=[(TASKS, '''                order.status = Status.ALLOCATED
                order.save(update_fields=["status"])
''', '''                order.status = Status.ALLOCATED
'''), (TASKS, "            if order.status != Status.ALLOCATED:\n", "            if order.status == Status.SHIPPED:\n")]),
    dict(id="bad-stock-read-modify-write", kind="mistake", **J,
         what="The stock is computed in Python from a product read before the lock: two orders of one lamp lose an update.",
         edits=[(TASKS, "        with transaction.atomic():\n            order = self.locked(order_id)\n            if order.status in",
                 '''        lines = list(OrderLine.objects.filter(order_id=order_id).select_related("product"))
        with transaction.atomic():
            order = self.locked(order_id)
            if order.status in'''),
                (TASKS, '''                for line in order.lines.all():
                    Product.objects.filter(pk=line.product_id).update(stock=F("stock") - line.quantity)
''', '''                for line in lines:
                    line.product.stock -= line.quantity
                    line.product.save(update_fields=["stock"])
'''), (TASKS, "from django.db.models import F\n", ""), (TASKS, "import Order, Product", "import Order, OrderLine")]),
    dict(id="bad-stale-save", kind="mistake", **J,
         what="The order loaded before the carrier call is saved whole afterwards: edits made meanwhile are lost.",
         edits=[(TASKS, 'self.finish(order_id, booking["tracking"])', 'self.finish(order, booking["tracking"])'),
                (TASKS, '''    def finish(self, order_id, tracking):
        with transaction.atomic():
            order = self.locked(order_id)
            if order.status != Status.ALLOCATED:
                logger.info("order %s became %s meanwhile", order_id, order.status)
                return
''', '''    def finish(self, order, tracking):
        with transaction.atomic():
            if self.locked(order.pk).status != Status.ALLOCATED:
                logger.info("order %s was finished meanwhile", order.pk)
                return
'''),
                (TASKS, '            order.save(update_fields=["status", "tracking"])\n        logger.info("order %s shipped as %s", order_id, tracking)',
                 '            order.save()\n        logger.info("order %s shipped as %s", order.pk, tracking)')]),
    dict(id="bad-hold-overwrites", kind="mistake", **J,
         what="give_up sets on_hold whatever the status is: a cancelled order is no longer cancelled.",
         edits=[(TASKS, "filter(pk=order_id, status__in=(Status.PAID, Status.ALLOCATED)).update(", "filter(pk=order_id).update(")]),
    dict(id="bad-nameless-failure", kind="mistake", **J,
         what="The log line and the failed-task row name the task but not the order.",
         edits=[(BASE, 'logger.error("%s[%s] %s given up: %r", self.name, task_id, kwargs, exc)', 'logger.error("%s[%s] given up: %r", self.name, task_id, exc)'),
                (BASE, '''            "%s[%s] %s: attempt %s failed, will retry: %r",
            self.name, task_id, kwargs, self.request.retries + 1, exc,
''', '''            "%s[%s]: attempt %s failed, will retry: %r",
            self.name, task_id, self.request.retries + 1, exc,
'''),
                (BASE, '"arguments": {"args": list(args), "kwargs": kwargs},', '"arguments": {"argc": len(args) + len(kwargs)},')]),
    dict(id="bad-lock-let-go", kind="mistake", **J,
         unpromised="the mail is declared at_least_once: two at once may both send it",
         what="select_for_update runs in a helper's own transaction, so the lock is gone before the mail: two at once both send.",
         edits=[(TASKS, FINISH, '''        with transaction.atomic():
            order = self.locked(order_id)
        if order.status != Status.ALLOCATED:
            logger.info("order %s became %s meanwhile", order_id, order.status)
            return
        shipped_mail(order, tracking).send()
        order.status = Status.SHIPPED
        order.tracking = tracking
        order.save(update_fields=["status", "tracking"])
''')]),
    dict(id="bad-pass-on-race", kind="mistake", **J,
         what="An order that another delivery has already allocated is taken for done: after a crash nobody finishes it.",
         edits=[(TASKS, "            if order.status in (Status.SHIPPED, Status.ON_HOLD):\n", "            if order.status in (Status.ALLOCATED, Status.SHIPPED, Status.ON_HOLD):\n"),
                (TASKS, "            elif order.status != Status.ALLOCATED:\n", "            else:\n")]),
]
