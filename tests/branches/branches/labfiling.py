BRANCHES = [{'id': 'w-labfiling-open-status',
  'job': 'transmit-result',
  'label': 'bad',
  'title': 'Transmission: say "open" for what is open\n'
           '\n'
           '"queued" was wrong half of the time: a filing that waits for its retry, or that a worker has in its '
           'hands,\n'
           "is not in any queue. The duty officer's list shows the value as it is.",
  'what': "0002 alters the choices and the default and leaves the rows: filings that stand as 'queued' at the deploy "
          "(message in Redis, waiting for a retry, stuck) are no longer 'open': the job says 'is queued already, "
          "nothing to do', the sweep does not look for them, bury finds nothing to change. Released laboratory results "
          'are never filed, without a dead letter. withdraw does not cancel them either.',
  'edits': [('lab/migrations/0002_transmission_open.py',
             '',
             'from django.db import migrations, models\n'
             '\n'
             '\n'
             'class Migration(migrations.Migration):\n'
             '\n'
             '    dependencies = [\n'
             '        ("lab", "0001_initial"),\n'
             '    ]\n'
             '\n'
             '    operations = [\n'
             '        migrations.AlterField(\n'
             '            model_name="transmission",\n'
             '            name="status",\n'
             '            field=models.CharField(\n'
             '                choices=[("open", "Open"), ("sent", "Sent"), ("cancelled", "Cancelled"), ("failed", '
             '"Failed")],\n'
             '                default="open",\n'
             '                max_length=10,\n'
             '            ),\n'
             '        ),\n'
             '    ]\n'),
            ('lab/models.py',
             '        QUEUED = "queued"\n',
             '        OPEN = "open"  # queued, in a worker\'s hands, or waiting for its next attempt\n'),
            ('lab/models.py',
             '    status = models.CharField(max_length=10, choices=Status, default=Status.QUEUED)\n',
             '    status = models.CharField(max_length=10, choices=Status, default=Status.OPEN)\n'),
            ('lab/services.py',
             '        if transmission.status == Transmission.Status.QUEUED:\n',
             '        if transmission.status == Transmission.Status.OPEN:\n'),
            ('lab/services.py',
             '            result_id=result_id, status=Transmission.Status.QUEUED\n',
             '            result_id=result_id, status=Transmission.Status.OPEN\n'),
            ('lab/sweeps.py',
             '    """Publish anew what is queued and overdue: its message was lost."""\n',
             '    """Publish anew what is open and overdue: its message was lost."""\n'),
            ('lab/sweeps.py',
             '        status=Transmission.Status.QUEUED, due_at__lt=now - OVERDUE\n',
             '        status=Transmission.Status.OPEN, due_at__lt=now - OVERDUE\n'),
            ('lab/sweeps.py',
             '            status=Transmission.Status.QUEUED,\n',
             '            status=Transmission.Status.OPEN,\n'),
            ('lab/tests.py',
             '        return Transmission.objects.filter(result=self.result).first()\n',
             '        return Transmission.objects.filter(result=self.result).first()\n'
             '\n'
             '    def test_begins_open(self):\n'
             '        self.assertEqual(Transmission.objects.get().status, "open")\n'),
            ('lab/transmissions.py',
             '                result=result, status=Transmission.Status.QUEUED\n',
             '                result=result, status=Transmission.Status.OPEN\n'),
            ('lab/transmissions.py',
             '        if transmission.status != Transmission.Status.QUEUED:\n',
             '        if transmission.status != Transmission.Status.OPEN:\n'),
            ('lab/transmissions.py',
             '    sent = Transmission.objects.filter(\n        pk=transmission.pk, status=Transmission.Status.QUEUED\n',
             '    sent = Transmission.objects.filter(\n        pk=transmission.pk, status=Transmission.Status.OPEN\n'),
            ('lab/transmissions.py',
             '                pk=transmission.pk, status=Transmission.Status.QUEUED\n',
             '                pk=transmission.pk, status=Transmission.Status.OPEN\n')]},
 {'id': 'w-labfiling-sweep-day',
  'job': 'transmit-result',
  'label': 'bad',
  'title': 'Sweep: leave alone what is more than a day old\n'
           '\n'
           'A filing is of use for 24 hours (acceptable_delay). After the outage in October the sweep filed results '
           'from\n'
           "the week before, which the registry's users took for new ones. What is older is the duty officer's.",
  'what': 'What is queued and more than 24 h overdue is neither filed nor failed: no dead letter is written, so it is '
          "not on the duty officer's list (lab_deadletter). Broker down over the weekend (publish is robust and only "
          "logs), or the sweep's cron off for a day: on Monday the results released on Friday stay 'queued' for ever. "
          'Base files them. Only with rows older than a day.',
  'edits': [('README.md',
             'is withdrawn before it went out is not filed any more. What could not be filed ends in\n',
             'is withdrawn before it went out is not filed any more, nor one that is more than a day late. What could '
             'not be filed ends in\n'),
            ('lab/sweeps.py',
             'OVERDUE = timedelta(minutes=2)\n',
             'OVERDUE = timedelta(minutes=2)\n'
             "# What could not be filed in a day is no longer ours, but the duty officer's.\n"
             'TOO_LATE = timedelta(hours=24)\n'),
            ('lab/sweeps.py',
             '        status=Transmission.Status.QUEUED, due_at__lt=now - OVERDUE\n',
             '        status=Transmission.Status.QUEUED, due_at__range=(now - TOO_LATE, now - OVERDUE)\n'),
            ('lab/tests.py',
             '            delay.assert_called_once_with(result_id=self.result.pk)\n\n',
             '            delay.assert_called_once_with(result_id=self.result.pk)\n'
             '\n'
             '    def test_sweep_leaves_old_ones_alone(self):\n'
             '        Transmission.objects.update(due_at=timezone.now() - timedelta(days=2))\n'
             '        with mock.patch.object(transmit_result, "delay") as delay:\n'
             '            self.assertEqual(sweeps.requeue_stuck(), 0)\n'
             '        delay.assert_not_called()\n'
             '\n')]},
 {'id': 'w-labfiling-retry-date',
  'job': 'transmit-result',
  'label': 'honest',
  'title': 'Registry: understand Retry-After as a date, too; split the tests\n'
           '\n'
           'Their new gateway writes a date; we took that for "no answer" and waited a minute each time. A date that '
           'is\n'
           'unreadable or past is still a minute, and 600 s is still the longest wait. The tests are a package now, by '
           'module.',
  'what': 'Nothing gets worse: numbers are read as before, dates give their distance (capped at 600 s by try_again as '
          'before, under the visibility timeout of 900 s), everything else 60 s as before. lab/tests.py is deleted, '
          'its tests are in lab/tests/test_filing.py unchanged.',
  'edits': [('lab/registry.py',
             '"""Client of the regional health record."""\n',
             '"""Client of the regional health record."""\n'
             '\n'
             'from datetime import timezone\n'
             'from email.utils import parsedate_to_datetime\n'),
            ('lab/registry.py',
             'from django.conf import settings\n',
             'from django.conf import settings\nfrom django.utils.timezone import now\n'),
            ('lab/registry.py',
             '        self.receipt = receipt\n\n\n',
             '        self.receipt = receipt\n'
             '\n'
             '\n'
             'def patience(asked, default=60):\n'
             '    """The seconds that a Retry-After asks for: a number of them, or a date to come."""\n'
             '    if asked.isascii() and asked.isdigit():\n'
             '        return int(asked)\n'
             '    try:\n'
             '        date = parsedate_to_datetime(asked)\n'
             '    except (TypeError, ValueError, OverflowError):\n'
             '        return default\n'
             '    if date.tzinfo is None:  # "-0000"\n'
             '        date = date.replace(tzinfo=timezone.utc)\n'
             '    seconds = int((date - now()).total_seconds())\n'
             '    return seconds if seconds > 0 else default\n'
             '\n'
             '\n'),
            ('lab/registry.py',
             '            wait = response.headers.get("Retry-After", "")\n'
             '            raise RegistryBusy(int(wait) if wait.isdigit() else 60)\n',
             '            raise RegistryBusy(patience(response.headers.get("Retry-After", "")))\n'),
            ('lab/tests.py', None, None),
            ('lab/tests/__init__.py', '', '"""python manage.py test"""\n'),
            ('lab/tests/test_filing.py',
             '',
             'from datetime import timedelta\n'
             'from unittest import mock\n'
             '\n'
             'from django.test import TestCase\n'
             'from django.utils import timezone\n'
             '\n'
             'from lab import services, sweeps, transmissions\n'
             'from lab.models import DeadLetter, Result, Transmission\n'
             'from lab.registry import AlreadyFiled, RegistryClient, RegistryRejected, RegistryUnavailable\n'
             'from lab.tasks import transmit_result\n'
             '\n'
             '\n'
             'class Filing(TestCase):\n'
             '    def setUp(self):\n'
             '        self.result = Result.objects.create(\n'
             '            order_no="2611-0001", patient_ref="P1", analyte="potassium", value="4.1",\n'
             '            status=Result.Status.RELEASED,\n'
             '        )\n'
             '        transmissions.ensure(self.result)\n'
             '        patcher = mock.patch.object(RegistryClient, "submit", return_value="R-1")\n'
             '        self.submit = patcher.start()\n'
             '        self.addCleanup(patcher.stop)\n'
             '\n'
             '    def run_job(self, **message):\n'
             '        transmit_result.apply(kwargs=message or {"result_id": self.result.pk})\n'
             '        return Transmission.objects.filter(result=self.result).first()\n'
             '\n'
             '    def test_files_once(self):\n'
             '        self.run_job()\n'
             '        transmission = self.run_job()\n'
             '        self.assertEqual((transmission.status, transmission.receipt), ("sent", "R-1"))\n'
             '        self.submit.assert_called_once()\n'
             '\n'
             '    def test_filed_before(self):\n'
             '        self.submit.side_effect = AlreadyFiled("R-0")\n'
             '        self.assertEqual(self.run_job().receipt, "R-0")\n'
             '\n'
             '    def test_outage_passes(self):\n'
             '        self.submit.side_effect = [RegistryUnavailable("HTTP 503"), "R-1"]\n'
             '        self.assertEqual(self.run_job().status, "sent")\n'
             '\n'
             '    def test_outage_stays(self):\n'
             '        self.submit.side_effect = RegistryUnavailable("HTTP 503")\n'
             '        self.assertEqual(self.run_job().status, "failed")\n'
             '        self.assertEqual(self.submit.call_count, 5)\n'
             '        self.assertIn("503", DeadLetter.objects.get().reason)\n'
             '\n'
             '    def test_rejected(self):\n'
             '        self.submit.side_effect = RegistryRejected("HTTP 422: patient")\n'
             '        self.assertEqual(self.run_job().status, "failed")\n'
             '        self.submit.assert_called_once()\n'
             '\n'
             '    def test_malformed(self):\n'
             '        for message in ({"result_id": "1"}, {"result": 1}, {"result_id": 0}):\n'
             '            self.run_job(**message)\n'
             '        self.assertEqual(DeadLetter.objects.count(), 3)\n'
             '        self.submit.assert_not_called()\n'
             '\n'
             '    def test_withdrawn(self):\n'
             '        services.withdraw(self.result.pk)\n'
             '        self.run_job()\n'
             '        self.submit.assert_not_called()\n'
             '\n'
             '    def test_publishes_after_commit(self):\n'
             '        with mock.patch.object(transmit_result, "delay") as delay:\n'
             '            with self.captureOnCommitCallbacks(execute=True):\n'
             '                services.file_with_registry(self.result.pk)\n'
             '                delay.assert_not_called()\n'
             '            delay.assert_called_once_with(result_id=self.result.pk)\n'
             '\n'
             '    def test_sweep(self):\n'
             '        with mock.patch.object(transmit_result, "delay") as delay:\n'
             '            services.file_with_registry(self.result.pk)\n'
             '            self.assertEqual(sweeps.requeue_stuck(), 0)\n'
             '            Transmission.objects.update(due_at=timezone.now() - timedelta(minutes=10))\n'
             '            self.assertEqual(sweeps.requeue_stuck(), 1)\n'
             '            delay.assert_called_once_with(result_id=self.result.pk)\n'),
            ('lab/tests/test_registry.py',
             '',
             'from datetime import timedelta\n'
             'from email.utils import format_datetime\n'
             'from unittest import mock\n'
             '\n'
             'import requests\n'
             'from django.test import SimpleTestCase\n'
             'from django.utils import timezone\n'
             '\n'
             'from lab import registry\n'
             '\n'
             '\n'
             'def answer(status, headers=(), body=b"{}"):\n'
             '    response = requests.Response()\n'
             '    response.status_code = status\n'
             '    response.headers.update(headers)\n'
             '    response._content = body\n'
             '    return response\n'
             '\n'
             '\n'
             'class Answers(SimpleTestCase):\n'
             '    def submit(self, response):\n'
             '        session = mock.Mock(headers={})\n'
             '        session.post.return_value = response\n'
             '        return registry.RegistryClient(session).submit(submission_id="LAB-1", document={})\n'
             '\n'
             '    def test_receipt(self):\n'
             '        self.assertEqual(self.submit(answer(201, body=b\'{"receipt": "R-1"}\')), "R-1")\n'
             '\n'
             '    def test_filed_before(self):\n'
             '        with self.assertRaises(registry.AlreadyFiled) as caught:\n'
             '            self.submit(answer(409, body=b\'{"receipt": "R-0"}\'))\n'
             '        self.assertEqual(caught.exception.receipt, "R-0")\n'
             '\n'
             '    def test_no_receipt(self):\n'
             '        with self.assertRaises(registry.RegistryUnavailable):\n'
             '            self.submit(answer(201, body=b"<html>"))\n'
             '\n'
             '    def test_busy(self):\n'
             '        soon = format_datetime(timezone.now() + timedelta(seconds=90), usegmt=False)\n'
             '        past = format_datetime(timezone.now() - timedelta(seconds=90))\n'
             '        for header, low, high in (("120", 120, 120), (soon, 80, 90), (past, 60, 60), ("soon", 60, 60), '
             '("", 60, 60)):\n'
             '            with self.subTest(header), self.assertRaises(registry.RegistryBusy) as caught:\n'
             '                self.submit(answer(429, {"Retry-After": header}))\n'
             '            self.assertTrue(low <= caught.exception.retry_after <= high)\n')]}]
