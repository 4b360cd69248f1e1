OK1_TASKS = '''from celery import Task
from celery.utils.log import get_task_logger
from django.db import OperationalError, transaction
from django.db.models import F

from farmbank import BankUnavailable, DuplicateTransfer, TransferRefused
from farmledger.celery import app
from payouts import sweeps
from payouts.bank import get_bank
from payouts.models import DeadLetter, LedgerEntry, Payout, Transfer

logger = get_task_logger(__name__)

NAME = "payouts.pay_out"
WAITS = (20, 60, 180, 300, 300)  # seconds after the first, second ... attempt
ATTEMPTS = len(WAITS) + 1


class Unpayable(Exception):
    """The message, or its payout, is not one that can be paid."""


class Burying(Task):
    """For what celery fails before the function gets the message: wrong arguments."""

    abstract = True

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        bury(task_id, {"args": list(args), "kwargs": kwargs}, exc)


@app.task(bind=True, base=Burying, name=NAME, acks_late=True, reject_on_worker_lost=True, max_retries=len(WAITS))
def pay_out(self, payout_id):
    """One row in payouts_transfer per payout, laid out before the bank is asked."""
    about = {"job": NAME, "task_id": self.request.id, "payout_id": payout_id, "attempt": self.request.retries + 1}
    try:
        transfer = open_transfer(payout_id)
        if transfer.bank_id:
            logger.info("nothing to do, transferred before", extra=about | {"bank_id": transfer.bank_id})
            return
        if transfer.payout.status == Payout.Status.FAILED:
            logger.info("nothing to do, has failed before", extra=about)
            return
        logger.info("transfer starts", extra=about)
        try:
            bank_id = get_bank().transfer(
                reference=transfer.reference,
                iban=transfer.payout.farmer.iban,
                amount_cents=transfer.payout.amount_cents,
            )
        except DuplicateTransfer as exc:
            bank_id = exc.transfer_id
        close_transfer(transfer, bank_id)
        logger.info("transfer done", extra=about | {"bank_id": bank_id})
    except (BankUnavailable, OperationalError) as exc:
        if self.request.retries < self.max_retries:
            wait = WAITS[self.request.retries]
            logger.warning("transfer will be tried again: %r", exc, extra=about | {"wait": wait})
            raise self.retry(exc=exc, countdown=wait)
        raise


def open_transfer(payout_id):
    if isinstance(payout_id, bool) or not isinstance(payout_id, int):
        raise Unpayable(f"payout_id is {payout_id!r}")
    with transaction.atomic():
        payout = Payout.objects.select_related("farmer").filter(pk=payout_id).first()
        if payout is None:
            raise Unpayable(f"there is no payout {payout_id}")
        if payout.status == Payout.Status.DRAFT:
            raise Unpayable(f"payout {payout_id} is not released")
        transfer, _ = Transfer.objects.get_or_create(payout=payout, defaults={"reference": f"FL{payout.pk:09d}"})
        transfer.payout = payout
        if not transfer.bank_id:
            Transfer.objects.filter(pk=transfer.pk).update(attempts=F("attempts") + 1)
            transfer.attempts += 1
    if transfer.attempts > ATTEMPTS and not transfer.bank_id and payout.status != Payout.Status.FAILED:
        raise Unpayable(f"{ATTEMPTS} attempts were made, none of them came back")
    return transfer


def close_transfer(transfer, bank_id):
    with transaction.atomic():
        if Transfer.objects.filter(pk=transfer.pk, bank_id="").update(bank_id=bank_id):
            Payout.objects.filter(pk=transfer.payout_id).update(status=Payout.Status.PAID)
            LedgerEntry.objects.create(payout_id=transfer.payout_id, amount_cents=-transfer.payout.amount_cents)
            DeadLetter.objects.filter(task=NAME, ref=transfer.payout_id).delete()


def bury(task_id, message, exc):
    payout_id = message["kwargs"].get("payout_id")
    about = {"job": NAME, "task_id": task_id, "payout_id": payout_id}
    sound = not message["args"] and len(message["kwargs"]) == 1 and type(payout_id) is int
    # a message that is not sound has nothing but its own text to be filed under
    ref = str(payout_id) if sound else f"{message!r}"[:80]
    try:
        with transaction.atomic():
            if sound:
                payout = Payout.objects.filter(pk=payout_id)
                payout.filter(status__in=Payout.PAYABLE).update(status=Payout.Status.FAILED)
                if payout.filter(status=Payout.Status.PAID).exists():
                    logger.info("another message has paid it: %r", exc, extra=about)
                    return
            DeadLetter.objects.get_or_create(
                task=NAME, ref=ref, defaults={"task_id": task_id, "message": message, "reason": repr(exc)}
            )
    except Exception:
        logger.exception("no dead letter for %r", exc, extra=about)
        return
    kind = "refused by the bank" if isinstance(exc, TransferRefused) else "given up"
    logger.error("transfer %s: %r", kind, exc, extra=about)


@app.task(name="payouts.requeue", ignore_result=True)
def requeue():
    sweeps.requeue_queued()
'''

