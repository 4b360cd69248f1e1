"""A shipment: Django's ORM, atomic() and on_commit, a task of any app, tasks that settings would run where they are called."""

from run import Mutant, Variant

DRIVER = "celery"
TASKS, CHECKOUT, SETTINGS, MODELS = "orders/tasks.py", "orders/checkout.py", "store/settings.py", "orders/models.py"
SPEC = ".skillrun/jobs/ship-order.yaml"
KEY = 'f"ship-{number}"'
LABEL = f"    label = carrier.book_label(number, key={KEY})\n"
STORED = """    with transaction.atomic():
        shipped = Order.objects.filter(number=number, status="paid").update(status="shipped", label=label)
        if shipped:
            Stock.objects.filter(product="lamp").update(left=F("left") - 1)
"""
SKIP = """    if order.status == "shipped":
        logger.info("order %s: was shipped before", number)
        return
"""
SAVED = """    order.status, order.label = "shipped", label
    order.save()
    Stock.objects.filter(product="lamp").update(left=F("left") - 1)
"""
ON_COMMIT = "    transaction.on_commit(partial(ship_order.delay, number))\n"

MUTANTS = [
    Mutant("B01", "the key is made of the task's id", ((TASKS, KEY, 'f"ship-{self.request.id}"'),)),
    Mutant("C01", "read, changed and saved outside of a transaction", ((TASKS, STORED, SAVED),)),
    Mutant("C02", "saved in a transaction that nobody else has to wait for", (
        (TASKS, STORED, "    with transaction.atomic():\n" + SAVED.replace("    ", "        ")),), quick=True),
    Mutant("C03", "each delivery takes one out of stock", (
        (TASKS, "        if shipped:\n            Stock", "        Stock"), (TASKS, SKIP, "")),
        source="https://github.com/wasp-lang/open-saas/issues/688"),
    Mutant("C04", "stock is counted in Python", (
        (TASKS, 'Stock.objects.filter(product="lamp").update(left=F("left") - 1)', "stock.left -= 1\n            stock.save()"),
        (TASKS, LABEL, '    stock = Stock.objects.get(product="lamp")\n' + LABEL))),
    Mutant("C05", "marked before the carrier knows", (
        (TASKS, LABEL + STORED, STORED.replace(", label=label", "") + LABEL + "    Order.objects.filter(number=number).update(label=label)\n"),)),
    Mutant("C06", "the label is stored, the stock forgotten by a crash", (
        (TASKS, STORED, STORED.replace("    with transaction.atomic():\n", "").replace("        shipped", "    shipped").replace("        if ", "    if ").replace("            Stock", "        Stock")),)),
    Mutant("D01", "an order that is not there is waited for", ((TASKS, "(carrier.CarrierDown, TimeoutError)", "(carrier.CarrierDown, TimeoutError, Order.DoesNotExist)"),)),
    Mutant("D02", "every error is retried", ((TASKS, "(carrier.CarrierDown, TimeoutError)", "(Exception,)"),)),
    Mutant("D03", "the default number of seconds between retries", ((TASKS, "    retry_backoff=4, retry_backoff_max=120,\n", ""),)),
    Mutant("E01", "published inside of the transaction", ((CHECKOUT, ON_COMMIT, "    ship_order.delay(number)\n"),), quick=True,
           source="https://github.com/saleor/saleor/issues/5457"),
    Mutant("E02", "published before the commit, and hoped to be later", (
        (CHECKOUT, ON_COMMIT, "    ship_order.apply_async((number,), countdown=1)\n"),)),
    Mutant("E03", "published for a new order only", (
        (CHECKOUT, "    Order.objects", "    _, new = Order.objects"), (CHECKOUT, ON_COMMIT, "    if new:\n    " + ON_COMMIT))),
    Mutant("E04", "the setting lacks its prefix", ((SETTINGS, "CELERY_TASK_ACKS_LATE", "TASK_ACKS_LATE"),)),
    Mutant("E05", "a killed child's message is acknowledged", ((SETTINGS, "CELERY_TASK_REJECT_ON_WORKER_LOST = True\n", ""),),
           source="https://github.com/celery/celery/issues/1628"),
    Mutant("E06", "a broken publish is swallowed", (
        (CHECKOUT, ON_COMMIT, "    transaction.on_commit(lambda: ship_order.delay(number), robust=True)\n"),)),
    Mutant("E07", "the failed job is written in the transaction that is undone", (
        (TASKS, "    label = carrier", "    with transaction.atomic():\n        FailedJob.objects.all().exists()\n    label = carrier"),
        (TASKS, '        FailedJob.objects.get_or_create(task="ship_order", key=order_of(args, kwargs), defaults={"reason": repr(exc)})\n',
         '        with transaction.atomic():\n            FailedJob.objects.create(task="ship_order", key=order_of(args, kwargs), reason=repr(exc))\n'
         '            transaction.set_rollback(True)\n'))),
    Mutant("F01", "an error is a state of the order", (
        (TASKS, LABEL, f"    try:\n    {LABEL}    except Exception:\n        logger.exception(\"order %s: no label\", number)\n        return\n"),)),
    Mutant("F02", "no word of success", ((TASKS, '    logger.info("order %s: shipped", number)\n', ""),)),
    Mutant("G01", "whatever is asked for is made", ((TASKS, "Order.objects.get(number=number)", "Order.objects.get_or_create(number=number)[0]"),)),
]  # fmt: skip

VARIANTS = [
    Variant("row-lock", "the row is locked while the label is booked", quick=True, edits=(
        (TASKS, "    order = Order.objects.get(number=number)\n" + SKIP + LABEL + STORED, f"""    with transaction.atomic():
        order = Order.objects.select_for_update().get(number=number)
        if order.status == "shipped":
            logger.info("order %s: was shipped before", number)
            return
        order.label, order.status = carrier.book_label(number, key={KEY}), "shipped"
        order.save()
        Stock.objects.filter(product="lamp").update(left=F("left") - 1)
"""),)),
    Variant("by-id", "enqueued with delay_on_commit, handled by name", edits=(
        (CHECKOUT, ON_COMMIT, "    ship_order.delay_on_commit(number)\n"),
        (CHECKOUT, "from functools import partial\n\n", ""),
        (TASKS, "import Task, shared_task", "import shared_task"),
        (TASKS, "class ShippingTask(Task)", "class ShippingTask(DjangoTask)"),
        (TASKS, "from django.db import transaction\n", "from celery.contrib.django.task import DjangoTask\nfrom django.db import transaction\n"),
        (TASKS, "def ship_order(self: Task", "def ship_order(self: ShippingTask"))),
    Variant("ledger-row", "stock moves are rows of their own, one to an order", edits=(
        (MODELS, "class FailedJob", '''class Move(models.Model):
    """One lamp that left."""

    number = models.CharField(max_length=20, unique=True)


class FailedJob'''),
        ("orders/prepare.py", "import FailedJob, Order, Stock", "import FailedJob, Move, Order, Stock"),
        ("orders/prepare.py", "(Order, Stock, FailedJob)", "(Order, Stock, Move, FailedJob)"),
        (TASKS, "import FailedJob, Order, Stock", "import FailedJob, Move, Order"),
        (TASKS, "from django.db.models import F\n", ""),
        (TASKS, STORED, """    with transaction.atomic():
        Move.objects.bulk_create([Move(number=number)], ignore_conflicts=True)
        Order.objects.filter(number=number).update(status="shipped", label=label)
"""), (SPEC, "stock: select product, left from orders_stock", "stock: select number from orders_move order by 1"))),
]  # fmt: skip
