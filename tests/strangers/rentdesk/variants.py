SPEC = ".skillrun/jobs/collect-rent.yaml"

# --- ok-1: a collector object, attempts as rows, LoggerAdapter, a function for an adapter ----------

OK1_TASKS = '''import rentdesk.boot  # noqa: F401  (RQ imports this module before anything of Django)

import logging

from rents.collector import BadMessage, Collector, record_bad_message

log = logging.getLogger("rents.tasks")


def collect_rent(**message):
    """Collect one tenancy's rent for one period by direct debit."""
    try:
        collector = Collector.for_message(message)
    except BadMessage as error:
        name = record_bad_message(message, str(error))
        log.error("rent collection failed: bad message", extra={"job": name, "reason": str(error)})
        return None
    return collector.run()
'''

OK1_COLLECTOR = '''import json
import logging
import re
from hashlib import sha256

from django.db import transaction
from django.utils import timezone

from rents import debits
from rents.models import CollectionAttempt, FailedCollection, RentCharge, Tenancy
from rents.queues import MAX_ATTEMPTS

PERIOD = re.compile(r"20\\d\\d-(0[1-9]|1[0-2])")
Status = RentCharge.Status


class BadMessage(Exception):
    """The message does not name a rent that we could collect."""


class RentLog(logging.LoggerAdapter):
    def process(self, msg, kwargs):
        kwargs["extra"] = {**self.extra, **kwargs.get("extra", {})}
        return f"[{self.extra['job']}] {msg}", kwargs


class Collector:
    def __init__(self, charge):
        self.charge = charge
        self.log = RentLog(logging.getLogger("rents.collector"), {"job": charge.reference})

    @classmethod
    def for_message(cls, message):
        if set(message) != {"tenancy_id", "period"}:
            raise BadMessage(f"fields {sorted(message)}")
        tenancy_id, period = message["tenancy_id"], message["period"]
        if type(tenancy_id) is not int or tenancy_id < 1:
            raise BadMessage("tenancy_id must be a positive integer")
        if not isinstance(period, str) or not PERIOD.fullmatch(period):
            raise BadMessage("period must be YYYY-MM")
        tenancy = Tenancy.objects.filter(pk=tenancy_id).first()
        if tenancy is None:
            raise BadMessage(f"no tenancy {tenancy_id}")
        now = timezone.now()
        charge, _ = RentCharge.objects.get_or_create(
            tenancy=tenancy, period=period,
            defaults={"amount_cents": tenancy.rent_cents, "published_at": now, "touched_at": now})
        return cls(charge)

    def run(self):
        attempt = self.begin()
        if attempt is None:
            return self.charge.debit_id or None
        self.log.info("collection started, attempt %d of %d", attempt.number, MAX_ATTEMPTS)
        try:
            debit_id = debits.collect_debit(
                self.charge.tenancy.mandate, self.charge.amount_cents,
                key=self.charge.reference)
            self.succeed(attempt, debit_id)
            return debit_id
        except debits.MandateRefused as error:
            self.fail(f"refused: {error}")
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            if attempt.number < MAX_ATTEMPTS:
                self.log.warning("attempt %d failed, will retry: %s", attempt.number, reason)
                raise
            self.fail(f"out of attempts, last error {reason}")
        return None

    def begin(self):
        """The attempt's row, committed before the provider is asked; None if there is none to make."""
        with transaction.atomic():
            self.charge = RentCharge.objects.select_for_update().select_related("tenancy").get(
                pk=self.charge.pk)
            if self.charge.status not in RentCharge.OPEN:
                self.log.info("nothing to do, charge is %s", self.charge.status)
                return None
            made = CollectionAttempt.objects.filter(charge=self.charge).count()
            if made < MAX_ATTEMPTS:
                self.charge.status = Status.COLLECTING
                self.charge.attempts = made + 1
                self.charge.touched_at = timezone.now()
                self.charge.published_at = self.charge.published_at or self.charge.touched_at
                self.charge.save()
                return CollectionAttempt.objects.create(charge=self.charge, number=made + 1)
        self.fail(f"stopped {made} times without a result; look the debit up")
        return None

    def succeed(self, attempt, debit_id):
        with transaction.atomic():
            charge = RentCharge.objects.select_for_update().get(pk=self.charge.pk)
            late = charge.status not in (Status.COLLECTING, Status.COLLECTED, Status.FAILED)
            charge.debit_id = debit_id
            if late:
                file_failure(charge, f"collected as {debit_id}, but the charge is {charge.status}")
            else:
                charge.status = Status.COLLECTED
                charge.touched_at = timezone.now()
                FailedCollection.objects.filter(reference=charge.reference).delete()
            charge.save()
        if late:
            self.log.error("collected as %s although the charge is %s", debit_id, charge.status)
        else:
            self.log.info("collected as %s in attempt %d", debit_id, attempt.number)

    def fail(self, reason):
        with transaction.atomic():
            charge = RentCharge.objects.select_for_update().get(pk=self.charge.pk)
            if charge.status not in RentCharge.OPEN:
                return
            charge.status = Status.FAILED
            charge.touched_at = timezone.now()
            charge.save()
            file_failure(charge, reason)
        self.log.error("collection failed: %s", reason)


def give_up(charge, reason):
    Collector(charge).fail(reason)


def file_failure(charge, reason):
    FailedCollection.objects.get_or_create(
        reference=charge.reference,
        defaults={"payload": {"tenancy_id": charge.tenancy_id, "period": charge.period},
                  "reason": reason})


def record_bad_message(message, reason):
    digest = sha256(json.dumps(message, sort_keys=True, default=str).encode()).hexdigest()[:16]
    name = f"message-{digest}"
    FailedCollection.objects.get_or_create(
        reference=name, defaults={"payload": message, "reason": f"bad message: {reason}"})
    return name
'''