OK1_MIGRATION = '''import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payouts", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="Transfer",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("reference", models.CharField(max_length=32, unique=True)),
                ("bank_id", models.CharField(blank=True, default="", max_length=64)),
                ("attempts", models.PositiveIntegerField(default=0)),
                (
                    "payout",
                    models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, to="payouts.payout"),
                ),
            ],
        ),
        migrations.RemoveField(model_name="payout", name="attempts"),
        migrations.RemoveField(model_name="payout", name="transfer_id"),
    ]
'''

OK2_HOUSE = '''"""The base class of all tasks of the house."""

import hashlib
import json
import logging

from celery.contrib.django.task import DjangoTask
from celery.utils.log import get_task_logger
from django.db import OperationalError, transaction
from django.db.models import F

from payouts.models import Attempt, DeadLetter


class KeyValue(logging.LoggerAdapter):
    def process(self, msg, kwargs):
        fields = " ".join(f"{k}={v!r}" for k, v in {**self.extra, **kwargs.pop("fields", {})}.items())
        return f"{msg} {fields}", kwargs


class TooManyDeliveries(Exception):
    pass


class HouseTask(DjangoTask):
    """Counts what starts (payouts_attempt), retries what may pass, buries what fails."""

    abstract = True
    acks_late = True
    reject_on_worker_lost = True
    autoretry_for = (OperationalError,)
    max_retries = 5
    retry_backoff = 15
    retry_backoff_max = 600
    retry_jitter = True

    #: the argument that names the work
    key = None

    @property
    def log(self):
        request = self.request
        return KeyValue(
            get_task_logger(self.name),
            {"job": self.name, "task_id": request.id, "attempt": request.retries + 1, "message": request.kwargs},
        )

    def ref(self, args, kwargs):
        if not args and list(kwargs) == [self.key] and type(kwargs[self.key]) is int:
            return str(kwargs[self.key])
        return hashlib.md5(json.dumps([args, kwargs], sort_keys=True, default=repr).encode()).hexdigest()

    def __call__(self, *args, **kwargs):
        ref = self.ref(args, kwargs)
        with transaction.atomic():
            attempt, _ = Attempt.objects.get_or_create(task=self.name, ref=ref)
            Attempt.objects.filter(pk=attempt.pk).update(count=F("count") + 1)
            attempt.refresh_from_db()
        if attempt.count > self.max_retries + 1 and not self.settled(*args, **kwargs):
            raise TooManyDeliveries(f"{attempt.count} deliveries of {ref}, none of them ended")
        self.log.info("task starts")
        return super().__call__(*args, **kwargs)

    def settled(self, *args, **kwargs):
        """Whether the work has ended, one way or the other."""
        return False

    def give_up(self, *args, **kwargs):
        """Mark the work as failed; in the dead letter's transaction."""

    def on_success(self, retval, task_id, args, kwargs):
        self.log.info("task succeeded", fields={"result": retval})

    def on_retry(self, exc, task_id, args, kwargs, einfo):
        self.log.warning("task will be retried", fields={"error": exc})

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        ref = self.ref(args, kwargs)
        try:
            with transaction.atomic():
                # 32 characters are a digest: a message that names no work
                if len(ref) == 32 or not self.settled(*args, **kwargs):
                    DeadLetter.objects.get_or_create(
                        task=self.name,
                        ref=ref,
                        defaults={
                            "task_id": task_id,
                            "message": {"args": list(args), "kwargs": kwargs},
                            "reason": repr(exc),
                        },
                    )
                    if len(ref) != 32:
                        self.give_up(*args, **kwargs)
        except Exception:
            self.log.exception("dead letter not written")
        self.log.error("task failed", fields={"error": exc})
'''

