from unittest import mock

from django.core.management import call_command
from django.test import TestCase

from farmbank import BankUnavailable, DuplicateTransfer, TransferRefused
from payouts.models import DeadLetter, LedgerEntry, Payout
from payouts.services import queue_payout
from payouts.sweeps import requeue_queued
from payouts.tasks import pay_out


class FakeBank:
    def __init__(self):
        self.transfers = {}
        self.calls = 0
        self.plan = []

    def transfer(self, *, reference, iban, amount_cents, text=""):
        self.calls += 1
        if self.plan and (error := self.plan.pop(0)):
            raise error
        if reference in self.transfers:
            raise DuplicateTransfer(self.transfers[reference])
        return self.transfers.setdefault(reference, f"t-{len(self.transfers) + 1}")


class PayOutTests(TestCase):
    def setUp(self):
        call_command("seed_demo")
        self.bank = FakeBank()
        patch = mock.patch("payouts.tasks.get_bank", return_value=self.bank)
        patch.start()
        self.addCleanup(patch.stop)

    def deliver(self, **kwargs):
        return pay_out.apply(kwargs=kwargs)

    def payout(self, pk=1):
        return Payout.objects.get(pk=pk)

    def test_pays_once(self):
        self.deliver(payout_id=1)
        self.deliver(payout_id=1)
        self.assertEqual(self.bank.calls, 1)
        self.assertEqual((self.payout().status, self.payout().transfer_id), ("paid", "t-1"))
        self.assertEqual(LedgerEntry.objects.get().amount_cents, -184_250)

    def test_crash_after_the_transfer(self):
        with mock.patch("payouts.tasks.PayOut.book", side_effect=KeyboardInterrupt):
            with self.assertRaises(KeyboardInterrupt):
                self.deliver(payout_id=1)
        self.deliver(payout_id=1)
        self.assertEqual(len(self.bank.transfers), 1)
        self.assertEqual(self.payout().transfer_id, "t-1")

    def test_the_bank_comes_back(self):
        self.bank.plan = [BankUnavailable("503"), BankUnavailable("503")]
        self.deliver(payout_id=1)
        self.assertEqual(self.bank.calls, 3)
        self.assertEqual(self.payout().status, "paid")
        self.assertFalse(DeadLetter.objects.exists())

    def test_the_bank_stays_away(self):
        self.bank.plan = [BankUnavailable("503")] * 20
        self.deliver(payout_id=1)
        self.assertEqual(self.bank.calls, 6)
        self.assertEqual(self.payout().status, "failed")
        self.assertIn("503", DeadLetter.objects.get().reason)

    def test_refused(self):
        self.bank.plan = [TransferRefused("account closed")]
        self.deliver(payout_id=1)
        self.deliver(payout_id=1)
        self.assertEqual(self.bank.calls, 1)
        self.assertEqual(DeadLetter.objects.count(), 1)

    def test_nonsense(self):
        for message in ({}, {"payout_id": "1"}, {"payout_id": 0}, {"payout_id": 1, "now": True}, {"payout_id": 99}):
            self.deliver(**message)
        self.assertEqual(self.bank.calls, 0)
        self.assertEqual(DeadLetter.objects.count(), 5)
        self.assertEqual(self.payout().status, "queued")

    def test_published_after_the_commit(self):
        with mock.patch.object(pay_out, "delay") as delay:
            with self.captureOnCommitCallbacks() as callbacks:
                queue_payout(2)
            delay.assert_not_called()
            callbacks[0]()
            delay.assert_called_once_with(payout_id=2)

    def test_sweep(self):
        with mock.patch.object(pay_out, "delay") as delay:
            requeue_queued()
        delay.assert_called_once_with(payout_id=1)