OK1_DEBITS = '''"""Sammelwerk's direct debit API."""
import requests
from django.conf import settings


class DebitUnavailable(Exception):
    """Sammelwerk did not answer, or asks us to come back later. The debit may exist."""


class MandateRefused(Exception):
    """The bank will not debit this mandate: revoked, unknown, blocked."""


def collect_debit(mandate, amount_cents, *, key):
    """Collect the money; the key is our reference and Sammelwerk's Idempotency-Key in one."""
    body = {"mandate": mandate, "amount": amount_cents, "currency": "CHF", "reference": key}
    headers = {"Authorization": f"Bearer {settings.DEBIT_TOKEN}", "Idempotency-Key": key}
    try:
        answer = requests.post(f"{settings.DEBIT_URL}/v2/debits", json=body, headers=headers,
                               timeout=(5, 20))
    except requests.RequestException as error:
        raise DebitUnavailable(f"no answer: {error}") from error
    if answer.status_code in (409, 425, 429) or answer.status_code >= 500:
        raise DebitUnavailable(f"answered {answer.status_code}")
    if answer.status_code >= 400:
        raise MandateRefused(f"answered {answer.status_code}: {answer.text[:200]}")
    return answer.json()["id"]
'''

OK1_MIGRATION = '''import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("rents", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="CollectionAttempt",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.PositiveIntegerField()),
                ("started_at", models.DateTimeField(auto_now_add=True)),
                ("charge", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="rents.rentcharge")),
            ],
        ),
        migrations.AddConstraint(
            model_name="collectionattempt",
            constraint=models.UniqueConstraint(fields=("charge", "number"), name="one_row_per_attempt"),
        ),
    ]
'''

OK1_MODEL = '''class CollectionAttempt(models.Model):
    charge = models.ForeignKey(RentCharge, on_delete=models.CASCADE)
    number = models.PositiveIntegerField()
    started_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["charge", "number"], name="one_row_per_attempt"),
        ]


class FailedCollection(models.Model):
'''

# --- ok-2: a payment row is what remembers; a decorator turns errors into outcomes; text logs -------

