MIGRATION_MAILING = '''import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="Mailing",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("attempts", models.PositiveIntegerField(default=0)),
                ("leased_until", models.DateTimeField(null=True)),
                ("sent", models.BooleanField(default=False)),
                (
                    "invoice",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="mailing", to="billing.invoice"
                    ),
                ),
            ],
        ),
        migrations.RemoveField(model_name="invoice", name="attempts"),
        migrations.RemoveField(model_name="invoice", name="leased_until"),
        migrations.RemoveField(model_name="invoice", name="version"),
    ]
'''

TASKS_CLASS = '''import logging
import re
from datetime import timedelta

from celery import Task, shared_task
from django.db import OperationalError
from django.utils import timezone

from billing import invoicing, mail

MONTH = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])")
LONGEST_CHAIN = 20


class MalformedMessage(Exception):
    pass


def parse(message: dict) -> tuple[int, str]:
    match message:
        case {"member_id": int() as member_id, "month": str() as month, **rest} if not rest:
            if not isinstance(member_id, bool) and member_id > 0 and MONTH.fullmatch(month):
                return member_id, month
    raise MalformedMessage(f"{message!r}")


class AboutJob(logging.LoggerAdapter):
    def process(self, msg, kwargs):
        kwargs["extra"] = self.extra
        return f"{self.extra['job']} {self.extra['job_message']}: {msg}", kwargs


class InvoiceTask(Task):
    """Log and dead letters in Celery's hooks; run() has the work alone."""

    max_retries = None

    def log(self, task_id, kwargs):
        about = {"job": "mail_invoice", "task_id": task_id, "job_message": kwargs}
        return AboutJob(logging.getLogger("billing.tasks"), about)

    def before_start(self, task_id, args, kwargs):
        self.log(task_id, kwargs).info("started")

    def on_success(self, retval, task_id, args, kwargs):
        self.log(task_id, kwargs).info("succeeded: %s", retval)

    def on_retry(self, exc, task_id, args, kwargs, einfo):
        self.log(task_id, kwargs).warning("will be retried after %r", exc)

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        if isinstance(exc, (invoicing.Busy, OperationalError)):
            self.log(task_id, kwargs).error("failed, left to the sweep: %r", exc)
            return
        self.log(task_id, kwargs).error("failed for good: %r", exc)
        message = {**kwargs, "args": list(args)} if args else kwargs
        try:
            key = parse(message)
        except MalformedMessage:
            key = None
        invoicing.bury(self.name, task_id, message, repr(exc), self.request.retries + 1, key)


# Attempts are counted in the invoice's row; waiting for somebody's lease is not an attempt.
@shared_task(bind=True, base=InvoiceTask, name="billing.tasks.mail_invoice")
def mail_invoice(self, *args, **message):
    key = parse({**message, "args": args} if args else message)
    try:
        invoice = invoicing.claim(*key)
        if invoice is None:
            return "nothing left to do"
        try:
            mail.compose(invoice).send()
        except Exception as exc:
            if not mail.is_transient(exc) or invoice.attempts >= invoicing.MAX_ATTEMPTS:
                raise
            invoicing.give_back(invoice, repr(exc))
            raise self.retry(exc=exc, countdown=60 * 3 ** (invoice.attempts - 1))
        invoicing.mark_sent(invoice)
        return f"{invoice.number} mailed"
    except (invoicing.Busy, OperationalError) as exc:
        if self.request.retries >= LONGEST_CHAIN:
            raise
        raise self.retry(exc=exc, countdown=getattr(exc, "seconds", 60))


@shared_task
def close_last_month():
    first = timezone.localdate().replace(day=1)
    month = (first - timedelta(days=1)).strftime("%Y-%m")
    count = invoicing.close_month(month)
    logging.getLogger("billing.tasks").info("closing %s: %d invoices", month, count, extra={"job": "close_last_month"})


@shared_task
def publish_unsent():
    invoicing.publish_unsent()


@shared_task
def requeue_stalled():
    invoicing.requeue_stalled()
'''

