"""A payment: the receivers know the keys, the invoice's status says which steps were taken; one error class both ways."""

from run import Mutant, Variant

DRIVER = "celery"
TASKS, STORE, APP, SPEC = (
    "billing/tasks.py",
    "billing/store.py",
    "billing/celery.py",
    ".skillrun/jobs/charge-invoice.yaml",
)
CHARGE_KEY, BOOK_KEY = 'f"charge:{invoice_id}"', 'f"book:{invoice_id}"'
CHARGE = f"        payment = provider.charge(customer, cents, key={CHARGE_KEY})\n"
CHARGED = '        store.move(invoice_id, "open", "charged", payment=payment)\n'
BOOK = f"    provider.book(payment, cents, key={BOOK_KEY})\n"
BOOKED = '    store.move(invoice_id, "charged", "booked")\n'
SKIP = """    if status not in ("open", "charged"):
        return False
"""
WAIT = "            wait = min(300, 5 * 3**self.request.retries)\n"
RETRY = "            raise self.retry(exc=error, countdown=random.randint(wait // 2, wait))\n"
LEFT = " and self.request.retries < self.max_retries"
TRANSIENT = "    return isinstance(error, (ConnectionError, SoftTimeLimitExceeded))\n"
IMPORT = "import random\n"


def _charge(id_: str, what: str, key: str, *more: tuple[str, str, str]) -> Mutant:
    return Mutant(id_, what, ((TASKS, CHARGE_KEY, key), *more))


