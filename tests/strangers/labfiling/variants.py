MODELS_ACK = '''class Acknowledgement(models.Model):
    """What the registry has confirmed, by submission id."""

    submission_id = models.CharField(max_length=40, primary_key=True)
    receipt = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=timezone.now)


class DeadLetter(models.Model):'''

MIGRATION_ACK = '''import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("lab", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="Acknowledgement",
            fields=[
                ("submission_id",
                 models.CharField(max_length=40, primary_key=True, serialize=False)),
                ("receipt", models.CharField(max_length=64)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
        ),
        migrations.RemoveField(model_name="transmission", name="receipt"),
        migrations.RemoveField(model_name="transmission", name="sent_at"),
    ]
'''

FINISH = '''    sent = Transmission.objects.filter(
        pk=transmission.pk, status=Transmission.Status.QUEUED
    ).update(status=Transmission.Status.SENT, receipt=receipt, sent_at=timezone.now())
'''

FINISH_ACK = '''    with transaction.atomic():
        Acknowledgement.objects.get_or_create(
            submission_id=transmission.submission_id, defaults={"receipt": receipt}
        )
        sent = Transmission.objects.filter(
            pk=transmission.pk, status=Transmission.Status.QUEUED
        ).update(status=Transmission.Status.SENT)
'''

TASKS_2 = '''import logging
import random
from contextlib import contextmanager

from celery import Task, shared_task
from django.db import OperationalError

from . import transmissions
from .registry import AlreadyFiled, RegistryBusy, RegistryClient, RegistryUnavailable

TRANSIENT = (RegistryUnavailable, OperationalError)
BACKOFF = [30, 60, 120, 240]


class MalformedMessage(Exception):
    pass


class ResultLog(logging.LoggerAdapter):
    def process(self, msg, kwargs):
        return f"filing result={self.extra['result']} {msg}", kwargs


def log_for(result):
    return ResultLog(logging.getLogger("lab.filing"), {"result": result})


class FilingTask(Task):
    """Judges how an attempt ended: again, or never more."""

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        fit = not args and list(kwargs) == ["result_id"] and self.is_id(kwargs["result_id"])
        transmissions.bury(
            kwargs["result_id"] if fit else None,
            self.name, task_id, {"args": list(args), "kwargs": dict(kwargs)}, exc,
        )

    @staticmethod
    def is_id(value):
        return type(value) is int and 0 < value < 2**63

    @contextmanager
    def attempt(self, result_id):
        log = log_for(result_id)
        try:
            yield log
        except TRANSIENT as exc:
            failures = self.note(result_id, exc, log)
            if failures >= transmissions.MAX_ATTEMPTS:
                log.error("event=exhausted attempt=%d reason=%r", failures, exc)
                raise
            countdown = self.wait(exc, failures)
            log.warning("event=retry attempt=%d in=%ds reason=%r", failures, countdown, exc)
            raise self.retry(exc=exc, countdown=countdown)

    def note(self, result_id, exc, log):
        noted = 0
        try:
            noted = transmissions.count_failure(result_id, lambda n: self.wait(exc, n))
        except OperationalError:
            log.exception("event=not-counted")
        return max(noted, self.request.retries + 1)

    @staticmethod
    def wait(exc, failures):
        if isinstance(exc, RegistryBusy):
            return min(exc.retry_after, 600)
        return BACKOFF[min(failures, len(BACKOFF)) - 1] * random.uniform(0.8, 1)


@shared_task(bind=True, base=FilingTask, name="lab.tasks.transmit_result",
             max_retries=transmissions.MAX_ATTEMPTS - 1)
def transmit_result(self, result_id):
    if not self.is_id(result_id):
        raise MalformedMessage(f"result_id is {result_id!r}")
    with self.attempt(result_id) as log:
        transmission = transmissions.start(result_id)
        if transmission is None:
            log.info("event=skipped")
            return
        log.info("event=start attempt=%d submission=%s",
                 transmission.failures + 1, transmission.submission_id)
        document = transmission.result.document()
        try:
            with RegistryClient() as registry:
                receipt = registry.submit(
                    submission_id=transmission.submission_id, document=document
                )
        except AlreadyFiled as exc:
            receipt = exc.receipt
        transmissions.finish(transmission, receipt)
        log.info("event=done receipt=%s", receipt)
'''

CLIENT = '''    timeout = (5, 30)

    def __init__(self, session=None):
        self.session = session or requests.Session()
        self.session.headers["Authorization"] = f"Bearer {settings.REGISTRY_TOKEN}"
'''

CLIENT_2 = '''    def __init__(self, transport=None):
        self.http = httpx.Client(
            base_url=settings.REGISTRY_URL,
            headers={"Authorization": f"Bearer {settings.REGISTRY_TOKEN}"},
            timeout=httpx.Timeout(30, connect=5),
            transport=transport,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.close()
'''

CALL = '''            response = self.session.post(
                f"{settings.REGISTRY_URL}/documents",
                json={"submissionId": submission_id, "document": document},
                timeout=self.timeout,
            )
        except requests.RequestException as exc:
'''

CALL_2 = '''            response = self.http.post(
                "/documents", json={"submissionId": submission_id, "document": document}
            )
        except httpx.HTTPError as exc:
'''

SERVICE = '''        if transmission.status == Transmission.Status.QUEUED:
            # robust: the row is committed, and the sweep finds it when the broker is away.
            transaction.on_commit(partial(publish, result_id), robust=True)
    return transmission
'''

SERVICE_2 = '''    if transmission.status == Transmission.Status.QUEUED:
        try:
            publish(result_id)
        except OperationalError:
            log.exception("result %s: broker away, left to the sweep", result_id)
    return transmission
'''

SPEC = ".skillrun/jobs/transmit-result.yaml"