VARIANTS = [
    {
        "id": "ok-1",
        "kind": "correct",
        "job": "mail-invoice",
        "what": "A table of mailings remembers attempts, lease and 'sent'; the claim is select_for_update in an atomic block "
        "(IMMEDIATE on SQLite) instead of a version column",
        "edits": [
            ("billing/migrations/0002_mailing.py", "", MIGRATION_MAILING),
            (
                "billing/models.py",
                "    attempts = models.PositiveIntegerField(default=0)\n"
                "    version = models.PositiveIntegerField(default=1)\n"
                "    leased_until = models.DateTimeField(null=True)\n",
                "",
            ),
            (
                "billing/models.py",
                "class DeadJob(models.Model):\n",
                "class Mailing(models.Model):\n"
                '    """What has been done to get one invoice out."""\n\n'
                '    invoice = models.OneToOneField(Invoice, on_delete=models.CASCADE, related_name="mailing")\n'
                "    attempts = models.PositiveIntegerField(default=0)\n"
                "    leased_until = models.DateTimeField(null=True)\n"
                "    sent = models.BooleanField(default=False)\n\n\n"
                "class DeadJob(models.Model):\n",
            ),
            ("billing/invoicing.py", "from django.db.models import F, Q, Sum\n", "from django.db.models import Q, Sum\n"),
            ("billing/invoicing.py", "from billing.models import Charge, DeadJob, Invoice, Member\n", "from billing.models import Charge, DeadJob, Invoice, Mailing, Member\n"),
            (
                "billing/invoicing.py",
                'def claim(member_id: int, month: str) -> Invoice | None:\n'
                '    """Takes the invoice for one attempt. None: it is settled. The version lets one of two rivals through."""\n'
                "    invoice = draw_up(member_id, month)\n"
                "    if invoice.status not in UNFINISHED:\n"
                "        return None\n"
                "    now = timezone.now()\n"
                "    if invoice.leased_until and invoice.leased_until > now:\n"
                "        raise Busy(int((invoice.leased_until - now).total_seconds()) + 1)\n"
                "    if invoice.attempts >= MAX_ATTEMPTS:\n"
                '        raise GaveUp(f"{invoice.number}: no result after {invoice.attempts} attempts")\n'
                "    taken = Invoice.objects.filter(pk=invoice.pk, version=invoice.version).update(\n"
                "        status=Invoice.SENDING,\n"
                '        attempts=F("attempts") + 1,\n'
                '        version=F("version") + 1,\n'
                "        leased_until=now + LEASE,\n"
                "        touched_at=now,\n"
                "    )\n"
                "    if not taken:\n"
                "        raise Busy()\n"
                "    invoice.refresh_from_db()\n"
                "    return invoice\n",
                'def claim(member_id: int, month: str) -> Mailing | None:\n'
                '    """Takes the invoice for one attempt. None: it is settled."""\n'
                "    number = draw_up(member_id, month).number\n"
                "    with transaction.atomic():\n"
                "        invoice = Invoice.objects.select_for_update().get(number=number)\n"
                "        mailing, _ = Mailing.objects.get_or_create(invoice=invoice)\n"
                "        if mailing.sent or invoice.status not in UNFINISHED:\n"
                "            return None\n"
                "        now = timezone.now()\n"
                "        if mailing.leased_until and mailing.leased_until > now:\n"
                "            raise Busy(int((mailing.leased_until - now).total_seconds()) + 1)\n"
                "        if mailing.attempts >= MAX_ATTEMPTS:\n"
                '            raise GaveUp(f"{number}: no result after {mailing.attempts} attempts")\n'
                "        mailing.attempts += 1\n"
                "        mailing.leased_until = now + LEASE\n"
                "        mailing.save()\n"
                "        invoice.status, invoice.touched_at = Invoice.SENDING, now\n"
                '        invoice.save(update_fields=["status", "touched_at"])\n'
                "        return mailing\n",
            ),
            (
                "billing/invoicing.py",
                "def give_back(invoice: Invoice, reason: str) -> None:\n"
                "    Invoice.objects.filter(pk=invoice.pk, version=invoice.version).update(\n"
                '        leased_until=None, version=F("version") + 1, reason=reason[:300], touched_at=timezone.now()\n'
                "    )\n",
                "def give_back(mailing: Mailing, reason: str) -> None:\n"
                "    with transaction.atomic():\n"
                "        # not the lease of somebody who took over meanwhile\n"
                "        Mailing.objects.filter(pk=mailing.pk, attempts=mailing.attempts).update(leased_until=None)\n"
                "        Invoice.objects.filter(pk=mailing.invoice_id, status=Invoice.SENDING).update(\n"
                "            reason=reason[:300], touched_at=timezone.now()\n"
                "        )\n",
            ),
            (
                "billing/invoicing.py",
                "def mark_sent(invoice: Invoice) -> None:\n"
                '    """Whoever has the invoice by now: the mail is out."""\n'
                "    Invoice.objects.filter(pk=invoice.pk).exclude(status=Invoice.SENT).update(\n"
                '        status=Invoice.SENT, leased_until=None, reason="", version=F("version") + 1, touched_at=timezone.now()\n'
                "    )\n",
                "def mark_sent(mailing: Mailing) -> None:\n"
                '    """Whoever has the invoice by now: the mail is out."""\n'
                "    with transaction.atomic():\n"
                "        Mailing.objects.filter(pk=mailing.pk).update(sent=True, leased_until=None)\n"
                "        Invoice.objects.filter(pk=mailing.invoice_id).update(\n"
                '            status=Invoice.SENT, reason="", touched_at=timezone.now()\n'
                "        )\n",
            ),
            (
                "billing/invoicing.py",
                "                attempts = invoice.attempts\n"
                "                Invoice.objects.filter(pk=invoice.pk).update(\n"
                "                    status=Invoice.FAILED, reason=reason[:300], leased_until=None,\n"
                '                    version=F("version") + 1, touched_at=timezone.now(),\n'
                "                )\n",
                "                mailing, _ = Mailing.objects.get_or_create(invoice=invoice)\n"
                "                attempts = mailing.attempts\n"
                "                Invoice.objects.filter(pk=invoice.pk).update(\n"
                "                    status=Invoice.FAILED, reason=reason[:300], touched_at=timezone.now()\n"
                "                )\n",
            ),
            (
                "billing/invoicing.py",
                "        Q(leased_until=None) | Q(leased_until__lt=now),\n",
                "        Q(mailing__leased_until=None) | Q(mailing__leased_until__lt=now),\n",
            ),
            (
                "billing/tasks.py",
                "    key = invoice = None\n",
                "    key = mailing = None\n",
            ),
            (
                "billing/tasks.py",
                "        invoice = invoicing.claim(*key)\n        if invoice is None:\n",
                "        mailing = invoicing.claim(*key)\n        if mailing is None:\n",
            ),
            (
                "billing/tasks.py",
                "            return\n        mail.send_invoice(\n",
                "            return\n        invoice = mailing.invoice\n        mail.send_invoice(\n",
            ),
            ("billing/tasks.py", "        invoicing.mark_sent(invoice)\n", "        invoicing.mark_sent(mailing)\n"),
            (
                "billing/tasks.py",
                "        if invoice is not None and mail.is_transient(exc) and invoice.attempts < invoicing.MAX_ATTEMPTS:\n"
                "            wait = pause(invoice.attempts)\n",
                "        if mailing is not None and mail.is_transient(exc) and mailing.attempts < invoicing.MAX_ATTEMPTS:\n"
                "            wait = pause(mailing.attempts)\n",
            ),
            ("billing/tasks.py", "            invoicing.give_back(invoice, repr(exc))\n", "            invoicing.give_back(mailing, repr(exc))\n"),
            (
                "billing/tests.py",
                "        Invoice.objects.update(leased_until=timezone.now() - timedelta(seconds=1))\n",
                "        Mailing.objects.update(leased_until=timezone.now() - timedelta(seconds=1))\n",
            ),
            ("billing/tests.py", "from billing.models import Charge, DeadJob, Invoice, Member\n", "from billing.models import Charge, DeadJob, Invoice, Mailing, Member\n"),
            (".skillrun/jobs/mail-invoice.yaml", "dedupe: {store: table billing_invoice}", "dedupe: {store: table billing_mailing}"),
            (
                ".skillrun/jobs/mail-invoice.yaml",
                "  dead_letters: select count(*) from billing_deadjob\n",
                "    mailings: select invoice_id, sent from billing_mailing order by 1\n"
                "  dead_letters: select count(*) from billing_deadjob\n",
            ),
        ],
    },
    {
        "id": "ok-2",
        "kind": "correct",
        "job": "mail-invoice",
        "what": "A Task class whose hooks log (LoggerAdapter) and bury; mail.compose() makes an EmailMessage and the task sends it, "
        "so that EmailMessage.send is the effect",
        "edits": [
            ("billing/tasks.py", "", TASKS_CLASS),
            (
                "billing/mail.py",
                "def send_invoice(*, number: str, to: str, name: str, lines: list[str], total_cents: int) -> int:\n"
                '    body = "\\n".join([f"Dear {name},", "", *lines, "", f"Total: CHF {total_cents / 100:.2f}", "", "Thank you!"])\n'
                "    message = EmailMessage(\n"
                '        subject=f"Invoice {number}",\n'
                "        body=body,\n"
                "        to=[to],\n"
                '        headers={"Message-ID": f"<{number}@seedlibrary.example>"},\n'
                "    )\n"
                "    return message.send()\n",
                "def compose(invoice) -> EmailMessage:\n"
                "    member = invoice.member\n"
                '    lines = [f"{c.label}: {c.cents / 100:.2f}" for c in member.charges.filter(month=invoice.month)]\n'
                '    total = f"Total: CHF {invoice.total_cents / 100:.2f}"\n'
                "    return EmailMessage(\n"
                '        subject=f"Invoice {invoice.number}",\n'
                '        body="\\n".join([f"Dear {member.name},", "", *lines, "", total, "", "Thank you!"]),\n'
                "        to=[member.email],\n"
                '        headers={"Message-ID": f"<{invoice.number}@seedlibrary.example>"},\n'
                "    )\n",
            ),
            (".skillrun/jobs/mail-invoice.yaml", "    call: billing.mail:send_invoice\n", "    call: django.core.mail:EmailMessage.send\n"),
        ],
    },
    {
        "id": "m-oserror",
        "kind": "mistake",
        "job": "mail-invoice",
        "what": "is_transient tidied up to 'everything from the network is an OSError'; but smtplib's SMTPException is one, too: "
        "an unknown recipient or a 554 is tried five times over forty minutes",
        "edits": [
            (
                "billing/mail.py",
                "    if isinstance(exc, smtplib.SMTPRecipientsRefused):\n"
                "        return all(400 <= code < 500 for code, _ in exc.recipients.values())\n"
                "    if isinstance(exc, smtplib.SMTPResponseException):\n"
                "        return 400 <= exc.smtp_code < 500\n"
                "    if isinstance(exc, smtplib.SMTPException):\n"
                "        return isinstance(exc, smtplib.SMTPServerDisconnected)\n"
                "    return isinstance(exc, OSError)\n",
                "    return isinstance(exc, (smtplib.SMTPServerDisconnected, OSError))\n",
            ),
            (
                "billing/mail.py",
                '    """4xx, a lost connection, no connection. Mind that SMTPException is an OSError itself."""\n',
                '    """The network failed us: refused, reset, timed out, hung up."""\n',
            ),
        ],
    },
    {
        "id": "m-atomic-task",
        "kind": "mistake",
        "job": "mail-invoice",
        "what": "@transaction.atomic around the whole task, 'half an invoice must not stay behind': what raises rolls the claim back "
        "(attempts never count, so they never end) and the dead letter and the failed status with it",
        "edits": [
            (
                "billing/tasks.py",
                '@shared_task(bind=True, name="billing.tasks.mail_invoice", max_retries=None)\n',
                '@shared_task(bind=True, name="billing.tasks.mail_invoice", max_retries=None)\n@transaction.atomic\n',
            ),
            ("billing/tasks.py", "from django.db import OperationalError\n", "from django.db import OperationalError, transaction\n"),
        ],
    },
    {
        "id": "m-save-claim",
        "kind": "mistake",
        "job": "mail-invoice",
        "what": "The claim reads, changes and saves the model instead of an update on the version it has read: of two deliveries "
        "at the same moment both have the invoice and both mail it",
        "edits": [
            (
                "billing/invoicing.py",
                "    taken = Invoice.objects.filter(pk=invoice.pk, version=invoice.version).update(\n"
                "        status=Invoice.SENDING,\n"
                '        attempts=F("attempts") + 1,\n'
                '        version=F("version") + 1,\n'
                "        leased_until=now + LEASE,\n"
                "        touched_at=now,\n"
                "    )\n"
                "    if not taken:\n"
                "        raise Busy()\n"
                "    invoice.refresh_from_db()\n"
                "    return invoice\n",
                "    invoice.status = Invoice.SENDING\n"
                "    invoice.attempts += 1\n"
                "    invoice.version += 1\n"
                "    invoice.leased_until = now + LEASE\n"
                "    invoice.touched_at = now\n"
                '    invoice.save(update_fields=["status", "attempts", "version", "leased_until", "touched_at"])\n'
                "    return invoice\n",
            ),
        ],
    },
    {
        "id": "m-loggers-disabled",
        "kind": "mistake",
        "job": "mail-invoice",
        "what": "LOGGING shortened to the root logger with disable_existing_loggers: the worker configures logging once more "
        "after the tasks are imported, which switches billing.tasks off; no start, retry or failure is in the log",
        "edits": [
            ("seedlibrary/settings.py", '    "disable_existing_loggers": False,\n', '    "disable_existing_loggers": True,  # no noise from libraries\n'),
            (
                "seedlibrary/settings.py",
                '    "loggers": {\n        "billing": {"level": "INFO"},\n        "celery": {"level": "INFO"},\n    },\n'
                '    "root": {"handlers": ["console"], "level": "WARNING"},\n',
                '    "root": {"handlers": ["console"], "level": "INFO"},\n',
            ),
        ],
    },
]