OK2_TASKS = '''import rentdesk.boot  # noqa: F401  (RQ imports this module before anything of Django)

import functools
import json
import logging
import re
from hashlib import sha256

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from rents.debits import DebitClient, MandateRefused
from rents.models import FailedCollection, Payment, RentCharge, Tenancy, reference
from rents.queues import MAX_ATTEMPTS

log = logging.getLogger("rents.tasks")

Status = RentCharge.Status


class BadMessage(Exception):
    """The message does not name a rent that we could collect."""


def outcome_of(task):
    """Turns what a task raises into a retry or into a row for the office."""

    @functools.wraps(task)
    def run(**message):
        try:
            charge = charge_of(message)
        except BadMessage as error:
            digest = sha256(json.dumps(message, sort_keys=True, default=str).encode()).hexdigest()
            job = f"message-{digest[:16]}"
            FailedCollection.objects.get_or_create(
                reference=job, defaults={"payload": message, "reason": f"bad message: {error}"})
            log.error("job=%s failed: bad message, %s", job, error)
            return None
        number = begin(charge)
        if number is None:
            log.info("job=%s skipped, nothing to collect", charge.reference)
            return None
        if number > MAX_ATTEMPTS:
            give_up(charge, f"stopped {MAX_ATTEMPTS} times without a result; look the debit up")
            return None
        log.info("job=%s started, attempt=%d", charge.reference, number)
        try:
            result = task(charge)
        except MandateRefused as error:
            give_up(charge, f"refused: {error}")
            return None
        except Exception as error:
            if number == MAX_ATTEMPTS:
                give_up(charge, f"out of attempts, last error {error!r}")
                return None
            log.warning("job=%s attempt=%d failed, to be retried: %r", charge.reference, number, error)
            raise
        log.info("job=%s succeeded, payment=%s", charge.reference, result)
        return result

    return run


@outcome_of
def collect_rent(charge):
    """Collect one rent by direct debit."""
    debit_id = DebitClient().collect(
        mandate=charge.tenancy.mandate, amount_cents=charge.amount_cents,
        reference=charge.reference, idempotency_key=charge.reference)
    with transaction.atomic():
        # The unique payment of a charge is the fact; the status follows it.
        payment, new = Payment.objects.get_or_create(charge=charge, defaults={"debit_id": debit_id})
        if new:
            closed = RentCharge.objects.filter(
                pk=charge.pk, status__in=(*RentCharge.OPEN, Status.FAILED)).update(
                status=Status.COLLECTED, debit_id=debit_id, touched_at=timezone.now())
            if closed:
                FailedCollection.objects.filter(reference=charge.reference).delete()
            else:
                record(charge, f"collected as {debit_id} although the charge was closed")
                log.error("job=%s collected as %s although the charge was closed",
                          charge.reference, debit_id)
    return payment.debit_id


def charge_of(message):
    if message.keys() != {"tenancy_id", "period"}:
        raise BadMessage(f"fields {sorted(message)}")
    if type(message["tenancy_id"]) is not int:
        raise BadMessage("tenancy_id is no integer")
    if not re.fullmatch(r"20\\d\\d-(0[1-9]|1[0-2])", str(message["period"])):
        raise BadMessage("period is no month")
    try:
        tenancy = Tenancy.objects.get(pk=message["tenancy_id"])
    except Tenancy.DoesNotExist:
        raise BadMessage("no such tenancy") from None
    now = timezone.now()
    charge, _ = RentCharge.objects.get_or_create(
        tenancy=tenancy, period=message["period"],
        defaults={"amount_cents": tenancy.rent_cents, "published_at": now, "touched_at": now})
    return charge


def begin(charge):
    """The number of this attempt, or None where the charge is closed."""
    if Payment.objects.filter(charge=charge).exists():
        return None
    now = timezone.now()
    with transaction.atomic():
        mine = RentCharge.objects.filter(pk=charge.pk, status__in=RentCharge.OPEN)
        if not mine.update(attempts=F("attempts") + 1, status=Status.COLLECTING, touched_at=now):
            return None
        mine.filter(published_at=None).update(published_at=now)
        charge.refresh_from_db()
    return charge.attempts


def give_up(charge, reason):
    with transaction.atomic():
        closed = RentCharge.objects.filter(pk=charge.pk, status__in=RentCharge.OPEN).update(
            status=Status.FAILED, touched_at=timezone.now())
        if closed:
            record(charge, reason)
    if closed:
        log.error("job=%s failed for good: %s", charge.reference, reason)


def record(charge, reason):
    FailedCollection.objects.get_or_create(
        reference=reference(charge.tenancy_id, charge.period),
        defaults={"payload": {"tenancy_id": charge.tenancy_id, "period": charge.period},
                  "reason": reason})
'''

