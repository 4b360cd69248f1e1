EXPORT = "invoice-export"
MAIL = "absence-mail"

# ---------------------------------------------------------------- correct: three other ways to be right

OK_1_TASKS = '''\
import logging
import uuid

from celery import shared_task
from django.db import OperationalError, connection
from django.utils import timezone

from billing import partner
from billing.models import Invoice
from ops.jobs import InvalidJob, RecordedTask, backoff, check_ids

log = logging.getLogger("school.billing")

# Raw on purpose: one statement decides who books, and it names only the columns of the export.
MARK = """
    UPDATE billing_invoice SET exported_at = %s, partner_reference = %s
    WHERE id = %s AND exported_at IS NULL
"""
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://school.example/invoices")


class InvoiceTask(RecordedTask):
    max_retries = 4
    acks_late = True
    reject_on_worker_lost = True

    def later(self, exc):
        return self.retry(exc=exc, countdown=backoff(self.request.retries))


@shared_task(bind=True, base=InvoiceTask, name="billing.export_invoice")
def export_invoice(self, invoice_id):
    """Book an issued invoice with the accounts office of the town."""
    check_ids(invoice_id=invoice_id)
    trace = logging.LoggerAdapter(log, {"invoice": invoice_id})
    try:
        invoice = Invoice.objects.filter(pk=invoice_id).values("pupil__name", "term", "cents", "exported_at").first()
    except OperationalError as exc:
        raise self.later(exc)
    if invoice is None:
        raise InvalidJob(f"no invoice {invoice_id}")
    if invoice["exported_at"]:
        trace.info("invoice %s: nothing left to do", invoice_id)
        return

    fields = {"Debtor": invoice["pupil__name"], "Term": invoice["term"], "Cents": invoice["cents"]}
    try:
        reference = partner.submit_invoice(fields, message_id=str(uuid.uuid5(NAMESPACE, str(invoice_id))))
    except partner.PartnerUnavailable as exc:
        trace.warning("invoice %s: %s, attempt %d", invoice_id, exc, self.request.retries + 1)
        raise self.later(exc)
    try:
        first = _mark(invoice_id, reference)
    except OperationalError as exc:
        raise self.later(exc)
    trace.info("invoice %s: booked as %s%s", invoice_id, reference, "" if first else " by somebody else")


def _mark(invoice_id, reference):
    with connection.cursor() as cursor:
        cursor.execute(MARK, [timezone.now(), reference, invoice_id])
        return cursor.rowcount == 1
'''

OK_2_TASKS = '''\
import contextlib
import fcntl
import logging
import os

from celery import shared_task
from django.conf import settings
from django.db import OperationalError
from django.utils import timezone

from absences import mailer
from absences.models import Notice
from ops.jobs import InvalidJob, RecordedTask, backoff, check_ids

log = logging.getLogger("school.absences")


@contextlib.contextmanager
def only_one(name):
    """All workers run on this machine; the kernel lets go of the lock of a worker that dies."""
    with open(os.path.join(settings.LOCK_DIR, f"school-{name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@shared_task(
    bind=True,
    base=RecordedTask,
    name="absences.mail_absence",
    max_retries=4,
    acks_late=True,
    reject_on_worker_lost=True,
)
def mail_absence(self, absence_id, guardian_id):
    """Tell one guardian of one absence."""
    check_ids(absence_id=absence_id, guardian_id=guardian_id)
    who = f"absence={absence_id} guardian={guardian_id}"
    with only_one(f"notice-{absence_id}-{guardian_id}"):
        try:
            told = tell(absence_id, guardian_id)
        except Notice.DoesNotExist:
            raise InvalidJob(f"no notice for {who}") from None
        except (mailer.MailUnavailable, OperationalError) as exc:
            log.warning("%s: attempt %d failed: %s", who, self.request.retries + 1, exc)
            raise self.retry(exc=exc, countdown=backoff(self.request.retries))
    log.info("%s: %s", who, "told" if told else "was told before")


def tell(absence_id, guardian_id):
    wanted = Notice.objects.filter(absence_id=absence_id, guardian_id=guardian_id)
    notice = wanted.select_related("absence__pupil", "guardian").get()
    if notice.sent_at:
        return False
    mailer.send_absence(notice.absence, notice.guardian)
    wanted.update(sent_at=timezone.now())
    return True
'''

OK_3_DEADLETTERS = '''\
from django.db import transaction
from django.utils import timezone

from ops.models import DeadJob


def record(task, payload, task_id, error):
    values = {"task_id": task_id, "error": error, "failed_at": timezone.now()}
    with transaction.atomic():  # IMMEDIATE, see settings: nobody comes in between
        if not DeadJob.objects.filter(task=task, payload=payload).update(**values):
            DeadJob.objects.create(task=task, payload=payload, **values)
'''