MUTANTS = [
    _charge("B01", "the key is the task's id", "self.request.id", (TASKS, "advance(invoice_id)\n    except", "advance(self, invoice_id)\n    except"),
            (TASKS, "def advance(invoice_id", "def advance(self: Any, invoice_id")),
    _charge("B02", "the key is made anew", "str(uuid4())", (TASKS, IMPORT, "import random\nfrom uuid import uuid4\n")),
    _charge("B03", "the key is customer and amount", 'f"charge:{customer}:{cents}"'),
    _charge("B04", "the key has the hour in it", 'f"charge:{invoice_id}:{time.time() // 3600:.0f}"', (TASKS, IMPORT, "import random\nimport time\n")),
    Mutant("B05", "booked under a key of this attempt", ((TASKS, BOOK_KEY, "str(uuid4())"), (TASKS, IMPORT, "import random\nfrom uuid import uuid4\n"))),
    Mutant("B06", "an error in the last step starts from the first one, under new keys", (
        (TASKS, "        changed = advance(invoice_id)\n", "        changed = advance(invoice_id, self.request.retries)\n"),
        (TASKS, "def advance(invoice_id: str)", "def advance(invoice_id: str, attempt: int)"),
        (TASKS, BOOK_KEY, 'f"book:{invoice_id}:{attempt}"')), source="https://github.com/getsentry/sentry/issues/72516", quick=True),
    Mutant("B07", "each attempt charges a fee for the delay, under the same key", (
        (TASKS, "        changed = advance(invoice_id)\n", "        changed = advance(invoice_id, self.request.retries)\n"),
        (TASKS, "def advance(invoice_id: str)", "def advance(invoice_id: str, attempt: int)"),
        (TASKS, "provider.charge(customer, cents, ", "provider.charge(customer, cents + 100 * attempt, ")), quick=True),
    Mutant("C01", "charged is written before it is", ((TASKS, CHARGE + CHARGED, '        payment = "pay-1"\n' + CHARGED + CHARGE),)),
    Mutant("C02", "booked before the ledger knows", ((TASKS, BOOK + BOOKED, BOOKED + BOOK),), quick=True),
    Mutant("C03", "a charged invoice counts as done", ((TASKS, SKIP, SKIP.replace('not in ("open", "charged")', '!= "open"')),),
           source="https://github.com/RamaAditya49/titen/issues/48"),
    Mutant("C04", "the status is not looked at", ((TASKS, SKIP, ""), (TASKS, '    if status == "open":\n', "    if status:\n")),),
    Mutant("C05", "each delivery adds up what was paid", (
        (STORE, "payment TEXT\n", "payment TEXT, paid INTEGER DEFAULT 0\n"),
        (STORE, "payment = coalesce(?, payment) WHERE id = ? AND status = ?",
         "payment = coalesce(?, payment), paid = paid + cents * (? = 'open') WHERE id = ?"),
        (STORE, "(new, payment, invoice, old)", "(new, payment, old, invoice)"),
        (SPEC, "status, payment from", "status, payment, paid from")), source="https://github.com/wasp-lang/open-saas/issues/688"),
    Mutant("C06", "two at once both enter a payment", (
        (STORE, "CREATE TABLE given_up", "CREATE TABLE payments (invoice TEXT, payment TEXT);\nCREATE TABLE given_up"),
        (STORE, "        query = \"UPDATE", "        if new == \"charged\":\n            connection.execute(\"INSERT INTO payments VALUES (?, ?)\", (invoice, payment))\n        query = \"UPDATE"),
        (SPEC, "    invoices: select", "    payments: select * from payments order by 1\n    invoices: select"))),
    Mutant("C07", "the key of the payment and of its booking are one", ((TASKS, CHARGE_KEY, "invoice_id"), (TASKS, BOOK_KEY, "invoice_id")),
           keeps="provider and ledger are two receivers, and each knows its own keys", source="https://github.com/odoo/odoo/issues/101243"),
    Mutant("D01", "every answer of the provider is retried", ((TASKS, "error.status == 429 or error.status >= 500", "error.status >= 400"),),
           source="open-wearables#1053", quick=True),
    Mutant("D02", "no answer of the provider is retried", ((TASKS, "        return error.status == 429 or error.status >= 500\n", "        return False\n"),)),
    Mutant("D03", "one attempt too few", ((TASKS, LEFT, LEFT.replace("self.max_retries", "self.max_retries - 1")),)),
    Mutant("D04", "no end", ((TASKS, LEFT, ""), (TASKS, "random.randint(wait // 2, wait))", "random.randint(wait // 2, wait), max_retries=None)"))),
    Mutant("D05", "the wait does not grow", ((TASKS, WAIT, "            wait = 45\n"),)),
    Mutant("D06", "no jitter", ((TASKS, "random.randint(wait // 2, wait)", "wait"),)),
    Mutant("D07", "waits in the worker instead of publishing a retry", ((TASKS, RETRY, "            time.sleep(wait)\n            return charge_invoice.run(invoice_id)\n"),
                                                                   (TASKS, IMPORT, "import random\nimport time\n"))),
    Mutant("E01", "acknowledged before it runs", ((APP, "    task_acks_late=True,\n", ""),)),
    Mutant("E02", "a killed child's message is acknowledged", ((APP, "    task_reject_on_worker_lost=True,\n", ""),),
           source="https://github.com/celery/celery/issues/1628"),
    Mutant("E03", "an unknown invoice is ignored", ((TASKS, "        raise NoSuchInvoice(invoice_id)\n", "        return False\n"),)),
    Mutant("E04", "declined cards are forgotten", ((TASKS, "        raise\n    if not", "        return \"declined\"\n    if not"),)),
    Mutant("E05", "rejected, with no queue for the dead", ((TASKS, "        raise\n    if not", "        raise Reject(repr(error), requeue=False)\n    if not"),
                                                       (TASKS, "import SoftTimeLimitExceeded", "import Reject, SoftTimeLimitExceeded"))),
    Mutant("E06", "put back at once, for ever", ((TASKS, RETRY, "            raise Reject(repr(error), requeue=True)\n"),
                                               (TASKS, "import SoftTimeLimitExceeded", "import Reject, SoftTimeLimitExceeded"))),
    Mutant("F01", "the soft time limit is taken for an error of the job", ((TASKS, TRANSIENT, "    return isinstance(error, ConnectionError)\n"),),
           source="perma#2032"),
    Mutant("F02", "the last error is taken for success", ((TASKS, "        raise\n    if not", "        changed = True\n    if not"),)),
    Mutant("F03", "the ledger's errors are logged and dropped", (
        (TASKS, BOOK, f"    try:\n    {BOOK}    except Exception as error:\n        logger.error(\"ledger invoice=%s error=%r\", invoice_id, error)\n"),)),
    Mutant("F04", "a record without the invoice", ((TASKS, '"charge_invoice is done invoice=%s", invoice_id', '"charge_invoice is done"'),)),
    Mutant("F05", "no record of a retry", ((TASKS, '            logger.warning("charge_invoice tries again invoice=%s error=%r", invoice_id, error)\n', ""),)),
    Mutant("G01", "an unknown invoice is charged all the same", (
        (TASKS, "        raise NoSuchInvoice(invoice_id)\n", '        row = ("anna", 1200, "open", None)\n'),)),
]  # fmt: skip