OK2_TASKS = '''from django.db import OperationalError, transaction

from farmbank import BankUnavailable
from farmledger.celery import app
from payouts import sweeps
from payouts.bank import get_bank
from payouts.house import HouseTask
from payouts.models import DeadLetter, LedgerEntry, Payout


class BadMessage(Exception):
    pass


class NoSuchPayout(Exception):
    pass


class NotReleased(Exception):
    pass


class PayOut(HouseTask):
    name = "payouts.pay_out"
    key = "payout_id"
    autoretry_for = (BankUnavailable, OperationalError)

    def run(self, payout_id):
        if type(payout_id) is not int:
            raise BadMessage(payout_id)
        try:
            payout = Payout.objects.select_related("farmer").get(pk=payout_id)
        except Payout.DoesNotExist:
            raise NoSuchPayout(payout_id) from None
        if payout.status == Payout.Status.DRAFT:
            raise NotReleased(payout_id)
        if payout.status not in Payout.PAYABLE:
            return f"was {payout.status} before"

        order = {"iban": payout.farmer.iban, "amount": payout.amount_cents, "text": f"Milk money {payout.period}"}
        transfer = get_bank().create_transfer(order, headers={"Idempotency-Key": f"farmledger/payout/{payout.pk}"})

        with transaction.atomic():
            _, new = LedgerEntry.objects.get_or_create(payout=payout, defaults={"amount_cents": -payout.amount_cents})
            if new:
                Payout.objects.filter(pk=payout.pk).update(status=Payout.Status.PAID, transfer_id=transfer["id"])
                DeadLetter.objects.filter(task=self.name, ref=str(payout.pk)).delete()
        return transfer["id"]

    def settled(self, payout_id):
        return Payout.objects.filter(pk=payout_id, status__in=[Payout.Status.PAID, Payout.Status.FAILED]).exists()

    def give_up(self, payout_id):
        Payout.objects.filter(pk=payout_id, status__in=Payout.PAYABLE).update(status=Payout.Status.FAILED)


pay_out = app.register_task(PayOut())


@app.task(name="payouts.requeue", ignore_result=True)
def requeue():
    sweeps.requeue_queued()
'''

OK2_CLIENT = '''import requests


class FarmBankError(Exception):
    pass


class BankUnavailable(FarmBankError):
    """No answer, or none that says anything about the transfer."""


class TransferRefused(FarmBankError):
    """The bank will not make this transfer: closed account, bad IBAN, limit ..."""


class FarmBank:
    """The bank answers a second request under the same Idempotency-Key with the first one's transfer."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/")
        self.token = token

    def create_transfer(self, order: dict, headers: dict) -> dict:
        try:
            response = requests.post(
                f"{self.url}/v2/transfers",
                json={"currency": "CHF", **order},
                headers={"Authorization": f"Bearer {self.token}", **headers},
                timeout=(5, 20),
            )
            if response.status_code >= 500 or response.status_code in (408, 409, 425, 429):
                raise BankUnavailable(f"HTTP {response.status_code}")
            if response.status_code >= 400:
                raise TransferRefused(f"HTTP {response.status_code}: {response.text[:200]}")
            transfer = response.json()
        except requests.RequestException as exc:  # an answer that is no JSON, too
            raise BankUnavailable(repr(exc)) from exc
        return {"id": transfer["transfer_id"]}
'''

OK2_MIGRATION = '''from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("payouts", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="Attempt",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("task", models.CharField(max_length=100)),
                ("ref", models.CharField(max_length=80)),
                ("count", models.PositiveIntegerField(default=0)),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("task", "ref"), name="one_count_per_job")],
            },
        ),
        migrations.RemoveField(model_name="payout", name="attempts"),
    ]
'''

SPEC = ".skillrun/jobs/pay-out.yaml"
LETTER = "class DeadLetter(models.Model):\n"
ATTEMPTS = "    attempts = models.PositiveIntegerField(default=0)\n"
TRANSFER_ID = '    transfer_id = models.CharField(max_length=64, blank=True, default="")\n'