OK_3_TASKS = '''\
import logging

from celery import shared_task
from django.db import OperationalError, transaction
from django.utils import timezone

from billing import partner
from billing.models import Invoice
from ops.jobs import InvalidJob, RecordedTask, backoff, check_ids

log = logging.getLogger("school.billing")

WORTH_ANOTHER_TRY = (partner.PartnerUnavailable, OperationalError)


@shared_task(
    bind=True,
    base=RecordedTask,
    name="billing.export_invoice",
    max_retries=4,
    acks_late=True,
    reject_on_worker_lost=True,
)
def export_invoice(self, invoice_id):
    """Book an issued invoice with the accounts office of the town."""
    check_ids(invoice_id=invoice_id)
    attempt = self.request.retries + 1
    try:
        outcome = Export(invoice_id).run()
    except WORTH_ANOTHER_TRY as exc:
        log.warning(f"invoice={invoice_id} attempt={attempt} of {self.max_retries + 1} failed: {exc}")
        self.retry(exc=exc, countdown=backoff(self.request.retries))
    else:
        log.info(f"invoice={invoice_id} attempt={attempt} {outcome}")


class Export:
    """The two short database steps, and between them, without any lock, the slow call."""

    def __init__(self, invoice_id):
        self.invoice_id = invoice_id

    def run(self):
        order = self.read()
        if order is None:
            return "was booked before"
        return self.save(partner.submit_invoice(order, message_id="inv-%08d" % self.invoice_id))

    def read(self):
        invoice = Invoice.objects.select_related("pupil").filter(pk=self.invoice_id).first()
        if invoice is None:
            raise InvalidJob(f"no invoice {self.invoice_id}")
        if invoice.exported_at:
            return None
        return {"Debtor": invoice.pupil.name, "Term": invoice.term, "Cents": invoice.cents}

    @transaction.atomic
    def save(self, reference):
        invoice = Invoice.objects.get(pk=self.invoice_id)
        if invoice.exported_at is None:
            invoice.exported_at = timezone.now()
            invoice.partner_reference = reference
            invoice.save(update_fields=["exported_at", "partner_reference"])
        return f"booked as {invoice.partner_reference}"
'''

# ---------------------------------------------------------------- mistakes

BAD_4_OLD_HEAD = '''    bind=True,
    base=RecordedTask,
    name="billing.export_invoice",
'''
BAD_4_NEW_HEAD = '''    bind=True,
    name="billing.export_invoice",
'''

