"""Another way in which this site is right, and three in which it is not."""

import pathlib

BASE = pathlib.Path(__file__).resolve().parent / "base"
TASKS, INBOX, BILLING = "invoices/tasks.py", "invoices/inbox.py", "invoices/billing.py"
JOB = "issue-invoice"


def whole(path):
    return (BASE / path).read_text()


ATTEMPT_ROWS = '''"""Every attempt is a row. The newest row of a key says whether somebody is at it; the unique number decides
between two who begin at the same moment."""

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from .errors import StillRunning
from .models import Attempt, DeadJob, Inbox

Status = Inbox.Status


@dataclass(frozen=True)
class Claim:
    key: str
    pk: int
    attempt: int

    @property
    def last(self):
        return self.attempt >= settings.INVOICE_MAX_ATTEMPTS


def key_for(member_id, season):
    return f"invoice:{member_id}:{season}"


def open_row(member_id, season):
    return Inbox.objects.get_or_create(
        key=key_for(member_id, season),
        defaults={"member_id": member_id, "season": season, "touched_at": timezone.now()},
    )


def newest(key):
    return Attempt.objects.filter(inbox_id=key).order_by("-number").first()


def claim(member_id, season):
    try:
        with transaction.atomic():
            return _begin(open_row(member_id, season)[0])
    except IntegrityError:
        raise StillRunning(key_for(member_id, season)) from None


def _begin(row):
    if row.status != Status.OPEN:
        return row.status
    now, before = timezone.now(), newest(row.key)
    number = before.number + 1 if before else 1
    if before and before.ended_at is None:
        if before.started_at + timedelta(seconds=settings.INVOICE_LEASE_SECONDS) > now:
            raise StillRunning(row.key)
        _end(before.pk, "lost")
    if number > settings.INVOICE_MAX_ATTEMPTS:
        _kill(row, "the worker died at the last attempt", before.number)
        return Status.DEAD
    attempt = Attempt.objects.create(inbox=row, number=number, started_at=now)
    Inbox.objects.filter(pk=row.pk).update(touched_at=now)
    return Claim(row.key, attempt.pk, number)


def _end(pk, outcome):
    return Attempt.objects.filter(pk=pk, ended_at=None).update(ended_at=timezone.now(), outcome=outcome)


def let_go(claim):
    with transaction.atomic():
        if _end(claim.pk, "failed"):
            Inbox.objects.filter(pk=claim.key).update(touched_at=timezone.now())


def close(key):
    Inbox.objects.filter(key=key, status=Status.OPEN).update(status=Status.DONE, touched_at=timezone.now())
    Attempt.objects.filter(inbox_id=key, ended_at=None).update(ended_at=timezone.now(), outcome="done")


def bury(claim, reason):
    with transaction.atomic():
        row = Inbox.objects.select_for_update().get(key=claim.key)
        if row.status != Status.OPEN or newest(row.key).pk != claim.pk:
            return False
        _end(claim.pk, "failed")
        _kill(row, reason, claim.attempt)
        return True


def _kill(row, reason, attempts):
    Inbox.objects.filter(pk=row.pk).update(status=Status.DEAD, touched_at=timezone.now())
    record_death(row.key, {"member_id": row.member_id, "season": row.season}, reason, attempts)


def record_death(key, message, reason, attempts):
    DeadJob.objects.get_or_create(
        key=key,
        defaults={"message": message, "reason": reason[:200], "attempts": attempts, "died_at": timezone.now()},
    )
'''

ATTEMPT_MIGRATION = '''import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("invoices", "0001_initial")]

    operations = [
        migrations.RemoveField(model_name="inbox", name="attempts"),
        migrations.RemoveField(model_name="inbox", name="holder"),
        migrations.RemoveField(model_name="inbox", name="held_until"),
        migrations.CreateModel(
            name="Attempt",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.PositiveIntegerField()),
                ("started_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                ("outcome", models.CharField(blank=True, max_length=10)),
                (
                    "inbox",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="invoices.inbox"),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("inbox", "number"), name="one_attempt_of_a_number")
                ],
            },
        ),
    ]
'''