VARIANTS = [
    Variant("autoretry", "autoretry_for with exceptions that say themselves what they are", edits=(
        (TASKS, 'class NoSuchInvoice', '''class Again(Exception):
    """What the provider or the network may get over."""


class NoSuchInvoice'''),
        (TASKS, 'name="billing.charge_invoice", max_retries=4)', 'name="billing.charge_invoice", max_retries=4,\n'
         "             autoretry_for=(Again,), retry_backoff=5, retry_backoff_max=300)"),
        (TASKS, '    """Keeps what was given up."""\n', '''    """Keeps what was given up."""

    def on_retry(self, exc: Exception, task_id: str, args: list, kwargs: dict[str, Any], einfo: Any) -> None:
        logger.warning("charge_invoice tries again invoice=%s error=%r", kwargs.get("invoice_id"), exc)
'''),
        (TASKS, '            logger.warning("charge_invoice tries again invoice=%s error=%r", invoice_id, error)\n', ""),
        (TASKS, LEFT, ""), (TASKS, WAIT, ""), (TASKS, RETRY, "            raise Again(repr(error)) from error\n"),
        (SPEC, "factor: 3", "factor: 2"), (SPEC, "    - ConnectionError\n", "    - ConnectionError\n    - billing.tasks:Again\n"),
    )),
    Variant("class-task", "a registered class with run and a __call__ of its own", edits=(
        (TASKS, '''@shared_task(bind=True, base=KeptTask, name="billing.charge_invoice", max_retries=4)
def charge_invoice(self: Any, invoice_id: str) -> str:
    """Charges and books an invoice, each once; what failed for good has status `failed`."""
''', '''class ChargeInvoice(KeptTask):
    """Charges and books an invoice, each once."""

    name = "billing.charge_invoice"
    max_retries = 4

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        logger.debug("called")
        return super().__call__(*args, **kwargs)

    def run(self, invoice_id: str) -> str:
        return work(self, invoice_id)


charge_invoice = app.register_task(ChargeInvoice())


def work(self: Any, invoice_id: str) -> str:
'''), (TASKS, "from billing import provider", "from billing.celery import app\nfrom billing import provider"),
        (TASKS, "from celery import Task, shared_task\n", "from celery import Task\n"))),
    Variant("two-steps", "one transaction in between is left to the ledger's key", edits=(
        (TASKS, CHARGED, ""), (TASKS, BOOKED, '    store.move(invoice_id, "open", "charged", payment=payment)\n' + BOOKED)), quick=True),
    Variant("failed-status", "given up by the handler itself, which returns", edits=(
        (TASKS, "        raise\n    if not", """        logger.error("charge_invoice gave up invoice=%s error=%r", invoice_id, error)
        store.give_up(invoice_id, repr(error))
        return "failed"
    if not"""),)),
]  # fmt: skip
