from datetime import timedelta
from unittest import mock

from django.test import TestCase, TransactionTestCase
from django.utils import timezone
from redis.exceptions import ConnectionError as RedisDown

from rents import monthly, sweeps, tasks
from rents.debits import DebitClient, DebitUnavailable, MandateRefused
from rents.models import FailedCollection, RentCharge, Tenancy


class CollectTests(TestCase):
    def setUp(self):
        self.tenancy = Tenancy.objects.create(tenant="A", mandate="MND-1", rent_cents=100000)
        patch = mock.patch.object(DebitClient, "collect", return_value="DD-1")
        self.collect = patch.start()
        self.addCleanup(patch.stop)

    def run_job(self):
        return tasks.collect_rent(tenancy_id=self.tenancy.pk, period="2026-12")

    def charge(self):
        return RentCharge.objects.get()

    def test_collects_once(self):
        with self.assertLogs("rents.tasks", "INFO") as logs:
            self.run_job()
            self.run_job()
        self.assertEqual(self.collect.call_count, 1)
        self.assertEqual((self.charge().status, self.charge().debit_id), ("collected", "DD-1"))
        self.assertEqual({record.job for record in logs.records}, {self.charge().reference})

    def test_killed_after_the_debit_repeats_the_key(self):
        with mock.patch.object(tasks, "settle", side_effect=KeyboardInterrupt):
            with self.assertRaises(KeyboardInterrupt):
                self.run_job()
        self.run_job()
        keys = {call.kwargs["idempotency_key"] for call in self.collect.call_args_list}
        self.assertEqual(keys, {f"rent-{self.tenancy.pk}-2026-12"})
        self.assertEqual(self.charge().status, "collected")

    def test_gives_up_after_five(self):
        self.collect.side_effect = DebitUnavailable("answered 503")
        for _ in range(4):
            with self.assertRaises(DebitUnavailable):
                self.run_job()
        self.run_job()
        self.run_job()
        self.assertEqual(self.collect.call_count, 5)
        self.assertEqual(self.charge().status, "failed")
        self.assertIn("answered 503", FailedCollection.objects.get().reason)

    def test_refused_mandate_is_not_retried(self):
        self.collect.side_effect = MandateRefused("answered 422")
        self.run_job()
        self.assertEqual(FailedCollection.objects.count(), 1)
        self.assertEqual(self.charge().status, "failed")

    def test_waived_rent_is_left_alone(self):
        RentCharge.objects.create(tenancy=self.tenancy, period="2026-12", amount_cents=1,
                                  touched_at=timezone.now())
        self.assertTrue(monthly.waive_rent(self.tenancy.pk, "2026-12"))
        self.run_job()
        self.collect.assert_not_called()

    def test_bad_messages_are_recorded_once(self):
        for _ in range(2):
            tasks.collect_rent(tenancy_id="1", period="2026-12")
        tasks.collect_rent()
        tasks.collect_rent(tenancy_id=999, period="2026-12")
        self.assertEqual(FailedCollection.objects.count(), 3)


class PublishTests(TransactionTestCase):
    def setUp(self):
        self.tenancy = Tenancy.objects.create(tenant="A", mandate="MND-1", rent_cents=100000)
        patch = mock.patch("rents.monthly.enqueue_collection")
        self.enqueue = patch.start()
        self.addCleanup(patch.stop)

    def test_publishes_once_committed(self):
        monthly.raise_rent(self.tenancy.pk, "2026-12")
        monthly.raise_rent(self.tenancy.pk, "2026-12")
        self.enqueue.assert_called_once_with(self.tenancy.pk, "2026-12")

    def test_sweep_publishes_what_redis_refused(self):
        self.enqueue.side_effect = RedisDown("down")
        monthly.raise_rent(self.tenancy.pk, "2026-12")
        self.enqueue.side_effect = None
        sweeps.publish_pending()
        sweeps.publish_pending()
        self.assertEqual(self.enqueue.call_count, 2)

    def test_sweep_requeues_and_ends_what_stood_still(self):
        monthly.raise_rent(self.tenancy.pk, "2026-12")
        RentCharge.objects.update(touched_at=timezone.now() - timedelta(hours=1))
        with mock.patch("rents.sweeps.enqueue_collection") as again:
            sweeps.requeue_stalled()
            sweeps.requeue_stalled()
        again.assert_called_once()
        RentCharge.objects.update(touched_at=timezone.now() - timedelta(hours=1), attempts=5)
        sweeps.requeue_stalled()
        self.assertEqual(FailedCollection.objects.count(), 1)