VARIANTS = [
    {"id": "ok-1", "kind": "correct", "job": "transmit-result",
     "what": "What was filed is remembered in a table of acknowledgements by submission id, "
             "written in one transaction with the status",
     "edits": [
         ("lab/models.py", "class DeadLetter(models.Model):", MODELS_ACK),
         ("lab/models.py", '    receipt = models.CharField(max_length=64, blank=True)\n'
                           '    sent_at = models.DateTimeField(null=True)\n', ""),
         ("lab/migrations/0002_acknowledgement.py", "", MIGRATION_ACK),
         ("lab/transmissions.py", "from .models import DeadLetter, Result, Transmission",
          "from .models import Acknowledgement, DeadLetter, Result, Transmission"),
         ("lab/transmissions.py", FINISH, FINISH_ACK),
         ("lab/transmissions.py", "        if transmission.failures >= MAX_ATTEMPTS:",
          '        if Acknowledgement.objects.filter(pk=transmission.submission_id).exists():\n'
          '            log.info("result %s: acknowledged already, nothing to do", result_id)\n'
          '            return None\n'
          '        if transmission.failures >= MAX_ATTEMPTS:'),
         ("lab/tests.py", '        self.assertEqual((transmission.status, transmission.receipt), ("sent", "R-1"))',
          '        self.assertEqual(transmission.status, "sent")\n'
          '        self.assertEqual(Acknowledgement.objects.get().receipt, "R-1")'),
         ("lab/tests.py", '        self.assertEqual(self.run_job().receipt, "R-0")',
          '        self.assertEqual(self.run_job().status, "sent")\n'
          '        self.assertEqual(Acknowledgement.objects.get().receipt, "R-0")'),
         ("lab/tests.py", "from lab.models import DeadLetter, Result, Transmission",
          "from lab.models import Acknowledgement, DeadLetter, Result, Transmission"),
         (SPEC, "store: table lab_transmission", "store: table lab_acknowledgement"),
         (SPEC, "      select r.order_no, t.submission_id, t.status, t.receipt\n"
                "      from lab_transmission t join lab_result r on r.id = t.result_id order by 1\n",
          "      select r.order_no, t.submission_id, t.status\n"
          "      from lab_transmission t join lab_result r on r.id = t.result_id order by 1\n"
          "    acknowledgements: select submission_id, receipt from lab_acknowledgement order by 1\n"),
     ]},
    {"id": "ok-2", "kind": "correct", "job": "transmit-result",
     "what": "The registry's client on httpx, the task's class judges an attempt in a context "
             "manager, key=value lines by a LoggerAdapter, published behind the transaction's block",
     "edits": [
         ("lab/tasks.py", "", TASKS_2),
         ("lab/registry.py", "import requests\n", "import httpx\n"),
         ("lab/registry.py", CLIENT, CLIENT_2),
         ("lab/registry.py", CALL, CALL_2),
         ("lab/services.py", SERVICE, SERVICE_2),
         ("lab/services.py", "from functools import partial\n\nfrom django.db import transaction\n",
          "\nfrom django.db import transaction\nfrom kombu.exceptions import OperationalError\n"),
         ("lab/tests.py", '                delay.assert_not_called()\n', ''),
         ("lab/tests.py", '            self.assertEqual(sweeps.requeue_stuck(), 0)\n',
          '            self.assertEqual(sweeps.requeue_stuck(), 0)\n            delay.reset_mock()\n'),
         ("pyproject.toml", '"requests>=2.31"', '"httpx>=0.27"'),
     ]},
    {"id": "m-new-id", "kind": "mistake", "job": "transmit-result",
     "what": "A failed attempt gets a new submission id (the registry's log lists each try by itself), "
             "so that an answer that was lost leads to a second document",
     "edits": [
         ("lab/transmissions.py", "        transmission.failures += 1\n",
          "        transmission.failures += 1\n"
          '        transmission.submission_id = (\n'
          '            f"LAB-{transmission.result.order_no}-{transmission.failures + 1}"\n'
          '        )\n'),
         ("lab/transmissions.py", 'update_fields=["failures", "due_at"]',
          'update_fields=["failures", "due_at", "submission_id"]'),
     ]},
    {"id": "m-sweep-unstarted", "kind": "mistake", "job": "transmit-result",
     "what": "The sweep looks only at filings that never started (Celery redelivers the others, "
             "it seems); one whose retry could not be published stands still for ever",
     "edits": [
         ("lab/sweeps.py", "        status=Transmission.Status.QUEUED, due_at__lt=now - OVERDUE\n",
          "        status=Transmission.Status.QUEUED, starts=0, due_at__lt=now - OVERDUE\n"),
         ("lab/sweeps.py", '    """Publish anew what is queued and overdue: its message was lost."""',
          '    """Publish anew what is overdue and was never begun: its message was lost.\n\n'
          '    What has begun comes back by itself (acks_late).\n    """'),
     ]},
    {"id": "m-busy-base", "kind": "mistake", "job": "transmit-result",
     "what": "RegistryBusy no longer counts as an outage (the monitoring counted it): it lost its base class, "
             "and with it the retry",
     "edits": [
         ("lab/registry.py", "class RegistryBusy(RegistryUnavailable):", "class RegistryBusy(RegistryError):"),
     ]},
    {"id": "m-atomic-task", "kind": "mistake", "job": "transmit-result",
     "what": "The whole task became one transaction; a worker's death rolls the count of starts back, "
             "and a document that kills its worker is delivered for ever",
     "edits": [
         ("lab/tasks.py", "def transmit_result(self, result_id):", "@transaction.atomic\ndef transmit_result(self, result_id):"),
         ("lab/tasks.py", "from django.db import OperationalError\n", "from django.db import OperationalError, transaction\n"),
     ]},
]
