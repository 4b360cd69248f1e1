from datetime import timedelta
from unittest import mock

from django.test import TestCase
from django.utils import timezone

from lab import services, sweeps, transmissions
from lab.models import DeadLetter, Result, Transmission
from lab.registry import AlreadyFiled, RegistryClient, RegistryRejected, RegistryUnavailable
from lab.tasks import transmit_result


class Filing(TestCase):
    def setUp(self):
        self.result = Result.objects.create(
            order_no="2611-0001", patient_ref="P1", analyte="potassium", value="4.1",
            status=Result.Status.RELEASED,
        )
        transmissions.ensure(self.result)
        patcher = mock.patch.object(RegistryClient, "submit", return_value="R-1")
        self.submit = patcher.start()
        self.addCleanup(patcher.stop)

    def run_job(self, **message):
        transmit_result.apply(kwargs=message or {"result_id": self.result.pk})
        return Transmission.objects.filter(result=self.result).first()

    def test_files_once(self):
        self.run_job()
        transmission = self.run_job()
        self.assertEqual((transmission.status, transmission.receipt), ("sent", "R-1"))
        self.submit.assert_called_once()

    def test_filed_before(self):
        self.submit.side_effect = AlreadyFiled("R-0")
        self.assertEqual(self.run_job().receipt, "R-0")

    def test_outage_passes(self):
        self.submit.side_effect = [RegistryUnavailable("HTTP 503"), "R-1"]
        self.assertEqual(self.run_job().status, "sent")

    def test_outage_stays(self):
        self.submit.side_effect = RegistryUnavailable("HTTP 503")
        self.assertEqual(self.run_job().status, "failed")
        self.assertEqual(self.submit.call_count, 5)
        self.assertIn("503", DeadLetter.objects.get().reason)

    def test_rejected(self):
        self.submit.side_effect = RegistryRejected("HTTP 422: patient")
        self.assertEqual(self.run_job().status, "failed")
        self.submit.assert_called_once()

    def test_malformed(self):
        for message in ({"result_id": "1"}, {"result": 1}, {"result_id": 0}):
            self.run_job(**message)
        self.assertEqual(DeadLetter.objects.count(), 3)
        self.submit.assert_not_called()

    def test_withdrawn(self):
        services.withdraw(self.result.pk)
        self.run_job()
        self.submit.assert_not_called()

    def test_publishes_after_commit(self):
        with mock.patch.object(transmit_result, "delay") as delay:
            with self.captureOnCommitCallbacks(execute=True):
                services.file_with_registry(self.result.pk)
                delay.assert_not_called()
            delay.assert_called_once_with(result_id=self.result.pk)

    def test_sweep(self):
        with mock.patch.object(transmit_result, "delay") as delay:
            services.file_with_registry(self.result.pk)
            self.assertEqual(sweeps.requeue_stuck(), 0)
            Transmission.objects.update(due_at=timezone.now() - timedelta(minutes=10))
            self.assertEqual(sweeps.requeue_stuck(), 1)
            delay.assert_called_once_with(result_id=self.result.pk)