OK2_MIGRATION = '''import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("rents", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="Payment",
            fields=[
                ("charge", models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, serialize=False, to="rents.rentcharge")),
                ("debit_id", models.CharField(max_length=64)),
                ("received_at", models.DateTimeField(auto_now_add=True)),
            ],
        ),
    ]
'''

OK2_MODEL = '''class Payment(models.Model):
    charge = models.OneToOneField(RentCharge, on_delete=models.PROTECT, primary_key=True)
    debit_id = models.CharField(max_length=64)
    received_at = models.DateTimeField(auto_now_add=True)


class FailedCollection(models.Model):
'''

VARIANTS = [
    {"id": "ok-1", "kind": "correct", "job": "collect-rent",
     "what": "A Collector object with row locks; attempts are rows of their own; LoggerAdapter; "
             "the adapter is a function",
     "edits": [
         ("rents/tasks.py", "", OK1_TASKS),
         ("rents/collector.py", "", OK1_COLLECTOR),
         ("rents/debits.py", "", OK1_DEBITS),
         ("rents/migrations/0002_collectionattempt.py", "", OK1_MIGRATION),
         ("rents/models.py", "class FailedCollection(models.Model):\n", OK1_MODEL),
         ("rents/sweeps.py", "from rents.tasks import give_up", "from rents.collector import give_up"),
         ("rents/tests/test_collect.py", "from rents.debits import DebitClient, DebitUnavailable, MandateRefused",
          "from rents.collector import Collector\nfrom rents.debits import DebitUnavailable, MandateRefused"),
         ("rents/tests/test_collect.py", "mock.patch.object(DebitClient, \"collect\", return_value=\"DD-1\")",
          "mock.patch(\"rents.debits.collect_debit\", return_value=\"DD-1\")"),
         ("rents/tests/test_collect.py", "self.assertLogs(\"rents.tasks\", \"INFO\")",
          "self.assertLogs(\"rents.collector\", \"INFO\")"),
         ("rents/tests/test_collect.py", "mock.patch.object(tasks, \"settle\", side_effect",
          "mock.patch.object(Collector, \"succeed\", side_effect"),
         ("rents/tests/test_collect.py", "call.kwargs[\"idempotency_key\"]", "call.kwargs[\"key\"]"),
         (SPEC, "rents.debits:DebitClient.collect", "rents.debits:collect_debit"),
         (SPEC, "key_arg: idempotency_key", "key_arg: key"),
         (SPEC, "rents.tasks:BadMessage", "rents.collector:BadMessage"),
         (SPEC, "proof:\n", "proof:\n  not_state: [rents_collectionattempt]\n"),
     ]},
    {"id": "ok-2", "kind": "correct", "job": "collect-rent",
     "what": "A unique payment row remembers; a decorator decides on retry or giving up; text logs",
     "edits": [
         ("rents/tasks.py", "", OK2_TASKS),
         ("rents/migrations/0002_payment.py", "", OK2_MIGRATION),
         ("rents/models.py", "class FailedCollection(models.Model):\n", OK2_MODEL),
         ("rents/tests/test_collect.py", "mock.patch.object(tasks, \"settle\", side_effect",
          "mock.patch.object(tasks.Payment.objects, \"get_or_create\", side_effect"),
         ("rents/tests/test_collect.py",
          "        self.assertEqual({record.job for record in logs.records}, {self.charge().reference})\n",
          "        self.assertTrue(all(f\"job={self.charge().reference} \" in line for line in logs.output))\n"),
         (SPEC, "dedupe: {store: table rents_rentcharge}", "dedupe: {store: table rents_payment}"),
         (SPEC, "  dead_letters: select", "    payments: select charge_id, debit_id from rents_payment order by 1\n"
                                          "  dead_letters: select"),
     ]},
    {"id": "m-key-per-attempt", "kind": "mistake", "job": "collect-rent",
     "what": "The attempt's number got into the idempotency key (\"so that Sammelwerk does not answer "
             "with the old error\"): a lost answer or a crash charges the tenant twice",
     "edits": [("rents/tasks.py", "            idempotency_key=charge.reference,\n",
                "            idempotency_key=f\"{charge.reference}-{charge.attempts}\",\n")]},
    {"id": "m-marked-first", "kind": "mistake", "job": "collect-rent",
     "what": "The charge is marked as collected before the debit (\"nobody can be charged twice now\"): "
             "killed in between, the rent is never collected",
     "edits": [
         ("rents/tasks.py", ".update(status=Status.COLLECTING, attempts=F(\"attempts\") + 1",
          ".update(status=Status.COLLECTED, attempts=F(\"attempts\") + 1"),
         ("rents/tasks.py", "pk=charge.pk, status__in=(Status.COLLECTING, Status.FAILED),",
          "pk=charge.pk, status__in=(Status.COLLECTED, Status.FAILED),"),
         ("rents/tasks.py", "        log.warning(\"rent collection will be retried\",",
          "        RentCharge.objects.filter(pk=charge.pk).update(status=Status.DUE)\n"
          "        log.warning(\"rent collection will be retried\","),
         ("rents/tasks.py", "        closed = RentCharge.objects.filter(pk=charge.pk, status__in=RentCharge.OPEN)",
          "        closed = RentCharge.objects.filter(pk=charge.pk).exclude(status=Status.FAILED)"),
     ]},
    {"id": "m-refused-retried", "kind": "mistake", "job": "collect-rent",
     "what": "MandateRefused became a kind of DebitUnavailable in a clean-up, and its own branch went: "
             "a revoked mandate is debited five times (the bank takes a fee for each)",
     "edits": [
         ("rents/debits.py", "class MandateRefused(Exception):", "class MandateRefused(DebitUnavailable):"),
         ("rents/tasks.py", "from rents.debits import DebitClient, MandateRefused\n",
          "from rents.debits import DebitClient\n"),
         ("rents/tasks.py", "    except MandateRefused as error:\n"
                            "        give_up(charge, f\"refused: {error}\")\n        return None\n", ""),
     ]},
    {"id": "m-rq-keeps-it", "kind": "mistake", "job": "collect-rent",
     "what": "Out of attempts, the error is left to RQ's failed registry (\"RQ has retries of its own\"): "
             "no row for the office, and the charge stands at collecting",
     "edits": [
         ("rents/tasks.py", "    if charge.attempts >= MAX_ATTEMPTS:\n"
                            "        give_up(charge, f\"stopped {charge.attempts} times without a result; look the debit up\")\n"
                            "        return None\n", ""),
         ("rents/tasks.py", "        if charge.attempts >= MAX_ATTEMPTS:\n"
                            "            give_up(charge, f\"out of attempts, last error {type(error).__name__}: {error}\")\n"
                            "            return None\n", ""),
         ("rents/sweeps.py", "        if charge.attempts >= MAX_ATTEMPTS:\n"
                             "            give_up(charge, f\"stopped {charge.attempts} times without a result; look the debit up\")\n"
                             "        elif charge", "        if charge"),
         ("rents/sweeps.py", "from rents.queues import MAX_ATTEMPTS, enqueue_collection",
          "from rents.queues import enqueue_collection"),
     ]},
]