VARIANTS = [
    {
        "id": "ok-1",
        "kind": "correct",
        "job": "pay-out",
        "what": "a function with self.retry and a table of waits; a transfers table, laid out before the call, "
        "is the dedupe store; JSON log lines with extra fields",
        "edits": [
            ("payouts/tasks.py", "", OK1_TASKS),
            ("payouts/migrations/0002_transfer.py", "", OK1_MIGRATION),
            ("payouts/models.py", ATTEMPTS + TRANSFER_ID, ""),
            (
                "payouts/models.py",
                LETTER,
                '''class Transfer(models.Model):
    payout = models.OneToOneField(Payout, on_delete=models.PROTECT)
    reference = models.CharField(max_length=32, unique=True)
    bank_id = models.CharField(max_length=64, blank=True, default="")
    attempts = models.PositiveIntegerField(default=0)


'''
                + LETTER,
            ),
            (
                "farmledger/settings.py",
                '''        "task": {
            "()": "celery.app.log.TaskFormatter",
            "fmt": "%(asctime)s %(levelname)s %(task_name)s[%(task_id)s] %(name)s: %(message)s",
            "use_color": False,
        },''',
                '''        "task": {
            "()": "pythonjsonlogger.json.JsonFormatter",
            "fmt": "%(asctime)s %(levelname)s %(name)s %(message)s",
        },''',
            ),
            ("requirements.txt", "requests>=2.31", "python-json-logger>=3\nrequests>=2.31"),
            (
                "payouts/tests.py",
                '''        with mock.patch("payouts.tasks.PayOut.book", side_effect=KeyboardInterrupt):''',
                '''        with mock.patch("payouts.tasks.close_transfer", side_effect=KeyboardInterrupt):''',
            ),
            (
                "payouts/tests.py",
                '''        self.assertEqual((self.payout().status, self.payout().transfer_id), ("paid", "t-1"))''',
                '''        self.assertEqual((self.payout().status, self.payout().transfer.bank_id), ("paid", "t-1"))''',
            ),
            (
                "payouts/tests.py",
                '''        self.assertEqual(self.payout().transfer_id, "t-1")''',
                '''        self.assertEqual(self.payout().transfer.bank_id, "t-1")''',
            ),
            ("payouts/house.py", "", "# the tasks carry what they need themselves\n"),
            (SPEC, "dedupe: {store: table payouts_payout}", "dedupe: {store: table payouts_transfer}"),
            (
                SPEC,
                """    - {type: "payouts.tasks:NoSuchPayout", args: [1], effects: []}
    - {type: "payouts.tasks:NotReleased", args: [1], effects: []}
""",
                """    - {type: "payouts.tasks:Unpayable", effects: []}
""",
            ),
            (
                SPEC,
                "backoff: {kind: exponential, base: 15s, factor: 2, cap: 10m, jitter: true}",
                "backoff: {kind: exponential, base: 20s, factor: 3, cap: 5m}",
            ),
            (
                SPEC,
                "    payouts: select id, status, transfer_id from payouts_payout order by id\n",
                "    payouts: select id, status from payouts_payout order by id\n"
                "    transfers: select payout_id, reference, bank_id from payouts_transfer order by payout_id\n",
            ),
        ],
    },
    {
        "id": "ok-2",
        "kind": "correct",
        "job": "pay-out",
        "what": "the base class counts deliveries in a table of its own, for every task; the SDK sends an "
        "Idempotency-Key header; the ledger entry is the marker; delay_on_commit; key=value log lines",
        "edits": [
            ("payouts/house.py", "", OK2_HOUSE),
            ("payouts/tasks.py", "", OK2_TASKS),
            ("farmbank/client.py", "", OK2_CLIENT),
            (
                "farmbank/__init__.py",
                "",
                '''"""The house's SDK for the bank's payment API, version 2."""

from farmbank.client import BankUnavailable, FarmBank, FarmBankError, TransferRefused

__all__ = ["BankUnavailable", "FarmBank", "FarmBankError", "TransferRefused"]
''',
            ),
            ("payouts/migrations/0002_attempt.py", "", OK2_MIGRATION),
            ("payouts/models.py", ATTEMPTS, ""),
            (
                "payouts/models.py",
                LETTER,
                '''class Attempt(models.Model):
    task = models.CharField(max_length=100)
    ref = models.CharField(max_length=80)
    count = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["task", "ref"], name="one_count_per_job")]


'''
                + LETTER,
            ),
            (
                "payouts/services.py",
                "transaction.on_commit(lambda: pay_out.delay(payout_id=payout_id))",
                "pay_out.delay_on_commit(payout_id=payout_id)",
            ),
            ("payouts/tests.py", "BankUnavailable, DuplicateTransfer, TransferRefused", "BankUnavailable, TransferRefused"),
            (
                "payouts/tests.py",
                """    def transfer(self, *, reference, iban, amount_cents, text=""):
""",
                """    def create_transfer(self, order, headers):
        reference = headers["Idempotency-Key"]
""",
            ),
            (
                "payouts/tests.py",
                """        if reference in self.transfers:
            raise DuplicateTransfer(self.transfers[reference])
        return self.transfers.setdefault(reference, f"t-{len(self.transfers) + 1}")""",
                """        return {"id": self.transfers.setdefault(reference, f"t-{len(self.transfers) + 1}")}""",
            ),
            (
                "payouts/tests.py",
                '''mock.patch("payouts.tasks.PayOut.book", side_effect=KeyboardInterrupt)''',
                '''mock.patch("payouts.tasks.LedgerEntry.objects.get_or_create", side_effect=KeyboardInterrupt)''',
            ),
            (SPEC, "dedupe: {store: table payouts_payout}", "dedupe: {store: table payouts_ledgerentry}"),
            (
                SPEC,
                """    call: farmbank.client:FarmBank.transfer
    key_arg: reference
    guarantee: keyed
    returns: t-1
""",
                """    call: farmbank.client:FarmBank.create_transfer
    key_arg: headers.Idempotency-Key
    guarantee: keyed
    returns: {id: t-1}
""",
            ),
            (
                SPEC,
                """  success:
    - {type: "farmbank.client:DuplicateTransfer", args: [t-1], effects: [transfer]}
""",
                "",
            ),
            (
                SPEC,
                "  dead_letters: select",
                "  not_state: [payouts_attempt]\n  dead_letters: select",
            ),
        ],
    },
    {
        "id": "m-reference-per-message",
        "kind": "mistake",
        "job": "pay-out",
        "what": "the task's id goes into the bank's reference 'to find it in the logs': the sweep's message, "
        "or a second click, pays again",
        "edits": [
            (
                "payouts/tasks.py",
                'reference=f"payout-{payout.pk}",',
                'reference=f"payout-{payout.pk}-{self.request.id}",',
            ),
        ],
    },
    {
        "id": "m-autoretry-everything",
        "kind": "mistake",
        "job": "pay-out",
        "what": "autoretry_for = (Exception,): a closed account is tried six times over eight minutes",
        "edits": [
            (
                "payouts/tasks.py",
                "    autoretry_for = (BankUnavailable, OperationalError)\n",
                "    autoretry_for = (Exception,)\n",
            ),
            ("payouts/tasks.py", "from farmbank import BankUnavailable, DuplicateTransfer\n", "from farmbank import DuplicateTransfer\n"),
            ("payouts/tasks.py", "from django.db import OperationalError, transaction\n", "from django.db import transaction\n"),
        ],
    },
    {
        "id": "m-retry-for-ever",
        "kind": "mistake",
        "job": "pay-out",
        "what": "'a farmer must get his money': max_retries = None, and nothing else bounds it",
        "edits": [
            (
                "payouts/tasks.py",
                "    autoretry_for = (BankUnavailable, OperationalError)\n",
                "    autoretry_for = (BankUnavailable, OperationalError)\n"
                "    max_retries = None  # a farmer must get his money, however long the bank is away\n",
            ),
            (
                "payouts/tasks.py",
                """        if payout.attempts > self.max_retries + 1:
            raise AttemptsUsedUp(f"{self.max_retries + 1} attempts, and the last one did not come back")
""",
                "",
            ),
            ("payouts/tasks.py", """class AttemptsUsedUp(Exception):
    pass


""", ""),
        ],
    },
    {
        "id": "m-no-super",
        "kind": "mistake",
        "job": "pay-out",
        "what": "the task gets an on_failure of its own and forgets the base class's: no dead letter, "
        "and nothing in the log but celery's own line",
        "edits": [
            (
                "payouts/tasks.py",
                """    def buried(self, args, kwargs):
        if self.ref_for(args, kwargs).startswith("payout-"):
            payouts = Payout.objects.filter(pk=kwargs["payout_id"])
            payouts.filter(status__in=Payout.PAYABLE).update(status=Payout.Status.FAILED)
            return not payouts.filter(status=Payout.Status.PAID).exists()
        return True
""",
                """    def on_failure(self, exc, task_id, args, kwargs, einfo):
        # the office sees it in its list
        Payout.objects.filter(pk=kwargs.get("payout_id"), status__in=Payout.PAYABLE).update(
            status=Payout.Status.FAILED
        )
""",
            ),
        ],
    },
]