VARIANTS = [
    # ---------------------------------------------------------------- correct
    {
        "id": "ok-attempt-rows",
        "kind": "correct",
        "job": JOB,
        "what": "No lease columns: each attempt is a row with a unique number, an open row is the lock until it is"
        " 90 s old, and the rows are the count. Log lines are JSON.",
        "edits": [
            (INBOX, whole(INBOX), ATTEMPT_ROWS),
            ("invoices/migrations/0002_attempt_rows.py", "", ATTEMPT_MIGRATION),
            (
                "invoices/models.py",
                '''    attempts = models.PositiveIntegerField(default=0)
    holder = models.CharField(max_length=32, blank=True)
    held_until = models.DateTimeField(null=True)
    touched_at = models.DateTimeField()
''',
                '''    touched_at = models.DateTimeField()


class Attempt(models.Model):
    inbox = models.ForeignKey(Inbox, on_delete=models.CASCADE)
    number = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=10, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["inbox", "number"], name="one_attempt_of_a_number")]
''',
            ),
            (
                "invoices/joblog.py",
                '''    extra = "".join(f" {name}={value}" for name, value in more.items())
    logger.log(level, "job=%s key=%s attempt=%s outcome=%s%s", _job_id.get(), key, attempt, outcome, extra)
''',
                '''    line = {"job": _job_id.get(), "key": key, "attempt": attempt, "outcome": outcome, **more}
    logger.log(level, json.dumps(line, default=str))
''',
            ),
            ("invoices/joblog.py", "import logging\n", "import json\nimport logging\n"),
            (
                ".skillrun/jobs/issue-invoice.yaml",
                "  dead_letters: select count(*) from invoices_deadjob\n",
                "  dead_letters: select count(*) from invoices_deadjob\n  not_state: [invoices_attempt]\n",
            ),
        ],
    },
    # ---------------------------------------------------------------- mistakes
    {
        "id": "bad-counts-failures-only",
        "kind": "mistake",
        "job": JOB,
        "what": "Breaks worker.deliveries (5) and the dead letter. 'A deploy should not cost an attempt': the attempt is"
        " counted when it has failed, no longer when it begins. A job that takes its worker down (out of memory,"
        " the 60 s timeout's SIGKILL) never gets to let_go: claim, killed, handed out after 120 s, claim, killed;"
        " attempts stays 0 and the message comes for ever, with no record in invoices_deadjob.",
        "edits": [
            (
                INBOX,
                '''        row.attempts += 1
        row.holder = uuid4().hex
''',
                '''        row.holder = uuid4().hex
''',
            ),
            (INBOX, "        return Claim(row.key, row.holder, row.attempts)\n",
             "        return Claim(row.key, row.holder, row.attempts + 1)\n"),
            (
                INBOX,
                '''        held_until=None, touched_at=timezone.now()
    )


def close''',
                '''        attempts=claim.attempt, held_until=None, touched_at=timezone.now()
    )


def close''',
            ),
            (
                INBOX,
                '''"done", "dead"). An attempt counts from here on, so that
    one which takes its worker down counts as well."""
''',
                '''"done", "dead"). An attempt counts once it has failed; a
    deploy in the middle of one costs nothing."""
''',
            ),
            (
                INBOX,
                '''            return False
        _kill(row, reason)
''',
                '''            return False
        row.attempts = claim.attempt
        _kill(row, reason)
''',
            ),
        ],
    },
    {
        "id": "bad-number-in-its-own-transaction",
        "kind": "mistake",
        "job": JOB,
        "what": "Breaks the state that a single run leaves (series, invoices; numbers without gaps). The number is taken in"
        " a short transaction of its own so that the season's row is not locked for long. Series.last = 1 is"
        " committed, the worker is killed (or the insert meets a locked database), the message comes again,"
        " finds no invoice and takes 2: the first invoice of the season is 2026-0002 and 2026-0001 exists nowhere.",
        "edits": [
            (
                BILLING,
                '''    with transaction.atomic():
        try:
            member = Member.objects.get(pk=member_id)
        except Member.DoesNotExist:
            raise UnknownMember(f"member {member_id}") from None
        invoice = Invoice.objects.select_related("member").filter(member=member, season=season).first()
        if invoice is None:
            series, _ = Series.objects.select_for_update().get_or_create(season=season)
            series.last += 1
            series.save()
            invoice = Invoice.objects.create(
                number=f"{season}-{series.last:04d}",
                member=member,
                season=season,
                amount_cents=settings.MEMBERSHIP_FEE_CENTS,
            )
        return invoice
''',
                '''    try:
        member = Member.objects.get(pk=member_id)
    except Member.DoesNotExist:
        raise UnknownMember(f"member {member_id}") from None
    invoice = Invoice.objects.select_related("member").filter(member=member, season=season).first()
    if invoice is None:
        invoice = Invoice.objects.create(
            number=next_number(season),
            member=member,
            season=season,
            amount_cents=settings.MEMBERSHIP_FEE_CENTS,
        )
    return invoice


def next_number(season):
    """The season's row is locked for as long as this takes, and no longer."""
    with transaction.atomic():
        series, _ = Series.objects.select_for_update().get_or_create(season=season)
        series.last += 1
        series.save()
    return f"{season}-{series.last:04d}"
''',
            ),
        ],
    },
    {
        "id": "bad-stamped-before-mailing",
        "kind": "mistake",
        "job": JOB,
        "what": "Breaks the mail's at_least_once. So that nobody gets two mails the invoice is stamped (mailed_at) before the"
        " mail goes out, and the stamp is taken back if sending raises. The worker is killed after the stamp's"
        " commit and before the SMTP server has the mail: the redelivery sees mailed_at, skips the mail, closes"
        " the inbox row as done. The invoice is never mailed, and nothing says so.",
        "edits": [
            (
                TASKS,
                '''            post.send_invoice(invoice)
        billing.mailed(key, invoice)
''',
                '''            with billing.stamped(invoice):
                post.send_invoice(invoice)
        inbox.close(key)
''',
            ),
            (
                BILLING,
                '''def mailed(key, invoice):
    with transaction.atomic():
        Invoice.objects.filter(pk=invoice.pk, mailed_at=None).update(mailed_at=timezone.now())
        inbox.close(key)
''',
                '''@contextmanager
def stamped(invoice):
    """The invoice counts as mailed, unless what happens inside raises."""
    mine = Invoice.objects.filter(pk=invoice.pk)
    mine.update(mailed_at=timezone.now())
    try:
        yield
    except Exception:
        mine.update(mailed_at=None)
        raise
''',
            ),
            (
                BILLING,
                '''from django.conf import settings
from django.db import transaction
from django.utils import timezone

from . import inbox
from .errors''',
                '''from contextlib import contextmanager

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from .errors''',
            ),
        ],
    },
]
