VARIANTS = [
    {
        "id": "ok_flock",
        "kind": "correct",
        "job": "close-rentals",
        "what": "Another lock (a flock on a file: one run at a time, freed by the kernel; no version column, attempts as compare-and-swap), another dedupe store (rentals_payment, one row a rental, first reference stands), another layering (a ClosingRun object over a Ledger), stdlib logging with key=value. Fee and key are fixed as in the base, an attempt is counted before it is made, payment, status and the end of a parking are one transaction.",
        "edits": [
            (
                ".gitignore",
'''\
*.sqlite3
''',
'''\
*.sqlite3
*.lock
''',
            ),
            (
                ".skillrun/jobs/close-rentals.yaml",
'''\
      closed, and only while it is closed; one run at a time takes it
    guarded_by: rentals_rental.status and a conditional update on rentals_rental.version
effects:
  - name: charge
    call: payments.client:PaymentClient.charge
    key_arg: idempotency_key
    window: 72h
    guarantee: keyed
    returns: pay-501
failures:
  transient:
    - {type: "payments.client:PaymentUnavailable", args: ["HTTP 503"], effects: [charge]}
    - {type: "payments.client:PaymentUnavailable", args: ["ReadTimeout"], effects: [charge]}
  permanent:
    - {type: "payments.client:PaymentDeclined", args: ["HTTP 402"], effects: [charge], unsent: true}
  acceptable_delay: 1d
retry:
  max_attempts: 5
  backoff: {kind: fixed, base: 1h}
dead_letter: {kind: table, where: rentals_parkedrental}
worker: {deliveries: 6}
proof:
  env:
    DJANGO_SETTINGS_MODULE: leihrad.settings
    LEIHRAD_DB: "{scratch}/leihrad.sqlite3"
    LEIHRAD_PAYMENTS_URL: http://payments.invalid/v1
    LEIHRAD_PAYMENTS_TOKEN: proof
  setup: python manage.py seed_demo
  database: "{scratch}/leihrad.sqlite3"
  state:
    rentals: select id, status, fee_cents, payment_ref from rentals_rental order by id
    parked: select rental_id from rentals_parkedrental order by 1
''',
'''\
      closed, and only while it has no payment; one run at a time is at work
    guarded_by: primary key of rentals_payment, and a flock on a file next to the database
effects:
  - name: charge
    call: payments.client:PaymentClient.charge
    key_arg: idempotency_key
    window: 72h
    guarantee: keyed
    returns: pay-501
failures:
  transient:
    - {type: "payments.client:PaymentUnavailable", args: ["HTTP 503"], effects: [charge]}
    - {type: "payments.client:PaymentUnavailable", args: ["ReadTimeout"], effects: [charge]}
  permanent:
    - {type: "payments.client:PaymentDeclined", args: ["HTTP 402"], effects: [charge], unsent: true}
  acceptable_delay: 1d
retry:
  max_attempts: 5
  backoff: {kind: fixed, base: 1h}
dead_letter: {kind: table, where: rentals_parkedrental}
worker: {deliveries: 6}
proof:
  env:
    DJANGO_SETTINGS_MODULE: leihrad.settings
    LEIHRAD_DB: "{scratch}/leihrad.sqlite3"
    LEIHRAD_PAYMENTS_URL: http://payments.invalid/v1
    LEIHRAD_PAYMENTS_TOKEN: proof
  setup: python manage.py seed_demo
  database: "{scratch}/leihrad.sqlite3"
  state:
    rentals: select id, status, fee_cents from rentals_rental order by id
    payments: select rental_id, reference, amount_cents from rentals_payment order by 1
    parked: select rental_id from rentals_parkedrental order by 1
  scratch_files: ["*.lock"]
''',
            ),
            (
                "README.md",
'''\
Every change of a rental names the version it was read with, so two runs at once (a slow one, or a
colleague at the console) do not take the same rental. An attempt is counted when it is taken and gives the rental
to nobody else for 55 minutes; a run that was killed is made good by the next one.

A charge without a clear answer is tried again by the next run, five times in all. After that, or when the
card is declined, the rental is `parked` and has a row in `rentals_parkedrental`. Operators see them with
`manage.py parked` and look into the payment house first, as a charge may have gone through.

One rental's failure does not stop the others. If our own database made trouble, the command ends with 1 and cron
sends a mail; there is nothing to do unless it goes on.

The log is JSON: `job`, `job_id` (the run), `key`, `attempt`, `outcome`. No riders, no card tokens.
''',
'''\
One run at a time: a run holds a lock on the file `LEIHRAD_LOCK` (next to the database, unless it is set), a second
one ends at once. The kernel frees the lock of a run that was killed, and the next run makes good what it left. An
attempt is counted before it is made. A paid rental has its row in `rentals_payment`.

A charge without a clear answer is tried again by the next run, five times in all. After that, or when the
card is declined, the rental is `parked` and has a row in `rentals_parkedrental`. Operators see them with
`manage.py parked` and look into the payment house first, as a charge may have gone through.

One rental's failure does not stop the others. If our own database made trouble, the command ends with 1 and cron
sends a mail; there is nothing to do unless it goes on.

The log has key=value: `job`, `job_id` (the run), `key`, `attempt`, `outcome`. No riders, no card tokens.
''',
            ),
            (
                "leihrad/settings.py",
'''\

import structlog

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = os.environ.get("LEIHRAD_SECRET_KEY", "development only")
DEBUG = os.environ.get("LEIHRAD_DEBUG") == "1"
ALLOWED_HOSTS = os.environ.get("LEIHRAD_HOSTS", "localhost").split(",")

INSTALLED_APPS = ["rentals"]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("LEIHRAD_DB", BASE_DIR / "leihrad.sqlite3"),
        "OPTIONS": {"timeout": 20},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "Europe/Berlin"

PAYMENTS_URL = os.environ.get("LEIHRAD_PAYMENTS_URL", "http://localhost:8070/v1")
PAYMENTS_TOKEN = os.environ.get("LEIHRAD_PAYMENTS_TOKEN", "")
PAYMENTS_TIMEOUT = (5, 20)

CHARGE_ATTEMPTS = 5
# A little less than the hour between two runs of the crontab, far more than one charge can take.
CHARGE_AGAIN_AFTER = timedelta(minutes=55)
# The payment house knows a key for 72 hours.
CHARGE_KEY_TRUSTED_FOR = timedelta(hours=48)

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(message)s"}},
    "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "plain"}},
    "root": {"handlers": ["stdout"], "level": "INFO"},
    "loggers": {"urllib3": {"level": "WARNING"}},
}

structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(sort_keys=True),
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
)
''',
'''\

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = os.environ.get("LEIHRAD_SECRET_KEY", "development only")
DEBUG = os.environ.get("LEIHRAD_DEBUG") == "1"
ALLOWED_HOSTS = os.environ.get("LEIHRAD_HOSTS", "localhost").split(",")

INSTALLED_APPS = ["rentals"]

DATABASE = os.environ.get("LEIHRAD_DB", str(BASE_DIR / "leihrad.sqlite3"))
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATABASE,
        "OPTIONS": {"timeout": 20},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "Europe/Berlin"

PAYMENTS_URL = os.environ.get("LEIHRAD_PAYMENTS_URL", "http://localhost:8070/v1")
PAYMENTS_TOKEN = os.environ.get("LEIHRAD_PAYMENTS_TOKEN", "")
PAYMENTS_TIMEOUT = (5, 20)

CLOSE_RENTALS_LOCK = os.environ.get("LEIHRAD_LOCK", f"{DATABASE}.run.lock")

CHARGE_ATTEMPTS = 5
# A little less than the hour between two runs of the crontab, far more than one charge can take.
CHARGE_AGAIN_AFTER = timedelta(minutes=55)
# The payment house knows a key for 72 hours.
CHARGE_KEY_TRUSTED_FOR = timedelta(hours=48)

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(message)s"}},
    "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "plain"}},
    "root": {"handlers": ["stdout"], "level": "INFO"},
    "loggers": {"urllib3": {"level": "WARNING"}},
}
''',
            ),
            (
                "pyproject.toml",
'''\
dependencies = ["django>=5.0", "requests>=2.31", "structlog>=24.1"]
''',
'''\
dependencies = ["django>=5.0", "requests>=2.31"]
''',
            ),
            (
                "rentals/closing.py",
'''\
import uuid
from collections import Counter

import structlog
from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone

from payments.client import PaymentClient, PaymentDeclined, PaymentUnavailable

from . import ledger

logger = structlog.get_logger("rentals.closing")


def close_rentals():
    """Close what was returned, charge what is closed. Returns how often what came out."""
    run = logger.bind(job="close-rentals", job_id=uuid.uuid4().hex[:16])
    outcomes = Counter()
    for rental in ledger.returned():
        outcomes[_guarded(_close, rental, run)] += 1
    with PaymentClient() as payments:
        for rental in ledger.chargeable():
            outcomes[_guarded(_charge, rental, run, payments)] += 1
    run.info("run finished", outcome="finished", **{f"n_{name}": number for name, number in outcomes.items()})
    return outcomes


def _guarded(step, rental, run, *more):
    """One rental's trouble is not the others'."""
    log = run.bind(key=rental.charge_key)
    try:
        return step(rental, log, *more)
    except Exception as error:
        log.exception("rental left for the next run", outcome="interrupted", attempt=rental.attempts, reason=type(error).__name__)
        return "interrupted"


def _close(rental, log):
    outcome = "closed" if ledger.close(rental) else "superseded"
    log.info("rental closed", outcome=outcome, attempt=0)
    return outcome


def _charge(rental, log, payments):
    rental = ledger.claim(rental)
    if rental is None:
        log.info("rental is in other hands", outcome="superseded", attempt=0)
        return "superseded"
    if rental.attempts > settings.CHARGE_ATTEMPTS:
        return _park(rental, log, "runs died over it")
    if rental.first_attempt_at < timezone.now() - settings.CHARGE_KEY_TRUSTED_FOR:
        return _park(rental, log, "first tried too long ago")
    log = log.bind(attempt=rental.attempts)
    log.info("charging", outcome="started")
    try:
        payment_ref = payments.charge(
            idempotency_key=rental.charge_key,
            card_token=rental.card_token,
            amount_cents=rental.fee_cents,
            purpose=f"Bike {rental.bike}",
        )
    except PaymentDeclined as error:
        return _park(rental, log, f"declined: {error}")
    except PaymentUnavailable as error:
        if rental.attempts >= settings.CHARGE_ATTEMPTS:
            return _park(rental, log, f"attempts used up: {error}")
        log.warning("charge failed", outcome="retry", reason=str(error), next_attempt_at=str(rental.next_attempt_at))
        return "retry"
    outcome = "charged" if _insist(ledger.settle, rental, payment_ref) else "known"
    log.info("rental charged", outcome=outcome, payment_ref=payment_ref)
    return outcome


def _park(rental, log, reason):
    outcome = "parked" if _insist(ledger.park, rental, reason) else "superseded"
    log.error("rental parked", outcome=outcome, attempt=rental.attempts, reason=reason)
    return outcome


def _insist(write, *args, tries=3):
''',
'''\
import logging
import uuid
from collections import Counter

from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone

from payments.client import PaymentClient, PaymentDeclined, PaymentUnavailable

from .ledger import Ledger
from .runlock import one_run

logger = logging.getLogger("rentals.closing")


def close_rentals():
    """Close what was returned, charge what is closed. Returns how often what came out."""
    run = ClosingRun(uuid.uuid4().hex[:16])
    with one_run() as alone:
        if alone:
            run()
        else:
            logger.info("job=close-rentals job_id=%s outcome=another_run", run.job_id)
    return run.outcomes


class ClosingRun:
    def __init__(self, job_id):
        self.job_id, self.ledger, self.outcomes = job_id, Ledger(), Counter()

    def __call__(self):
        for rental in self.ledger.returned():
            self.guard(self.close, rental)
        with PaymentClient() as payments:
            for rental in self.ledger.chargeable():
                self.guard(self.charge, rental, payments)

    def guard(self, step, rental, *more):
        """One rental's trouble is not the others'."""
        try:
            outcome = step(rental, *more)
        except Exception as error:
            outcome = "interrupted"
            self.say(logging.ERROR, rental, outcome, type(error).__name__, exc_info=True)
        self.outcomes[outcome] += 1

    def close(self, rental):
        outcome = "closed" if self.ledger.close(rental) else "superseded"
        self.say(logging.INFO, rental, outcome)
        return outcome

    def charge(self, rental, payments):
        begun = self.ledger.begin(rental)
        if begun is None:
            self.say(logging.INFO, rental, "superseded")
            return "superseded"
        rental = begun
        if rental.attempts > settings.CHARGE_ATTEMPTS:
            return self.park(rental, "runs died over it")
        if rental.first_attempt_at < timezone.now() - settings.CHARGE_KEY_TRUSTED_FOR:
            return self.park(rental, "first tried too long ago")
        self.say(logging.INFO, rental, "started")
        try:
            reference = payments.charge(
                idempotency_key=rental.charge_key,
                card_token=rental.card_token,
                amount_cents=rental.fee_cents,
                purpose=f"Bike {rental.bike}",
            )
        except PaymentDeclined as error:
            return self.park(rental, f"declined: {error}")
        except PaymentUnavailable as error:
            if rental.attempts >= settings.CHARGE_ATTEMPTS:
                return self.park(rental, f"attempts used up: {error}")
            self.say(logging.WARNING, rental, "retry", str(error))
            return "retry"
        outcome = "charged" if insist(self.ledger.record, rental, reference) else "known"
        self.say(logging.INFO, rental, outcome, reference)
        return outcome

    def park(self, rental, reason):
        outcome = "parked" if insist(self.ledger.park, rental, reason) else "superseded"
        self.say(logging.ERROR, rental, outcome, reason)
        return outcome

    def say(self, level, rental, outcome, detail="-", **more):
        line = "job=close-rentals job_id=%s key=%s attempt=%d outcome=%s detail=%r"
        logger.log(level, line, self.job_id, rental.charge_key, rental.attempts, outcome, detail, **more)


def insist(write, *args, tries=3):
''',
            ),
            (
                "rentals/ledger.py",
'''\
"""What may become of a rental. Whoever changes a row names the version that he has read, and raises it."""
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from .models import ParkedRental, Rental
from .tariff import fee_cents

Status = Rental.Status


def returned():
    """Rentals that are to be closed."""
    return list(Rental.objects.filter(status=Status.RIDING, returned_at__lte=timezone.now()).order_by("pk"))


def chargeable():
    """Closed rentals whose turn it is."""
    now = timezone.now()
    return list(
        Rental.objects.filter(Q(next_attempt_at=None) | Q(next_attempt_at__lte=now), status=Status.CLOSED).order_by("pk")
    )


def close(rental):
    """Fix the fee. Tariffs change, a closed rental does not."""
    return _change(rental, Status.RIDING, status=Status.CLOSED, fee_cents=fee_cents(rental.started_at, rental.returned_at))


def claim(rental):
    """Take a rental for one attempt; None if another run was first. The attempt counts from here on."""
    now = timezone.now()
    taken = _change(
        rental,
        Status.CLOSED,
        attempts=F("attempts") + 1,
        first_attempt_at=Coalesce("first_attempt_at", now),
        next_attempt_at=now + settings.CHARGE_AGAIN_AFTER,
    )
    if not taken:
        return None
    return Rental.objects.get(pk=rental.pk, version=rental.version + 1)


def settle(rental, payment_ref):
    """The money has moved: this holds whatever another run has made of the row. False if it was known."""
    with transaction.atomic():
        settled = Rental.objects.filter(pk=rental.pk, status__in=[Status.CLOSED, Status.PARKED]).update(
            status=Status.CHARGED, payment_ref=payment_ref, next_attempt_at=None, version=F("version") + 1
        )
        if settled:
            ParkedRental.objects.filter(rental_id=rental.pk).delete()
    return bool(settled)


def park(rental, reason):
    """Leave it to an operator; False if the row has moved since it was read."""
    with transaction.atomic():
        if not _change(rental, Status.CLOSED, status=Status.PARKED, next_attempt_at=None):
            return False
        ParkedRental.objects.create(
            rental_id=rental.pk, reason=reason[:120], attempts=rental.attempts, parked_at=timezone.now()
        )
    return True


def _change(rental, expected, **values):
    rows = Rental.objects.filter(pk=rental.pk, version=rental.version, status=expected)
    return rows.update(version=F("version") + 1, **values) == 1
''',
'''\
"""What may become of a rental. A run that is at it holds the lock; see runlock."""
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from .models import ParkedRental, Payment, Rental
from .tariff import fee_cents

Status = Rental.Status


class Ledger:
    def returned(self):
        """Rentals that are to be closed."""
        return list(Rental.objects.filter(status=Status.RIDING, returned_at__lte=timezone.now()).order_by("pk"))

    def chargeable(self):
        """Closed rentals without a payment whose turn it is."""
        turn = Q(next_attempt_at=None) | Q(next_attempt_at__lte=timezone.now())
        return list(Rental.objects.filter(turn, status=Status.CLOSED, payment=None).order_by("pk"))

    def close(self, rental):
        """Fix the fee. Tariffs change, a closed rental does not."""
        fee = fee_cents(rental.started_at, rental.returned_at)
        return bool(self._in(rental, Status.RIDING).update(status=Status.CLOSED, fee_cents=fee))

    def begin(self, rental):
        """Count an attempt, before it is made; None if nothing is left to do."""
        now = timezone.now()
        with transaction.atomic():
            begun = self._in(rental, Status.CLOSED).filter(attempts=rental.attempts).update(
                attempts=F("attempts") + 1,
                first_attempt_at=Coalesce("first_attempt_at", now),
                next_attempt_at=now + settings.CHARGE_AGAIN_AFTER,
            )
            return Rental.objects.get(pk=rental.pk) if begun else None

    def record(self, rental, reference):
        """The payment, once. It holds even for a rental that was parked meanwhile."""
        with transaction.atomic():
            _, new = Payment.objects.get_or_create(
                rental_id=rental.pk,
                defaults={"reference": reference, "amount_cents": rental.fee_cents, "recorded_at": timezone.now()},
            )
            if new:
                Rental.objects.filter(pk=rental.pk).update(status=Status.CHARGED, next_attempt_at=None)
                ParkedRental.objects.filter(rental_id=rental.pk).delete()
        return new

    def park(self, rental, reason):
        """Leave it to an operator."""
        with transaction.atomic():
            if not self._in(rental, Status.CLOSED).filter(payment=None).update(status=Status.PARKED, next_attempt_at=None):
                return False
            ParkedRental.objects.create(
                rental_id=rental.pk, reason=reason[:120], attempts=rental.attempts, parked_at=timezone.now()
            )
        return True

    @staticmethod
    def _in(rental, status):
        return Rental.objects.filter(pk=rental.pk, status=status)
''',
            ),
            (
                "rentals/migrations/0001_initial.py",
'''\
                ('payment_ref', models.CharField(blank=True, max_length=64)),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('first_attempt_at', models.DateTimeField(null=True)),
                ('next_attempt_at', models.DateTimeField(null=True)),
                ('version', models.PositiveIntegerField(default=0)),
''',
'''\
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('first_attempt_at', models.DateTimeField(null=True)),
                ('next_attempt_at', models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name='Payment',
            fields=[
                ('rental', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, serialize=False, to='rentals.rental')),
                ('reference', models.CharField(max_length=64)),
                ('amount_cents', models.PositiveIntegerField()),
                ('recorded_at', models.DateTimeField()),
''',
            ),
            (
                "rentals/models.py",
'''\
    payment_ref = models.CharField(max_length=64, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    first_attempt_at = models.DateTimeField(null=True)
    next_attempt_at = models.DateTimeField(null=True)
    version = models.PositiveIntegerField(default=0)

    class Meta:
        indexes = [models.Index(fields=["status", "next_attempt_at"], name="rental_due")]

    @property
    def charge_key(self):
        return f"leihrad-rental-{self.pk}"


''',
'''\
    attempts = models.PositiveSmallIntegerField(default=0)
    first_attempt_at = models.DateTimeField(null=True)
    next_attempt_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["status", "next_attempt_at"], name="rental_due")]

    @property
    def charge_key(self):
        return f"leihrad-rental-{self.pk}"


class Payment(models.Model):
    """A rental that is paid has one, and it stays."""

    rental = models.OneToOneField(Rental, on_delete=models.PROTECT, primary_key=True)
    reference = models.CharField(max_length=64)
    amount_cents = models.PositiveIntegerField()
    recorded_at = models.DateTimeField()


''',
            ),
            (
                "rentals/runlock.py",
'',
'''\
import fcntl
import os
from contextlib import contextmanager

from django.conf import settings


@contextmanager
def one_run():
    """True for the one that has the lock. The kernel takes it back from a run that is killed."""
    handle = os.open(settings.CLOSE_RENTALS_LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)
''',
            ),
            (
                "tests/conftest.py",
'''\
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.utils import timezone  # noqa: E402

from payments.client import PaymentClient  # noqa: E402


@pytest.fixture(autouse=True)
def database(tmp_path):
''',
'''\
from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.utils import timezone  # noqa: E402

from payments.client import PaymentClient  # noqa: E402


@pytest.fixture
def settings_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "CLOSE_RENTALS_LOCK", str(tmp_path / "run.lock"))


@pytest.fixture(autouse=True)
def database(tmp_path, settings_lock):
''',
            ),
            (
                "tests/test_closing.py",
'''\
import json
import logging

import pytest
import requests
from django.core.management import CommandError, call_command
from django.db import OperationalError

from payments.client import PaymentClient, PaymentDeclined, PaymentUnavailable
from rentals import ledger
from rentals.closing import close_rentals
from rentals.models import ParkedRental, Rental


def rows():
    return list(Rental.objects.order_by("pk").values_list("status", "fee_cents", "payment_ref"))


def test_returned_rentals_are_closed_and_charged(house):
    call_command("close_rentals")
    call_command("close_rentals")
    assert rows() == [("charged", 390, "pay-1"), ("charged", 1500, "pay-2"), ("riding", None, "")]
    assert house.asked == [("leihrad-rental-1", 390), ("leihrad-rental-2", 1500)]


def test_one_failure_does_not_stop_the_rest(house, clock):
    house.plan = [PaymentUnavailable("HTTP 503")]
    call_command("close_rentals")
    assert [row[0] for row in rows()] == ["closed", "charged", "riding"]
    call_command("close_rentals")
    assert len(house.asked) == 2
    clock.forward(hours=1)
    call_command("close_rentals")
    assert [row[0] for row in rows()] == ["charged", "charged", "riding"]


def test_a_lost_answer_is_asked_for_again(house, clock):
    lost = PaymentUnavailable("ReadTimeout")
    lost.lost = True
    house.plan = [lost]
    close_rentals()
    clock.forward(hours=1)
    close_rentals()
    assert rows()[0] == ("charged", 390, "pay-1") and len(house.payments) == 2


def test_after_five_attempts_the_rental_is_parked(house, clock):
    Rental.objects.exclude(pk=1).delete()
    house.plan = [PaymentUnavailable("HTTP 503")] * 9
    for _ in range(8):
        close_rentals()
        clock.forward(hours=1)
    assert len(house.asked) == 5 and rows()[0][0] == "parked"
    parked = ParkedRental.objects.get()
    assert (parked.rental_id, parked.attempts, parked.reason) == (1, 5, "attempts used up: HTTP 503")
    out = io.StringIO()
    call_command("parked", stdout=out)
    assert out.getvalue().startswith("1\\t")


def test_a_declined_card_is_parked_at_once(house):
    house.plan = [PaymentDeclined("HTTP 402")]
    close_rentals()
    assert [row[0] for row in rows()] == ["parked", "charged", "riding"]


def test_two_runs_at_once_charge_once(house):
    close_first = [ledger.close(rental) for rental in ledger.returned()]
    seen_by_both = ledger.chargeable()
    assert close_first == [True, True] and len(seen_by_both) == 2
    assert ledger.claim(seen_by_both[0]) and ledger.claim(seen_by_both[0]) is None
    close_rentals()
    assert house.asked == [("leihrad-rental-2", 1500)]


def test_a_charge_counts_even_if_another_run_has_parked(house):
    close_rentals_of_one = [ledger.close(rental) for rental in ledger.returned()][0]
    mine = ledger.claim(ledger.chargeable()[0])
    assert close_rentals_of_one and ledger.park(Rental.objects.get(pk=1), "attempts used up")
    assert ledger.settle(mine, "pay-9") and not ledger.settle(mine, "pay-9")
    assert rows()[0] == ("charged", 390, "pay-9") and not ParkedRental.objects.exists()


def test_runs_that_die_come_to_an_end(house, clock):
    Rental.objects.exclude(pk=1).delete()
    [ledger.close(rental) for rental in ledger.returned()]
    for _ in range(5):
        assert ledger.claim(ledger.chargeable()[0])
        clock.forward(hours=1)
    close_rentals()
    assert house.asked == [] and rows()[0][0] == "parked"


def test_trouble_with_the_database_is_reported(house, monkeypatch):
    def locked(rental, ref):
        raise OperationalError("database is locked")

    monkeypatch.setattr(ledger, "settle", locked)
    with pytest.raises(CommandError, match="2 rentals"):
        call_command("close_rentals")
    assert [row[0] for row in rows()] == ["closed", "closed", "riding"]


@pytest.mark.parametrize(
    "status, raised", [(402, PaymentDeclined), (503, PaymentUnavailable), (202, PaymentUnavailable), (401, PaymentUnavailable)]
)
def test_what_the_payment_house_says(monkeypatch, status, raised):
    def post(self, url, **more):
        answer = requests.Response()
        answer.status_code, answer._content = status, b"{}"
        return answer

    monkeypatch.setattr(requests.Session, "post", post)
    with pytest.raises(raised):
        PaymentClient().charge(idempotency_key="k", card_token="t", amount_cents=1, purpose="p")


def test_the_log(house, caplog):
    caplog.set_level(logging.INFO)
    close_rentals()
    lines = [json.loads(record.getMessage()) for record in caplog.records if record.name == "rentals.closing"]
    charged = [line for line in lines if line["outcome"] == "charged"]
    assert [(line["key"], line["attempt"], line["job"]) for line in charged][0] == ("leihrad-rental-1", 1, "close-rentals")
    assert len({line["job_id"] for line in lines}) == 1
''',
'''\
import logging

import pytest
import requests
from django.core.management import CommandError, call_command
from django.db import OperationalError

from payments.client import PaymentClient, PaymentDeclined, PaymentUnavailable
from rentals.closing import close_rentals
from rentals.ledger import Ledger
from rentals.models import ParkedRental, Payment, Rental
from rentals.runlock import one_run

ledger = Ledger()


def rows():
    return [
        (rental.status, rental.fee_cents, getattr(Payment.objects.filter(rental=rental).first(), "reference", ""))
        for rental in Rental.objects.order_by("pk")
    ]


def test_returned_rentals_are_closed_and_charged(house):
    call_command("close_rentals")
    call_command("close_rentals")
    assert rows() == [("charged", 390, "pay-1"), ("charged", 1500, "pay-2"), ("riding", None, "")]
    assert house.asked == [("leihrad-rental-1", 390), ("leihrad-rental-2", 1500)]


def test_one_failure_does_not_stop_the_rest(house, clock):
    house.plan = [PaymentUnavailable("HTTP 503")]
    call_command("close_rentals")
    assert [row[0] for row in rows()] == ["closed", "charged", "riding"]
    call_command("close_rentals")
    assert len(house.asked) == 2
    clock.forward(hours=1)
    call_command("close_rentals")
    assert [row[0] for row in rows()] == ["charged", "charged", "riding"]


def test_a_lost_answer_is_asked_for_again(house, clock):
    lost = PaymentUnavailable("ReadTimeout")
    lost.lost = True
    house.plan = [lost]
    close_rentals()
    clock.forward(hours=1)
    close_rentals()
    assert rows()[0] == ("charged", 390, "pay-1") and len(house.payments) == 2


def test_after_five_attempts_the_rental_is_parked(house, clock):
    Rental.objects.exclude(pk=1).delete()
    house.plan = [PaymentUnavailable("HTTP 503")] * 9
    for _ in range(8):
        close_rentals()
        clock.forward(hours=1)
    assert len(house.asked) == 5 and rows()[0][0] == "parked"
    parked = ParkedRental.objects.get()
    assert (parked.rental_id, parked.attempts, parked.reason) == (1, 5, "attempts used up: HTTP 503")
    out = io.StringIO()
    call_command("parked", stdout=out)
    assert out.getvalue().startswith("1\\t")


def test_a_declined_card_is_parked_at_once(house):
    house.plan = [PaymentDeclined("HTTP 402")]
    close_rentals()
    assert [row[0] for row in rows()] == ["parked", "charged", "riding"]


def test_two_runs_at_once_charge_once(house):
    with one_run() as alone:
        assert alone and close_rentals() == {}
    assert house.asked == []
    close_rentals()
    assert len(house.asked) == 2


def test_a_charge_counts_even_if_another_run_has_parked(house):
    close_rentals_of_one = [ledger.close(rental) for rental in ledger.returned()][0]
    mine = ledger.begin(ledger.chargeable()[0])
    assert close_rentals_of_one and ledger.park(Rental.objects.get(pk=1), "attempts used up")
    assert ledger.record(mine, "pay-9") and not ledger.record(mine, "pay-9")
    assert rows()[0] == ("charged", 390, "pay-9") and not ParkedRental.objects.exists()


def test_runs_that_die_come_to_an_end(house, clock):
    Rental.objects.exclude(pk=1).delete()
    [ledger.close(rental) for rental in ledger.returned()]
    for _ in range(5):
        assert ledger.begin(ledger.chargeable()[0])
        clock.forward(hours=1)
    close_rentals()
    assert house.asked == [] and rows()[0][0] == "parked"


def test_trouble_with_the_database_is_reported(house, monkeypatch):
    def locked(self, rental, ref):
        raise OperationalError("database is locked")

    monkeypatch.setattr(Ledger, "record", locked)
    with pytest.raises(CommandError, match="2 rentals"):
        call_command("close_rentals")
    assert [row[0] for row in rows()] == ["closed", "closed", "riding"]


@pytest.mark.parametrize(
    "status, raised", [(402, PaymentDeclined), (503, PaymentUnavailable), (202, PaymentUnavailable), (401, PaymentUnavailable)]
)
def test_what_the_payment_house_says(monkeypatch, status, raised):
    def post(self, url, **more):
        answer = requests.Response()
        answer.status_code, answer._content = status, b"{}"
        return answer

    monkeypatch.setattr(requests.Session, "post", post)
    with pytest.raises(raised):
        PaymentClient().charge(idempotency_key="k", card_token="t", amount_cents=1, purpose="p")


def test_the_log(house, caplog):
    caplog.set_level(logging.INFO)
    close_rentals()
    lines = [record.getMessage() for record in caplog.records if record.name == "rentals.closing"]
    assert [line for line in lines if "key=leihrad-rental-1 attempt=1 outcome=charged" in line]
    assert len({line.split()[1] for line in lines}) == 1
''',
            ),
        ],
    },
    {
        "id": "m_version_key",
        "kind": "mistake",
        "job": "close-rentals",
        "what": "The key of a charge contains the row's version, so that a corrected fee would get a key of its own; but each claim raises the version. Breaks effects.charge (keyed) and the invariant: under one key at every attempt. Sequence: the run claims the rental (version 2), the payment house charges the card, the answer is lost (or the run is killed before settle); the next hour's run claims it (version 3) and charges under another key: the rider pays twice.",
        "edits": [
            (
                "rentals/models.py",
'''\
        return f"leihrad-rental-{self.pk}"
''',
'''\
        return f"leihrad-rental-{self.pk}-v{self.version}"
''',
            ),
            (
                "README.md",
'''\
   `leihrad-rental-<id>`. The payment house''',
'''\
   `leihrad-rental-<id>-v<version>`. The payment house''',
            ),
            (
                "tests/test_closing.py",
'''\
    assert house.asked == [("leihrad-rental-1", 390), ("leihrad-rental-2", 1500)]
''',
'''\
    assert [amount for _, amount in house.asked] == [390, 1500]
''',
            ),
            (
                "tests/test_closing.py",
'''\
    assert rows()[0] == ("charged", 390, "pay-1") and len(house.payments) == 2
''',
'''\
    assert rows()[0][:2] == ("charged", 390) and len(house.asked) == 3
''',
            ),
            (
                "tests/test_closing.py",
'''\
    assert house.asked == [("leihrad-rental-2", 1500)]
''',
'''\
    assert [amount for _, amount in house.asked] == [1500]
''',
            ),
            (
                "tests/test_closing.py",
'''\
[0] == ("leihrad-rental-1", 1, "close-rentals")
''',
'''\
[0] == ("leihrad-rental-1-v1", 1, "close-rentals")
''',
            ),
        ],
    },
    {
        "id": "m_one_transaction",
        "kind": "mistake",
        "job": "close-rentals",
        "what": "Each rental's step is one transaction, with the payment call inside, so that nothing is left half done. Then a run that dies takes the count of its attempt along. Breaks worker.deliveries (6) and retry.max_attempts (5): Sequence: the run is killed while (or after) it charges the first rental; claim, attempts and first_attempt_at are rolled back; the next hour's run does the same under the same conditions, for ever: the rental is never parked, and the rentals behind it are never charged. A store that refuses settle has the same effect: asked every hour without end, and past the key's 72 hours charged again.",
        "edits": [
            (
                "rentals/closing.py",
'''\
        return step(rental, log, *more)
''',
'''\
        with transaction.atomic():
            return step(rental, log, *more)
''',
            ),
            (
                "rentals/closing.py",
'''\
from django.db import DatabaseError
''',
'''\
from django.db import DatabaseError, transaction
''',
            ),
        ],
    },
    {
        "id": "m_attempted_at",
        "kind": "mistake",
        "job": "close-rentals",
        "what": "The time of the first attempt has become the time of the latest one, which operators had asked for; the guard now reads the row just claimed and never says no. Breaks effects.charge.window (72h): no repetition after the receiver has forgotten the key. Sequence: the payment house charges the card, the answer is lost; cron stands still over a long weekend (four days); the next run claims the rental, finds that it was attempted just now, and charges under a key that the payment house no longer knows: the rider pays twice instead of an operator looking into it.",
        "edits": [
            (
                "rentals/models.py",
'''\
    first_attempt_at = models''',
'''\
    attempted_at = models''',
            ),
            (
                "rentals/migrations/0001_initial.py",
'''\
'first_attempt_at', models''',
'''\
'attempted_at', models''',
            ),
            (
                "rentals/ledger.py",
'''\
        first_attempt_at=Coalesce("first_attempt_at", now),
''',
'''\
        attempted_at=now,
''',
            ),
            (
                "rentals/ledger.py",
'''\
from django.db.models.functions import Coalesce
''',
'',
            ),
            (
                "rentals/closing.py",
'''\
    if rental.first_attempt_at < timezone''',
'''\
    if rental.attempted_at < timezone''',
            ),
            (
                "rentals/closing.py",
'''\
"first tried too long ago"''',
'''\
"tried too long ago"''',
            ),
            (
                "rentals/management/commands/parked.py",
'''\
ParkedRental.objects.order_by("parked_at"):
''',
'''\
ParkedRental.objects.select_related("rental").order_by("parked_at"):
''',
            ),
            (
                "rentals/management/commands/parked.py",
'''\
{parked.rental_id}\\t{parked.parked_at:%Y-%m-%d %H:%M}''',
'''\
{parked.rental_id}\\t{parked.rental.attempted_at:%Y-%m-%d %H:%M}''',
            ),
        ],
    },
]