VARIANTS = [
    dict(id="ok-1", kind="correct", job=EXPORT,
         what="Retry options in a task class, name-based UUID as message id, the row marked by one raw conditional UPDATE, LoggerAdapter.",
         edits=[("billing/tasks.py", "", OK_1_TASKS)]),
    dict(id="ok-2", kind="correct", job=MAIL,
         what="No transaction around the mail: an flock per notice keeps a second worker out, sent_at is set in autocommit.",
         edits=[("absences/tasks.py", "", OK_2_TASKS)]),
    dict(id="ok-3", kind="correct", job=EXPORT,
         what="The work in a plain class with a short closing transaction and save(update_fields); dead letters written with the ORM; f-string logging.",
         edits=[("billing/tasks.py", "", OK_3_TASKS), ("ops/deadletters.py", "", OK_3_DEADLETTERS)]),

    dict(id="bad-1", kind="mistake", job=EXPORT,
         what="The message id is taken from the Celery request and the attempt, so a retry after a timeout that had gone through is booked again.",
         edits=[("billing/tasks.py", 'message_id=f"school-invoice-{invoice.pk}",',
                 'message_id=f"{self.request.id}-{self.request.retries}",')]),
    dict(id="bad-2", kind="mistake", job=EXPORT,
         what="The except clause names the base class of the partner's errors, so a soap:Fault that will never go away is retried too.",
         edits=[("billing/tasks.py", "except (partner.PartnerUnavailable, OperationalError) as exc:",
                 "except (partner.PartnerError, OperationalError) as exc:")]),
    dict(id="bad-3", kind="mistake", job=EXPORT,
         what="invoice.save() after the slow call writes all columns of the row as it was read before, and so over the office's remark.",
         edits=[("billing/tasks.py", '''        # Only our own columns, and only once: the office may be editing the row.
        Invoice.objects.filter(pk=invoice_id, exported_at=None).update(
            exported_at=timezone.now(), partner_reference=reference
        )
''', '''        invoice.exported_at = timezone.now()
        invoice.partner_reference = reference
        invoice.save()
''')]),
    dict(id="bad-4", kind="mistake", job=EXPORT,
         what="The dead letter of a used-up job is written on MaxRetriesExceededError, which retry(exc=...) never raises: it raises exc.",
         edits=[("billing/tasks.py", BAD_4_OLD_HEAD, BAD_4_NEW_HEAD),
                ("billing/tasks.py", "from ops.jobs import InvalidJob, RecordedTask, backoff, check_ids",
                 "from ops import deadletters\nfrom ops.jobs import InvalidJob, backoff, check_ids"),
                ("billing/tasks.py", '''    check_ids(invoice_id=invoice_id)
    log.info(''', '''    try:
        check_ids(invoice_id=invoice_id)
    except InvalidJob as exc:
        _give_up(self, invoice_id, exc)
        raise
    log.info('''),
                ("billing/tasks.py", '''    except Invoice.DoesNotExist:
        raise InvalidJob(f"no invoice {invoice_id}") from None
''', '''    except Invoice.DoesNotExist:
        unknown = InvalidJob(f"no invoice {invoice_id}")
        _give_up(self, invoice_id, unknown)
        raise unknown from None
    except partner.PartnerFault as exc:
        _give_up(self, invoice_id, exc)
        raise
'''),
                ("billing/tasks.py", '''        raise self.retry(exc=exc, countdown=backoff(self.request.retries))
    log.info("invoice=%s booked as %s", invoice_id, reference)
''', '''        try:
            raise self.retry(exc=exc, countdown=backoff(self.request.retries))
        except self.MaxRetriesExceededError:
            _give_up(self, invoice_id, exc)
            raise
    log.info("invoice=%s booked as %s", invoice_id, reference)


def _give_up(task, invoice_id, exc):
    log.error("invoice=%s given up: %s", invoice_id, exc)
    deadletters.record(task.name, f'{{"invoice_id": {invoice_id}}}', task.request.id, f"{type(exc).__name__}: {exc}")
''')]),
    dict(id="bad-5", kind="mistake", job=MAIL,
         what="The notice is marked as sent, and that is committed, before the mail goes out (and taken back only on an error that is caught): after a crash in between the guardian is never told.",
         edits=[("absences/tasks.py", '''        # One server, few mails: the write lock is held while the mail goes out,
        # so that a second worker finds sent_at set.
        with transaction.atomic():
''', '''        # Claim the notice first, so that the lock is not held while the mail goes out.
        with transaction.atomic():
'''),
                ("absences/tasks.py", '''            mailer.send_absence(notice.absence, notice.guardian)
            notice.sent_at = timezone.now()
            notice.save(update_fields=["sent_at"])
''', '''            notice.sent_at = timezone.now()
            notice.save(update_fields=["sent_at"])
        mailer.send_absence(notice.absence, notice.guardian)
'''),
                ("absences/tasks.py", '''        log.warning("absence=%s guardian=%s not told yet: %s", absence_id, guardian_id, exc)
''', '''        log.warning("absence=%s guardian=%s not told yet: %s", absence_id, guardian_id, exc)
        Notice.objects.filter(absence_id=absence_id, guardian_id=guardian_id).update(sent_at=None)
''')]),
    dict(id="bad-6", kind="mistake", job=MAIL,
         what="The look for an earlier mail goes by the absence alone, so the second guardian of a pupil is never told.",
         edits=[("absences/tasks.py", "            if notice.sent_at is not None:",
                 "            if Notice.objects.filter(absence_id=absence_id, sent_at__isnull=False).exists():")]),
    dict(id="bad-7", kind="mistake", job=EXPORT,
         what="Dead letters are recorded and logged by task and error only (kwargs might hold names of pupils): the row and the log do not say which invoice, and two invoices share a row.",
         edits=[("ops/jobs.py", '''        payload = dict(kwargs)
        if args:
            payload["args"] = list(args)
        text = json.dumps(payload, sort_keys=True, default=str)
        deadletters.record(self.name, text, task_id, f"{type(exc).__name__}: {exc}")
        log.error("job %s %s given up: %s: %s (task %s)", self.name, text, type(exc).__name__, exc, task_id)
''', '''        # No kwargs here: what is in them may be personal data.
        summary = json.dumps({"error": type(exc).__name__, "retries": self.request.retries}, sort_keys=True)
        deadletters.record(self.name, summary, task_id, f"{type(exc).__name__}: {exc}")
        log.error("job %s given up: %s: %s (task %s)", self.name, type(exc).__name__, exc, task_id)
'''),
                ("billing/tasks.py", '''        log.warning("invoice=%s not exported yet: %s", invoice_id, exc)
''', '''        log.warning("invoice not exported yet: %s", exc)
''')]),
]
